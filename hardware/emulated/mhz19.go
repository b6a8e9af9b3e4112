package emulated

import (
	"bytes"
	"sync"
	"time"
)

// MHZ19 is the command model of a Winsen MH-Z19B on a UART, an Answerer on a Cable:
// frames of nine bytes, the last of which makes the sum of the others but the first zero
// ("MH-Z19B User's Manual" V1.0). Its methods may be called from any goroutine.
type MHZ19 struct {
	mu      sync.Mutex // guards the fields below
	co2     float64    // ppm, as it is
	frozen  bool
	shown   float64 // what a frozen part goes on to tell
	offset  float64 // of a zero point calibration, ppm
	selfCal bool
	fullAt  uint16 // ppm, of its detection range
	writes  int
	told    []byte // the last command that changes something
}

var (
	_ Answerer = (*MHZ19)(nil)
	_ Checked  = (*MHZ19)(nil)
	_ Tuned    = (*MHZ19)(nil)
)

// NewMHZ19 returns a part with the maker's settings: self-calibration on, range 5000 ppm.
func NewMHZ19() *MHZ19 { return &MHZ19{co2: 420, selfCal: true, fullAt: 5000} }

// Set makes the air around the part one with so much CO2, in ppm.
func (m *MHZ19) Set(co2 float64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.co2 = co2
}

// Freeze makes the part repeat what it measures now, whatever is set.
func (m *MHZ19) Freeze(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.frozen, m.shown = on, m.co2
}

// SetSelfCalibration is what another program did to the part.
func (m *MHZ19) SetSelfCalibration(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.selfCal = on
}

// Settings returns how many commands came that change a setting.
func (m *MHZ19) Settings() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.writes
}

// Told returns the last command that changed a setting.
func (m *MHZ19) Told() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return bytes.Clone(m.told)
}

// Baud returns its only speed.
func (m *MHZ19) Baud() int { return 9600 }

// Checksum returns the place of the frame's last byte.
func (m *MHZ19) Checksum(frame []byte) int { return len(frame) - 1 }

// Answer takes commands.
func (m *MHZ19) Answer(sent, b []byte) (used int, reply []byte, after time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	begin := bytes.IndexByte(sent, 0xFF)
	if begin != 0 {
		if begin < 0 {
			begin = len(sent)
		}
		return begin, b, 0
	}
	if len(sent) < 9 {
		return 0, b, 0
	}
	frame := sent[:9]
	if frame[1] != 0x01 || frame[8] != mhz19Sum(frame) {
		return 1, b, 0
	}
	switch frame[2] {
	case 0x86:
		ppm := uint16(max(0, min(float64(m.fullAt), m.measured()+m.offset)) + 0.5)
		return 9, mhz19Reply(b, 0x86, byte(ppm>>8), byte(ppm), 0x3B, 0, 0, 0), 10 * time.Millisecond
	case 0x7D: // undocumented: is self-calibration on
		on := byte(0)
		if m.selfCal {
			on = 1
		}
		return 9, mhz19Reply(b, 0x7D, 0, 0, 0, 0, 0, on), 10 * time.Millisecond
	case 0x79, 0x87, 0x88, 0x99: // self-calibration, zero, span, range: no return value
		m.writes++
		m.told = append(m.told[:0], frame...)
		switch frame[2] {
		case 0x79:
			m.selfCal = frame[3] == 0xA0
		case 0x87:
			m.offset = 400 - m.measured()
		case 0x88:
			m.offset = float64(int(frame[3])<<8|int(frame[4])) - m.measured()
		}
	}
	return 9, b, 0
}

func (m *MHZ19) measured() float64 {
	if m.frozen {
		return m.shown
	}
	return m.co2
}

// mhz19Sum is the checksum of a frame, by the manual's rule: the sum of bytes 1 to 7,
// inverted, plus one.
func mhz19Sum(frame []byte) byte {
	sum := byte(0)
	for _, c := range frame[1:8] {
		sum += c
	}
	return ^sum + 1
}

func mhz19Reply(b []byte, command byte, data ...byte) []byte {
	start := len(b)
	b = append(append(b, 0xFF, command), data...)
	return append(b, mhz19Sum(b[start:]))
}
