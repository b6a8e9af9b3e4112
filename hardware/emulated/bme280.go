package emulated

import (
	"math"
	"sort"
	"sync"
	"time"
)

// Weather is what a BME280 stands in.
type Weather struct {
	Temperature float64 // degrees Celsius
	Pressure    float64 // Pa
	Humidity    float64 // per cent of relative humidity
}

// BME280 is the register model of a Bosch Sensortec BME280 or BMP280. It measures when
// it is told to (forced mode) or all the time (normal mode), and calculates its raw
// words by the data sheet's formulas in floating point, backwards (BST-BME280-DS002
// revision 1.6, section 8.1). Its methods may be called from any goroutine.
type BME280 struct {
	mu        sync.Mutex // guards the fields below
	weather   Weather
	humid     bool
	registers [256]byte
	pointer   byte
	until     time.Time // the measurement in progress ends; real time
	running   bool
	first     bool // nothing was measured since power-up
	writes    int

	t          [3]float64
	p          [9]float64
	h          [6]float64
	activeHumi byte // osrs_h as the last write to ctrl_meas took it
}

var _ Part = (*BME280)(nil)

// bme280Memory are coefficients at 88h to A1h and E1h to E7h: those of temperature and
// pressure are the maker's example (BST-BMP280-DS001 revision 1.14, section 3.12).
var (
	bme280Words    = []int{27504, 26435, -1000, 36477, -10685, 3024, 2855, 140, -7, 15500, -14600, 6000}
	bme280Humidity = [6]int{75, 366, 0, 309, 50, 30}
)

// NewBME280 returns a part that has just got power; with humid false it is a BMP280.
func NewBME280(humid bool) *BME280 {
	s := &BME280{humid: humid, weather: Weather{20, 101325, 50}}
	s.power()
	return s
}

func (s *BME280) power() {
	s.registers = [256]byte{}
	for i, w := range bme280Words {
		s.registers[0x88+2*i], s.registers[0x89+2*i] = byte(w), byte(w>>8)
		if i < 3 {
			s.t[i] = float64(w)
		} else {
			s.p[i-3] = float64(w)
		}
	}
	s.registers[0xD0] = 0x58
	if s.humid {
		s.registers[0xD0] = 0x60
		h := bme280Humidity
		for i, w := range h {
			s.h[i] = float64(w)
		}
		s.registers[0xA1] = byte(h[0])
		copy(s.registers[0xE1:], []byte{byte(h[1]), byte(h[1] >> 8), byte(h[2]), byte(h[3] >> 4), byte(h[3]&15 | h[4]&15<<4), byte(h[4] >> 4), byte(h[5])})
	}
	copy(s.registers[0xF7:], []byte{0x80, 0, 0, 0x80, 0, 0, 0x80, 0})
	s.running, s.first, s.activeHumi = false, true, 0
}

// Set makes the part measure w from now on.
func (s *BME280) Set(w Weather) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.weather = w
}

// PowerCycle is a brown-out: all registers are as after power-up.
func (s *BME280) PowerCycle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.power()
}

// Settings returns how many registers were written.
func (s *BME280) Settings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// times are how often a measurement is taken, by the oversampling bits.
var bme280Times = [8]int{0, 1, 2, 4, 8, 16, 16, 16}

// start begins a measurement (typical times, section 9.1).
func (s *BME280) start() {
	control := s.registers[0xF4]
	t, p, h := bme280Times[control>>5], bme280Times[control>>2&7], bme280Times[s.activeHumi&7]
	took := time.Millisecond + time.Duration(2*(t+p+h))*time.Millisecond
	if p > 0 {
		took += 500 * time.Microsecond
	}
	if h > 0 {
		took += 500 * time.Microsecond
	}
	s.until, s.running = time.Now().Add(took), true
}

// settle ends the measurement in progress when its time has come.
func (s *BME280) settle() {
	for s.running && !time.Now().Before(s.until) {
		s.store()
		if s.registers[0xF4]&3 != 3 {
			s.registers[0xF4] &^= 3 // forced mode falls asleep
			s.running = false
			return
		}
		s.start()
	}
}

// store writes the words of a measurement.
func (s *BME280) store() {
	w := s.weather
	if s.first {
		s.first = false
		w.Pressure -= 300 // it is not settled yet
	}
	control := s.registers[0xF4]
	raw := sort.Search(1<<20, func(n int) bool { return s.fine(n)/5120 >= w.Temperature })
	fine := s.fine(raw)
	s.put20(0xFA, raw, control>>5 != 0)
	pressure := sort.Search(1<<20, func(n int) bool { return s.pressure(n, fine) <= w.Pressure })
	s.put20(0xF7, pressure, control>>2&7 != 0)
	if !s.humid {
		return
	}
	humidity := 0x8000
	if s.activeHumi&7 != 0 {
		humidity = sort.Search(1<<16-1, func(n int) bool { return s.humidity(n, fine) >= w.Humidity })
	}
	s.registers[0xFD], s.registers[0xFE] = byte(humidity>>8), byte(humidity)
}

func (s *BME280) put20(address, n int, measured bool) {
	if !measured {
		n = 0x80000
	}
	n = min(n, 1<<20-1)
	s.registers[address], s.registers[address+1], s.registers[address+2] = byte(n>>12), byte(n>>4), byte(n<<4)
}

func (s *BME280) fine(raw int) float64 {
	n := float64(raw)
	x := (n/16384 - s.t[0]/1024) * s.t[1]
	y := n/131072 - s.t[0]/8192
	return x + y*y*s.t[2]
}

func (s *BME280) pressure(raw int, fine float64) float64 {
	x := fine/2 - 64000
	y := x * x * s.p[5] / 32768
	y += x * s.p[4] * 2
	y = y/4 + s.p[3]*65536
	x = (s.p[2]*x*x/524288 + s.p[1]*x) / 524288
	x = (1 + x/32768) * s.p[0]
	p := (1048576 - float64(raw) - y/4096) * 6250 / x
	return p + (s.p[8]*p*p/2147483648+p*s.p[7]/32768+s.p[6])/16
}

func (s *BME280) humidity(raw int, fine float64) float64 {
	h := fine - 76800
	h = (float64(raw) - (s.h[3]*64 + s.h[4]/16384*h)) * (s.h[1] / 65536 * (1 + s.h[5]/67108864*h*(1+s.h[2]/67108864*h)))
	return math.Max(0, math.Min(100, h*(1-s.h[0]*h/524288)))
}

// WriteI2C sets the pointer, or writes pairs of register and value.
func (s *BME280) WriteI2C(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	if len(b) == 1 {
		s.pointer = b[0]
		return true
	}
	if len(b)%2 != 0 {
		return false
	}
	for i := 0; i < len(b); i += 2 {
		s.writes++
		s.write(b[i], b[i+1])
	}
	return true
}

func (s *BME280) write(address, value byte) {
	switch address {
	case 0xE0:
		if value == 0xB6 {
			s.power()
		}
	case 0xF2:
		if s.humid {
			s.registers[address] = value & 7
		}
	case 0xF5:
		s.registers[address] = value
	case 0xF4:
		s.registers[address] = value
		s.activeHumi = s.registers[0xF2] // only now does ctrl_hum take effect (5.4.3)
		if value&3 != 0 {
			s.start()
		}
	}
}

// ReadI2C reads registers from the pointer on.
func (s *BME280) ReadI2C(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	s.registers[0xF3] = 0
	if s.running {
		s.registers[0xF3] = 8
	}
	for i := range b {
		b[i] = s.registers[s.pointer]
		s.pointer++
	}
	return true
}
