package ina2xx

import "wattmark/hardware"

// Manufacturer's number of the INA226 (7.1.7, register FEh) and INA228 (7.6.1, register
// 3Eh): "TI" in ASCII.
const texasInstruments = 0x5449

// scale is what one step of a register is worth: mantissa x 10^exponent.
type scale struct {
	mantissa int64
	exponent int8
}

// register is where a number stands in the part and how it is told.
type register struct {
	address byte
	shift   uint // bits below the number
	bits    uint // of the number
	signed  bool
}

// read returns the number in the register's word.
func (r register) read(word uint32) int64 {
	n := int64(word>>r.shift) & (1<<r.bits - 1)
	if r.signed && n>>(r.bits-1) != 0 {
		n -= 1 << r.bits
	}
	return n
}

// model is what tells the three parts apart.
type model struct {
	part string
	// width is the number of bytes of each register's word, 0 where there is none.
	width func(address byte) int

	shunt, bus     register
	shuntScale     scale
	fineScale      scale // of the shunt, in the INA228's narrow range
	busScale       scale
	current, power register
	calibration    register
	// ratio returns what the current register is to the shunt register, as a fraction,
	// for a calibration that is not zero; the power register is current register x bus
	// register / powerDivisor.
	ratio            func(calibration int64) (num, den int64)
	powerDivisor     int64
	temperature      register
	temperatureScale scale

	// set is what the driver writes, in order; the word of modeRegister in it is
	// looked at in each sample. powerOn is that register's word after power-up.
	set          []setting
	modeRegister byte
	powerOn      uint16
	off          uint16 // the mode that measures nothing
	// modes returns which of the inputs a word of modeRegister converts.
	modes func(word uint32) (shunt, bus bool)

	ready, overflow flag
	// identity are the registers that name the part, empty if none do: the maker's
	// number, and the part's with a revision in the low four bits.
	identity []setting
	foreign  func(config uint32) bool
	limits   limits
}

type setting struct {
	address byte
	word    uint16
}

// flag is a bit of a register.
type flag struct {
	address byte
	bit     uint
}

type limits struct{ shunt, bus, temperature hardware.Limits }

