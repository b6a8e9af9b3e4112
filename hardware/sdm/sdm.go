package sdm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// Opts are the settings of a meter.
type Opts struct {
	Model string // "sdm72", "sdm120", "sdm230" or "sdm630"; must be given
	// Channels are those to read; empty is all. Fewer make a shorter exchange: at
	// 9600 baud all of an sdm630 take about a fifth of a second.
	Channels []string
	Now      hardware.Clock // nil is hardware.Monotonic
}

// Dev is one meter.
type Dev struct {
	bus       modbus.Requester
	unit      byte
	model     model
	about     hardware.Descriptor
	registers []register
	requests  []modbus.Request
	now       hardware.Clock

	mu sync.Mutex // held by whatever uses the bus: Halt waits for it; guards the field below
	// identified: the meter said what it is, or that it does not say.
	identified bool
}

var (
	_ hardware.Device          = (*Dev)(nil)
	_ hardware.Decoder         = (*Dev)(nil)
	_ hardware.RegisterDecoder = (*Dev)(nil)
	_ hardware.Prober          = (*Dev)(nil)
)

// NewModbus returns the meter at the unit's address on bus, which it does not touch
// yet. A nil bus makes one that only decodes, and knows the settings' channels too.
func NewModbus(bus modbus.Requester, unit byte, opts *Opts) (*Dev, error) {
	if opts == nil {
		opts = &Opts{}
	}
	m, ok := models[opts.Model]
	if !ok {
		return nil, fmt.Errorf("no model %q: sdm72, sdm120, sdm230 and sdm630 are known", opts.Model)
	}
	if unit < 1 || unit > 247 {
		return nil, fmt.Errorf("%s: unit %d is not within 1 to 247", opts.Model, unit)
	}
	registers, err := m.choose(opts.Channels, bus == nil)
	if err != nil {
		return nil, err
	}
	d := &Dev{bus: bus, unit: unit, model: m, registers: registers, requests: m.requests(unit, registers), now: opts.Now.Or()}
	d.about = hardware.Descriptor{Model: opts.Model, Part: m.part}
	for _, r := range registers {
		d.about.Channels = append(d.about.Channels, hardware.NewChannel(r.name, m.limits(r.name)))
	}
	return d, nil
}

// String returns model and unit.
func (d *Dev) String() string { return fmt.Sprintf("%s unit %d", d.about.Model, d.unit) }

// Halt waits for a running Sense and does nothing: a meter has no idle state.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return nil
}

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense reads all channels. The first call, and the first after one that failed,
// asks the meter what it is too: another of the known models is ErrWrongDevice. Then the
// batch has its identity.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := dst.Take(ctx, d.now, d.exchange, d); err != nil {
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

// exchange measures first, so that a meter that is not there costs no more than one
// request.
func (d *Dev) exchange(ctx context.Context, t *hardware.Transcript) error {
	err := d.measure(ctx, t)
	switch {
	case err == nil && d.identified:
		return nil
	case err != nil && !errors.Is(err, hardware.ErrDevice):
		d.identified = false // what answers next may be another meter
		return err
	}
	// It answers, even if with an exception, which a map that is not its own explains.
	if other := d.identify(ctx, t); other != nil {
		return other
	}
	d.identified = err == nil
	return err
}

func (d *Dev) measure(ctx context.Context, t *hardware.Transcript) error {
	for _, r := range d.requests {
		if _, err := d.bus.Exchange(ctx, r, t); err != nil {
			return err
		}
	}
	return nil
}

// identify asks for the meter's code, and for the serial number that tells it from one
// that comes in its place. Older meters answer with an exception. To one that is silent it
// costs this sample, and is not asked again.
func (d *Dev) identify(ctx context.Context, t *hardware.Transcript) error {
	data, err := d.bus.Exchange(ctx, d.codeRequest(), t)
	if err == nil {
		if other := d.model.contradicted(binary.BigEndian.Uint16(data)); other != nil {
			return other
		}
		_, err = d.bus.Exchange(ctx, d.serialRequest(), t)
	}
	switch {
	case errors.Is(err, hardware.ErrDevice):
		return nil
	case errors.Is(err, hardware.ErrAbsent):
		d.identified = true
	}
	return err
}

// serialRequest asks for the meter's serial number.
func (d *Dev) serialRequest() modbus.Request {
	return modbus.Request{Unit: d.unit, Function: modbus.ReadHolding, Address: addressSerial, Count: 2}
}

