package emulated

import (
	"math"
	"sync"
)

// Plant is what the models of a SunSpec device tell at an instant. What a model has no
// register for is not told.
type Plant struct {
	Phases      int // that exist: 1 to 3
	Voltage     [3]float64
	Current     [3]float64
	Power       [3]float64 // W; of a meter positive from the grid, of an inverter what it makes
	Reactive    float64
	Frequency   float64
	Generated   uint32 // Wh, total of an inverter
	Imported    uint32 // Wh, total of a meter
	Exported    uint32
	DCVoltage   []float64 // of each string of panels, or of the battery
	DCCurrent   []float64
	Charge      float64 // %
	Temperature float64 // of the cabinet
}

// SunSpec is the register model of a device that speaks SunSpec Modbus, after the model
// definitions of the SunSpec Alliance: 1, 103 and its sisters, 160, 203 and its sisters,
// 802, in integers of fixed scale, or 113 and its sisters in floats. All methods may be
// called from any goroutine.
type SunSpec struct {
	*Map
	numbers []uint16
	base    uint16

	mu    sync.Mutex // guards the field below
	words []uint16
}

// NewSunSpec returns a device whose list of models begins at base and holds model 1 and
// those of the given numbers; 120 and 122 are among them for being passed over. With
// pad, model 1 is 66 registers long, else 65. It panics on a number it does not know.
func NewSunSpec(base uint16, serial string, pad bool, numbers ...uint16) *SunSpec {
	s := &SunSpec{Map: NewMap(125, true), numbers: numbers, base: base}
	s.words = append(s.words, 0x5375, 0x6E53)
	common := make([]uint16, 65)
	if pad {
		common = append(common, 0x8000)
	}
	putText(common[0:16], "Wattmark")
	putText(common[16:32], "Emulated device")
	putText(common[40:48], "1.2.3")
	putText(common[48:64], serial)
	common[64] = 1
	s.add(1, common)
	for _, n := range numbers {
		switch n {
		case 101, 102, 103:
			s.add(n, make([]uint16, 50))
		case 111, 112, 113:
			s.add(n, make([]uint16, 60))
		case 120:
			s.add(n, make([]uint16, 26))
		case 122:
			s.add(n, make([]uint16, 44))
		case 160:
			s.add(n, make([]uint16, 8+2*20))
		case 201, 202, 203, 204:
			s.add(n, make([]uint16, 105))
		case 802:
			s.add(n, make([]uint16, 62))
		default:
			panic("internal error: no such model")
		}
	}
	s.words = append(s.words, 0xFFFF, 0)
	s.Set(Plant{Phases: 1})
	return s
}

func (s *SunSpec) add(number uint16, body []uint16) {
	s.words = append(append(s.words, number, uint16(len(body))), body...)
}

// Words returns the registers from the letters SunS to the end of the list.
func (s *SunSpec) Words() []uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]uint16(nil), s.words...)
}

// Set makes the device tell p from now on.
func (s *SunSpec) Set(p Plant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for at := 2; s.words[at] != 0xFFFF; at += 2 + int(s.words[at+1]) {
		m := sunspecModel(s.words[at : at+2+int(s.words[at+1])])
		switch m[0] {
		case 101, 102, 103:
			m.inverter(p)
		case 111, 112, 113:
			m.floats(p)
		case 160:
			m.strings(p)
		case 201, 202, 203, 204:
			m.meter(p)
		case 802:
			m.battery(p)
		}
	}
	s.SetHolding(s.base, s.words...)
}

func putText(words []uint16, text string) {
	for i, c := range []byte(text) {
		words[i/2] |= uint16(c) << (8 - 8*(i%2))
	}
}

// sunspecModel is the registers of one model, its number and length first.
type sunspecModel []uint16

const (
	absentUnsigned = 0xFFFF
	absentSigned   = 0x8000
)

// fill sets registers to one word: a value for "not implemented".
func (m sunspecModel) fill(word uint16, offsets ...int) {
	for _, o := range offsets {
		m[o] = word
	}
}

// put sets a register to v in steps of 10^scale, and that scale.
func (m sunspecModel) put(offset, factorAt, scale int, v float64) {
	m[offset] = uint16(int16(math.Round(v / math.Pow10(scale))))
	if v > 0 && math.Round(v/math.Pow10(scale)) > math.MaxInt16 {
		m[offset] = uint16(math.Round(v / math.Pow10(scale))) // unsigned
	}
	m[factorAt] = uint16(int16(scale))
}

func (m sunspecModel) put32(offset, factorAt int, v uint32) {
	m[offset], m[offset+1] = uint16(v>>16), uint16(v)
	m[factorAt] = 0
}

