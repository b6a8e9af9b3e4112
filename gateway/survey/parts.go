package survey

import (
	"context"
	"slices"

	"periph.io/x/conn/v3/i2c"

	"wattmark/hardware"
	"wattmark/hardware/bme280"
	"wattmark/hardware/dsmr"
	"wattmark/hardware/iec62056"
	"wattmark/hardware/ina2xx"
	"wattmark/hardware/mhz19"
	"wattmark/hardware/modbus"
	"wattmark/hardware/pms"
	"wattmark/hardware/pzem"
	"wattmark/hardware/s8"
	"wattmark/hardware/scd30"
	"wattmark/hardware/scd4x"
	"wattmark/hardware/sdm"
	"wattmark/hardware/sml"
	"wattmark/hardware/sps30"
	"wattmark/hardware/sunspec"
)

// unitPart is a part that is a Modbus unit.
type unitPart struct {
	model string
	open  func(r modbus.Requester, unit byte) (hardware.Device, error)
}

// unitParts are asked in this order. One that names itself ends the questions.
var unitParts = []unitPart{
	sdmPart("sdm630"), sdmPart("sdm120"), sdmPart("sdm72"), sdmPart("sdm230"),
	{"sunspec", func(r modbus.Requester, unit byte) (hardware.Device, error) { return sunspec.NewModbus(r, unit, nil) }},
	{"pzem004t", func(r modbus.Requester, unit byte) (hardware.Device, error) { return pzem.NewModbus(r, unit, nil) }},
	{"s8", func(r modbus.Requester, unit byte) (hardware.Device, error) { return s8.NewModbus(r, unit, nil) }},
}

func sdmPart(model string) unitPart {
	return unitPart{model, func(r modbus.Requester, unit byte) (hardware.Device, error) {
		return sdm.NewModbus(r, unit, &sdm.Opts{Model: model})
	}}
}

// anyParts answer to an address that is all such parts' when they are alone on a line.
var anyParts = []struct {
	unitPart
	unit byte
}{
	{unitParts[5], modbus.AnyPZEM},
	{unitParts[6], modbus.AnySenseair},
}

// i2cPart is a part on I2C.
type i2cPart struct {
	model     string
	addresses []uint16 // all that its pins can select
	open      func(b i2c.Bus, address uint16) (hardware.Device, error)
}

// i2cParts are all parts on I2C. Those that name themselves stand before those at the
// same address that do not.
var i2cParts = []i2cPart{
	inaPart("ina228"), inaPart("ina226"), inaPart("ina219"),
	{"scd30", []uint16{scd30.Address}, func(b i2c.Bus, a uint16) (hardware.Device, error) { return scd30.NewI2C(b, a, nil) }},
	scdPart("scd41"), scdPart("scd40"),
	{"sps30", []uint16{sps30.Address}, func(b i2c.Bus, a uint16) (hardware.Device, error) { return sps30.NewI2C(b, a, nil) }},
	{"bme280", []uint16{bme280.Address, bme280.OtherAddress}, func(b i2c.Bus, a uint16) (hardware.Device, error) { return bme280.NewI2C(b, a, nil) }},
}

func inaPart(model string) i2cPart {
	p := i2cPart{model: model, open: func(b i2c.Bus, a uint16) (hardware.Device, error) {
		return ina2xx.NewI2C(b, a, &ina2xx.Opts{Model: model})
	}}
	for a := uint16(ina2xx.Address); a <= ina2xx.HighestAddress; a++ {
		p.addresses = append(p.addresses, a)
	}
	return p
}

func scdPart(model string) i2cPart {
	return i2cPart{model, []uint16{scd4x.Address}, func(b i2c.Bus, a uint16) (hardware.Device, error) {
		return scd4x.NewI2C(b, a, &scd4x.Opts{Model: model})
	}}
}

// head is a protocol of parts that speak unasked.
type head struct {
	models   []string
	settings []Setting
	open     func() (hardware.Device, error)
}

// heads are tried on what was heard, in this order.
var heads = []head{
	{models: []string{"dsmr"}, open: func() (hardware.Device, error) { return dsmr.NewSerial(nil, nil) }},
	{models: []string{"sml"}, open: func() (hardware.Device, error) { return sml.NewSerial(nil, nil) }},
	// Both particle sensors send the same frames.
	{models: []string{"pms5003", "pms7003"}, open: func() (hardware.Device, error) { return pms.NewSerial(nil, nil) }},
	{models: []string{"iec62056"}, settings: []Setting{{"push", "true"}}, open: func() (hardware.Device, error) {
		return iec62056.NewSerial(nil, &iec62056.Opts{Push: true})
	}},
}

// askedPart is a part that is alone on its line and says what it is when it is asked.
type askedPart struct {
	model string
	mode  string
	open  func(s hardware.Stream) (hardware.Device, error)
}

var askedParts = []askedPart{
	{"mhz19b", "9600 8N1", func(s hardware.Stream) (hardware.Device, error) {
		return mhz19.NewSerial(s, &mhz19.Opts{Timeout: answer})
	}},
	{"sps30", "115200 8N1", func(s hardware.Stream) (hardware.Device, error) {
		return sps30.NewSerial(s, &sps30.Opts{Timeout: answer})
	}},
}

// Models returns the names of the models that can be found, sorted.
func Models() []string {
	all := []string{"atm90e32", "iec62056"}
	for _, p := range unitParts {
		all = append(all, p.model)
	}
	for _, p := range i2cParts {
		all = append(all, p.model)
	}
	for _, h := range heads {
		all = append(all, h.models...)
	}
	for _, p := range askedParts {
		all = append(all, p.model)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// probe asks a part what it is. Its error is that of the bus, nil where something
// answered that is not the part.
func probe(ctx context.Context, model string, d hardware.Device, err error) (candidate, error) {
	if err != nil {
		return candidate{}, err
	}
	c := candidate{model: model}
	c.identity, c.confidence, err = d.(hardware.Prober).Probe(ctx)
	if ctx.Err() != nil {
		return c, ctx.Err()
	}
	return c, err
}