// codeRequest asks for the meter's code.
func (d *Dev) codeRequest() modbus.Request {
	return modbus.Request{Unit: d.unit, Function: modbus.ReadHolding, Address: addressCode, Count: 1}
}

// Decode implements hardware.Decoder. Several exchanges merge, a later one replaces
// an earlier; a channel that was asked for and that none of them holds whole is left out
// with a warning. The code of another known model is ErrWrongDevice.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	image, err := modbus.Recorded(t, modbus.Expect{Refusable: asksWhatItIs})
	return d.decode(image, err, dst)
}

// DecodeRegisters implements hardware.RegisterDecoder. Words without a table are input
// registers.
func (d *Dev) DecodeRegisters(r *hardware.Registers, dst *hardware.Batch) error {
	dst.ResetValues()
	image, err := modbus.Dumped(r, modbus.ReadInput)
	return d.decode(image, err, dst)
}

// asksWhatItIs reports whether r is what older meters, which do not say, refuse.
func asksWhatItIs(r modbus.Request) bool {
	return r.Function == modbus.ReadHolding && r.Address >= addressSerial
}

// decode reads the channels from image. With err, an exception to a request, it looks for
// another model that would explain it.
func (d *Dev) decode(image modbus.Image, err error, dst *hardware.Batch) error {
	if err != nil && !errors.Is(err, hardware.ErrDevice) {
		return err
	}
	if code, ok := image.Word(modbus.ReadHolding, addressCode); ok {
		if other := d.model.contradicted(code); other != nil {
			return other
		}
		dst.Identity.Manufacturer = maker
		if code == d.model.code {
			dst.Identity.Model = d.model.part
		}
	}
	if err != nil {
		dst.ResetValues()
		return err
	}
	if serial, ok := image.Uint32(modbus.ReadHolding, addressSerial); ok {
		dst.Identity.Manufacturer, dst.Identity.Serial = maker, fmt.Sprint(serial)
	}
	for c, r := range d.registers {
		bits, ok := image.Uint32(r.table, r.address)
		switch {
		case ok:
			dst.AddFloat32(uint8(c), r.name, math.Float32frombits(bits), r.scale, coarse(bits, r.scale), d.about.Channels[c].Limits)
		case r.name == optionalChannel && !image.Asked(r.table, r.address, 2):
			// A dump of measurements is whole without settings.
		case image.Missing(r.table, r.address, 2):
			dst.Warn(hardware.WarnSkipped, r.name)
		}
	}
	return nil
}

// coarse marks a float32 of kWh whose step is above 100 Wh, that is 1/8 kWh and
// more: the step is 2^(e-127-23) for the exponent field e.
func coarse(bits uint32, scale int8) hardware.Quality {
	if scale == 3 && bits>>23&0xFF >= 127+23-3 {
		return hardware.Coarse
	}
	return 0
}

// Probe reads what the meter says it is. Older ones do not say: then plausible
// voltage and frequency speak for it.
func (d *Dev) Probe(ctx context.Context) (hardware.Identity, hardware.Confidence, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var t hardware.Transcript
	id := hardware.Identity{Manufacturer: maker, Model: d.model.part}
	data, err := d.bus.Exchange(ctx, d.serialRequest(), &t)
	if err == nil {
		id.Serial = fmt.Sprint(binary.BigEndian.Uint32(data))
		data, err = d.bus.Exchange(ctx, d.codeRequest(), &t)
		if err == nil {
			code := binary.BigEndian.Uint16(data)
			if code == d.model.code {
				return id, hardware.Certain, nil
			}
			err = d.model.contradicted(code)
		}
	}
	if err != nil && !errors.Is(err, hardware.ErrDevice) {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), "")
	}
	voltage, err := d.float(ctx, &t, 0x0000)
	if err != nil {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), "")
	}
	frequency, err := d.float(ctx, &t, 0x0046)
	if err != nil {
		return hardware.Identity{}, hardware.NotFound, hardware.Locate(err, d.String(), "")
	}
	if voltage > 80 && voltage < 300 && frequency > 40 && frequency < 70 {
		return id, hardware.Likely, nil
	}
	return id, hardware.Possible, nil
}

func (d *Dev) float(ctx context.Context, t *hardware.Transcript, address uint16) (float32, error) {
	data, err := d.bus.Exchange(ctx, modbus.Request{Unit: d.unit, Function: modbus.ReadInput, Address: address, Count: 2}, t)
	if err != nil {
		return 0, err
	}
	return math.Float32frombits(binary.BigEndian.Uint32(data)), nil
}
