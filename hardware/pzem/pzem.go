package pzem

import (
	"context"
	"fmt"
	"sync"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// AnyAddress is what each PZEM answers to, whatever its own address is.
const AnyAddress = modbus.AnyPZEM

// Opts are the settings of a meter.
type Opts struct {
	Now hardware.Clock // nil is hardware.Monotonic
}

// Dev is one meter.
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

// NewModbus returns the meter at the unit's address on bus, 1 to 247 or AnyAddress. It
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

// Halt waits for a running Sense and does nothing: a meter has no idle state.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return about }

// Sense reads all channels.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := dst.Take(ctx, d.now, d.exchange, d); err != nil {
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

func (d *Dev) exchange(ctx context.Context, t *hardware.Transcript) error {
	_, err := d.bus.Exchange(ctx, measurement(d.unit), t)
	return err
}

// Probe reads the measurements. A PZEM does not say what it is, but mains voltage and
// frequency in its registers and scales are hardly anybody else's.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	var b hardware.Batch
	if err := d.Sense(ctx, &b); err != nil {
		return hardware.Identity{}, hardware.NotFound, err
	}
	sure := hardware.Likely
	for _, v := range b.Values {
		if v.Quality&hardware.OutOfRange != 0 {
			sure = hardware.Possible
		}
	}
	if len(b.Values) < len(about.Channels) {
		sure = hardware.Possible
	}
	return hardware.Identity{Manufacturer: "Peacefair", Model: part}, sure, nil
}
