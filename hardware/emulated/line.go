package emulated

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

// Unit is a part that speaks Modbus: a [Meter], [PZEM], [S8] or [SunSpec].
type Unit interface {
	// answer appends the reply's function code and data to out, as a PDU, for the PDU
	// of a request. out has at least one byte in front.
	answer(pdu, out []byte) []byte
}

// anyone is a Unit that answers to an address of all parts of its kind too.
type anyone interface{ anyAddress() byte }

// Line is an RS-485 line with parts on it. All methods may be called from any
// goroutine.
type Line struct {
	// Slowness is how long a Slow reply takes; set it before use.
	Slowness time.Duration

	mu    sync.Mutex // guards the fields below
	units [256]*station
	held  []byte // a Late reply, waiting for the next request
	asked int
}

// station is a part at an address, with its faults.
type station struct {
	part Unit
	plan Plan
}

// NewLine returns a line without parts. It answers through Conn; OpenLine gives one
// that answers on a pseudo-terminal.
func NewLine() *Line { return &Line{Slowness: 400 * time.Millisecond} }

// Attach puts part on the line at the given address (1 to 247). It panics on any other
// address and on one that is taken.
func (l *Line) Attach(unit byte, part Unit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if unit < 1 || unit > 247 || l.units[unit] != nil {
		panic(fmt.Sprintf("internal error: nothing can be attached at unit %d", unit))
	}
	l.units[unit] = &station{part: part}
}

// at returns who answers to an address; the mutex is held. Two parts that answer to the
// same one would talk at once: nobody is understood.
func (l *Line) at(unit byte) *station {
	if s := l.units[unit]; s != nil {
		return s
	}
	var found *station
	for _, s := range l.units {
		if s == nil {
			continue
		}
		if a, ok := s.part.(anyone); ok && a.anyAddress() == unit {
			if found != nil {
				return nil
			}
			found = s
		}
	}
	return found
}

// SetFaults makes exchanges with the unit go wrong as plan says.
func (l *Line) SetFaults(unit byte, plan Plan) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.units[unit]; s != nil {
		s.plan = plan
	}
}

// Requests returns how many requests to attached parts came.
func (l *Line) Requests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// respond takes one frame from the wire and appends to what appears on it in answer. It
// says after how long that is.
func (l *Line) respond(to, frame []byte) (reply []byte, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to = append(to, l.held...)
	l.held = l.held[:0]
	if !wellFormed(frame) {
		return to, 0 // parts do not answer noise
	}
	n := len(frame) - 2
	s := l.at(frame[0])
	if s == nil {
		return to, 0
	}
	l.asked++
	start := len(to)
	to = append(to, frame[0])
	to = s.part.answer(frame[1:n], to)
	to = binary.LittleEndian.AppendUint16(to, crc16(to[start:]))
	return l.spoil(to, s.plan.next(), start)
}

// respondTCP is respond for a frame of Modbus TCP.
func (l *Line) respondTCP(to, frame []byte) (reply []byte, after time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to = append(to, l.held...)
	l.held = l.held[:0]
	if len(frame) < mbapSize+2 || tcpFrameSize(frame) != len(frame) || frame[2] != 0 || frame[3] != 0 {
		return to, 0
	}
	s := l.at(frame[mbapSize-1])
	if s == nil {
		return to, 0
	}
	l.asked++
	start := len(to)
	to = append(to, frame[:mbapSize]...)
	to = s.part.answer(frame[mbapSize:], to)
	binary.BigEndian.PutUint16(to[start+4:], uint16(len(to)-start-6))
	f := s.plan.next()
	if f == BadCRC {
		f = NoFault // there is none in this framing
	}
	return l.spoil(to, f, start)
}

// forget drops a Late reply: the connection it was for has ended.
func (l *Line) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = l.held[:0]
}

// mbapSize is the header of Modbus TCP: transaction, protocol, length, unit.
const mbapSize = 7

// tcpFrameSize returns how long the frame of Modbus TCP that starts with b is, 0 when it
// cannot be said yet.
func tcpFrameSize(b []byte) int {
	if len(b) < mbapSize-1 {
		return 0
	}
	return mbapSize - 1 + int(binary.BigEndian.Uint16(b[4:]))
}

// spoil applies f to the reply that begins at start.
func (l *Line) spoil(out []byte, f Fault, start int) ([]byte, time.Duration) {
	frame := out[start:]
	switch f {
	case Silence, NACK, StuckBus:
		out = out[:start]
	case BadCRC:
		frame[len(frame)-1] ^= 0x5A
	case FlippedBit:
		frame[len(frame)/2] ^= 0x10
	case Truncated:
		out = out[:start+len(frame)/2]
	case Doubled:
		out = append(out, frame...)
	case Late:
		l.held = append(l.held, frame...)
		out = out[:start]
	case Slow:
		return out, l.Slowness
	}
	return out, 0
}

// wellFormed reports whether frame ends in its checksum.
func wellFormed(frame []byte) bool {
	n := len(frame) - 2
	return n >= 2 && crc16(frame[:n]) == binary.LittleEndian.Uint16(frame[n:])
}

// frameSize returns how long the request that starts with b is, 0 when it cannot be
// said yet. Meters tell frames apart by silence; a pseudo-terminal has none to rely
// on, but a request's length follows from its function.
func frameSize(b []byte) int {
	switch {
	case len(b) < 2:
		return 0
	case b[1] == 0x0F || b[1] == 0x10: // write multiple: a byte count stands at 6
		if len(b) < 7 {
			return 0
		}
		return 9 + int(b[6])
	}
	return 8
}

// crc16 is the checksum of RTU frames, computed bit by bit as the serial line guide
// (V1.02 section 6.2.2) describes it.
func crc16(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			carry := crc & 1
			crc >>= 1
			if carry != 0 {
				crc ^= 0xA001
			}
		}
	}
	return crc
}
