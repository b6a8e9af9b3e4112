package emulated

import (
	"math"
	"sync"
	"time"

	"wattmark/hardware"
)

// Commands of the SCD30 (interface description version 1.0, May 2020, section 1.4).
const (
	scd30Start       = 0x0010
	scd30Stop        = 0x0104
	scd30Interval    = 0x4600
	scd30Ready       = 0x0202
	scd30Read        = 0x0300
	scd30SelfCal     = 0x5306
	scd30Recalibrate = 0x5204
	scd30Offset      = 0x5403
	scd30Altitude    = 0x5102
	scd30Firmware    = 0xD100
	scd30SoftReset   = 0xD304
)

// SCD30 is the command model of a Sensirion SCD30 at address 0x61. What is set stays
// through a loss of power, continuous measurement too. Its methods may be called
// from any goroutine.
type SCD30 struct {
	clock hardware.Clock

	mu        sync.Mutex // guards the fields below
	air       Air
	frozen    bool
	measuring bool
	interval  uint16 // s
	selfCal   uint16
	reference uint16 // of the last forced recalibration, ppm
	correct   float64
	offset    uint16 // 0.01 K
	altitude  uint16 // m
	rhythm    rhythm
	port      port
	writes    int
}

var _ Part = (*SCD30)(nil)

// NewSCD30 returns a part in fresh air with the maker's settings, not measuring.
// Measurements become ready by clock; nil is real time.
func NewSCD30(clock hardware.Clock) *SCD30 {
	return &SCD30{clock: clock.Or(), interval: 2, reference: 400, air: Air{CO2: 420, Temperature: 20, Humidity: 50}}
}

// Set makes the part measure a from now on.
func (s *SCD30) Set(a Air) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.frozen {
		s.air = a
	}
}

// Freeze makes the part repeat what it measures now, whatever is set.
func (s *SCD30) Freeze(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = on
}

// PowerCycle is a brown-out: the part boots and goes on with the settings it keeps.
func (s *SCD30) PowerCycle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restart()
	s.port = port{}
}

// restart begins the rhythm anew, if the part is to measure.
func (s *SCD30) restart() {
	s.rhythm = rhythm{}
	if s.measuring {
		s.rhythm.start(s.clock(), time.Duration(s.interval)*time.Second)
	}
}

// Settings returns how many commands came that change a setting or state.
func (s *SCD30) Settings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// repeatedStart reports that the part does not support one (section 1.1).
func (s *SCD30) repeatedStart() bool { return false }

// WriteI2C takes a command, with an argument or to be read after.
func (s *SCD30) WriteI2C(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.port.working(false) {
		return false
	}
	code, argument, has, ok := command(b)
	if !ok {
		return false
	}
	s.port.reply = s.port.reply[:0]
	s.port.busy(3*time.Millisecond, false)
	if has {
		s.writes++
		return s.change(code, argument)
	}
	switch code {
	case scd30Stop:
		s.writes++
		s.measuring = false
		s.restart()
	case scd30SoftReset:
		s.writes++
		s.restart()
		s.port.busy(2*time.Second, true)
	case scd30Ready:
		word := uint16(0)
		if s.rhythm.ready(s.clock()) {
			word = 1
		}
		s.answer(word)
	case scd30Read:
		s.rhythm.taken = s.rhythm.latest(s.clock())
		s.answerFloats(s.air.CO2+s.correct, s.air.Temperature-float64(s.offset)/100, s.air.Humidity)
	case scd30Interval:
		s.answer(s.interval)
	case scd30SelfCal:
		s.answer(s.selfCal)
	case scd30Recalibrate:
		s.answer(s.reference)
	case scd30Offset:
		s.answer(s.offset)
	case scd30Altitude:
		s.answer(s.altitude)
	case scd30Firmware:
		s.answer(0x0342) // major 3, minor 66
	default:
		return false
	}
	return true
}

// change takes the commands with an argument; what is out of range is not
// acknowledged.
func (s *SCD30) change(code, argument uint16) bool {
	switch code {
	case scd30Start: // ambient pressure in hPa, or 0 for none (section 1.4.1)
		if argument != 0 && (argument < 700 || argument > 1400) {
			return false
		}
		s.measuring = true
		s.restart()
	case scd30Interval:
		if argument < 2 || argument > 1800 {
			return false
		}
		s.interval = argument
		s.restart()
	case scd30SelfCal:
		if argument > 1 {
			return false
		}
		s.selfCal = argument
	case scd30Recalibrate:
		if argument < 400 || argument > 2000 {
			return false
		}
		s.reference, s.correct = argument, float64(argument)-s.air.CO2
	case scd30Offset:
		s.offset = argument
	case scd30Altitude:
		s.altitude = argument
	default:
		return false
	}
	return true
}

func (s *SCD30) answer(word uint16) { s.port.reply = appendWord(s.port.reply, word) }

// answerFloats answers float32 values, high word first (section 1.4.5).
func (s *SCD30) answerFloats(values ...float64) {
	for _, v := range values {
		bits := math.Float32bits(float32(v))
		s.answer(uint16(bits >> 16))
		s.answer(uint16(bits))
	}
}

// ReadI2C returns the answer to the last command.
func (s *SCD30) ReadI2C(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port.read(b)
}
