package ina2xx

import (
	"fmt"
	"math"
	"math/bits"

	"wattmark/hardware"
)

// image is what is known of a part's registers.
type image struct {
	word [256]uint32
	has  [256]bool
	// told holds those that the part itself said, not those that were written to it.
	told [256]bool
}

func (i *image) set(address byte, word uint32, told bool) {
	i.word[address], i.has[address] = word, true
	i.told[address] = i.told[address] || told
}

// number returns the number in r, if it is known.
func (i *image) number(r register) (int64, bool) {
	if r.bits == 0 || !i.has[r.address] {
		return 0, false
	}
	return r.read(i.word[r.address]), true
}

// flag returns whether f is set, and whether that is known.
func (i *image) flag(f flag) (set, known bool) {
	return i.word[f.address]>>f.bit&1 != 0, i.has[f.address]
}

// Decode implements hardware.Decoder. Several exchanges merge, a later one replaces an
// earlier. Bytes received without a register's address are taken for shunt and bus
// voltage, or on the 16-bit parts for registers 00 to 05.
func (d *Dev) Decode(t *hardware.Transcript, dst *hardware.Batch) error {
	dst.ResetValues()
	var i image
	for x := range t.Len() {
		sent, received := t.Exchange(x)
		if err := d.model.collect(&i, sent, received); err != nil {
			return err
		}
	}
	if err := d.convert(&i, dst); err != nil {
		dst.ResetValues()
		return err
	}
	return nil
}

// DecodeRegisters implements hardware.RegisterDecoder. Each value has the width of its
// register; the totals of the INA228 are not looked at.
func (d *Dev) DecodeRegisters(r *hardware.Registers, dst *hardware.Batch) error {
	dst.ResetValues()
	var i image
	for a := range 256 {
		value, digits := r.Wide(uint16(a))
		switch width := d.model.width(byte(a)); {
		case width == 0 || digits == 0: // of none of its registers, or not given
		case digits != 2*width:
			return &hardware.Error{Class: hardware.ErrMalformed, Op: "reading a dump of registers",
				Err:    fmt.Errorf("register %#02x has %d digits, and %d in an %s", a, digits, 2*width, d.model.part),
				Remedy: "give each register as wide as the part has it, and check the model"}
		case width < 4:
			i.set(byte(a), uint32(value), true)
		}
	}
	if err := d.convert(&i, dst); err != nil {
		dst.ResetValues()
		return err
	}
	return nil
}

// collect takes one exchange into i.
func (m *model) collect(i *image, sent, received []byte) error {
	if len(sent) == 0 {
		return m.unasked(i, received)
	}
	width := m.width(sent[0])
	switch {
	case width == 0:
		return wrongReply(hardware.ErrWrongDevice, "register %#02x is none of an %s's", sent[0], m.part)
	case len(sent) == 1+width && len(received) == 0:
		if reset := sent[0] == 0 && sent[1]&0x80 != 0; reset {
			*i = image{}
			return nil
		}
		if width < 4 {
			i.set(sent[0], bigEndian(sent[1:]), false)
		}
		return nil
	case len(sent) != 1:
		return wrongReply(hardware.ErrMalformed, "%d bytes sent neither name a register nor write register %#02x", len(sent), sent[0])
	case len(received) < width:
		return wrongReply(hardware.ErrTruncated, "%d bytes of register %#02x, which has %d", len(received), sent[0], width)
	case len(received) > width:
		return wrongReply(hardware.ErrWrongReply, "%d bytes of register %#02x, which has %d", len(received), sent[0], width)
	}
	if width < 4 {
		i.set(sent[0], bigEndian(received), true)
	}
	return nil
}

// unasked takes bytes that were received without a register's address.
func (m *model) unasked(i *image, received []byte) error {
	first, last := m.shunt.address, m.bus.address
	if len(received) == 12 && m.width(first) == 2 {
		first, last = 0x00, 0x05
	}
	rest := received
	for a := first; a <= last; a++ {
		width := m.width(a)
		if len(rest) < width {
			return wrongReply(hardware.ErrTruncated, "%d bytes are not shunt and bus voltage", len(received))
		}
		i.set(a, bigEndian(rest[:width]), true)
		rest = rest[width:]
	}
	if len(rest) > 0 {
		return wrongReply(hardware.ErrWrongReply, "%d bytes are more than shunt and bus voltage", len(received))
	}
	return nil
}

