package bus_test

import (
	"context"
	"fmt"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/hardware/sdm"
)

// A line with two meters is read. Here it is emulated; on a gateway Open would be
// bus.Serial("/dev/ttyUSB0", bus.Mode{Baud: 9600}).
func Example() {
	line := emulated.NewLine()
	for unit, watts := range map[byte]float64{1: 1150, 2: -460} {
		meter := emulated.NewMeter("sdm120", 4711)
		meter.SetPower(watts)
		meter.SetEnergy(12_345_678, 5_004)
		line.Attach(unit, meter)
	}
	b, err := bus.New(bus.Config{Name: "rs485-1", Open: bus.Given(line.Conn()), Timeout: time.Second})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error)
	go func() { ended <- b.Run(ctx) }()

	var batch hardware.Batch
	for _, unit := range []byte{1, 2, 3} {
		meter, err := sdm.NewModbus(b.Modbus(), unit, &sdm.Opts{Model: "sdm120", Channels: []string{"active_power", "active_energy_import"}})
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := b.Sense(ctx, meter, &batch); err != nil {
			fmt.Println(meter, "is", hardware.Class(err))
			continue
		}
		about := meter.Describe()
		for _, v := range batch.Values {
			channel := about.Channels[v.Channel]
			fmt.Println(meter, channel.Name, v, channel.Unit)
		}
	}

	cancel()
	fmt.Println("the bus ended with", <-ended)
	// Output:
	// sdm120 unit 1 active_power 1150 W
	// sdm120 unit 1 active_energy_import 12345678 Wh
	// sdm120 unit 2 active_power -460 W
	// sdm120 unit 2 active_energy_import 12345678 Wh
	// sdm120 unit 3 is absent
	// the bus ended with <nil>
}
