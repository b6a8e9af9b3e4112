package pms

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/push"
)

const maker = "Plantower"

const (
	warmUp = 30 * time.Second
	// interval is the longest between two frames, in steady air.
	interval = 2300 * time.Millisecond
	// silence is how long to wait for a frame, so that one may be lost.
	silence = 2*interval + interval/2
	// idle ends a frame that stopped in the middle: 32 bytes take 33 ms.
	idle = 200 * time.Millisecond
)

// parts are the models and what is on their labels.
var parts = map[string]string{"pms5003": "Plantower PMS5003", "pms7003": "Plantower PMS7003"}

// Opts are the settings of a part; the zero value serves a PMS5003.
type Opts struct {
	Model string // "pms5003", the default, or "pms7003"
	// PowerUp is when the part got its supply, by Now. The default is when the machine
	// booted, from whose supply it runs.
	PowerUp time.Duration
	Now     hardware.Clock // nil is hardware.Monotonic
}

// Dev is one PMS5003 or PMS7003.
type Dev struct {
	about hardware.Descriptor
	now   hardware.Clock

	mu     sync.Mutex // guards the listener and the fields below: Halt may come at any time
	listen push.Listener
	// powered is when the part got its supply, as far as is known; gone that it was
	// silent since.
	powered time.Duration
	gone    bool
	doubt   hardware.Quality // what time says of the sample at hand
}

var (
	_ hardware.Device     = (*Dev)(nil)
	_ hardware.Decoder    = (*Dev)(nil)
	_ hardware.Prober     = (*Dev)(nil)
	_ hardware.Continuous = (*Dev)(nil)
)

// NewSerial returns the part on a serial line of its own at 9600 8N1, which it does not
// touch yet. A nil line serves to decode.
func NewSerial(line hardware.Stream, opts *Opts) (*Dev, error) {
	o := Opts{}
	if opts != nil {
		o = *opts
	}
	if o.Model == "" {
		o.Model = "pms5003"
	}
	label, known := parts[o.Model]
	switch {
	case !known:
		return nil, fmt.Errorf("no model %q: pms5003 and pms7003 are known", o.Model)
	case o.PowerUp < 0:
		return nil, fmt.Errorf("%s: power-up at %s is negative", o.Model, o.PowerUp)
	}
	d := &Dev{
		now: o.Now.Or(), powered: o.PowerUp,
		about: hardware.Descriptor{Model: o.Model, Part: label, Settle: interval},
		listen: push.Listener{Stream: line, Silence: silence, Idle: idle, Now: o.Now,
			Remedy: "check its 5 V supply, TX to RX, and that SET is not low"},
	}
	for _, c := range channels {
		d.about.Channels = append(d.about.Channels, hardware.NewChannel(c.name, c.limits))
	}
	return d, nil
}

// String returns the model.
func (d *Dev) String() string { return d.about.Model + " on a serial line" }

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense waits for the next frame: what came before is old. Silence is ErrTimeout, a
// damaged frame ErrChecksum or ErrMalformed.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dst.Reset()
	begin, err := d.listen.Next(ctx, scan, &dst.Evidence)
	dst.Span(begin, d.now())
	if err == nil {
		err = d.received(dst)
	}
	if err != nil {
		if ctx.Err() == nil && (errors.Is(err, hardware.ErrAbsent) || errors.Is(err, hardware.ErrTimeout)) {
			d.gone = true
		}
		dst.ResetValues()
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

// received decodes the frame that came. A part that is back after it was silent is taken
// for one that lost its supply.
func (d *Dev) received(dst *hardware.Batch) error {
	if d.gone {
		d.gone, d.powered = false, dst.At
	}
	d.doubt = 0
	if dst.At-d.powered < warmUp {
		d.doubt = hardware.WarmingUp
	}
	return d.Decode(&dst.Evidence, dst)
}

// SenseContinuous implements hardware.Continuous: the part sends a frame each second,
// and each 200 to 800 ms while the air changes.
func (d *Dev) SenseContinuous(ctx context.Context, every time.Duration) (<-chan hardware.Batch, error) {
	return push.Continuous(ctx, every, d.Sense)
}

// Probe waits for a frame. It sends nothing.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	var b hardware.Batch
	if err := d.Sense(ctx, &b); err != nil {
		return hardware.Identity{}, hardware.NotFound, err
	}
	// Both models and a few sisters send the same frames.
	return hardware.Identity{Manufacturer: maker, Model: d.about.Part}, hardware.Likely, nil
}

// Halt waits for a running Sense and does nothing: the part goes on speaking.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}