func wrongReply(class error, format string, arguments ...any) error {
	return &hardware.Error{Class: class, Err: fmt.Errorf(format, arguments...)}
}

// convert makes values of registers.
func (d *Dev) convert(i *image, dst *hardware.Batch) error {
	if err := d.recognise(i, dst); err != nil {
		return err
	}
	m := d.model
	shunt, hasShunt := i.number(m.shunt)
	bus, hasBus := i.number(m.bus)
	quality := d.qualities(i, shunt, bus)
	of := m.shuntScale
	if m.fine(i) {
		of = m.fineScale
	}
	measured := hasShunt || hasBus || i.has[m.current.address] || i.has[m.power.address]
	if !measured {
		return nil // it identifies the part or sets it up
	}
	if ready, known := i.flag(m.ready); known && !ready {
		if d.asPoweredOn(i) {
			return noData("the part has just got power, and measured nothing")
		}
		dst.Warn(hardware.WarnNotReady, "the numbers were read before")
	}
	if hasShunt {
		d.add(dst, shuntVoltage, shunt*of.mantissa, of.exponent, quality.shunt)
	} else {
		dst.Warn(hardware.WarnSkipped, "shunt_voltage")
	}
	if hasBus {
		d.add(dst, voltage, bus*m.busScale.mantissa, m.busScale.exponent, quality.bus)
	} else {
		dst.Warn(hardware.WarnSkipped, "voltage_dc")
	}
	if err := d.calculate(dst, shunt*of.mantissa, bus*m.busScale.mantissa, hasShunt, hasBus, int(of.exponent), quality); err != nil {
		return err
	}
	if w, ok := i.number(m.temperature); ok {
		d.add(dst, temperature, w*m.temperatureScale.mantissa, m.temperatureScale.exponent, 0)
	} else if m.temperature.bits > 0 {
		dst.Warn(hardware.WarnSkipped, "temperature")
	}
	m.crossCheck(i, dst)
	return nil
}

func (d *Dev) add(dst *hardware.Batch, channel int, mantissa int64, exponent int8, q hardware.Quality) {
	dst.Add(hardware.Value{Channel: uint8(channel), Mantissa: mantissa, Exponent: exponent, Quality: q}, d.about.Channels[channel].Limits)
}

// recognise looks at the registers that tell the part from others.
func (d *Dev) recognise(i *image, dst *hardware.Batch) error {
	m := d.model
	if i.told[0] && m.foreign(i.word[0]) {
		return wrongDevice(m.part, 0x00, i.word[0])
	}
	named := len(m.identity) > 0
	for n, want := range m.identity {
		switch {
		case !i.told[want.address]:
			named = false
		case !want.names(n, i.word[want.address]):
			return wrongDevice(m.part, want.address, i.word[want.address])
		}
	}
	if named {
		dst.Identity = hardware.Identity{Manufacturer: manufacturer, Model: m.part}
	}
	return nil
}

// asPoweredOn reports whether all that is known is as it is right after power-up.
func (d *Dev) asPoweredOn(i *image) bool {
	m := d.model
	if !i.has[m.modeRegister] || i.word[m.modeRegister] != uint32(m.powerOn) {
		return false
	}
	for _, r := range [...]register{m.shunt, m.bus, m.current, m.power} {
		if n, _ := i.number(r); n != 0 {
			return false
		}
	}
	return true
}

type qualities struct{ shunt, bus, product hardware.Quality }

// qualities tells what is doubtful: an input that is not converted any more repeats its
// last result, one at full scale may be larger.
func (d *Dev) qualities(i *image, shunt, bus int64) (q qualities) {
	m := d.model
	if i.has[m.modeRegister] {
		onShunt, onBus := m.modes(i.word[m.modeRegister])
		if !onShunt {
			q.shunt |= hardware.Stale
		}
		if !onBus {
			q.bus |= hardware.Stale
		}
	}
	fullShunt, fullBus := int64(1)<<(m.shunt.bits-1)-1, int64(1)<<m.bus.bits-1
	if m.ready.address == m.bus.address { // INA219: 16 or 32 V, 40 to 320 mV (8.6.2.1)
		fullShunt, fullBus = 32000, 8000
		if i.has[0] {
			fullShunt = 4000 << (i.word[0] >> 11 & 3)
			fullBus = 4000 << (i.word[0] >> 13 & 1)
		}
	}
	if shunt >= fullShunt || shunt <= -fullShunt {
		q.shunt |= hardware.Saturated
	}
	if bus >= fullBus {
		q.bus |= hardware.Saturated
	}
	q.product = q.shunt | q.bus
	if overflow, _ := i.flag(m.overflow); overflow {
		q.product |= hardware.Overflow
	}
	return q
}

