package scd4x

import (
	"context"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"wattmark/hardware"
	"wattmark/hardware/sensirion"
)

// Address is the only address of the part (3.3).
const Address = 0x62

// Commands (table 9).
const (
	cmdStart           = 0x21B1 // 3.5.1
	cmdMeasurement     = 0xEC05 // 3.5.2
	cmdStop            = 0x3F86 // 3.5.3
	cmdOffset          = 0x2318 // 3.6.2
	cmdPressure        = 0xE000 // 3.6.5; without an argument later firmware answers it
	cmdRecalibrate     = 0x362F // 3.7.1
	cmdSelfCalibration = 0x2416 // 3.7.2
	cmdReady           = 0xE4B8 // 3.8.2
	cmdSerial          = 0x3682 // 3.9.2
)

const (
	interval    = 5 * time.Second // between measurements (3.5.1)
	pause       = time.Millisecond
	stopping    = 500 * time.Millisecond
	readyBits   = 0x07FF // any of these set: a measurement waits (3.8.2)
	fullScale   = 40000  // ppm (table 1, output range)
	recalFailed = 0xFFFF
)

// Opts are the settings of a part; the zero value serves an SCD41.
type Opts struct {
	Model string // "scd40" or "scd41", the default
	// SelfCalibration leaves automatic self-calibration on. Only for places that
	// see fresh air at least once a week.
	SelfCalibration bool
	// Settings adds the channels temperature_offset, frc_correction and pressure,
	// which are in recordings and not in what Sense reads.
	Settings bool
	Now      hardware.Clock // nil is hardware.Monotonic
}

// Indices of channels.
const (
	co2 = iota
	temperature
	humidity
	offset
	correction
	pressure
	channels
)

// Dev is one SCD40 or SCD41.
type Dev struct {
	port     *sensirion.Port
	about    hardware.Descriptor
	now      hardware.Clock
	selfCal  bool
	identity hardware.Identity

	mu sync.Mutex // guards port and the fields below: Halt may come at any time
	// measuring is what the driver believes of the part; last is when it last had
	// data, or was started, which is started.
	measuring     bool
	last, started time.Duration
	temperature   uint16 // the word of the last measurement
}

var (
	_ hardware.Device  = (*Dev)(nil)
	_ hardware.Decoder = (*Dev)(nil)
	_ hardware.Prober  = (*Dev)(nil)
)

// NewI2C returns the part at address on bus, which it does not touch yet: the first
// Sense starts it.
func NewI2C(bus i2c.Bus, address uint16, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &Opts{}
	}
	about, err := describe(opts)
	if err != nil {
		return nil, err
	}
	if address > 0x7F {
		return nil, fmt.Errorf("%s: I2C address %#02x is above 0x7f", about.Model, address)
	}
	return &Dev{port: sensirion.NewPort(bus, address), about: about, now: opts.Now.Or(), selfCal: opts.SelfCalibration}, nil
}

func describe(opts *Opts) (hardware.Descriptor, error) {
	about := hardware.Descriptor{Model: opts.Model, Settle: interval + time.Second}
	highest := int64(5000) // accuracy is stated for 400 to 5000 ppm (table 1)
	switch opts.Model {
	case "scd41", "":
		about.Model, about.Part = "scd41", "Sensirion SCD41"
	case "scd40":
		about.Part, highest = "Sensirion SCD40", 2000
	default:
		return about, fmt.Errorf("no model %q: scd40 and scd41 are known", opts.Model)
	}
	about.Channels = []hardware.Channel{
		co2:         hardware.NewChannel("co2", hardware.Limits{Low: 400, High: highest}),
		temperature: hardware.NewChannel("temperature", hardware.Limits{Low: -10, High: 60}), // table 3
		humidity:    hardware.NewChannel("relative_humidity", hardware.Limits{High: 100}),    // table 2
	}
	if opts.Settings {
		about.Channels = append(about.Channels,
			hardware.NewChannel("temperature_offset", hardware.Limits{High: 175}),
			hardware.NewChannel("frc_correction", hardware.Limits{}),
			hardware.NewChannel("pressure", hardware.Limits{Low: 700, High: 1200, Exponent: 2}), // 3.6.5
		)
	}
	return about, nil
}

