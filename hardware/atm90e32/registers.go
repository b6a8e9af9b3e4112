package atm90e32

import "wattmark/hardware"

// Registers of set-up and state (application note, register list).
const (
	regMeterEnable    = 0x00
	regPLConstantHigh = 0x31
	regPLConstantLow  = 0x32
	regMode0          = 0x33
	regMode1          = 0x34
	regActiveStart    = 0x35 // and reactive, apparent: power below which nothing is counted
	regPhaseStart     = 0x38 // likewise for each phase
	regVoltageGain    = 0x61 // of phase 1; those of 2 and 3 are gainStep further each
	regCurrentGain    = 0x62
	regLastData       = 0x78
	regAccess         = 0x7F
	firstEnergy       = 0x80
	lastEnergy        = 0xAF
	gainStep          = 4
)

// Words of set-up.
const (
	unlocked      = 0x55AA
	locked        = 0x0000
	plHigh, plLow = 0x0861, 0xC468 // 450 x 10^9 / 3200 impulses per kWh, as after power-up
	mode0         = 0x0087         // three phases, four wires, totals of absolute values
	mode60Hz      = 1 << 12
	startPower    = 0x1D4C // application note, example
	startPhase    = 0x02EE
	unityGain     = 0x8000
)

// kind is how a register's words are read.
type kind uint8

const (
	word   kind = iota // 16 bits
	signed             // 16 bits in two's complement
	pair               // 32 bits in two's complement, the low word at address + lowWord
)

// lowWord is how far the low word of a pair is behind the high one.
const lowWord = 0x10

// channel is a quantity and where it stands.
type channel struct {
	name     string
	address  byte
	kind     kind
	mantissa int64 // what a step is worth is mantissa x 10^exponent
	exponent int8
	limits   hardware.Limits
}

var ratio = hardware.Limits{Low: -1, High: 1}

// measured are the channels that are read, in order.
var measured = []channel{
	{"voltage_l1", 0xD9, word, 1, -2, hardware.Limits{}},
	{"voltage_l2", 0xDA, word, 1, -2, hardware.Limits{}},
	{"voltage_l3", 0xDB, word, 1, -2, hardware.Limits{}},
	{"current_l1", 0xDD, word, 1, -3, hardware.Limits{}},
	{"current_l2", 0xDE, word, 1, -3, hardware.Limits{}},
	{"current_l3", 0xDF, word, 1, -3, hardware.Limits{}},
	{"frequency", 0xF8, word, 1, -2, hardware.Limits{Low: 45, High: 65}}, // data sheet, table of measurements
	{"active_power", 0xB0, pair, 32, -5, hardware.Limits{}},
	{"active_power_l1", 0xB1, pair, 32, -5, hardware.Limits{}},
	{"active_power_l2", 0xB2, pair, 32, -5, hardware.Limits{}},
	{"active_power_l3", 0xB3, pair, 32, -5, hardware.Limits{}},
	{"reactive_power", 0xB4, pair, 32, -5, hardware.Limits{}},
	{"reactive_power_l1", 0xB5, pair, 32, -5, hardware.Limits{}},
	{"reactive_power_l2", 0xB6, pair, 32, -5, hardware.Limits{}},
	{"reactive_power_l3", 0xB7, pair, 32, -5, hardware.Limits{}},
	{"power_factor", 0xBC, signed, 1, -3, ratio},
	{"power_factor_l1", 0xBD, signed, 1, -3, ratio},
	{"power_factor_l2", 0xBE, signed, 1, -3, ratio},
	{"power_factor_l3", 0xBF, signed, 1, -3, ratio},
	{"temperature", 0xFC, signed, 1, 0, hardware.Limits{Low: -40, High: 85}},
}

// counted are the totals that the driver keeps, behind the measured channels. A step of
// their registers is 0.01 impulse at 3200 impulses per kWh: 3125 x 10^-6 Wh.
var counted = [...]struct {
	name    string
	address byte
}{
	{"active_energy_import", 0x80},
	{"active_energy_export", 0x84},
	{"reactive_energy_import", 0x88},
	{"reactive_energy_export", 0x8C},
}

const (
	stepMantissa = 3125
	stepExponent = -6
)

// number returns what stands in the channel's registers.
func (c *channel) number(high, low uint16) int64 {
	switch c.kind {
	case signed:
		return int64(int16(high))
	case pair:
		return int64(int32(uint32(high)<<16 | uint32(low)))
	}
	return int64(high)
}
