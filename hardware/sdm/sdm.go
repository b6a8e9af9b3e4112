package sdm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

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
	blocks    []modbus.Request
	now       hardware.Clock
}

var (
	_ hardware.Device  = (*Dev)(nil)
	_ hardware.Decoder = (*Dev)(nil)
	_ hardware.Prober  = (*Dev)(nil)
)

// maxChannels is enough for the longest map.
const maxChannels = 40

// NewModbus returns the meter at the unit's address on bus, which it does not touch
// yet.
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
	registers, err := m.choose(opts.Channels)
	if err != nil {
		return nil, err
	}
	d := &Dev{bus: bus, unit: unit, model: m, registers: registers, blocks: m.blocks(unit, registers), now: opts.Now.Or()}
	d.about = hardware.Descriptor{Model: opts.Model, Part: m.part}
	for _, r := range registers {
		d.about.Channels = append(d.about.Channels, hardware.NewChannel(r.name, m.limits(r.name)))
	}
	return d, nil
}

// String returns model and unit.
func (d *Dev) String() string { return fmt.Sprintf("%s unit %d", d.about.Model, d.unit) }

// Halt does nothing: a meter has no idle state.
func (d *Dev) Halt() error { return nil }

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense reads all channels.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	dst.Reset()
	begin := d.now()
	err := d.exchange(ctx, &dst.Evidence)
	dst.Span(begin, d.now())
	if err == nil {
		err = d.Decode(&dst.Evidence, dst)
	}
	if err != nil {
		dst.ResetValues()
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

func (d *Dev) exchange(ctx context.Context, t *hardware.Transcript) error {
	for _, block := range d.blocks {
		if _, err := d.bus.Exchange(ctx, block, t); err != nil {
			return err
		}
	}
	return nil
}

// Decode implements hardware.Decoder. Several exchanges merge, a later one replaces
// an earlier; a channel that none of them holds is left out with a warning.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	var words [maxChannels]uint32
	var has [maxChannels]bool
	for i := range t.Len() {
		request, data, err := modbus.ReadExchange(t.Exchange(i))
		if err != nil {
			dst.ResetValues()
			return err
		}
		for c, r := range d.registers {
			at := 2 * (int(r.address) - int(request.Address))
			if r.table == request.Function && at >= 0 && at+4 <= len(data) {
				words[c], has[c] = binary.BigEndian.Uint32(data[at:]), true
			}
		}
	}
	for c, r := range d.registers {
		if !has[c] {
			dst.Warn(hardware.WarnSkipped, r.name)
			continue
		}
		dst.AddFloat32(uint8(c), r.name, math.Float32frombits(words[c]), r.scale, coarse(words[c], r.scale), d.about.Channels[c].Limits)
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
	var t hardware.Transcript
	id := hardware.Identity{Manufacturer: "Eastron", Model: d.model.part}
	data, err := d.bus.Exchange(ctx, modbus.Request{Unit: d.unit, Function: modbus.ReadHolding, Address: addressSerial, Count: 2}, &t)
	if err == nil {
		id.Serial = fmt.Sprint(binary.BigEndian.Uint32(data))
		data, err = d.bus.Exchange(ctx, modbus.Request{Unit: d.unit, Function: modbus.ReadHolding, Address: addressCode, Count: 1}, &t)
		if err == nil && binary.BigEndian.Uint16(data) == d.model.code {
			return id, hardware.Certain, nil
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
