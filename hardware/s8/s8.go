package s8

import (
	"context"
	"fmt"
	"sync"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// AnyAddress is what each sensor answers to, whatever its own address is.
const AnyAddress = modbus.AnySenseair

// Opts are the settings of a sensor.
type Opts struct {
	Now hardware.Clock // nil is hardware.Monotonic
}

// Dev is one sensor.
type Dev struct {
	bus  modbus.Requester
	unit byte
	now  hardware.Clock

	mu sync.Mutex // held by whatever uses the bus: Halt waits for it
}

var (
	_ hardware.Device          = (*Dev)(nil)
	_ hardware.Decoder         = (*Dev)(nil)
	_ hardware.RegisterDecoder = (*Dev)(nil)
	_ hardware.Prober          = (*Dev)(nil)
)

// NewModbus returns the sensor at the unit's address on bus, 1 to 247 or AnyAddress. It
// does not touch the bus yet; a nil bus makes one that only decodes.
func NewModbus(bus modbus.Requester, unit byte, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &Opts{}
	}
	if (unit < 1 || unit > 247) && unit != AnyAddress {
		return nil, fmt.Errorf("%s: unit %d is neither within 1 to 247 nor %d, any address", model, unit, AnyAddress)
	}
	return &Dev{bus: bus, unit: unit, now: opts.Now.Or()}, nil
}

// String returns model and unit.
func (d *Dev) String() string { return fmt.Sprintf("%s unit %d", model, d.unit) }

// Halt waits for a running Sense and does nothing: the sensor measures every two seconds
// by itself.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return about }

// Sense reads status and CO2.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := dst.Take(ctx, d.now, d.exchange, d); err != nil {
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

func (d *Dev) exchange(ctx context.Context, t *hardware.Transcript) error {
	_, err := d.bus.Exchange(ctx, d.read(statusAt, co2At+1), t)
	return err
}

func (d *Dev) read(address, count uint16) modbus.Request {
	return modbus.Request{Unit: d.unit, Function: modbus.ReadInput, Address: address, Count: count}
}

// Probe reads what the sensor says of itself.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b hardware.Batch
	_, err := d.bus.Exchange(ctx, d.read(statusAt, co2At+1), &b.Evidence)
	if err == nil {
		_, err = d.bus.Exchange(ctx, d.read(typeAt, identityCount), &b.Evidence)
	}
	if err == nil {
		err = d.Decode(&b.Evidence, &b)
	}
	if err != nil {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), "")
	}
	return b.Identity, hardware.Likely, nil
}
