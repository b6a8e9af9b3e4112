package emulated

import (
	"math"
	"sync"
	"time"

	"wattmark/hardware"
)

// Commands of the SCD4x (data sheet version 1.1, table 9 and sections 3.5 to 3.9).
const (
	scd4xStart         = 0x21B1
	scd4xStartLowPower = 0x21AC
	scd4xRead          = 0xEC05
	scd4xStop          = 0x3F86
	scd4xReady         = 0xE4B8
	scd4xSetOffset     = 0x241D
	scd4xOffset        = 0x2318
	scd4xSetAltitude   = 0x2427
	scd4xAltitude      = 0x2322
	scd4xPressure      = 0xE000
	scd4xRecalibrate   = 0x362F
	scd4xSetSelfCal    = 0x2416
	scd4xSelfCal       = 0x2313
	scd4xPersist       = 0x3615
	scd4xSerial        = 0x3682
	scd4xSelfTest      = 0x3639
	scd4xFactoryReset  = 0x3632
	scd4xReinit        = 0x3646
)

// settings are what persist_settings keeps.
type scd4xSettings struct {
	offset, altitude, selfCal uint16
}

var scd4xFactory = scd4xSettings{offset: 0x05DA, selfCal: 1} // 4 K, section 3.6.1; ASC on, section 3.7.2

// SCD4x is the command model of a Sensirion SCD40 or SCD41 at address 0x62. Its
// methods may be called from any goroutine.
type SCD4x struct {
	clock  hardware.Clock
	serial uint64 // 48 bits

	mu        sync.Mutex // guards the fields below
	air       Air
	frozen    bool
	correct   int // ppm added by a forced recalibration
	saved     scd4xSettings
	set       scd4xSettings
	pressure  uint16 // hPa, volatile
	rhythm    rhythm
	port      port
	malfunc   uint16
	recalFail bool
	writes    int
}

var _ Part = (*SCD4x)(nil)

// NewSCD4x returns a part in fresh air, idle as after power-up. Measurements become
// ready by clock; nil is real time.
func NewSCD4x(serial uint64, clock hardware.Clock) *SCD4x {
	return &SCD4x{clock: clock.Or(), serial: serial & (1<<48 - 1), saved: scd4xFactory, set: scd4xFactory,
		air: Air{CO2: 420, Temperature: 20, Humidity: 50}}
}

// Set makes the part measure a from now on.
func (s *SCD4x) Set(a Air) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.frozen {
		s.air = a
	}
}

// Freeze makes the part repeat what it measures now, whatever is set.
func (s *SCD4x) Freeze(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = on
}

// FailNext makes the next self-test and the next forced recalibration fail.
func (s *SCD4x) FailNext() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.malfunc, s.recalFail = 1, true
}

// PowerCycle is a brown-out: the part is idle again with what it had persisted.
func (s *SCD4x) PowerCycle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset()
}

func (s *SCD4x) reset() {
	s.set, s.pressure, s.rhythm, s.port = s.saved, 0, rhythm{}, port{}
}

// Settings returns how many commands came that change a setting or state.
func (s *SCD4x) Settings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// WriteI2C takes a command.
func (s *SCD4x) WriteI2C(b []byte) bool {
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
	s.port.busy(time.Millisecond, false)
	switch code {
	case scd4xReady:
		word := uint16(0x8000)
		if s.rhythm.ready(s.clock()) {
			word = 0x8006
		}
		return s.answer(word)
	case scd4xRead:
		if now := s.clock(); s.rhythm.ready(now) {
			s.rhythm.taken = s.rhythm.latest(now)
			return s.answer(s.measurement())
		}
		return true // the command is taken, the read after it is not
	case scd4xPressure:
		if has {
			s.writes++
			s.pressure = argument
			return true
		}
		return s.answer(s.pressure)
	case scd4xStop:
		s.writes++
		s.rhythm = rhythm{}
		s.port.busy(500*time.Millisecond, true)
		return true
	}
	if s.rhythm.running {
		return false // nothing else is allowed while it measures (table 9)
	}
	return s.idle(code, argument, has)
}

func (s *SCD4x) answer(words ...uint16) bool {
	for _, w := range words {
		s.port.reply = appendWord(s.port.reply, w)
	}
	return true
}

// idle takes the commands that are allowed while nothing is measured.
func (s *SCD4x) idle(code, argument uint16, has bool) bool {
	switch code {
	case scd4xSerial:
		return s.answer(uint16(s.serial>>32), uint16(s.serial>>16), uint16(s.serial))
	case scd4xOffset:
		return s.answer(s.set.offset)
	case scd4xAltitude:
		return s.answer(s.set.altitude)
	case scd4xSelfCal:
		return s.answer(s.set.selfCal)
	}
	s.writes++
	switch code {
	case scd4xStart:
		s.rhythm.start(s.clock(), 5*time.Second)
	case scd4xStartLowPower:
		s.rhythm.start(s.clock(), 30*time.Second)
	case scd4xSetOffset:
		s.set.offset = argument
		return has
	case scd4xSetAltitude:
		s.set.altitude = argument
		return has
	case scd4xSetSelfCal:
		s.set.selfCal = argument
		return has && argument <= 1
	case scd4xRecalibrate:
		return has && s.recalibrate(argument)
	case scd4xSelfTest:
		s.port.busy(10*time.Second, true)
		s.answer(s.malfunc)
		s.malfunc = 0
	case scd4xPersist:
		s.saved = s.set
		s.port.busy(800*time.Millisecond, true)
	case scd4xFactoryReset:
		s.saved, s.correct = scd4xFactory, 0
		s.reset()
		s.port.busy(1200*time.Millisecond, true)
	case scd4xReinit:
		s.reset()
		s.port.busy(30*time.Millisecond, true)
	default:
		return false
	}
	return true
}

// recalibrate answers the correction in ppm, offset by 0x8000, or 0xFFFF (section
// 3.7.1).
func (s *SCD4x) recalibrate(reference uint16) bool {
	s.port.busy(400*time.Millisecond, true)
	if s.recalFail {
		s.recalFail = false
		return s.answer(0xFFFF)
	}
	correction := int(reference) - (int(math.Round(s.air.CO2)) + s.correct)
	s.correct += correction
	return s.answer(uint16(correction + 0x8000))
}

// measurement returns the three words of section 3.5.2.
func (s *SCD4x) measurement() (co2, temperature, humidity uint16) {
	return clip(s.air.CO2+float64(s.correct), 40000),
		clip((s.air.Temperature+45)*65535/175, 65535),
		clip(s.air.Humidity*65535/100, 65535)
}

func clip(v, highest float64) uint16 { return uint16(math.Round(max(0, min(highest, v)))) }

// ReadI2C returns the answer to the last command.
func (s *SCD4x) ReadI2C(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port.read(b)
}
