package mhz19

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/uart"
)

const (
	maker = "Winsen"
	part  = "Winsen MH-Z19B"
)

const (
	warmUp = 180 * time.Second // preheat time (table 2: 3 min)
	// resting is how long the part must have measured the reference before it is
	// calibrated (commands 0x87 and 0x88: stable for at least 20 min).
	resting = 20 * time.Minute
)

// Opts are the settings of a part; the zero value is what most places want.
type Opts struct {
	// Range is the detection range that the part was ordered with or set to, in ppm:
	// 2000 or 5000, the default. It cannot be read.
	Range int
	// PowerUp is when the part got its supply, by Now. The default is when the machine
	// booted, from whose supply it runs.
	PowerUp time.Duration
	// Timeout is for a reply: default 300 ms.
	Timeout time.Duration
	Now     hardware.Clock // nil is hardware.Monotonic
}

// Dev is one MH-Z19B.
type Dev struct {
	port    *uart.Port
	about   hardware.Descriptor
	now     hardware.Clock
	timeout time.Duration
	full    int64 // ppm

	mu sync.Mutex // guards the port and the fields below: Halt may come at any time
	// powered is when the part got its supply, as far as is known; gone that it did not
	// answer since.
	powered time.Duration
	gone    bool
	doubt   hardware.Quality // what time says of the sample at hand
}

var (
	_ hardware.Device     = (*Dev)(nil)
	_ hardware.Decoder    = (*Dev)(nil)
	_ hardware.Prober     = (*Dev)(nil)
	_ hardware.Calibrator = (*Dev)(nil)
)

// NewSerial returns the part on a serial line of its own at 9600 8N1, which it does not
// touch yet. A nil line serves to decode.
func NewSerial(line hardware.Stream, opts *Opts) (*Dev, error) {
	o := Opts{}
	if opts != nil {
		o = *opts
	}
	if o.Range == 0 {
		o.Range = 5000
	}
	if o.Timeout == 0 {
		o.Timeout = 300 * time.Millisecond
	}
	switch {
	case o.Range != 2000 && o.Range != 5000:
		return nil, fmt.Errorf("mhz19b: a range of %d ppm is neither 2000 nor 5000", o.Range)
	case o.Timeout < 0 || o.PowerUp < 0:
		return nil, fmt.Errorf("mhz19b: timeout %s or power-up at %s is negative", o.Timeout, o.PowerUp)
	}
	return &Dev{
		port: uart.NewPort(line, 4*frameSize), now: o.Now.Or(), timeout: o.Timeout, full: int64(o.Range), powered: o.PowerUp,
		about: hardware.Descriptor{Model: "mhz19b", Part: part, Channels: []hardware.Channel{
			hardware.NewChannel("co2", hardware.Limits{High: int64(o.Range)}), // table 2
		}},
	}, nil
}

// String returns the model.
func (d *Dev) String() string { return "mhz19b on a serial line" }

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense reads the concentration.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sense(ctx, dst)
}

func (d *Dev) sense(ctx context.Context, dst *hardware.Batch) error {
	if err := dst.Take(ctx, d.now, d.measure, d); err != nil {
		return hardware.Locate(err, d.String(), d.port.Bus())
	}
	return nil
}

func (d *Dev) measure(ctx context.Context, t *hardware.Transcript) error {
	if _, err := d.ask(ctx, t, requestCO2); err != nil {
		return err
	}
	d.doubt = 0
	if d.now()-d.powered < warmUp {
		d.doubt = hardware.WarmingUp
	}
	return nil
}

// ask sends a command and returns the frame that answers it. A part that is back after
// it did not answer is taken for one that lost its supply.
func (d *Dev) ask(ctx context.Context, t *hardware.Transcript, request []byte) ([]byte, error) {
	b, err := d.port.Ask(ctx, t, request, d.timeout, cut)
	if err == nil {
		err = check(b, request[2])
	}
	switch {
	case errors.Is(err, hardware.ErrAbsent):
		d.gone = true
	case err == nil && d.gone:
		d.gone, d.powered = false, d.now()
	}
	return b, err
}

// SelfCalibration reads whether the part calibrates itself (automatic baseline
// correction). The command is not in the manual; a part that does not know it does not
// answer, which is hardware.ErrAbsent.
func (d *Dev) SelfCalibration(ctx context.Context) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t hardware.Transcript
	b, err := d.port.Ask(ctx, &t, requestSelfCal, d.timeout, cut)
	if err == nil {
		err = check(b, cmdSelfCal)
	}
	if err != nil {
		return false, hardware.Locate(err, d.String(), d.port.Bus())
	}
	return b[7] == 1, nil
}