// sums adds up what the phases carry: current, active and apparent power.
func (p *Plant) sums() (amps, watts, voltAmperes float64) {
	for i := range p.Phases {
		amps += p.Current[i]
		watts += p.Power[i]
		voltAmperes += p.Voltage[i] * p.Current[i]
	}
	return amps, watts, voltAmperes
}

// direct returns voltage and current of all strings together.
func (p *Plant) direct() (volts, amps float64) {
	for i := range p.DCVoltage {
		volts = max(volts, p.DCVoltage[i])
		amps += p.DCCurrent[i]
	}
	return volts, amps
}

func (m sunspecModel) inverter(p Plant) {
	m.fill(absentUnsigned, 3, 4, 5, 7, 8, 9, 10, 11, 12)
	m.fill(absentSigned, 34, 35, 36)
	amps, watts, voltAmperes := p.sums()
	m.put(2, 6, -2, amps)
	for i := range p.Phases {
		m.put(3+i, 6, -2, p.Current[i])
		m.put(10+i, 13, -1, p.Voltage[i])
	}
	m.put(14, 15, 0, watts)
	m.put(16, 17, -2, p.Frequency)
	m.put(18, 19, 0, voltAmperes)
	m.put(20, 21, 0, p.Reactive)
	m.put(22, 23, -2, 100*factor(watts, voltAmperes))
	m.put32(24, 26, p.Generated)
	volts, dc := p.direct()
	m.put(27, 28, -2, dc)
	m.put(29, 30, -1, volts)
	m.put(31, 32, 0, volts*dc)
	m.put(33, 37, -1, p.Temperature)
	m[38] = 4 // state: producing
}

func (m sunspecModel) floats(p Plant) {
	for o := 2; o < 48; o += 2 {
		putFloat(m[o:], math.NaN())
	}
	amps, watts, voltAmperes := p.sums()
	put := func(offset int, v float64) { putFloat(m[offset:], v) }
	put(2, amps)
	for i := range p.Phases {
		put(4+2*i, p.Current[i])
		put(16+2*i, p.Voltage[i])
	}
	put(22, watts)
	put(24, p.Frequency)
	put(26, voltAmperes)
	put(28, p.Reactive)
	put(30, 100*factor(watts, voltAmperes))
	put(32, float64(p.Generated))
	volts, dc := p.direct()
	put(34, dc)
	put(36, volts)
	put(38, volts*dc)
	put(40, p.Temperature)
	m[48] = 4
}

func (m sunspecModel) strings(p Plant) {
	m[5] = absentSigned // no energy of each string
	m[8] = uint16(len(p.DCVoltage))
	m[9] = absentUnsigned
	for n := range 2 {
		at := 10 + 20*n
		m.fill(absentUnsigned, at+9, at+10, at+11, at+14, at+15, at+17)
		m[at], m[at+16] = uint16(n+1), absentSigned
		if n < len(p.DCVoltage) {
			m.put(at+9, 2, -2, p.DCCurrent[n])
			m.put(at+10, 3, -1, p.DCVoltage[n])
			m.put(at+11, 4, 0, p.DCVoltage[n]*p.DCCurrent[n])
		}
	}
}

func (m sunspecModel) meter(p Plant) {
	m.fill(absentSigned, 3, 4, 5, 8, 9, 10, 11, 12, 13, 14, 19, 20, 21, 24, 25, 26, 28, 29, 30, 31, 32, 34, 35, 36, 71, 104)
	amps, watts, voltAmperes := p.sums()
	m.put(2, 6, -2, amps)
	m.put(7, 15, -1, p.Voltage[0])
	for i := range p.Phases {
		m.put(3+i, 6, -2, p.Current[i])
		m.put(8+i, 15, -1, p.Voltage[i])
		m.put(19+i, 22, 0, p.Power[i])
		m.put(24+i, 27, 0, p.Voltage[i]*p.Current[i])
		m.put(34+i, 37, -2, 100*factor(p.Power[i], p.Voltage[i]*p.Current[i]))
	}
	m.put(16, 17, -2, p.Frequency)
	m.put(18, 22, 0, watts)
	m.put(23, 27, 0, voltAmperes)
	m.put(28, 32, 0, p.Reactive)
	m.put(33, 37, -2, 100*factor(watts, voltAmperes))
	m.put32(38, 54, p.Exported)
	m.put32(46, 54, p.Imported)
}

func (m sunspecModel) battery(p Plant) {
	m.put(11, 56, -1, p.Charge)
	volts, amps := p.direct()
	m.put(34, 59, -1, volts)
	m.put(44, 61, -1, amps)
	m.put(47, 63, 0, volts*amps)
}
