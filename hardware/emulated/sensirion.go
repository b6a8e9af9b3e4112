package emulated

import (
	"encoding/binary"
	"time"
)

// Air is what a CO2 sensor breathes.
type Air struct {
	CO2         float64 // ppm
	Temperature float64 // degrees Celsius
	Humidity    float64 // per cent of relative humidity
}

// crc8 is the checksum behind each word of Sensirion's parts: polynomial 0x31,
// start 0xFF (SCD4x data sheet version 1.1, section 3.11; SCD30 interface
// description version 1.0, section 1.1.3).
func crc8(high, low byte) byte {
	crc := byte(0xFF)
	for _, b := range [2]byte{high, low} {
		crc ^= b
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x31
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

// appendWord appends w and its checksum.
func appendWord(b []byte, w uint16) []byte {
	return append(b, byte(w>>8), byte(w), crc8(byte(w>>8), byte(w)))
}

// command splits what was written into command and argument, if any. It is false for
// a wrong length or checksum.
func command(b []byte) (code, argument uint16, has, ok bool) {
	switch len(b) {
	case 2:
		return binary.BigEndian.Uint16(b), 0, false, true
	case 5:
		return binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:]), true, crc8(b[2], b[3]) == b[4]
	}
	return 0, 0, false, false
}

// port is the side of a part that faces the bus: what the next read returns, and
// until when the part is busy with the last command. That is real time: it passes
// on the wire. After a long command the part takes no other until it is done.
type port struct {
	reply []byte
	free  time.Time
	long  bool
}

// busy makes the part work on a command for d.
func (p *port) busy(d time.Duration, long bool) {
	p.free, p.long = time.Now().Add(d), long
}

// working reports whether the part would not acknowledge: a read always while it
// works, a write only during long commands.
func (p *port) working(read bool) bool {
	return (read || p.long) && time.Now().Before(p.free)
}

// read fills b with the prepared reply; the line reads ones behind its end.
func (p *port) read(b []byte) bool {
	if p.working(true) || len(p.reply) == 0 {
		return false
	}
	n := copy(b, p.reply)
	for i := n; i < len(b); i++ {
		b[i] = 0xFF
	}
	p.reply = p.reply[:0]
	return true
}

// rhythm tells when periodic measurements are ready, by the injected clock.
type rhythm struct {
	running bool
	began   time.Duration
	every   time.Duration
	taken   int64 // number of the last measurement that was read
}

func (r *rhythm) start(now, every time.Duration) {
	*r = rhythm{running: true, began: now, every: every}
}

// latest returns the number of the newest measurement, 0 before the first.
func (r *rhythm) latest(now time.Duration) int64 {
	if !r.running || r.every <= 0 {
		return 0
	}
	return int64((now - r.began) / r.every)
}

func (r *rhythm) ready(now time.Duration) bool { return r.latest(now) > r.taken }
