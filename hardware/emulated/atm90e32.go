package emulated

import (
	"math"
	"sync"

	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// Load is what a three-phase front end measures, behind transformers that make its gains
// of 0x8000 right.
type Load struct {
	Voltage, Current [3]float64 // V, A
	Active, Reactive [3]float64 // W, var; positive from the grid
	Frequency        float64    // Hz
	Temperature      float64    // degrees Celsius
}

// The energies that an ATM90E32 counts, by the register of their total.
const (
	ActiveImport   = 0x80
	ActiveExport   = 0x84
	ReactiveImport = 0x88
	ReactiveExport = 0x8C
)

// ATM90E32 is the register model of a Microchip ATM90E32AS (data sheet Atmel-46003,
// application note Atmel-46103). Energy is what a simulation adds, not the integral of
// the load. Its methods may be called from any goroutine.
type ATM90E32 struct {
	mu       sync.Mutex // guards the fields below
	load     Load
	settings [0x80]uint16
	last     uint16
	energy   map[byte]float64 // Wh or varh, since power-up
	counted  map[byte]uint64  // of it, in steps that were read
	writes   int
	// between is called after each transfer.
	between func(transfers int)
	n       int
}

var _ Chip = (*ATM90E32)(nil)

// NewATM90E32 returns a part that has just got power.
func NewATM90E32() *ATM90E32 {
	c := &ATM90E32{}
	c.power()
	return c
}

func (c *ATM90E32) power() {
	c.settings = [0x80]uint16{0x31: 0x0861, 0x32: 0xC468, 0x33: 0x0087}
	for _, a := range []int{0x61, 0x62, 0x65, 0x66, 0x69, 0x6A} {
		c.settings[a] = 0x8000
	}
	c.energy, c.counted, c.last = map[byte]float64{}, map[byte]uint64{}, 0
}

// Set makes the part measure l from now on.
func (c *ATM90E32) Set(l Load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.load = l
}

// Count makes the part count Wh or varh of one of the energies, if it is switched on.
func (c *ATM90E32) Count(energy byte, amount float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settings[0] == 1 {
		c.energy[energy] += amount
	}
}

// PowerCycle is a brown-out: settings and energy are as after power-up.
func (c *ATM90E32) PowerCycle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.power()
}

// Settings returns how many registers were written.
func (c *ATM90E32) Settings() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.writes
}

// Setting returns a register of settings, behind the driver's back.
func (c *ATM90E32) Setting(address byte) uint16 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settings[address]
}

// After makes f be called after each transfer, with their number since. It may call the
// part's methods.
func (c *ATM90E32) After(f func(transfers int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.between, c.n = f, 0
}

// SPI implements Chip.
func (c *ATM90E32) SPI() (spi.Mode, physic.Frequency) { return spi.Mode3, 200 * physic.KiloHertz }

// TxSPI implements Chip: 16 bits of address, then 16 of data.
func (c *ATM90E32) TxSPI(w, r []byte) {
	c.mu.Lock()
	between := c.between
	c.n++
	n := c.n
	c.exchange(w, r)
	c.mu.Unlock()
	if between != nil {
		between(n)
	}
}

func (c *ATM90E32) exchange(w, r []byte) {
	fill(r, 0xFF)
	if len(w) != 4 {
		return
	}
	address := (uint16(w[0])<<8 | uint16(w[1])) & 0x3FF
	if w[0]&0x80 == 0 {
		c.last = uint16(w[2])<<8 | uint16(w[3])
		c.writes++
		c.write(address, c.last)
		return
	}
	if address != 0x78 {
		c.last = c.read(address)
	}
	r[2], r[3] = byte(c.last>>8), byte(c.last)
}

func (c *ATM90E32) write(address, word uint16) {
	switch {
	case address == 0x7F:
		c.settings[0x7F] = word
	case address == 0x70 && word == 0x789A:
		c.power()
	case address < 0x70 && c.settings[0x7F] == 0x55AA:
		c.settings[address] = word
	}
}

func (c *ATM90E32) read(address uint16) uint16 {
	switch {
	case address < 0x80:
		return c.settings[address]
	case address > 0xFF:
		return 0
	case address <= 0x8F: // steps of 0.01 impulse at 3200 per kWh; cleared by this
		a := byte(address)
		steps := uint64(c.energy[a]*320) - c.counted[a]
		c.counted[a] += steps
		return uint16(min(steps, 0xFFFF))
	case c.settings[0] != 1:
		return 0
	}
	return c.measure(address)
}

func (c *ATM90E32) measure(address uint16) uint16 {
	l := &c.load
	gain := func(phase int, register int) float64 { return float64(c.settings[register+4*phase]) / 0x8000 }
	// A wrong line frequency lets the filters take too little or too much.
	wrong := 1.0
	if is60 := c.settings[0x33]>>12&1 != 0; is60 != (l.Frequency > 55) {
		wrong = 0.97
	}
	powers := func(of [3]float64) (all [4]float64) {
		for i, p := range of {
			all[i+1] = p * gain(i, 0x61) * gain(i, 0x62) * wrong
			all[0] += all[i+1]
		}
		return all
	}
	switch {
	case address >= 0xD9 && address <= 0xDB:
		i := int(address - 0xD9)
		return round16(l.Voltage[i] * gain(i, 0x61) * wrong * 100)
	case address >= 0xDD && address <= 0xDF:
		i := int(address - 0xDD)
		return round16(l.Current[i] * gain(i, 0x62) * wrong * 1000)
	case address >= 0xB0 && address <= 0xB3:
		return uint16(steps32(powers(l.Active)[address-0xB0]) >> 16)
	case address >= 0xC0 && address <= 0xC3:
		return uint16(steps32(powers(l.Active)[address-0xC0]))
	case address >= 0xB4 && address <= 0xB7:
		return uint16(steps32(powers(l.Reactive)[address-0xB4]) >> 16)
	case address >= 0xC4 && address <= 0xC7:
		return uint16(steps32(powers(l.Reactive)[address-0xC4]))
	case address >= 0xBC && address <= 0xBF:
		i := address - 0xBC
		p, q := powers(l.Active)[i], powers(l.Reactive)[i]
		if p == 0 && q == 0 {
			return 0
		}
		return round16(1000 * p / math.Hypot(p, q))
	case address == 0xF8:
		return round16(l.Frequency * 100)
	case address == 0xFC:
		return round16(l.Temperature)
	}
	return 0
}

// steps32 is a power in steps of 0.00032 W.
func steps32(watts float64) uint32 { return uint32(int32(math.Round(watts / 0.00032))) }

// round16 is the word of a number, negative ones in two's complement.
func round16(v float64) uint16 { return uint16(int32(math.Round(v))) }
