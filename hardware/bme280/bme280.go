package bme280

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"wattmark/hardware"
)

// Address is that of a part with SDO tied to ground; OtherAddress with SDO tied to the
// supply (6.2).
const (
	Address      = 0x76
	OtherAddress = 0x77
)

// Registers (5.3, table 18) and their bits.
const (
	regCalibration  = 0x88 // to A1h, with a gap at A0h
	regH1           = 0xA1
	regID           = 0xD0
	regHumidity     = 0xE1 // to E7h
	regCtrlHumidity = 0xF2
	regStatus       = 0xF3
	regCtrlMeasure  = 0xF4
	regData         = 0xF7 // to FEh

	calibrationSize = regH1 + 1 - regCalibration
	humiditySize    = 7
	dataSize        = 8

	statusMeasuring = 1 << 3
	statusUpdating  = 1 << 0

	chipBMP280 = 0x58
	chipBME280 = 0x60
)

// The driver's set-up: each measurement is asked for (forced mode, 3.3.3) and taken
// once of humidity, twice of temperature, four times of pressure, without filter.
const (
	oversampleHumidity = 1
	sleeping           = 2<<5 | 3<<2
	forced             = sleeping | 1
)

// measuring is the longest that a measurement takes: 1.25 ms, 2.3 ms for each taking
// and 0.575 ms for pressure and humidity each (9.1), rounded up.
const measuring = 19 * time.Millisecond

// settle is what set-up, the measurement that is dropped and the next one take.
const settle = 100 * time.Millisecond

// Opts are the settings of a part.
type Opts struct {
	Now hardware.Clock // nil is hardware.Monotonic
}

// Indices of channels.
const (
	temperature = iota
	pressure
	humidity
)

// Dev is one part.
type Dev struct {
	bus     i2c.Bus
	address uint16
	about   hardware.Descriptor
	now     hardware.Clock

	mu sync.Mutex // held by whatever uses the bus: Halt waits for it; guards the fields below
	// ready: the part has the driver's set-up, and its first measurement was dropped.
	ready bool
	out   [2]byte
	in    [calibrationSize]byte
	timer *time.Timer
}

var (
	_ hardware.Device          = (*Dev)(nil)
	_ hardware.Decoder         = (*Dev)(nil)
	_ hardware.RegisterDecoder = (*Dev)(nil)
	_ hardware.Prober          = (*Dev)(nil)
)

// NewI2C returns the part at address on bus, which it does not touch yet. A nil bus
// serves to decode.
func NewI2C(bus i2c.Bus, address uint16, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &Opts{}
	}
	if address != Address && address != OtherAddress {
		return nil, fmt.Errorf("bme280: I2C address %#02x is neither %#02x nor %#02x", address, Address, OtherAddress)
	}
	return &Dev{bus: bus, address: address, now: opts.Now.Or(), about: hardware.Descriptor{
		Model: "bme280", Part: "Bosch Sensortec BME280", Settle: settle,
		Channels: []hardware.Channel{ // ranges: table 1 and 1.1 to 1.3
			temperature: hardware.NewChannel("temperature", hardware.Limits{Low: -40, High: 85}),
			pressure:    hardware.NewChannel("pressure", hardware.Limits{Low: 300, High: 1100, Exponent: 2}),
			humidity:    hardware.NewChannel("relative_humidity", hardware.Limits{High: 100}),
		},
	}}, nil
}

// String returns model and address.
func (d *Dev) String() string { return fmt.Sprintf("%s at %#02x", d.about.Model, d.address) }

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense takes a measurement, for which it waits 19 ms. The first call sets the part up
// and drops the measurement, as does the first one after a loss of power: ErrNoData.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := dst.Take(ctx, d.now, d.exchange, d); err != nil {
		return d.located(err)
	}
	return nil
}

func (d *Dev) located(err error) error {
	bus := ""
	if d.bus != nil {
		bus = d.bus.String()
	}
	return hardware.Locate(err, d.String(), bus)
}