var models = map[string]*model{
	"ina219": {
		part:       "Texas Instruments INA219",
		width:      upTo(0x05),
		shunt:      register{0x01, 0, 16, true},
		shuntScale: scale{1, -5}, // 10 uV (8.6.3.1)
		bus:        register{0x02, 3, 13, false},
		busScale:   scale{4, -3}, // 4 mV (8.6.3.2)
		power:      register{0x03, 0, 16, false},
		current:    register{0x04, 0, 16, true},
		// current = shunt x calibration / 4096, power = current x bus / 5000 (8.5.1.1).
		calibration:  register{0x05, 0, 16, false},
		ratio:        func(c int64) (num, den int64) { return c, 4096 },
		powerDivisor: 5000,
		// 32 V and 320 mV full scale, 128 conversions averaged, 68.1 ms each, continuous
		// (8.6.2.1).
		set:          []setting{{0x05, 4096}, {0x00, 0x3FFF}},
		modeRegister: 0x00, powerOn: 0x399F, off: 0x3FF8,
		modes:    lowModes,
		ready:    flag{0x02, 1},
		overflow: flag{0x02, 0},
		// Bit 14 is not used and reads as zero; an INA226 at the same address has it set.
		foreign: func(config uint32) bool { return config&0x4000 != 0 },
		limits: limits{
			shunt: hardware.Limits{Low: -320, High: 320, Exponent: -3}, // 6.5
			bus:   hardware.Limits{High: 26},                           // 6.3; the scale ends at 32 V
		},
	},
	"ina226": {
		part:       "Texas Instruments INA226",
		width:      func(a byte) int { return max(upTo(0x07)(a), from(0xFE)(a)) },
		shunt:      register{0x01, 0, 16, true},
		shuntScale: scale{25, -7}, // 2.5 uV (7.1.2)
		bus:        register{0x02, 0, 16, false},
		busScale:   scale{125, -5}, // 1.25 mV (7.1.3)
		power:      register{0x03, 0, 16, false},
		current:    register{0x04, 0, 16, true},
		// current = shunt x calibration / 2048, power = current x bus / 20000 (6.5.1).
		calibration:  register{0x05, 0, 16, false},
		ratio:        func(c int64) (num, den int64) { return c, 2048 },
		powerDivisor: 20000,
		// 64 conversions averaged, 1.1 ms each, continuous (7.1.1).
		set:          []setting{{0x05, 2048}, {0x00, 0x4727}},
		modeRegister: 0x00, powerOn: 0x4127, off: 0x4720,
		modes:    lowModes,
		ready:    flag{0x06, 3}, // 7.1.7
		overflow: flag{0x06, 2},
		identity: []setting{{0xFE, texasInstruments}, {0xFF, 0x2260}},
		// Bits 14 to 12 read as 100.
		foreign: func(config uint32) bool { return config&0x7000 != 0x4000 },
		limits: limits{
			shunt: hardware.Limits{Low: -8192, High: 8192, Exponent: -5}, // 5.5
			bus:   hardware.Limits{High: 36},
		},
	},
	"ina228": {
		part:       "Texas Instruments INA228",
		width:      wide,
		shunt:      register{0x04, 4, 20, true},
		shuntScale: scale{3125, -10},  // 312.5 nV
		fineScale:  scale{78125, -12}, // 78.125 nV with ADCRANGE = 1
		bus:        register{0x05, 4, 20, false},
		busScale:   scale{1953125, -10}, // 195.3125 uV
		current:    register{0x07, 4, 20, true},
		power:      register{0x08, 0, 24, false},
		// With CURRENT_LSB x shunt = SHUNT_CAL / (13107.2 x 10^6), power is 3.2 x CURRENT_LSB
		// a step (8.1.2): so current = shunt x 4096 / SHUNT_CAL, power = current x bus / 16384.
		calibration:      register{0x02, 0, 15, false},
		ratio:            func(c int64) (num, den int64) { return 4096, c },
		powerDivisor:     16384,
		temperature:      register{0x06, 0, 16, true},
		temperatureScale: scale{78125, -7}, // 7.8125 mCel
		// 64 conversions averaged, 1052 us each, all three inputs, continuous.
		set:          []setting{{0x00, 0x0000}, {0x02, 4096}, {0x01, 0xFB6B}},
		modeRegister: 0x01, powerOn: 0xFB68, off: 0x0B6B,
		modes: func(word uint32) (shunt, bus bool) {
			return word>>12&2 != 0, word>>12&1 != 0
		},
		ready:    flag{0x0B, 1},
		overflow: flag{0x0B, 9}, // MATHOF
		identity: []setting{{0x3E, texasInstruments}, {0x3F, 0x2281}},
		foreign:  func(uint32) bool { return false },
		limits: limits{
			shunt:       hardware.Limits{Low: -16384, High: 16384, Exponent: -5},
			bus:         hardware.Limits{High: 85},
			temperature: hardware.Limits{Low: -40, High: 125},
		},
	},
}

// upTo makes the registers up to last two bytes wide.
func upTo(last byte) func(byte) int {
	return func(a byte) int {
		if a <= last {
			return 2
		}
		return 0
	}
}

// from makes the registers from first on two bytes wide.
func from(first byte) func(byte) int {
	return func(a byte) int {
		if a >= first {
			return 2
		}
		return 0
	}
}

// wide is the INA228's (table 7-3). Its totals of energy and charge, 40 bits wide, are
// not read: they start anew with each loss of power.
func wide(a byte) int {
	switch {
	case a == 0x04, a == 0x05, a == 0x07, a == 0x08:
		return 3
	case a == 0x09, a == 0x0A:
		return 5
	case a <= 0x11, a == 0x3E, a == 0x3F:
		return 2
	}
	return 0
}

// lowModes reads the mode of the INA219 and INA226 (their configuration registers):
// bit 0 is the shunt, bit 1 the bus.
func lowModes(word uint32) (shunt, bus bool) { return word&1 != 0, word&2 != 0 }

// fine reports whether the shunt is measured in the narrow range (INA228, CONFIG bit 4).
func (m *model) fine(i *image) bool {
	return m.fineScale.mantissa != 0 && i.has[0x00] && i.word[0x00]&0x10 != 0
}
