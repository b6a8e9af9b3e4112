// Package emulated holds parts and buses that are not there. Each part is a model
// of registers and commands written from its data sheet, on its own and not from
// the driver, so that the two can disagree: it keeps state, commands change it, and
// a driver that retries meets a part that moved on. Above the bus nothing can tell
// it from the real thing.
//
// [Meter] is an Eastron energy meter, [PZEM], [S8] and [SunSpec] are other units that speak
// Modbus, and [Map] has the registers it is given. A [Line] puts them on an RS-485 line,
// served on a pseudo-terminal ([OpenLine]), in memory ([Line.Conn]), or behind a TCP
// connection in either framing, in memory ([Line.Socket]) or of this machine ([Listen]).
// [Bus] is an I2C bus
// for [SCD4x], [SCD30], [INA] and [BME280], [Wires] are its two lines as pins, an
// [SPIPort] has an [ATM90E32] on it. A [Cable] is a serial line with one part at its end that
// speaks unasked or answers bytes, in memory ([Cable.Conn]) or on a pseudo-terminal
// ([OpenCable]): an [SPS30], which works on a Bus too, an [MHZ19] or a [PMS]. A [PulseLine]
// is a meter's contact with the kernel's GPIO line behind it.
//
// A simulation sets what there is to measure ([Meter.Set], [SCD4x.Set], [SCD30.Set])
// whenever it likes, from any goroutine. Measurements become ready by the clock that
// is passed in, which may run fast; what takes time on a wire or inside a command
// takes real time.
//
// Faults come by a [Plan]: a sequence, always the same, or drawn from a seed.
package emulated
