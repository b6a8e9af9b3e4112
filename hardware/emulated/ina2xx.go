package emulated

import (
	"math"
	"sync"
	"time"

	"wattmark/hardware"
)

// Feed is what a DC monitor is wired to.
type Feed struct {
	Shunt       float64 // V across the shunt, positive from IN+ to IN-
	Bus         float64 // V
	Temperature float64 // degrees Celsius, of the INA228's die
}

// inaModel is what tells the three parts apart, each from its data sheet: INA219
// SBOS448G section 8.6, INA226 SBOS547B section 7.1, INA228 SLYS021A section 7.6.
type inaModel struct {
	width   map[byte]int
	reset   map[byte]uint64
	convert func(p *INA, f Feed)
	// every returns how long one result takes with the set-up in force, and whether
	// there will be any.
	every func(p *INA) (time.Duration, bool)
	// config is the register that starts conversions when it is written.
	config byte
	// ready is the register and bit that tell of a new result, and clear the register
	// whose reading clears it.
	ready    byte
	readyBit uint
	clear    byte
	readOnly map[byte]bool
}

// INA is the register model of a Texas Instruments INA219, INA226 or INA228. Its methods
// may be called from any goroutine.
type INA struct {
	model *inaModel
	clock hardware.Clock

	mu        sync.Mutex // guards the fields below
	feed      Feed
	registers map[byte]uint64
	pointer   byte
	began     time.Duration // of the conversions in progress
	done      int64         // results since then
	writes    int
}

var _ Part = (*INA)(nil)

// NewINA219 returns an INA219 that has just got power; results come by clock, nil is
// real time.
func NewINA219(clock hardware.Clock) *INA {
	return newINA(clock, &inaModel{
		width:    map[byte]int{0: 2, 1: 2, 2: 2, 3: 2, 4: 2, 5: 2},
		reset:    map[byte]uint64{0: 0x399F},
		readOnly: map[byte]bool{1: true, 2: true, 3: true, 4: true},
		config:   0, ready: 2, readyBit: 1, clear: 3,
		every: func(p *INA) (time.Duration, bool) {
			config := p.registers[0]
			return inaMode(config, ina219Time(config>>3), ina219Time(config>>7))
		},
		convert: func(p *INA, f Feed) {
			config, calibration := p.registers[0], int64(p.registers[5]&^1)
			span := int64(4000) << (config >> 11 & 3)
			shunt := inaClip(f.Shunt/10e-6, -span, span)
			bus := inaClip(f.Bus/4e-3, 0, int64(4000)<<(config>>13&1))
			current := shunt * calibration / 4096
			power := max(current, -current) * bus / 5000
			overflow := uint64(0)
			if current != int64(int16(current)) || power > 0xFFFF {
				overflow = 1
			}
			p.result(config, 1, uint64(uint16(shunt)), 2, uint64(bus)<<3|2|overflow)
			p.registers[3], p.registers[4] = uint64(uint16(power)), uint64(uint16(current))
		},
	})
}

// NewINA226 returns an INA226 that has just got power; results come by clock, nil is
// real time.
func NewINA226(clock hardware.Clock) *INA {
	return newINA(clock, &inaModel{
		width:    map[byte]int{0: 2, 1: 2, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2, 7: 2, 0xFE: 2, 0xFF: 2},
		reset:    map[byte]uint64{0: 0x4127, 0xFE: 0x5449, 0xFF: 0x2260},
		readOnly: map[byte]bool{1: true, 2: true, 3: true, 4: true, 0xFE: true, 0xFF: true},
		config:   0, ready: 6, readyBit: 3, clear: 6,
		every: func(p *INA) (time.Duration, bool) {
			config := p.registers[0]
			average := [...]time.Duration{1, 4, 16, 64, 128, 256, 512, 1024}[config>>9&7]
			d, on := inaMode(config, average*ina226Time(config>>3), average*ina226Time(config>>6))
			return d, on
		},
		convert: func(p *INA, f Feed) {
			config, calibration := p.registers[0], int64(p.registers[5])
			shunt := inaClip(f.Shunt/2.5e-6, math.MinInt16, math.MaxInt16)
			bus := inaClip(f.Bus/1.25e-3, 0, 0x7FFF)
			current := shunt * calibration / 2048
			power := max(current, -current) * bus / 20000
			p.registers[6] |= 8
			if current != int64(int16(current)) || power > 0xFFFF {
				p.registers[6] |= 4
			}
			p.result(config, 1, uint64(uint16(shunt)), 2, uint64(bus))
			p.registers[3], p.registers[4] = uint64(uint16(power)), uint64(uint16(current))
		},
	})
}

