package emulated

import (
	"bytes"
	"encoding/binary"
	"math"
	"sync"
	"time"

	"wattmark/hardware"
)

// Commands of the SPS30 on I2C (data sheet version 1.0, March 2020, section 6.3).
const (
	sps30Start    = 0x0010
	sps30Stop     = 0x0104
	sps30Ready    = 0x0202
	sps30Read     = 0x0300
	sps30Clean    = 0x5607
	sps30Interval = 0x8004
	sps30Type     = 0xD002
	sps30Serial   = 0xD033
	sps30Version  = 0xD100
	sps30Status   = 0xD206
	sps30Reset    = 0xD304
)

// States of the SPS30's replies on the UART (section 5.2).
const (
	sps30WrongLength  = 0x01
	sps30Unknown      = 0x02
	sps30BadParameter = 0x04
	sps30NotNow       = 0x43
	sps30Flagged      = 0x80
)

// Bits of the SPS30's status register (section 4.4).
const (
	SPS30Speed = 1 << 21
	SPS30Laser = 1 << 5
	SPS30Fan   = 1 << 4
)

// Dust is what a particle sensor breathes, in the order in which the SPS30 tells it:
// mass up to 1, 2.5, 4 and 10 um in ug/m3, number from 0.3 up to 0.5, 1, 2.5, 4 and
// 10 um in 1/cm3, typical size in um.
type Dust [10]float32

// SPS30 is the command model of a Sensirion SPS30: a Part at I2C address 0x69, or an
// Answerer on a Cable. A measurement is given once, and each second there is another.
// Its methods may be called from any goroutine.
type SPS30 struct {
	clock  hardware.Clock
	serial string

	mu        sync.Mutex // guards the fields below
	dust      Dust
	frozen    bool
	measuring bool
	status    uint32
	firmware  uint16
	cleaning  uint32 // s between cleanings of the fan
	rhythm    rhythm
	port      port
	writes    int
	scratch   []byte // of a measurement
	request   []byte // unstuffed
}

var (
	_ Part     = (*SPS30)(nil)
	_ Answerer = (*SPS30)(nil)
	_ Checked  = (*SPS30)(nil)
)

// NewSPS30 returns an idle part of firmware 2.2 with the maker's settings, in clean air.
// Measurements become ready by clock; nil is real time.
func NewSPS30(serial string, clock hardware.Clock) *SPS30 {
	return &SPS30{clock: clock.Or(), serial: serial, firmware: 0x0202, cleaning: 604800}
}

// Set makes the part measure d from now on.
func (s *SPS30) Set(d Dust) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.frozen {
		s.dust = d
	}
}

// Freeze makes the part repeat what it measures now, whatever is set.
func (s *SPS30) Freeze(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = on
}

// SetStatus sets the status register.
func (s *SPS30) SetStatus(bits uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status = bits
}

// SetFirmware makes the part one of another version, high byte major. Before 2.2 it has
// no status register.
func (s *SPS30) SetFirmware(version uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.firmware = version
}

// PowerCycle is a brown-out: the part boots, idle.
func (s *SPS30) PowerCycle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.measuring, s.rhythm, s.port = false, rhythm{}, port{}
}

// Settings returns how many commands came that change a setting or state.
func (s *SPS30) Settings() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// start and stop change the mode; false is not allowed in the mode that it is in.
func (s *SPS30) start() bool {
	s.writes++
	if s.measuring {
		return false
	}
	s.measuring = true
	s.rhythm.start(s.clock(), time.Second)
	return true
}

func (s *SPS30) stop() bool {
	s.writes++
	was := s.measuring
	s.measuring, s.rhythm = false, rhythm{}
	return was
}

// take returns the measurement that waits as bytes, none if there is none.
func (s *SPS30) take() []byte {
	if !s.rhythm.ready(s.clock()) {
		return nil
	}
	s.rhythm.taken = s.rhythm.latest(s.clock())
	return s.measurement()
}

func (s *SPS30) measurement() []byte {
	s.scratch = s.scratch[:0]
	for _, v := range s.dust {
		s.scratch = binary.BigEndian.AppendUint32(s.scratch, math.Float32bits(v))
	}
	return s.scratch
}

// WriteI2C takes a command, with an argument or to be read after.
func (s *SPS30) WriteI2C(b []byte) bool {
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
	s.port.busy(5*time.Millisecond, false)
	switch {
	case code == sps30Start:
		s.port.busy(20*time.Millisecond, true)
		return has && argument == 0x0300 && s.start()
	case has: // setting the interval of cleaning takes two words, which nobody sends here
		return false
	case code == sps30Stop:
		s.port.busy(20*time.Millisecond, true)
		s.stop()
	case code == sps30Clean, code == sps30Reset:
		s.writes++
		if code == sps30Reset {
			s.stop()
		}
	case code == sps30Ready:
		ready := byte(0)
		if s.rhythm.ready(s.clock()) {
			ready = 1
		}
		s.port.reply = appendWord(s.port.reply, uint16(ready))
	case code == sps30Read:
		if !s.measuring {
			return false
		}
		s.rhythm.taken = s.rhythm.latest(s.clock())
		s.words(s.measurement())
	case code == sps30Interval:
		s.words(binary.BigEndian.AppendUint32(nil, s.cleaning))
	case code == sps30Type:
		s.words([]byte("00080000"))
	case code == sps30Serial:
		s.words(append([]byte(s.serial), make([]byte, 32-len(s.serial))...))
	case code == sps30Version:
		s.words(binary.BigEndian.AppendUint16(nil, s.firmware))
	case code == sps30Status && s.firmware >= 0x0202:
		s.port.reply = appendWord(appendWord(s.port.reply, uint16(s.status>>16)), uint16(s.status))
	default:
		return false
	}
	return true
}

