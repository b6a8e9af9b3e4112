package sml

import (
	"context"
	"fmt"
	"sync"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/obis"
	"wattmark/hardware/push"
)

// Opts are the settings of a meter.
type Opts struct {
	// Every is the longest time between two files: default 5 s. Meters send one every 1
	// to 4 s.
	Every time.Duration
	Now   hardware.Clock // nil is hardware.Monotonic
}

// Dev is the meter under one optical head.
type Dev struct {
	about  hardware.Descriptor
	mu     sync.Mutex    // held by whatever uses the stream: Halt waits for it
	listen push.Listener // guarded by mu
}

var (
	_ hardware.Device     = (*Dev)(nil)
	_ hardware.Decoder    = (*Dev)(nil)
	_ hardware.Prober     = (*Dev)(nil)
	_ hardware.Continuous = (*Dev)(nil)
)

const (
	every = 5 * time.Second
	// idle ends a file that stopped in the middle.
	idle = 500 * time.Millisecond
)

// NewSerial returns the meter under the head that s is connected to, which it does not
// touch yet. For Decode alone s may be nil.
func NewSerial(s hardware.Stream, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &Opts{}
	}
	if opts.Every < 0 {
		return nil, fmt.Errorf("sml: a file every %s cannot be", opts.Every)
	}
	period := opts.Every
	if period == 0 {
		period = every
	}
	return &Dev{
		about: hardware.Descriptor{Model: "sml", Part: "SML meter", Channels: obis.Channels(), Settle: period},
		listen: push.Listener{Stream: s, Silence: period + period/5, Idle: idle, Now: opts.Now,
			Remedy: "check that the head sits straight over the meter's infrared window"},
	}, nil
}

// String returns the model: a head has one meter.
func (d *Dev) String() string { return d.about.Model }

// Halt waits for a running Sense and does nothing: the meter goes on speaking.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}

// Describe implements hardware.Device. A meter sends some of the channels only.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense waits for the next file that begins: what came before is old. Silence is
// ErrTimeout, a damaged file ErrChecksum or ErrMalformed.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.listen.Sense(ctx, scan, d, dst); err != nil {
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

// SenseContinuous implements hardware.Continuous, with what the head sends unasked.
func (d *Dev) SenseContinuous(ctx context.Context, every time.Duration) (<-chan hardware.Batch, error) {
	return push.Continuous(ctx, every, d.Sense)
}

// Probe waits for a file and returns what the meter says of itself. It sends nothing.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	var b hardware.Batch
	if err := d.Sense(ctx, &b); err != nil {
		return hardware.Identity{}, hardware.NotFound, err
	}
	id := b.Identity
	if id.Model == "" { // meters tell their maker and number only
		id.Model = d.about.Part
	}
	return id, hardware.Certain, nil
}
