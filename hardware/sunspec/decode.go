package sunspec

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// magic is what stands before the list of models: "SunS".
const magic = 0x53756E53

// bases are where it may stand (Information Model Specification, "Base addresses").
var bases = [...]uint16{40000, 50000, 0}

// maxBlocks bounds the walk: no device has so many models.
const maxBlocks = 64

// block is a model where it is.
type block struct {
	number uint16
	at     uint16 // of its number; the length follows, then length registers
	length uint16
}

// maxScale is the largest scale factor either way (Information Model Specification,
// type sunssf). absentScale means that there is none.
const (
	maxScale    = 10
	absentScale = -0x8000
)

// Decode implements hardware.Decoder. Several exchanges merge, a later one replaces an
// earlier. A recording without the list of models is ErrWrongDevice; a device may refuse
// the reads that look for it.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	image, err := modbus.Recorded(t, modbus.Expect{Refusable: looksForBase})
	if err != nil {
		return err
	}
	return d.decode(image, dst)
}

// DecodeRegisters implements hardware.RegisterDecoder. Words without a table are holding
// registers.
func (d *Dev) DecodeRegisters(r *hardware.Registers, dst *hardware.Batch) error {
	dst.ResetValues()
	image, err := modbus.Dumped(r, modbus.ReadHolding)
	if err != nil {
		return err
	}
	return d.decode(image, dst)
}

// looksForBase reports whether r may be refused.
func looksForBase(r modbus.Request) bool {
	return r.Function == modbus.ReadHolding && slices.Contains(bases[:], r.Address)
}

// base returns where the list of models begins.
func base(image modbus.Image) (uint16, bool) {
	for _, b := range bases {
		if word, ok := image.Uint32(modbus.ReadHolding, b); ok && word == magic {
			return b, true
		}
	}
	return 0, false
}

// walk appends to blocks what the list of models says, as far as it is known.
func walk(image modbus.Image, base uint16, blocks []block) []block {
	for at := int(base) + 2; at < math.MaxUint16 && len(blocks) < maxBlocks; {
		number, known := image.Word(modbus.ReadHolding, uint16(at))
		length, ok := image.Word(modbus.ReadHolding, uint16(at+1))
		if !known || !ok || number == modelEnd || at+2+int(length) > 1<<16 {
			break
		}
		blocks = append(blocks, block{number, uint16(at), length})
		at += 2 + int(length)
	}
	return blocks
}

// notSunSpec is what a device is that has no list of models.
func notSunSpec() error {
	return &hardware.Error{Class: hardware.ErrWrongDevice, Op: "looking for the list of models",
		Err:    errors.New(`no "SunS" at register 40000, 50000 or 0`),
		Remedy: "switch SunSpec on in the device, or check the unit's number"}
}

// reading is the state of decoding one image.
type reading struct {
	image  modbus.Image
	dst    *hardware.Batch
	values [256]hardware.Value // by channel
	from   [256]uint16         // the model that gave it; 0 is none
}

// decode reads the channels from image.
func (d *Dev) decode(image modbus.Image, dst *hardware.Batch) error {
	start, ok := base(image)
	switch {
	case !ok && image.Refused() != nil:
		return image.Refused()
	case !ok:
		return notSunSpec()
	}
	var storage [maxBlocks]block
	blocks := walk(image, start, storage[:0])
	r := reading{image: image, dst: dst}
	for _, b := range blocks {
		dst.Models = append(dst.Models, b.number)
		switch {
		case b.number == modelCommon && dst.Identity == (hardware.Identity{}):
			r.identify(b)
		case read(b.number) && d.chosen(b.number):
			r.model(b)
		}
	}
	for c := range channels {
		if r.from[c] != 0 {
			dst.Add(r.values[c], channels[c].Limits)
		}
	}
	return nil
}

// identify tells what model 1 says. Its last register, after the address, is padding
// that not all devices have.
func (r *reading) identify(b block) {
	text := func(offset, count int) string {
		if offset+count > 2+int(b.length) {
			return ""
		}
		s, _ := r.image.Text(modbus.ReadHolding, b.at+uint16(offset), count)
		return s
	}
	if !r.has(b, 2, min(b.length, 64)) {
		return
	}
	r.dst.Identity = hardware.Identity{Manufacturer: text(2, 16), Model: text(18, 16), Version: text(42, 8), Serial: text(50, 16)}
}

// has reports whether registers of a model are known.
func (r *reading) has(b block, offset, count uint16) bool {
	for i := range count {
		if _, ok := r.image.Word(modbus.ReadHolding, b.at+offset+i); !ok {
			return false
		}
	}
	return true
}