// words answers bytes, two in a word.
func (s *SPS30) words(b []byte) {
	for i := 0; i < len(b); i += 2 {
		s.port.reply = appendWord(s.port.reply, binary.BigEndian.Uint16(b[i:]))
	}
}

// ReadI2C returns the answer to the last command.
func (s *SPS30) ReadI2C(b []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.port.read(b)
}

// Answer takes requests of the UART (section 5).
func (s *SPS30) Answer(sent, b []byte) (used int, reply []byte, after time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begin := bytes.IndexByte(sent, 0x7E)
	if begin < 0 {
		return len(sent), b, 0
	}
	if begin > 0 {
		return begin, b, 0 // noise before a frame
	}
	end := bytes.IndexByte(sent[1:], 0x7E)
	if end < 0 {
		return 0, b, 0
	}
	s.request = s.request[:0]
	for i := 1; i <= end; i++ {
		if sent[i] == 0x7D && i < end {
			i++
			s.request = append(s.request, sent[i]^0x20)
		} else {
			s.request = append(s.request, sent[i])
		}
	}
	frame := s.request
	used = end + 2
	sum := byte(0)
	for _, c := range frame {
		sum += c
	}
	if len(frame) < 4 || sum != 0xFF || frame[0] != 0 || int(frame[2]) != len(frame)-4 {
		return used, b, 0 // what is no request to it is not answered
	}
	state, data := s.execute(frame[1], frame[3:len(frame)-1])
	if s.status != 0 {
		state |= sps30Flagged
	}
	b = append(b, 0x7E)
	sum = 0
	for _, c := range [...]byte{0, frame[1], state, byte(len(data))} {
		b = appendStuffed(b, c)
		sum += c
	}
	for _, c := range data {
		b = appendStuffed(b, c)
		sum += c
	}
	return used, append(appendStuffed(b, ^sum), 0x7E), 5 * time.Millisecond
}

// appendStuffed appends a byte between the ends of a frame (section 5.1).
func appendStuffed(b []byte, c byte) []byte {
	if c == 0x7E || c == 0x7D || c == 0x11 || c == 0x13 {
		return append(b, 0x7D, c^0x20)
	}
	return append(b, c)
}

// sps30Lengths is how many bytes of data each command of the UART has (section 5.3).
var sps30Lengths = map[byte]int{0x00: 2, 0x01: 0, 0x03: 0, 0x56: 0, 0x80: 1, 0xD0: 1, 0xD1: 0, 0xD2: 1, 0xD3: 0}

// execute does what a request says, and returns the reply's state and data.
func (s *SPS30) execute(code byte, data []byte) (state byte, answer []byte) {
	n, known := sps30Lengths[code]
	switch {
	case !known:
		return sps30Unknown, nil
	case len(data) != n:
		return sps30WrongLength, nil
	}
	switch code {
	case 0x00:
		if data[0] != 1 || data[1] != 3 {
			return sps30BadParameter, nil
		}
		if !s.start() {
			return sps30NotNow, nil
		}
	case 0x01:
		if !s.stop() {
			return sps30NotNow, nil
		}
	case 0x03:
		if !s.measuring {
			return sps30NotNow, nil
		}
		return 0, s.take()
	case 0x56:
		s.writes++
	case 0x80:
		return 0, binary.BigEndian.AppendUint32(nil, s.cleaning)
	case 0xD0:
		switch data[0] {
		case 0x00:
			return 0, []byte("00080000\x00")
		case 0x03:
			return 0, append([]byte(s.serial), 0)
		}
		return sps30BadParameter, nil
	case 0xD1: // firmware, reserved, hardware 7, reserved, SHDLC 2.0
		return 0, []byte{byte(s.firmware >> 8), byte(s.firmware), 0, 7, 0, 2, 0}
	case 0xD2:
		answer = append(binary.BigEndian.AppendUint32(nil, s.status), 0)
		if data[0] == 1 {
			s.writes++
			s.status = 0
		}
		return 0, answer
	case 0xD3:
		s.stop()
	}
	return 0, nil
}

// Checksum returns the place of a frame's checksum, or of what is left of it: the byte
// before the end.
func (s *SPS30) Checksum(frame []byte) int { return len(frame) - 2 }
