package ina2xx

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
	"wattmark/hardware"
)

// Address is that of a part with its address pins tied to ground; others go up to
// HighestAddress.
const (
	Address        = 0x40
	HighestAddress = 0x4F
)

// The shunts that are taken: below the first the sums leave their range.
const (
	minShunt = physic.MicroOhm
	maxShunt = physic.KiloOhm
)

// settle is longer than the slowest conversion that the driver sets: 64 times three
// inputs of 1052 us, 10 % more for the part's oscillator.
const settle = 300 * time.Millisecond

// Opts are the settings of a part.
type Opts struct {
	Model string // "ina219", "ina226" or "ina228"; must be given
	// Shunt is the resistance across which the part measures, exact to the nanoohm: 1 uOhm
	// to 1 kOhm. Zero is unknown: there is then neither current nor power.
	Shunt physic.ElectricResistance
	Now   hardware.Clock // nil is hardware.Monotonic
}

// Indices of channels.
const (
	shuntVoltage = iota
	voltage
	current
	power
	temperature
)

// Dev is one part.
type Dev struct {
	bus     i2c.Bus
	address uint16
	model   *model
	shunt   int64 // nOhm
	about   hardware.Descriptor
	now     hardware.Clock

	mu sync.Mutex // held by whatever uses the bus: Halt waits for it; guards the fields below
	// ready: the driver has set the part up, and it had its set-up when last looked at.
	ready bool
	out   [3]byte
	in    [3]byte
}

var (
	_ hardware.Device          = (*Dev)(nil)
	_ hardware.Decoder         = (*Dev)(nil)
	_ hardware.RegisterDecoder = (*Dev)(nil)
	_ hardware.Prober          = (*Dev)(nil)
)

// NewI2C returns the part at address on bus, which it does not touch yet: the first
// Sense sets it up. A nil bus serves to decode.
func NewI2C(bus i2c.Bus, address uint16, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &Opts{}
	}
	m := models[opts.Model]
	switch {
	case m == nil:
		return nil, fmt.Errorf("no model %q: ina219, ina226 and ina228 are known", opts.Model)
	case address < Address || address > HighestAddress:
		return nil, fmt.Errorf("%s: I2C address %#02x is not within %#02x to %#02x", opts.Model, address, Address, HighestAddress)
	case opts.Shunt != 0 && (opts.Shunt < minShunt || opts.Shunt > maxShunt):
		return nil, fmt.Errorf("%s: a shunt of %s is not within %s to %s", opts.Model, opts.Shunt, minShunt, maxShunt)
	}
	d := &Dev{bus: bus, address: address, model: m, shunt: int64(opts.Shunt), now: opts.Now.Or()}
	d.about = hardware.Descriptor{Model: opts.Model, Part: m.part, Settle: settle, Channels: []hardware.Channel{
		shuntVoltage: hardware.NewChannel("shunt_voltage", m.limits.shunt),
		voltage:      hardware.NewChannel("voltage_dc", m.limits.bus),
		current:      hardware.NewChannel("current_dc", hardware.Limits{}),
		power:        hardware.NewChannel("power_dc", hardware.Limits{}),
	}}
	if m.temperature.bits > 0 {
		d.about.Channels = append(d.about.Channels, hardware.NewChannel("temperature", m.limits.temperature))
	}
	return d, nil
}