// model reads the points of one.
func (r *reading) model(b block) {
	found := result{}
	if b.number == modelMPPT {
		r.modules(b, &found)
	} else {
		m := models[b.number]
		for i := range m.points {
			r.point(b, &m.points[i], m.phases, &found)
		}
	}
	if found.missing {
		r.dst.Warn(hardware.WarnSkipped, fmt.Sprintf("model %d at %d: registers are missing", b.number, b.at))
	}
	if found.taken != 0 {
		r.dst.Warn(hardware.WarnSkipped, fmt.Sprintf("model %d at %d: model %d gives some of its channels", b.number, b.at, found.taken))
	}
}

// result is what is to be said of a model.
type result struct {
	missing bool
	taken   uint16 // a model that gave one of its channels before
}

// modules reads the strings of panels.
func (r *reading) modules(b block, found *result) {
	if b.length < mpptHead-2 {
		return
	}
	count := (b.length - (mpptHead - 2)) / mpptModule
	if n, ok := r.image.Word(modbus.ReadHolding, b.at+mpptCount); ok && n < count {
		count = n
	}
	if count > maxStrings {
		r.dst.Warn(hardware.WarnSkipped, fmt.Sprintf("model %d at %d: %d strings, %d have channels", b.number, b.at, count, maxStrings))
		count = maxStrings
	}
	for _, points := range mppt[:count] {
		for i := range points {
			r.point(b, &points[i], 0, found)
		}
	}
}

// point reads one point of a model with so many phases.
func (r *reading) point(b block, p *point, phases int, found *result) {
	if p.offset+p.kind.words() > 2+b.length {
		return // a shorter version of the model
	}
	bits, ok := r.bits(b, p)
	if !ok {
		found.missing = true
		return
	}
	v := hardware.Value{Channel: p.channel, Exponent: p.shift}
	switch {
	case p.kind == u16 && bits == 0xFFFF, p.kind == i16 && bits == 0x8000,
		p.kind == acc32 && (bits == 0 || bits == 0x80000000 || bits == 0xFFFFFFFF):
		return
	case p.kind == i16:
		v.Mantissa = int64(int16(bits))
	case p.kind == f32:
		if !r.float(p, bits, phases, &v) {
			return
		}
	default:
		v.Mantissa = int64(bits)
	}
	if p.factor != 0 && !r.scale(b, p, &v, found) {
		return
	}
	if coarse(p, bits, v.Exponent) {
		v.Quality |= hardware.Coarse
	}
	if p.kind != f32 {
		v.Quality |= hardware.CoarseGauge(channels[p.channel].Kind, v)
	}
	if before := r.from[p.channel]; before != 0 {
		found.taken = before
		return
	}
	r.values[p.channel], r.from[p.channel] = v, b.number
}

// coarse reports whether a total of energy moves in steps above 100 Wh: those of an
// accumulator are 10^exponent, those of a float32 2^(e-127-23) for its exponent field e.
func coarse(p *point, bits uint32, exponent int8) bool {
	if channels[p.channel].Kind != hardware.Counter {
		return false
	}
	if p.kind == f32 {
		return bits>>23&0xFF >= 127+23+7
	}
	return exponent > 2
}

// bits returns the registers of p.
func (r *reading) bits(b block, p *point) (uint32, bool) {
	if p.kind.words() == 2 {
		return r.image.Uint32(modbus.ReadHolding, b.at+p.offset)
	}
	w, ok := r.image.Word(modbus.ReadHolding, b.at+p.offset)
	return uint32(w), ok
}

// float puts a float32 into v. NaN is no number, and for a phase that the model has not
// is not worth a word.
func (r *reading) float(p *point, bits uint32, phases int, v *hardware.Value) bool {
	mantissa, exponent, ok := hardware.Float32(math.Float32frombits(bits))
	if !ok {
		if p.phase <= phases {
			r.dst.Warn(hardware.WarnNotANumber, channels[p.channel].Name)
		}
		return false
	}
	v.Mantissa, v.Exponent = mantissa, exponent+p.shift
	if mantissa == 0 {
		v.Exponent = 0
	}
	return true
}

// scale moves the exponent of v by the scale factor of p.
func (r *reading) scale(b block, p *point, v *hardware.Value, found *result) bool {
	if p.factor >= 2+b.length {
		return false
	}
	w, ok := r.image.Word(modbus.ReadHolding, b.at+p.factor)
	if !ok {
		found.missing = true
		return false
	}
	factor := int16(w)
	switch {
	case factor == absentScale:
		r.dst.Warn(hardware.WarnSkipped, channels[p.channel].Name+": it has no scale factor")
		return false
	case factor < -maxScale || factor > maxScale:
		r.dst.Warn(hardware.WarnSkipped, fmt.Sprintf("%s: a scale factor of %d", channels[p.channel].Name, factor))
		return false
	}
	v.Exponent += int8(factor)
	return true
}
