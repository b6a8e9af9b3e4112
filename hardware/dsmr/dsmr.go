package dsmr

import (
	"context"
	"fmt"
	"sync"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/obis"
	"wattmark/hardware/push"
)

// Opts are the settings of a P1 port. The zero value reads every version.
type Opts struct {
	// Every is the longest time between two telegrams: default 10 s, which every
	// version keeps.
	Every time.Duration
	Now   hardware.Clock // nil is hardware.Monotonic
}

// Dev is the meter behind one P1 port.
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
	every = 10 * time.Second
	// idle ends a telegram that stopped in the middle. Meters send it in one go, those
	// of version 2.2 with pauses between lines.
	idle = 500 * time.Millisecond
)

// NewSerial returns the meter at the P1 port that s is connected to, which it does not
// touch yet. For Decode alone s may be nil.
func NewSerial(s hardware.Stream, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &Opts{}
	}
	if opts.Every < 0 {
		return nil, fmt.Errorf("dsmr: a telegram every %s cannot be", opts.Every)
	}
	period := opts.Every
	if period == 0 {
		period = every
	}
	return &Dev{
		about: hardware.Descriptor{Model: "dsmr", Part: "DSMR P1 port", Channels: obis.Channels(), Settle: period},
		listen: push.Listener{Stream: s, Silence: period + period/5, Idle: idle, Now: opts.Now,
			Remedy: "check the cable, its data request line (pin 2 to pin 1), speed and parity"},
	}, nil
}

// String returns the model: a port has one meter.
func (d *Dev) String() string { return d.about.Model }

// Halt waits for a running Sense and does nothing: the meter goes on speaking.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}

// Describe implements hardware.Device. A meter sends some of the channels only.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense waits for the next telegram that begins: what came before is old. Silence is
// ErrTimeout, a damaged telegram ErrChecksum or ErrMalformed.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.listen.Sense(ctx, scan, d, dst); err != nil {
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

// SenseContinuous implements hardware.Continuous, with the telegrams that the meter sends
// unasked.
func (d *Dev) SenseContinuous(ctx context.Context, every time.Duration) (<-chan hardware.Batch, error) {
	return push.Continuous(ctx, every, d.Sense)
}

// Probe waits for a telegram and returns what the meter says of itself. It sends
// nothing.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	var b hardware.Batch
	if err := d.Sense(ctx, &b); err != nil {
		return hardware.Identity{}, hardware.NotFound, err
	}
	return b.Identity, hardware.Certain, nil
}