// NewINA228 returns an INA228 that has just got power; results come by clock, nil is
// real time.
func NewINA228(clock hardware.Clock) *INA {
	width := map[byte]int{4: 3, 5: 3, 7: 3, 8: 3, 9: 5, 10: 5, 0x3E: 2, 0x3F: 2}
	for a := byte(0); a <= 0x11; a++ {
		if width[a] == 0 {
			width[a] = 2
		}
	}
	return newINA(clock, &inaModel{
		width: width,
		reset: map[byte]uint64{0: 0, 1: 0xFB68, 2: 0x1000, 0x0B: 1, 0x0C: 0x7FFF, 0x0D: 0x8000, 0x0E: 0x7FFF, 0x10: 0x7FFF, 0x11: 0xFFFF,
			0x3E: 0x5449, 0x3F: 0x2281},
		readOnly: map[byte]bool{4: true, 5: true, 6: true, 7: true, 8: true, 9: true, 10: true, 0x3E: true, 0x3F: true},
		config:   1, ready: 0x0B, readyBit: 1, clear: 0x0B,
		every: func(p *INA) (time.Duration, bool) {
			config := p.registers[1]
			average := [...]time.Duration{1, 4, 16, 64, 128, 256, 512, 1024}[config&7]
			var sum time.Duration
			for bit, shift := range map[uint]uint{12: 9, 13: 6, 14: 3} { // bus, shunt, temperature
				if config>>bit&1 != 0 {
					sum += [...]time.Duration{50, 84, 150, 280, 540, 1052, 2074, 4120}[config>>shift&7] * time.Microsecond
				}
			}
			return average * sum, sum > 0
		},
		convert: func(p *INA, f Feed) {
			step := 312.5e-9
			if p.registers[0]&0x10 != 0 {
				step = 78.125e-9
			}
			calibration := int64(p.registers[2] & 0x7FFF)
			shunt := inaClip(f.Shunt/step, -1<<19, 1<<19-1)
			bus := inaClip(f.Bus/195.3125e-6, 0, 1<<19-1)
			current := int64(0)
			if calibration > 0 {
				current = shunt * 4096 / calibration
			}
			power := max(current, -current) * bus / 16384
			p.registers[0x0B] |= 2
			if current != inaClip(float64(current), -1<<19, 1<<19-1) || power > 0xFFFFFF {
				p.registers[0x0B] |= 1 << 9
			}
			mode := p.registers[1] >> 12
			if mode&2 != 0 {
				p.registers[4] = uint64(shunt) & 0xFFFFF << 4
			}
			if mode&1 != 0 {
				p.registers[5] = uint64(bus) << 4
			}
			if mode&4 != 0 {
				p.registers[6] = uint64(uint16(inaClip(f.Temperature/7.8125e-3, math.MinInt16, math.MaxInt16)))
			}
			p.registers[7], p.registers[8] = uint64(current)&0xFFFFF<<4, uint64(power)&0xFFFFFF
		},
	})
}

func newINA(clock hardware.Clock, m *inaModel) *INA {
	p := &INA{model: m, clock: clock.Or()}
	p.reset()
	return p
}

// inaClip is the nearest whole number within low and high.
func inaClip(v float64, low, high int64) int64 {
	return int64(math.Round(max(float64(low), min(float64(high), v))))
}

// inaMode is the time of a result in the modes of the INA219 and INA226, and whether
// they are continuous.
func inaMode(config uint64, shunt, bus time.Duration) (time.Duration, bool) {
	var sum time.Duration
	if config&1 != 0 {
		sum += shunt
	}
	if config&2 != 0 {
		sum += bus
	}
	return sum, sum > 0 && config&4 != 0
}

// ina219Time is the time of one conversion (table 5).
func ina219Time(code uint64) time.Duration {
	if code &= 15; code >= 8 {
		return 532 * time.Microsecond << (code - 8)
	}
	return [...]time.Duration{84, 148, 276, 532}[code&3] * time.Microsecond
}

// ina226Time is the time of one conversion (tables 7-7 and 7-8).
func ina226Time(code uint64) time.Duration {
	return [...]time.Duration{140, 204, 332, 588, 1100, 2116, 4156, 8244}[code&7] * time.Microsecond
}

// result stores what was converted: bit 0 of the mode is the shunt, bit 1 the bus.
func (p *INA) result(config uint64, shuntAt byte, shunt uint64, busAt byte, bus uint64) {
	if config&1 != 0 {
		p.registers[shuntAt] = shunt
	}
	if config&2 != 0 {
		p.registers[busAt] = bus
	} else {
		p.registers[busAt] |= bus & 3
	}
}

// Set wires the part to f. Results that were ready before stay as they are.
func (p *INA) Set(f Feed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle()
	p.feed = f
}

// PowerCycle is a brown-out: all registers are as after power-up.
func (p *INA) PowerCycle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reset()
}

func (p *INA) reset() {
	p.registers = map[byte]uint64{}
	for a, w := range p.model.reset {
		p.registers[a] = w
	}
	p.pointer, p.began, p.done = 0, p.clock(), 0
}

// settle brings the registers up to date.
func (p *INA) settle() {
	every, on := p.model.every(p)
	if !on || every <= 0 {
		return
	}
	if n := int64((p.clock() - p.began) / every); n > p.done {
		p.done = n
		p.model.convert(p, p.feed)
	}
}

// Settings returns how many registers were written.
func (p *INA) Settings() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.writes
}

// Register returns the word of a register, behind the driver's back.
func (p *INA) Register(address byte) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle()
	return p.registers[address]
}

// WriteI2C sets the pointer, and the register it points at.
func (p *INA) WriteI2C(b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle()
	width := p.model.width[b[0]]
	if width == 0 || len(b) != 1 && len(b) != 1+width {
		return false
	}
	p.pointer = b[0]
	if len(b) == 1 {
		return true
	}
	p.writes++
	var w uint64
	for _, c := range b[1:] {
		w = w<<8 | uint64(c)
	}
	if p.pointer == 0 && w&0x8000 != 0 {
		p.reset()
		return true
	}
	if p.model.readOnly[p.pointer] {
		return true // it is taken, and has no effect
	}
	p.registers[p.pointer] = w
	if p.pointer == p.model.config {
		p.began, p.done = p.clock(), 0
		p.registers[p.model.ready] &^= 1 << p.model.readyBit
	}
	return true
}

// ReadI2C returns the register that the pointer points at, over and over.
func (p *INA) ReadI2C(b []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.settle()
	width := p.model.width[p.pointer]
	word := p.registers[p.pointer]
	for i := range b {
		b[i] = byte(word >> (8 * (width - 1 - i%width)))
	}
	if p.pointer == p.model.clear {
		p.registers[p.model.ready] &^= 1 << p.model.readyBit
	}
	return true
}
