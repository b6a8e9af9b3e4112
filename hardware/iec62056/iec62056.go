package iec62056

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/obis"
	"wattmark/hardware/push"
)

// Opts are the settings of a meter. The zero value asks whatever meter is under the head.
type Opts struct {
	// Push says that the meter speaks unasked (mode D); else it is asked (mode C).
	Push bool
	// Address is the meter's in mode C, up to 32 digits or letters; empty asks all.
	Address string
	// Every is the longest time between two messages in mode D: default 5 s.
	Every time.Duration
	Now   hardware.Clock // nil is hardware.Monotonic
}

// Dev is the meter under one head.
type Dev struct {
	push    bool
	request []byte
	about   hardware.Descriptor
	now     hardware.Clock
	mu      sync.Mutex    // held by whatever uses the stream: Halt waits for it
	listen  push.Listener // guarded by mu
}

var (
	_ hardware.Device     = (*Dev)(nil)
	_ hardware.Decoder    = (*Dev)(nil)
	_ hardware.Prober     = (*Dev)(nil)
	_ hardware.Continuous = (*Dev)(nil)
)

const (
	every = 5 * time.Second
	// idle is the longest pause between two characters, and before an answer (clause
	// 6.3.14: at most 1500 ms); adapters on USB add a little.
	idle = 1600 * time.Millisecond
	// signOn is the mode that a meter is asked in (clause 6.3.1), and slowest the speed
	// to stay at where the line cannot be set.
	signOn  = "300 7E1"
	slowest = '0'
	// readout is how long a meter takes that offers no more than 300 baud, with 1800
	// characters of ten bits.
	readout = time.Minute
)

// NewSerial returns the meter under the head that s is connected to, which it does not
// touch yet. For Decode alone s may be nil. In mode C s should be a
// hardware.ModeSetter; without, the meter is told to stay at the speed it was asked at.
func NewSerial(s hardware.Stream, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &Opts{}
	}
	if opts.Every < 0 {
		return nil, fmt.Errorf("iec62056: a message every %s cannot be", opts.Every)
	}
	if len(opts.Address) > 32 {
		return nil, fmt.Errorf("iec62056: the address %q is longer than 32 characters", opts.Address)
	}
	for _, c := range []byte(opts.Address) {
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return nil, fmt.Errorf("iec62056: the address %q is not of digits and letters", opts.Address)
		}
	}
	period := opts.Every
	if period == 0 {
		period = every
	}
	d := &Dev{
		push: opts.Push, request: []byte("/?" + opts.Address + "!\r\n"), now: opts.Now.Or(),
		about: hardware.Descriptor{Model: "iec62056", Part: "IEC 62056-21 meter", Channels: obis.Channels()},
		listen: push.Listener{Stream: s, Silence: idle, Idle: idle, Now: opts.Now,
			Remedy: "check that the head sits straight over the meter's infrared window, and the meter's address"},
	}
	d.about.Settle = readout
	if d.push {
		d.about.Settle = period
		d.listen.Silence = period + period/5
	}
	return d, nil
}

// String returns the model: a head has one meter.
func (d *Dev) String() string { return d.about.Model }

// Halt waits for a running Sense and does nothing: a meter has no idle state.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}

// Describe implements hardware.Device. A meter sends some of the channels only.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense reads the meter out, or waits for the next message that begins. In mode C a meter
// that does not answer is ErrAbsent, in mode D one that is silent is ErrTimeout; a
// damaged message is ErrChecksum or ErrMalformed.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var err error
	if d.push {
		err = d.listen.Sense(ctx, scan, d, dst)
	} else {
		err = dst.Take(ctx, d.now, d.readOut, d)
	}
	if err != nil {
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

// readOut asks the meter, goes over to the speed it offers, and takes its readout.
func (d *Dev) readOut(ctx context.Context, t *hardware.Transcript) error {
	if err := ctx.Err(); err != nil {
		return &hardware.Error{Class: hardware.ErrTimeout, Op: "asking", Err: err}
	}
	settable, err := d.setMode(signOn)
	if err != nil {
		return err
	}
	if err := d.listen.Discard(ctx); err != nil {
		return err
	}
	if err := d.listen.Send(ctx, d.request, t); err != nil {
		return err
	}
	if _, err := d.listen.Take(ctx, scanIdentification, t); err != nil {
		return unanswered(ctx, err)
	}
	_, line := t.Exchange(t.Len() - 1)
	if !bytes.HasSuffix(line, []byte{'\n'}) {
		return refuse(hardware.ErrTruncated, fmt.Errorf("%.40q is half an identification", line))
	}
	offered, err := offer(line)
	if err != nil {
		return err
	}
	switch {
	case offered.acknowledged:
		speed := offered.speed
		if !settable {
			speed = slowest
		}
		if err := d.listen.Send(ctx, []byte{ack, '0', speed, '0', '\r', '\n'}, t); err != nil {
			return err
		}
		if settable {
			_, err = d.setMode(offered.mode)
		}
	case settable && offered.mode != signOn:
		_, err = d.setMode(offered.mode)
	}
	if err != nil {
		return err
	}
	_, err = d.listen.Take(ctx, scanBlock, t)
	return unanswered(ctx, err)
}

// unanswered makes the silence of a meter that was asked what it is to all drivers: no
// part answered.
func unanswered(ctx context.Context, err error) error {
	var e *hardware.Error
	if ctx.Err() != nil || !errors.As(err, &e) || e.Class != hardware.ErrTimeout {
		return err
	}
	absent := *e
	absent.Class, absent.Op = hardware.ErrAbsent, "asking"
	return &absent
}

// setMode sets the line; it is false when that cannot be done.
func (d *Dev) setMode(mode string) (bool, error) {
	m, ok := d.listen.Stream.(hardware.ModeSetter)
	if !ok {
		return false, nil
	}
	err := m.SetMode(mode)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errors.ErrUnsupported):
		return false, nil
	}
	return false, &hardware.Error{Class: hardware.ErrAbsent, Op: "setting the line to " + mode, Err: err, Remedy: "check the adapter and its plug"}
}

// SenseContinuous implements hardware.Continuous, with the messages that a meter of mode D
// sends unasked. In mode C a meter is asked: errors.ErrUnsupported.
func (d *Dev) SenseContinuous(ctx context.Context, every time.Duration) (<-chan hardware.Batch, error) {
	if !d.push {
		return nil, fmt.Errorf("%s: a meter of mode C is asked for each readout: %w", d, errors.ErrUnsupported)
	}
	return push.Continuous(ctx, every, d.Sense)
}

// Probe reads the meter out, or listens, and returns what it says of itself. Neither
// changes anything in the meter.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	var b hardware.Batch
	if err := d.Sense(ctx, &b); err != nil {
		return hardware.Identity{}, hardware.NotFound, err
	}
	return b.Identity, hardware.Certain, nil
}