// String returns model and address.
func (d *Dev) String() string { return fmt.Sprintf("%s at %#02x", d.about.Model, d.port.Address()) }

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense reads the measurement that waits. The first call starts the part and, as any
// call between two measurements, returns ErrNoData.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := dst.Take(ctx, d.now, d.exchange, d); err != nil {
		return hardware.Locate(err, d.String(), d.port.Bus())
	}
	return nil
}

func (d *Dev) exchange(ctx context.Context, t *hardware.Transcript) error {
	if err := ctx.Err(); err != nil {
		return &hardware.Error{Class: hardware.ErrTimeout, Err: err}
	}
	if !d.measuring {
		if err := d.start(ctx, t); err != nil {
			return err
		}
		return noData()
	}
	status, err := d.port.Read(ctx, t, cmdReady, pause, 1)
	if err != nil {
		return err
	}
	if sensirion.Word(status, 0)&readyBits == 0 {
		if d.now()-d.last > 3*interval {
			d.measuring = false // it lost power, and with it the command to measure
		}
		return noData()
	}
	words, err := d.port.Read(ctx, t, cmdMeasurement, pause, 3)
	if err != nil {
		return err
	}
	d.last, d.temperature = d.now(), sensirion.Word(words, 1)
	return nil
}

func noData() error {
	return &hardware.Error{Class: hardware.ErrNoData, Op: "reading a measurement"}
}

// start identifies the part and sets it measuring. It stops it first: after a
// restart of the program the part still measures, and would refuse the rest.
func (d *Dev) start(ctx context.Context, t *hardware.Transcript) error {
	if err := d.port.Send(ctx, t, cmdStop, stopping); err != nil {
		return err
	}
	serial, err := d.port.Read(ctx, t, cmdSerial, pause, 3)
	if err != nil {
		return err
	}
	d.identity = d.identify(serial)
	selfCal := uint16(0)
	if d.selfCal {
		selfCal = 1
	}
	if err := d.port.Send(ctx, t, cmdSelfCalibration, pause, selfCal); err != nil {
		return err
	}
	if err := d.port.Send(ctx, t, cmdStart, pause); err != nil {
		return err
	}
	d.started = d.now()
	d.measuring, d.last = true, d.started
	return nil
}

func (d *Dev) identify(serial []byte) hardware.Identity {
	return hardware.Identity{Manufacturer: "Sensirion", Model: d.about.Part, Serial: serialNumber(serial)}
}

// serialNumber returns the 48 bits of an answer to cmdSerial in hex (3.9.2).
func serialNumber(received []byte) string {
	return fmt.Sprintf("%04x%04x%04x", sensirion.Word(received, 0), sensirion.Word(received, 1), sensirion.Word(received, 2))
}

// Probe reads the serial number, which an idle part gives, or else whether data is
// ready, which any part with the same protocol might answer.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t hardware.Transcript
	if serial, err := d.port.Read(ctx, &t, cmdSerial, pause, 3); err == nil {
		return d.identify(serial), hardware.Likely, nil
	}
	if _, err := d.port.Read(ctx, &t, cmdReady, pause, 1); err != nil {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), d.port.Bus())
	}
	return hardware.Identity{Manufacturer: "Sensirion", Model: d.about.Part}, hardware.Possible, nil
}

// Halt stops measuring, which takes the part half a second.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.measuring {
		return nil
	}
	var t hardware.Transcript
	d.measuring = false
	err := d.port.Send(context.Background(), &t, cmdStop, stopping)
	if err != nil {
		return hardware.Locate(err, d.String(), d.port.Bus())
	}
	return nil
}