// micro is the resolution of current and power: 6 decimals.
const micro = -6

// calculate adds current and power, from the shunt's and the bus's voltage.
func (d *Dev) calculate(dst *hardware.Batch, shunt, bus int64, hasShunt, hasBus bool, exponent int, q qualities) error {
	if d.shunt == 0 {
		dst.Warn(hardware.WarnSkipped, "current_dc, power_dc: shunt_ohm is not given")
		return nil
	}
	if !hasShunt {
		dst.Warn(hardware.WarnSkipped, "current_dc, power_dc")
		return nil
	}
	// Volts over nanoohms are gigaamperes.
	amperes, ok := quotient(shunt, 1, d.shunt, exponent+9-micro)
	if !ok {
		return tooLarge("current_dc")
	}
	overflow := q.product & hardware.Overflow
	d.add(dst, current, amperes, micro, q.shunt|overflow)
	if !hasBus {
		dst.Warn(hardware.WarnSkipped, "power_dc")
		return nil
	}
	watts, ok := quotient(shunt, bus, d.shunt, exponent+int(d.model.busScale.exponent)+9-micro)
	if !ok {
		return tooLarge("power_dc")
	}
	d.add(dst, power, watts, micro, q.product)
	return nil
}

func tooLarge(channel string) error {
	return &hardware.Error{Class: hardware.ErrOverflow, Op: channel, Remedy: "check shunt_ohm"}
}

// quotient returns a x b x 10^power / d, rounded half away from zero. b and d are not
// negative. It is false if the result is larger than an int64.
func quotient(a, b, d int64, power int) (int64, bool) {
	negative := a < 0
	if negative {
		a = -a
	}
	for ; power > 0; power-- {
		if b > math.MaxInt64/10 {
			return 0, false
		}
		b *= 10
	}
	for ; power < 0; power++ {
		if d > math.MaxInt64/20 {
			return 0, false
		}
		d *= 10
	}
	high, low := bits.Mul64(uint64(a), uint64(b))
	low, carry := bits.Add64(low, uint64(d)/2, 0)
	high += carry
	if high >= uint64(d) {
		return 0, false
	}
	q, _ := bits.Div64(high, low, uint64(d))
	if q > math.MaxInt64 {
		return 0, false
	}
	if negative {
		return -int64(q), true
	}
	return int64(q), true
}

// crossCheck compares the part's own current and power with what its calibration makes
// of shunt and bus voltage: to 1 %, or to the step of the registers where that is more.
// The resistance of the shunt has no part in it.
func (m *model) crossCheck(i *image, dst *hardware.Batch) {
	shunt, ok := i.number(m.shunt)
	calibration, calibrated := i.number(m.calibration)
	inPart, has := i.number(m.current)
	if !ok || !calibrated || !has {
		return
	}
	if calibration == 0 {
		if shunt != 0 {
			dst.Warn(hardware.WarnDisagrees, "calibration is 0: the part calculates no current, as after a loss of power")
		}
		return
	}
	num, den := m.ratio(calibration)
	num *= shunt
	if apart(inPart*den, num, den) {
		dst.Warn(hardware.WarnDisagrees, "current_dc")
	}
	bus, ok := i.number(m.bus)
	watts, has := i.number(m.power)
	if ok && has && apart(watts*m.powerDivisor*den, absolute(num*bus), (m.powerDivisor+bus)*den) {
		dst.Warn(hardware.WarnDisagrees, "power_dc")
	}
}

// apart reports whether got is further from want than 1 % and than step.
func apart(got, want, step int64) bool {
	return absolute(got-want) > max(absolute(want)/100, step)
}

func absolute(n int64) int64 {
	if n < 0 {
		return -n
	}
	return n
}
