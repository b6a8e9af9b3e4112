package generic

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

const (
	model       = "modbus"
	defaultPart = "Modbus meter"
	// defaultBlock is the most registers in one request: some meters answer no more.
	defaultBlock = 80
	// maxChannels is how many a Value can tell apart.
	maxChannels = 256
)

// Opts are the settings of a meter. Channels must be given.
type Opts struct {
	Channels []Channel
	Part     string // what the meter is, for people: "Modbus meter"
	Block    int    // the most registers in one request, 1 to 125: 80
	// Exact asks for no register that no channel names, at the price of more requests:
	// some meters refuse a block with a hole in it.
	Exact bool
	Now   hardware.Clock // nil is hardware.Monotonic
}

// Dev is one meter.
type Dev struct {
	bus      modbus.Requester
	unit     byte
	about    hardware.Descriptor
	channels []Channel
	requests []modbus.Request
	now      hardware.Clock

	mu sync.Mutex // held by whatever uses the bus: Halt waits for it
}

var (
	_ hardware.Device          = (*Dev)(nil)
	_ hardware.Decoder         = (*Dev)(nil)
	_ hardware.RegisterDecoder = (*Dev)(nil)
)

// NewModbus returns the meter at the unit's address on bus, which it does not touch yet.
// A nil bus makes one that only decodes. All that is wrong with the channels is said at
// once.
func NewModbus(bus modbus.Requester, unit byte, opts *Opts) (*Dev, error) {
	if opts == nil || len(opts.Channels) == 0 {
		return nil, fmt.Errorf("%s: no channels: name at least one", model)
	}
	var wrong []error
	if len(opts.Channels) > maxChannels {
		wrong = append(wrong, fmt.Errorf("%d channels, at most %d are possible", len(opts.Channels), maxChannels))
	}
	block := opts.Block
	if block == 0 {
		block = defaultBlock
	}
	if block < 1 || block > modbus.MaxCount {
		wrong = append(wrong, fmt.Errorf("blocks of %d registers, 1 to %d are possible", opts.Block, modbus.MaxCount))
	}
	d := &Dev{bus: bus, unit: unit, channels: append([]Channel(nil), opts.Channels...), now: opts.Now.Or()}
	d.about = hardware.Descriptor{Model: model, Part: opts.Part}
	if d.about.Part == "" {
		d.about.Part = defaultPart
	}
	spans := make([]modbus.Span, 0, len(d.channels))
	for _, c := range d.channels {
		if err := c.Check(); err != nil {
			wrong = append(wrong, err)
			continue
		}
		if d.about.Index(c.Name) >= 0 {
			wrong = append(wrong, fmt.Errorf("channel %q is named twice", c.Name))
		}
		if int(c.Type.words()) > block {
			wrong = append(wrong, fmt.Errorf("channel %q takes more registers than a block of %d", c.Name, block))
		}
		d.about.Channels = append(d.about.Channels, hardware.Channel{Name: c.Name, Unit: c.Unit, Kind: c.Kind, Wrap: c.wrap()})
		spans = append(spans, modbus.Span{Function: c.Table, Address: c.Address, Count: c.Type.words()})
	}
	if len(wrong) > 0 {
		return nil, fmt.Errorf("%s: %w", model, errors.Join(wrong...))
	}
	gap := block
	if opts.Exact {
		gap = 0
	}
	d.requests = modbus.Requests(unit, spans, block, gap)
	return d, nil
}

// String returns model and unit.
func (d *Dev) String() string { return fmt.Sprintf("%s unit %d", d.about.Model, d.unit) }

// Halt waits for a running Sense and does nothing: a meter has no idle state.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense reads all channels.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := dst.Take(ctx, d.now, d.measure, d); err != nil {
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

func (d *Dev) measure(ctx context.Context, t *hardware.Transcript) error {
	for _, r := range d.requests {
		if _, err := d.bus.Exchange(ctx, r, t); err != nil {
			return err
		}
	}
	return nil
}
