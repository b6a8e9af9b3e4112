package scd30

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"wattmark/hardware"
	"wattmark/hardware/sensirion"
)

// Address is the only address of the part (1.1.1).
const Address = 0x61

// Commands (1.4).
const (
	cmdStart           = 0x0010 // 1.4.1
	cmdStop            = 0x0104 // 1.4.2
	cmdInterval        = 0x4600 // 1.4.3
	cmdReady           = 0x0202 // 1.4.4
	cmdMeasurement     = 0x0300 // 1.4.5
	cmdSelfCalibration = 0x5306 // 1.4.6
	cmdRecalibrate     = 0x5204 // 1.4.7
	cmdOffset          = 0x5403 // 1.4.8
	cmdAltitude        = 0x5102 // 1.4.9
	cmdFirmware        = 0xD100 // 1.4.10
)

const (
	pause     = 3 * time.Millisecond // between writing and reading (1.4.4)
	fullScale = 40000                // ppm, measurement range over I2C (data sheet version 1.0, table 1)
)

// Opts are the settings of a part; the zero value is what most places want.
type Opts struct {
	Interval time.Duration // between measurements, 2 s (the default) to 1800 s
	// SelfCalibration switches automatic self-calibration on. Only for places that
	// see an hour of fresh air a day.
	SelfCalibration bool
	// Pressure of the air in hPa, 700 to 1400; 0 leaves the part's own altitude
	// setting in force (1.4.1).
	Pressure uint16
	// Settings adds the channel temperature_offset, which is in recordings and not
	// in what Sense reads.
	Settings bool
	Now      hardware.Clock // nil is hardware.Monotonic
}

// Indices of channels.
const (
	co2 = iota
	temperature
	humidity
	offset
	channels
)

// Dev is one SCD30.
type Dev struct {
	port  *sensirion.Port
	about hardware.Descriptor
	opts  Opts

	mu sync.Mutex // guards port and the fields below: Halt may come at any time
	// measuring is what the driver believes of the part; checked that it is the part
	// whose settings were looked at; last is when it last had data, or was started, which
	// is started.
	measuring     bool
	checked       bool
	last, started time.Duration
	temperature   float32 // of the last measurement
}

var (
	_ hardware.Device  = (*Dev)(nil)
	_ hardware.Decoder = (*Dev)(nil)
	_ hardware.Prober  = (*Dev)(nil)
)

// NewI2C returns the part at address on bus, which it does not touch yet: the first
// Sense starts it.
func NewI2C(bus i2c.Bus, address uint16, opts *Opts) (*Dev, error) {
	o := Opts{}
	if opts != nil {
		o = *opts
	}
	o.Now = o.Now.Or()
	if o.Interval == 0 {
		o.Interval = 2 * time.Second
	}
	switch {
	case address > 0x7F:
		return nil, fmt.Errorf("scd30: I2C address %#02x is above 0x7f", address)
	case o.Interval < 2*time.Second || o.Interval > 1800*time.Second || o.Interval%time.Second != 0:
		return nil, fmt.Errorf("scd30: interval %s is not 2 to 1800 whole seconds", o.Interval)
	case o.Pressure != 0 && (o.Pressure < 700 || o.Pressure > 1400):
		return nil, fmt.Errorf("scd30: pressure %d hPa is not within 700 to 1400", o.Pressure)
	}
	about := hardware.Descriptor{Model: "scd30", Part: "Sensirion SCD30", Settle: o.Interval + time.Second}
	about.Channels = []hardware.Channel{ // ranges: data sheet version 1.0, tables 1 to 3
		co2:         hardware.NewChannel("co2", hardware.Limits{Low: 400, High: 10000}),
		temperature: hardware.NewChannel("temperature", hardware.Limits{Low: -40, High: 70}),
		humidity:    hardware.NewChannel("relative_humidity", hardware.Limits{High: 100}),
	}
	if o.Settings {
		about.Channels = append(about.Channels, hardware.NewChannel("temperature_offset", hardware.Limits{}))
	}
	return &Dev{port: sensirion.NewPort(bus, address), about: about, opts: o}, nil
}

// String returns model and address.
func (d *Dev) String() string { return fmt.Sprintf("scd30 at %#02x", d.port.Address()) }

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense reads the measurement that waits. The first call starts the part and, as any
// call between two measurements, returns ErrNoData.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := dst.Take(ctx, d.opts.Now, d.exchange, d); err != nil {
		if errors.Is(err, hardware.ErrAbsent) {
			d.checked = false // another part may come in its place, measuring as it was set elsewhere
		}
		return hardware.Locate(err, d.String(), d.port.Bus())
	}
	return nil
}

func (d *Dev) exchange(ctx context.Context, t *hardware.Transcript) error {
	if err := ctx.Err(); err != nil {
		return &hardware.Error{Class: hardware.ErrTimeout, Err: err}
	}
	if !d.measuring || !d.checked {
		if err := d.start(ctx, t); err != nil {
			return err
		}
		return noData()
	}
	ready, err := d.port.Read(ctx, t, cmdReady, pause, 1)
	if err != nil {
		return err
	}
	if sensirion.Word(ready, 0) != 1 {
		if d.opts.Now()-d.last > 3*d.opts.Interval {
			d.measuring = false // somebody stopped it
		}
		return noData()
	}
	words, err := d.port.Read(ctx, t, cmdMeasurement, pause, 6)
	if err != nil {
		return err
	}
	d.last, d.temperature = d.opts.Now(), float(words, temperature)
	return nil
}

func noData() error {
	return &hardware.Error{Class: hardware.ErrNoData, Op: "reading a measurement"}
}

// start identifies the part, writes the settings that differ, and sets it measuring.
func (d *Dev) start(ctx context.Context, t *hardware.Transcript) error {
	if _, err := d.port.Read(ctx, t, cmdFirmware, pause, 1); err != nil {
		return err
	}
	selfCal := uint16(0)
	if d.opts.SelfCalibration {
		selfCal = 1
	}
	if err := d.ensure(ctx, t, cmdSelfCalibration, selfCal); err != nil {
		return err
	}
	if err := d.ensure(ctx, t, cmdInterval, uint16(d.opts.Interval/time.Second)); err != nil {
		return err
	}
	if err := d.port.Send(ctx, t, cmdStart, pause, d.opts.Pressure); err != nil {
		return err
	}
	d.started = d.opts.Now()
	d.measuring, d.checked, d.last = true, true, d.started
	return nil
}

// ensure writes a setting if the part has another.
func (d *Dev) ensure(ctx context.Context, t *hardware.Transcript, code, want uint16) error {
	got, err := d.port.Read(ctx, t, code, pause, 1)
	if err != nil || sensirion.Word(got, 0) == want {
		return err
	}
	return d.port.Send(ctx, t, code, pause, want)
}

// Probe reads the firmware's version.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t hardware.Transcript
	firmware, err := d.port.Read(ctx, &t, cmdFirmware, pause, 1)
	if err != nil {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), d.port.Bus())
	}
	return hardware.Identity{Manufacturer: "Sensirion", Model: d.about.Part, Version: version(firmware)}, hardware.Likely, nil
}

// version returns the firmware's major and minor version (1.4.10).
func version(received []byte) string {
	w := sensirion.Word(received, 0)
	return fmt.Sprintf("%d.%d", w>>8, w&0xFF)
}

// Halt stops measuring.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.measuring {
		return nil
	}
	var t hardware.Transcript
	d.measuring = false
	if err := d.port.Send(context.Background(), &t, cmdStop, pause); err != nil {
		return hardware.Locate(err, d.String(), d.port.Bus())
	}
	return nil
}
