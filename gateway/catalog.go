package gateway

import (
	"fmt"
	"maps"
	"slices"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/scd30"
	"wattmark/hardware/scd4x"
	"wattmark/hardware/sdm"
)

// model says how a part is opened at an address of a bus. An address is a Modbus
// unit or an I2C address; 0 is the part's own, where it has only one.
type model struct {
	open func(b *bus.Bus, address uint16, now hardware.Clock) (hardware.Device, error)
}

// catalog is every model that a gateway can read, by its name in configurations.
var catalog = map[string]model{
	"sdm72":  {openSDM("sdm72")},
	"sdm120": {openSDM("sdm120")},
	"sdm230": {openSDM("sdm230")},
	"sdm630": {openSDM("sdm630")},
	"scd30":  {openSCD30},
	"scd40":  {openSCD4x("scd40")},
	"scd41":  {openSCD4x("scd41")},
}

// Models returns the names of the models that a gateway can read, sorted.
func Models() []string { return slices.Sorted(maps.Keys(catalog)) }

func openSDM(name string) func(*bus.Bus, uint16, hardware.Clock) (hardware.Device, error) {
	return func(b *bus.Bus, address uint16, now hardware.Clock) (hardware.Device, error) {
		if address > 247 {
			return nil, fmt.Errorf("unit %d is not within 1 to 247", address)
		}
		return sdm.NewModbus(b.Modbus(), byte(address), &sdm.Opts{Model: name, Now: now})
	}
}

func openSCD30(b *bus.Bus, address uint16, now hardware.Clock) (hardware.Device, error) {
	if address == 0 {
		address = scd30.Address
	}
	return scd30.NewI2C(b.I2C(), address, &scd30.Opts{Now: now})
}

func openSCD4x(name string) func(*bus.Bus, uint16, hardware.Clock) (hardware.Device, error) {
	return func(b *bus.Bus, address uint16, now hardware.Clock) (hardware.Device, error) {
		if address == 0 {
			address = scd4x.Address
		}
		return scd4x.NewI2C(b.I2C(), address, &scd4x.Opts{Model: name, Now: now})
	}
}

// openDevice opens a part of the catalogue at its address on b.
func openDevice(name string, b *bus.Bus, address uint16, now hardware.Clock) (hardware.Device, error) {
	m, ok := catalog[name]
	if !ok {
		return nil, fmt.Errorf("no model %q: the models are %q", name, Models())
	}
	return m.open(b, address, now)
}