// Probe reads the concentration: the part has nothing to say of itself.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t hardware.Transcript
	if _, err := d.ask(ctx, &t, requestCO2); err != nil {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), d.port.Bus())
	}
	return hardware.Identity{Manufacturer: maker, Model: part}, hardware.Likely, nil
}

// Calibrate sets the zero point, when the reference is 400 ppm, or the span, when it is
// from 1000 ppm to the part's range. The part must have measured that air for 20 minutes;
// the driver can see only that it has run for as long. It keeps the new setting for good,
// and tells none: before and after are what it measured.
func (d *Dev) Calibrate(ctx context.Context, step hardware.CalibrationStep) (hardware.CalibrationRecord, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var none hardware.CalibrationRecord
	ppm := step.Reference
	ppm.Channel, ppm.Quality = 0, 0
	zero := ppm.Compare(hardware.Value{Mantissa: 400}) == 0
	span := int64(0)
	for candidate := int64(1000); candidate <= d.full && !zero; candidate++ {
		if ppm.Compare(hardware.Value{Mantissa: candidate}) == 0 {
			span = candidate
		}
	}
	switch ran := d.now() - d.powered; {
	case step.Channel != "co2":
		return none, fmt.Errorf("%s: it has no channel %q to calibrate, only co2", d, step.Channel)
	case !zero && span == 0:
		return none, fmt.Errorf("%s: a reference of %s ppm is neither 400 (fresh air) nor whole and from 1000 to %d", d, ppm, d.full)
	case ran < resting || d.gone:
		return none, fmt.Errorf("%s: it runs for %s, and must have measured the reference for %s", d, ran.Round(time.Second), resting)
	}
	var before, after hardware.Batch
	if err := d.sense(ctx, &before); err != nil {
		return none, err
	}
	record := hardware.CalibrationRecord{Identity: hardware.Identity{Manufacturer: maker, Model: part}, Step: step, Setting: "co2", Before: before.Values[0]}
	request := appendRequest(nil, cmdZero)
	if !zero {
		request = appendRequest(nil, cmdSpan, byte(span>>8), byte(span))
	}
	t := before.Evidence.Clone()
	if err := d.port.Tell(ctx, &t, request); err != nil {
		return none, hardware.Locate(err, d.String(), d.port.Bus())
	}
	if err := d.sense(ctx, &after); err != nil {
		return none, fmt.Errorf("%w: the part was told to calibrate, whether it did is not known", err)
	}
	for i := range after.Evidence.Len() {
		sent, received := after.Evidence.Exchange(i)
		t.Send(sent)
		t.Receive(received)
	}
	record.After, record.Evidence = after.Values[0], t
	return record, nil
}

// Halt does nothing: the part cannot be stopped.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}

const frameSize = 9

// Commands (section "Commands"); cmdSelfCal is not in the manual.
const (
	cmdCO2     = 0x86
	cmdZero    = 0x87
	cmdSpan    = 0x88
	cmdSetSelf = 0x79
	cmdRange   = 0x99
	cmdSelfCal = 0x7D
)

var (
	requestCO2     = appendRequest(nil, cmdCO2)
	requestSelfCal = appendRequest(nil, cmdSelfCal)
)

// appendRequest appends a command with its first bytes of data.
func appendRequest(b []byte, command byte, data ...byte) []byte {
	var frame [frameSize]byte
	frame[0], frame[1], frame[2] = 0xFF, 0x01, command
	copy(frame[3:], data)
	frame[8] = checksum(frame[:])
	return append(b, frame[:]...)
}

// checksum is the last byte of a frame: the sum of bytes 1 to 7, inverted, plus one.
func checksum(frame []byte) byte {
	sum := byte(0)
	for _, c := range frame[1 : frameSize-1] {
		sum += c
	}
	return -sum
}

// cut is the uart.Cutter of replies.
func cut(b []byte) (skip, length int) {
	skip = bytes.IndexByte(b, 0xFF)
	switch {
	case skip < 0:
		return len(b), 0
	case len(b)-skip < frameSize:
		return skip, 0
	}
	return skip, frameSize
}

// check checks a whole frame that was received in answer to a command.
func check(frame []byte, command byte) error {
	switch sum := checksum(frame); {
	case frame[frameSize-1] != sum:
		return &hardware.Error{Class: hardware.ErrChecksum, Err: fmt.Errorf("the frame ends in %#02x, calculated %#02x", frame[frameSize-1], sum)}
	case frame[1] != command:
		return &hardware.Error{Class: hardware.ErrWrongReply, Err: fmt.Errorf("command %#02x was answered, %#02x was sent", frame[1], command)}
	}
	return nil
}