func (d *Dev) exchange(ctx context.Context, t *hardware.Transcript) error {
	if err := ctx.Err(); err != nil {
		return &hardware.Error{Class: hardware.ErrTimeout, Err: err}
	}
	chip, err := d.read(t, regID, 1)
	if err != nil {
		if errors.Is(err, hardware.ErrAbsent) {
			d.ready = false // another part may come in its place
		}
		return err
	}
	id := chip[0]
	if _, err := identify(id); err != nil {
		return err
	}
	set, err := d.read(t, regCtrlMeasure, 1)
	if err != nil {
		return err
	}
	if set[0] != sleeping {
		d.ready = false // it lost power
	}
	first := !d.ready
	if first && id == chipBME280 {
		// It takes effect with the next write to ctrl_meas (5.4.3).
		if err := d.write(t, regCtrlHumidity, oversampleHumidity); err != nil {
			return err
		}
	}
	if err := d.measure(ctx, t); err != nil {
		return err
	}
	if first {
		d.ready = true
		return noData("the first measurement after power-up is dropped")
	}
	n := dataSize
	if id != chipBME280 {
		n = 6
	}
	if _, err := d.read(t, regData, n); err != nil {
		return err
	}
	if _, err := d.read(t, regCalibration, calibrationSize); err != nil {
		return err
	}
	if id == chipBME280 {
		_, err = d.read(t, regHumidity, humiditySize)
	}
	return err
}

func noData(op string) error { return &hardware.Error{Class: hardware.ErrNoData, Op: op} }

// measure asks for a measurement and waits until it is there.
func (d *Dev) measure(ctx context.Context, t *hardware.Transcript) error {
	if err := d.write(t, regCtrlMeasure, forced); err != nil {
		return err
	}
	if err := d.wait(ctx, measuring); err != nil {
		return err
	}
	status, err := d.read(t, regStatus, 1)
	if err != nil {
		return err
	}
	if status[0]&statusMeasuring != 0 {
		return noData("it still measures")
	}
	return nil
}

// wait lets t pass, or returns the end of ctx as ErrTimeout.
func (d *Dev) wait(ctx context.Context, t time.Duration) error {
	if d.timer == nil {
		d.timer = time.NewTimer(t)
	} else {
		d.timer.Reset(t)
	}
	select {
	case <-d.timer.C:
		return nil
	case <-ctx.Done():
		d.timer.Stop()
		return &hardware.Error{Class: hardware.ErrTimeout, Op: "waiting for the measurement", Err: ctx.Err()}
	}
}

// read reads n registers from an address on, with a repeated start. The bytes are good
// until the next read.
func (d *Dev) read(t *hardware.Transcript, address byte, n int) ([]byte, error) {
	d.out[0] = address
	in := d.in[:n]
	t.Send(d.out[:1])
	if err := d.transfer(d.out[:1], in, "reading", address); err != nil {
		return nil, err
	}
	t.Receive(in)
	return in, nil
}

func (d *Dev) write(t *hardware.Transcript, address, value byte) error {
	d.out = [2]byte{address, value}
	t.Send(d.out[:])
	return d.transfer(d.out[:], nil, "writing", address)
}

// transfer gives errors the register they happened at.
func (d *Dev) transfer(w, r []byte, verb string, address byte) error {
	if d.bus == nil {
		return &hardware.Error{Class: hardware.ErrAbsent, Op: verb, Err: errors.New("the driver has no bus")}
	}
	if err := d.bus.Tx(d.address, w, r); err != nil {
		return hardware.I2CError(err, fmt.Sprintf("%s register %#02x", verb, address))
	}
	return nil
}

// Probe reads the chip's number.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t hardware.Transcript
	err := ctx.Err()
	if err != nil {
		err = &hardware.Error{Class: hardware.ErrTimeout, Err: err}
	}
	var chip []byte
	if err == nil {
		chip, err = d.read(&t, regID, 1)
	}
	if err != nil {
		return hardware.Identity{}, hardware.NotFound, d.located(err)
	}
	id, err := identify(chip[0])
	if err != nil {
		return hardware.Identity{}, hardware.NotFound, d.located(err)
	}
	return id, hardware.Certain, nil
}

// Halt waits for a running Sense: between measurements the part sleeps anyway.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}
