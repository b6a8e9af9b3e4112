// Package bus opens serial ports, I2C buses and SPI ports and schedules what happens on
// them.
//
// Each [Bus] has one owner: while [Bus.Run] runs, one goroutine makes all transfers,
// and drivers reach the port only through [Bus.Modbus], [Bus.Stream], [Bus.I2C] and
// [Bus.SPI], which work inside jobs. [Bus.Sense] queues a job and waits for it; jobs run
// in order of due time.
//
// A device that fails does not take its neighbours along: after three failures in a
// row it is tried once per 2, 4, 8 ... 60 s, with 20 % jitter, and from the first
// failure on it gets at most a tenth of the bus's time, unless it is alone on it. One
// success restores it. A transfer that hangs in the kernel is abandoned and the port
// opened anew; so is a port that fails, as an adapter does when it is unplugged. An I2C
// bus that a part holds low is freed, where [Config] says how.
//
// Back-off and waiting for new data go by the [Clock] of the configuration, which
// may run fast. Deadlines and shares of the wire are real time.
package bus
