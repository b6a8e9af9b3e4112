package emulated

import (
	"sync"
	"time"
)

// Talker is a part that sends frames unasked.
type Talker interface {
	// Talk appends to b the frame that is due, and returns after how long the next one
	// is. An interval of zero ends its talk.
	Talk(b []byte) (frame []byte, next time.Duration)
}

// Answerer is a part that answers what is sent to it.
type Answerer interface {
	// Answer looks at the bytes that were sent and are not done with, and returns how
	// many of them are now. What it answers it appends to b, to be sent after a while.
	// It is called again while it is done with some.
	Answer(sent, b []byte) (used int, reply []byte, after time.Duration)
}

// Checked is a part whose frames say where their checksum is.
type Checked interface {
	// Checksum returns the place of one byte of the frame's checksum, -1 if it has none.
	Checksum(frame []byte) int
}

// Tuned is a part with a speed of its own. What it says to a line at another speed, and
// what it hears from one, is garbled.
type Tuned interface {
	// Baud returns the speed that the part is set to just now, 0 for any.
	Baud() int
}

// Cable is a serial line with one part at its end: a UART, an optical head, a P1 port.
// The part is a Talker, an Answerer or both. All methods may be called from any
// goroutine; the part is spoken to with the cable locked.
//
// Frames arrive byte by byte at the cable's pace. What nobody reads is kept up to what
// a kernel keeps, then lost.
type Cable struct {
	// Slowness is how much longer a Slow frame takes, spread over its bytes. Pace is the
	// speed in baud that bytes arrive with, ten bits each; zero is at once. Set both
	// before use.
	Slowness time.Duration
	Pace     int

	part any

	mu        sync.Mutex // guards the fields below
	plan      Plan
	frames    int
	started   bool
	silent    bool // the talker said that it has ended
	due       time.Time
	frozen    bool
	spoken    []byte // the talker's last frame, to be repeated when frozen
	held      []byte // a Late frame
	sent      []byte // not done with
	bursts    []burst
	free      [][]byte // storage of answers that were read
	baud      int      // of the line; zero is whatever the part wants
	unplugged bool
	changed   chan struct{} // closed and replaced when somebody who waits should look again
}

// burst is bytes that arrive one after another.
type burst struct {
	at   time.Time     // when the first one is there
	char time.Duration // from one to the next
	baud int           // that they are sent with; zero is any
	b    []byte        // those not read yet
	all  []byte        // the storage that b is the end of
}

// kernelBuffer is what a serial port keeps of what nobody reads.
const kernelBuffer = 4096

// firstTalk is from when a cable is first looked at to the first frame of a talker.
const firstTalk = 100 * time.Millisecond

// NewCable returns a cable with the part at its end. Conn is the other end; OpenCable
// makes it a pseudo-terminal.
func NewCable(part any) *Cable {
	return &Cable{Slowness: 400 * time.Millisecond, part: part, changed: make(chan struct{})}
}

// SetFaults makes frames, spoken and answered ones, go wrong as plan says. A Late one
// arrives right before the one after it.
func (c *Cable) SetFaults(plan Plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plan = plan
}

// Frames returns how many frames the part has spoken or answered, faults included.
func (c *Cable) Frames() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.frames
}

// Freeze makes a talker repeat its last frame for as long as on is true.
func (c *Cable) Freeze(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = on
}

// Plug puts the adapter into its socket, where it is at first, or pulls it out: then
// the port fails, and what was in it is lost.
func (c *Cable) Plug(in bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.unplugged = !in
	c.bursts, c.sent, c.held = nil, nil, nil
	c.started = false // the part goes on; what it says meanwhile nobody hears
	c.alert()
}

func (c *Cable) alert() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// advance lets happen what is due at now.
func (c *Cable) advance(now time.Time) {
	t, ok := c.part.(Talker)
	if !ok || c.unplugged || c.silent {
		return
	}
	if !c.started {
		c.started, c.due = true, now.Add(firstTalk)
	}
	for !c.silent && !c.due.After(now) {
		frame, next := t.Talk(nil)
		if c.frozen && len(c.spoken) > 0 {
			frame = c.spoken
		}
		c.spoken = append(c.spoken[:0], frame...)
		c.deliver(append([]byte(nil), frame...), c.due)
		c.silent = next <= 0
		c.due = c.due.Add(next)
		if behind := now.Sub(c.due); behind >= next && next > 0 && c.waiting() >= kernelBuffer {
			c.due = c.due.Add(behind / next * next) // what it says meanwhile is lost
		}
	}
}