// String returns model and address.
func (d *Dev) String() string { return fmt.Sprintf("%s at %#02x", d.about.Model, d.address) }

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense reads the conversion that waits. The first call sets the part up and, as any
// call before there is a conversion that was not read, returns ErrNoData; so does the
// call that finds the part with another set-up than the driver's.
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
	m := d.model
	if !d.ready {
		if err := d.setUp(t); err != nil {
			return err
		}
		return noData("waiting for the first conversion")
	}
	mode, err := d.read(t, m.modeRegister)
	if err != nil {
		d.ready = !errors.Is(err, hardware.ErrAbsent) // another part may come in its place
		return err
	}
	if mode != uint32(m.set[len(m.set)-1].word) {
		// It lost power, or somebody else uses it: what it measures now is not what was
		// asked for.
		d.ready = false
		if err := d.setUp(t); err != nil {
			return err
		}
		return noData("the part had lost its set-up")
	}
	status, err := d.read(t, m.ready.address)
	if err != nil {
		return err
	}
	if status>>m.ready.bit&1 == 0 {
		return noData("waiting for a conversion")
	}
	// The power register comes last: on the INA219 reading it clears the ready bit.
	for _, r := range [...]register{m.calibration, m.shunt, m.bus, m.temperature, m.current, m.power} {
		if r.bits == 0 || r.address == m.ready.address {
			continue
		}
		if _, err := d.read(t, r.address); err != nil {
			return err
		}
	}
	return nil
}

func noData(op string) error { return &hardware.Error{Class: hardware.ErrNoData, Op: op} }

// setUp identifies the part and writes the driver's set-up.
func (d *Dev) setUp(t *hardware.Transcript) error {
	if err := d.identify(t); err != nil {
		return err
	}
	for _, s := range d.model.set {
		if err := d.write(t, s.address, s.word); err != nil {
			return err
		}
	}
	d.ready = true
	return nil
}

// identify returns an error if the part is another one.
func (d *Dev) identify(t *hardware.Transcript) error {
	config, err := d.read(t, 0x00)
	if err != nil {
		return err
	}
	if d.model.foreign(config) {
		return wrongDevice(d.model.part, 0x00, config)
	}
	for i, want := range d.model.identity {
		got, err := d.read(t, want.address)
		if err != nil {
			return err
		}
		if !want.names(i, got) {
			return wrongDevice(d.model.part, want.address, got)
		}
	}
	return nil
}

// names reports whether the word of identity register i is the part's: the second one
// ends in a revision.
func (s setting) names(i int, word uint32) bool {
	if i == 1 {
		return uint16(word)>>4 == s.word>>4
	}
	return uint16(word) == s.word
}

func wrongDevice(part string, address byte, word uint32) error {
	return &hardware.Error{Class: hardware.ErrWrongDevice, Op: "identifying the part",
		Err: fmt.Errorf("register %#02x is %#04x, which is no %s's", address, word, part), Remedy: "correct the model or the address"}
}

// read reads a register with a repeated start and records that.
func (d *Dev) read(t *hardware.Transcript, address byte) (uint32, error) {
	d.out[0] = address
	in := d.in[:d.model.width(address)]
	t.Send(d.out[:1])
	if err := d.transfer(d.out[:1], in, "reading", address); err != nil {
		return 0, err
	}
	t.Receive(in)
	return bigEndian(in), nil
}

func (d *Dev) write(t *hardware.Transcript, address byte, word uint16) error {
	d.out[0] = address
	binary.BigEndian.PutUint16(d.out[1:], word)
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

func bigEndian(b []byte) (n uint32) {
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	return n
}

// Probe reads what the part says it is. An INA219 does not say: its configuration tells
// it from an INA226.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t hardware.Transcript
	err := ctx.Err()
	if err != nil {
		err = &hardware.Error{Class: hardware.ErrTimeout, Err: err}
	} else {
		err = d.identify(&t)
	}
	if err != nil {
		return hardware.Identity{}, hardware.NotFound, d.located(err)
	}
	id := hardware.Identity{Manufacturer: manufacturer, Model: d.model.part}
	if len(d.model.identity) == 0 {
		return id, hardware.Possible, nil
	}
	return id, hardware.Certain, nil
}

const manufacturer = "Texas Instruments"

// Halt switches the converters off.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.ready {
		return nil
	}
	d.ready = false
	var t hardware.Transcript
	if err := d.write(&t, d.model.modeRegister, d.model.off); err != nil {
		return d.located(err)
	}
	return nil
}
