package emulated

import (
	"encoding/binary"
	"sync"
	"time"
)

// Plume is what a Plantower sensor tells of the air: mass up to 1, 2.5 and 10 um in
// ug/m3, as "standard" and as "atmospheric" particles, and the number of particles above
// 0.3, 0.5, 1, 2.5, 5 and 10 um in 0.1 l.
type Plume struct {
	Standard, Atmospheric [3]uint16
	Above                 [6]uint16
}

// PMS is a Plantower PMS5003 or PMS7003 on a UART, a Talker on a Cable: a frame of 32
// bytes each 2.3 s ("PMS5003 series data manual" V2.3, "PMS7003 series data manual"
// V2.5, appendix I). Its methods may be called from any goroutine.
type PMS struct {
	mu    sync.Mutex // guards the field below
	plume Plume
}

var (
	_ Talker  = (*PMS)(nil)
	_ Checked = (*PMS)(nil)
	_ Tuned   = (*PMS)(nil)
)

// NewPMS returns a part in clean air, in the active mode that it starts in.
func NewPMS() *PMS { return &PMS{} }

// Set makes the part measure p from now on.
func (s *PMS) Set(p Plume) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plume = p
}

// Baud returns its only speed.
func (s *PMS) Baud() int { return 9600 }

// Checksum returns the place of the low byte of the frame's sum.
func (s *PMS) Checksum(frame []byte) int { return len(frame) - 1 }

// Talk appends a frame: the real interval is 2.3 s in steady air.
func (s *PMS) Talk(b []byte) (frame []byte, next time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	start := len(b)
	b = append(b, 'B', 'M', 0, 28)
	p := &s.plume
	for _, words := range [][]uint16{p.Standard[:], p.Atmospheric[:], p.Above[:], {0x9700}} { // the last is reserved: version and error code
		for _, w := range words {
			b = binary.BigEndian.AppendUint16(b, w)
		}
	}
	sum := uint16(0)
	for _, c := range b[start:] {
		sum += uint16(c)
	}
	return binary.BigEndian.AppendUint16(b, sum), 2300 * time.Millisecond
}
