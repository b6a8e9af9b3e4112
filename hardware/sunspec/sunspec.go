package sunspec

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

const (
	name = "sunspec"
	part = "SunSpec device"
	// along is how many registers between two wanted runs are read along rather than
	// left out by one more request. It is less than model 1 has, which is read once.
	along = 60
)

// Opts are the settings of a device.
type Opts struct {
	// Models are the numbers of those to read; empty is all that are known. A unit that
	// is inverter and meter in one gives each channel once: name the one that is meant.
	Models []uint16
	Now    hardware.Clock // nil is hardware.Monotonic
}

// Dev is one device: a unit with a list of models.
type Dev struct {
	bus    modbus.Requester
	unit   byte
	models []uint16
	now    hardware.Clock

	mu sync.Mutex // held by whatever uses the bus: Halt waits for it; guards the fields below
	// requests read what is wanted, once the list of models is known; nil before, and
	// again after a failure: what answers next may be another device.
	requests []modbus.Request
	listed   int // models in the list
}

var (
	_ hardware.Device          = (*Dev)(nil)
	_ hardware.Decoder         = (*Dev)(nil)
	_ hardware.RegisterDecoder = (*Dev)(nil)
	_ hardware.Prober          = (*Dev)(nil)
)

// NewModbus returns the device at the unit's address on bus, which it does not touch
// yet. A nil bus makes one that only decodes.
func NewModbus(bus modbus.Requester, unit byte, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &Opts{}
	}
	for i, number := range opts.Models {
		switch {
		case !read(number):
			return nil, fmt.Errorf("%s: model %d is not read: %v are", name, number, known())
		case slices.Contains(opts.Models[:i], number):
			return nil, fmt.Errorf("%s: model %d is named twice", name, number)
		}
	}
	return &Dev{bus: bus, unit: unit, models: slices.Clone(opts.Models), now: opts.Now.Or()}, nil
}

// known returns the numbers of the models that are read.
func known() []uint16 {
	all := []uint16{modelMPPT}
	for number := range models {
		all = append(all, number)
	}
	slices.Sort(all)
	return all
}

// chosen reports whether a model that can be read is to be.
func (d *Dev) chosen(number uint16) bool {
	return len(d.models) == 0 || slices.Contains(d.models, number)
}

// String returns model and unit.
func (d *Dev) String() string { return fmt.Sprintf("%s unit %d", name, d.unit) }

// Halt waits for a running Sense and does nothing: a device has no idle state.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}

// Describe implements hardware.Device. The channels are those of all models: which of
// them a device gives is known when it answers.
func (d *Dev) Describe() hardware.Descriptor {
	return hardware.Descriptor{Model: name, Part: part, Channels: channels}
}

// Sense reads all channels. The first call, and the first after one that failed, walks
// the list of models and asks who made the device too.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	err := dst.Take(ctx, d.now, d.exchange, d)
	if err != nil || len(dst.Models) != d.listed {
		d.requests = nil
	}
	if err != nil {
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

// exchange reads what is wanted, after what is needed to know where that is.
func (d *Dev) exchange(ctx context.Context, t *hardware.Transcript) error {
	if d.requests == nil {
		requests, listed, err := d.discover(ctx, t)
		if err != nil {
			return err
		}
		d.requests, d.listed = requests, listed
	}
	for _, r := range d.requests {
		if _, err := d.bus.Exchange(ctx, r, t); err != nil {
			return err
		}
	}
	return nil
}

// discover walks the list of models, reads model 1, and returns the requests that read
// the list and the points of all models that are wanted.
func (d *Dev) discover(ctx context.Context, t *hardware.Transcript) ([]modbus.Request, int, error) {
	at, err := d.find(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	spans := []modbus.Span{{Function: modbus.ReadHolding, Address: at, Count: 2}}
	next, listed := int(at)+2, 0
	for ; listed <= maxBlocks && next < 1<<16-1; listed++ {
		data, err := d.bus.Exchange(ctx, d.holding(uint16(next), 2), t)
		if err != nil {
			return nil, 0, err
		}
		b := block{binary.BigEndian.Uint16(data), uint16(next), binary.BigEndian.Uint16(data[2:])}
		header := modbus.Span{Function: modbus.ReadHolding, Address: b.at, Count: 2}
		end := next + 2 + int(b.length)
		switch {
		case b.number == modelEnd:
			return modbus.Requests(d.unit, append(spans, header), modbus.MaxCount, along), listed, nil
		case end > 1<<16:
			return nil, 0, &hardware.Error{Class: hardware.ErrMalformed, Op: "walking the list of models",
				Err: fmt.Errorf("model %d at %d is %d registers long", b.number, b.at, b.length)}
		case b.number == modelCommon && listed == 0:
			if err := d.common(ctx, b, t); err != nil {
				return nil, 0, err
			}
		case read(b.number) && d.chosen(b.number):
			header.Count += b.length
		}
		spans = append(spans, header)
		next = end
	}
	return nil, 0, &hardware.Error{Class: hardware.ErrMalformed, Op: "walking the list of models", Err: errors.New("the list does not end")}
}

// find returns where the list of models begins.
func (d *Dev) find(ctx context.Context, t *hardware.Transcript) (uint16, error) {
	var refused error
	for _, at := range bases {
		data, err := d.bus.Exchange(ctx, d.holding(at, 2), t)
		switch {
		case errors.Is(err, hardware.ErrDevice):
			refused = err
		case err != nil:
			return 0, err
		case binary.BigEndian.Uint32(data) == magic:
			return at, nil
		default:
			refused = nil
		}
	}
	if refused != nil {
		return 0, refused
	}
	return 0, notSunSpec()
}

// common reads model 1, once.
func (d *Dev) common(ctx context.Context, b block, t *hardware.Transcript) error {
	if b.length == 0 {
		return nil
	}
	_, err := d.bus.Exchange(ctx, d.holding(b.at+2, min(b.length, modbus.MaxCount)), t)
	return err
}

func (d *Dev) holding(address, count uint16) modbus.Request {
	return modbus.Request{Unit: d.unit, Function: modbus.ReadHolding, Address: address, Count: count}
}

// Probe walks the list of models and reads who made the device.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b hardware.Batch
	_, _, err := d.discover(ctx, &b.Evidence)
	if err == nil {
		err = d.Decode(&b.Evidence, &b)
	}
	if err != nil {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), "")
	}
	return b.Identity, hardware.Certain, nil
}
