package sps30

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"

	"wattmark/hardware"
	"wattmark/hardware/sensirion"
	"wattmark/hardware/uart"
)

// Address is the part's only address on I2C (6).
const Address = 0x69

const (
	maker = "Sensirion"
	part  = "Sensirion SPS30"
)

const (
	interval = time.Second      // between measurements (table 1: 1 s, 4 % off at most)
	warmUp   = 30 * time.Second // the longest start-up time (table 1)
	// patience is after how long without data a part that should measure is started.
	patience = 1500 * time.Millisecond
)

// Opts are the settings of a part; the zero value is what most places want.
type Opts struct {
	// Timeout is for a reply on the UART: default 300 ms.
	Timeout time.Duration
	Now     hardware.Clock // nil is hardware.Monotonic
}

// wire is a transport: what the part is told over one or the other.
type wire interface {
	// measurement reads what was measured; ErrNoData if there is nothing new. started is
	// false when the part says that it does not measure.
	measurement(ctx context.Context, t *hardware.Transcript) (started bool, err error)
	start(ctx context.Context, t *hardware.Transcript) error
	stop(ctx context.Context, t *hardware.Transcript) error
	// identify reads product type, serial number and version.
	identify(ctx context.Context, t *hardware.Transcript) error
	// suspect reports whether the status register is to be looked at after a measurement.
	suspect() bool
	// status reads the status register; a part of firmware without it is ErrUnsupported.
	status(ctx context.Context, t *hardware.Transcript) error
	String() string
	bus() string
}

// Dev is one SPS30.
type Dev struct {
	wire  wire
	about hardware.Descriptor
	now   hardware.Clock

	mu sync.Mutex // guards the wire and the fields below: Halt may come at any time
	// identified: the part said what it is, and was not away since; measuring: it was
	// started, or found measuring.
	identified, measuring bool
	last                  time.Duration    // when it last had data, or was looked at first
	started               time.Duration    // when the driver started it
	warming               bool             // that was not long ago
	doubt                 hardware.Quality // what time says of the sample at hand
}

var (
	_ hardware.Device     = (*Dev)(nil)
	_ hardware.Decoder    = (*Dev)(nil)
	_ hardware.Prober     = (*Dev)(nil)
	_ hardware.SelfTester = (*Dev)(nil)
)

// NewI2C returns the part at address on bus, which it does not touch yet: the first
// Sense starts it. A nil bus serves to decode.
func NewI2C(bus i2c.Bus, address uint16, opts *Opts) (*Dev, error) {
	if address > 0x7F {
		return nil, fmt.Errorf("sps30: I2C address %#02x is above 0x7f", address)
	}
	return newDev(&i2cWire{port: sensirion.NewPort(bus, address), named: bus != nil}, opts)
}

// NewSerial returns the part on a serial line of its own at 115200 8N1, which it does not
// touch yet: the first Sense starts it. A nil line serves to decode.
func NewSerial(line hardware.Stream, opts *Opts) (*Dev, error) {
	timeout := 300 * time.Millisecond
	if opts != nil && opts.Timeout != 0 {
		timeout = opts.Timeout
	}
	if timeout < 0 {
		return nil, fmt.Errorf("sps30: timeout %s is negative", timeout)
	}
	return newDev(&shdlcWire{port: uart.NewPort(line, 2*maxFrame), timeout: timeout}, opts)
}

func newDev(w wire, opts *Opts) (*Dev, error) {
	d := &Dev{wire: w, about: hardware.Descriptor{Model: "sps30", Part: part, Settle: patience + 2*interval}}
	if opts != nil {
		d.now = opts.Now
	}
	d.now = d.now.Or()
	mass := hardware.Limits{High: 1000}   // ug/m3 (table 1)
	number := hardware.Limits{High: 3000} // 1/cm3 (table 1)
	for _, c := range [floats]struct {    // in the order of table 2 of 4.3
		name   string
		limits hardware.Limits
	}{
		{"pm1_0", mass}, {"pm2_5", mass}, {"pm4_0", mass}, {"pm10", mass},
		{"particles_0_5", number}, {"particles_1_0", number}, {"particles_2_5", number}, {"particles_4_0", number}, {"particles_10", number},
		{"typical_size", hardware.Limits{High: 10}}, // of the particles it sees (table 1)
	} {
		d.about.Channels = append(d.about.Channels, hardware.NewChannel(c.name, c.limits))
	}
	return d, nil
}

// String returns model and place.
func (d *Dev) String() string { return "sps30 " + d.wire.String() }

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense reads the measurement that waits. A part that does not measure is started, and
// as between two measurements the call then returns ErrNoData.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := dst.Take(ctx, d.now, d.exchange, d); err != nil {
		if errors.Is(err, hardware.ErrAbsent) {
			d.identified, d.measuring = false, false // what comes next may be another
		}
		return hardware.Locate(err, d.String(), d.wire.bus())
	}
	return nil
}

func (d *Dev) exchange(ctx context.Context, t *hardware.Transcript) error {
	if err := ctx.Err(); err != nil {
		return &hardware.Error{Class: hardware.ErrTimeout, Err: err}
	}
	if !d.identified {
		if _, err := d.identify(ctx, t); err != nil {
			return err
		}
		d.identified, d.last = true, d.now()
	}
	started, err := d.wire.measurement(ctx, t)
	switch {
	case err == nil:
		d.measuring, d.last = true, d.now()
		d.doubt = 0
		if d.warming = d.warming && d.last-d.started < warmUp; d.warming {
			d.doubt = hardware.WarmingUp
		}
		if d.wire.suspect() {
			return d.wire.status(ctx, t)
		}
		return nil
	case !errors.Is(err, hardware.ErrNoData):
		d.last = d.now() // what it had may be lost with the reply: the next takes a second
		return err
	case started && d.now()-d.last < patience:
		return err
	}
	// It was never started, or lost power, or somebody stopped it.
	if err := d.wire.start(ctx, t); err != nil {
		return err
	}
	d.measuring, d.last = true, d.now()
	d.warming, d.started = true, d.last
	return noData()
}

// identify asks the part what it is.
func (d *Dev) identify(ctx context.Context, t *hardware.Transcript) (hardware.Identity, error) {
	if err := d.wire.identify(ctx, t); err != nil {
		return hardware.Identity{}, err
	}
	var f found
	err := f.merge(t, &hardware.Batch{})
	return f.identity, err
}

func noData() error {
	return &hardware.Error{Class: hardware.ErrNoData, Op: "reading a measurement"}
}

// Probe reads what the part says it is.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t hardware.Transcript
	id, err := d.identify(ctx, &t)
	if err != nil {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), d.wire.bus())
	}
	return id, hardware.Certain, nil
}

// SelfTest reads the status register; a fan or laser that failed is ErrDevice. Firmware
// before 2.2 does not tell over I2C: that is errors.ErrUnsupported.
func (d *Dev) SelfTest(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t hardware.Transcript
	_, err := d.identify(ctx, &t)
	if err == nil {
		t.Reset()
		err = d.wire.status(ctx, &t)
	}
	var f found
	if err == nil {
		err = f.merge(&t, &hardware.Batch{})
	}
	if err == nil {
		err = f.verdict()
	}
	return hardware.Locate(err, d.String(), d.wire.bus())
}

// Halt stops measuring, and with it the fan.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.measuring {
		return nil
	}
	var t hardware.Transcript
	d.measuring = false
	if err := d.wire.stop(context.Background(), &t); err != nil {
		return hardware.Locate(err, d.String(), d.wire.bus())
	}
	return nil
}