// hear takes bytes from the line and sends what the part answers.
func (c *Cable) hear(b []byte, now time.Time) {
	c.advance(now)
	a, ok := c.part.(Answerer)
	if !ok || c.unplugged {
		return
	}
	c.sent = append(c.sent, b...)
	if wrong(c.speed(), c.baud) {
		garble(c.sent[len(c.sent)-len(b):])
	}
	for len(c.sent) > 0 {
		var storage []byte
		if n := len(c.free); n > 0 {
			storage, c.free = c.free[n-1], c.free[:n-1]
		}
		used, reply, after := a.Answer(c.sent, storage)
		c.sent = c.sent[:copy(c.sent, c.sent[used:])]
		if len(reply) > 0 {
			c.deliver(reply, now.Add(after))
		} else if cap(reply) > 0 {
			c.free = append(c.free, reply)
		}
		if used == 0 {
			break
		}
	}
	if len(c.sent) > kernelBuffer {
		c.sent = c.sent[:0] // noise that it makes nothing of
	}
}

// deliver puts a frame on the line, as the plan has it.
func (c *Cable) deliver(frame []byte, at time.Time) {
	c.frames++
	if len(c.held) > 0 {
		c.put(c.held, at, 0)
		c.held = nil
	}
	var slow time.Duration
	switch c.plan.next() {
	case Silence, NACK, StuckBus:
		return
	case BadCRC:
		i := len(frame) - 1
		if s, ok := c.part.(Checked); ok {
			i = s.Checksum(frame)
		}
		if i >= 0 {
			frame[i] ^= 0x01
		}
	case FlippedBit:
		frame[len(frame)/2] ^= 0x10
	case Truncated:
		frame = frame[:len(frame)/2]
	case Doubled:
		frame = append(frame, frame...)
	case Late:
		c.held = frame
		return
	case Slow:
		slow = c.Slowness
	}
	c.put(frame, at, slow)
}

// put lets the bytes of a frame arrive from at on.
func (c *Cable) put(frame []byte, at time.Time, slow time.Duration) {
	if frame = frame[:max(0, min(len(frame), kernelBuffer-c.waiting()))]; len(frame) == 0 {
		return
	}
	u := burst{at: at, b: frame, all: frame, baud: c.speed(), char: slow / time.Duration(len(frame))}
	if c.Pace > 0 {
		u.char += 10 * time.Second / time.Duration(c.Pace)
	}
	if n := len(c.bursts); n > 0 { // one wire carries one byte at a time
		last := &c.bursts[n-1]
		if end := last.at.Add(time.Duration(len(last.b)) * last.char); end.After(u.at) {
			u.at = end
		}
	}
	c.bursts = append(c.bursts, u)
}

// waiting returns how many bytes were not read yet.
func (c *Cable) waiting() (n int) {
	for _, u := range c.bursts {
		n += len(u.b)
	}
	return n
}

// take moves what has arrived into b, all of it when b is nil, and returns how much. If
// it is nothing, wait is how long nothing will come, at most an hour.
func (c *Cable) take(b []byte, now time.Time) (n int, wait time.Duration) {
	c.advance(now)
	for len(c.bursts) > 0 {
		u := &c.bursts[0]
		if u.at.After(now) {
			break
		}
		k := len(u.b)
		if u.char > 0 {
			k = min(k, 1+int(now.Sub(u.at)/u.char))
		}
		if b != nil {
			k = min(k, len(b)-n)
			if k == 0 {
				break
			}
			copy(b[n:], u.b[:k])
			if wrong(u.baud, c.baud) {
				garble(b[n : n+k])
			}
		}
		n += k
		u.at = u.at.Add(time.Duration(k) * u.char)
		if u.b = u.b[k:]; len(u.b) > 0 {
			break
		}
		c.free = append(c.free, u.all[:0])
		c.bursts = c.bursts[:copy(c.bursts, c.bursts[1:])]
	}
	wait = time.Hour
	if _, ok := c.part.(Talker); ok && !c.silent && !c.unplugged {
		wait = min(wait, c.due.Sub(now))
	}
	if len(c.bursts) > 0 {
		wait = min(wait, c.bursts[0].at.Sub(now))
	}
	return n, max(wait, time.Nanosecond)
}

// speed returns what the part is set to, 0 for any.
func (c *Cable) speed() int {
	if t, ok := c.part.(Tuned); ok {
		return t.Baud()
	}
	return 0
}

// wrong reports whether two speeds are known and differ.
func wrong(part, line int) bool { return part != 0 && line != 0 && part != line }

// garble does to b what a wrong speed does.
func garble(b []byte) {
	for i := range b {
		b[i] = ^b[i]<<1 | 0x81
	}
}
