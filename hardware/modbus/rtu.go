package modbus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"wattmark/hardware"
)

// RTUOpts are settings of a line; zero values have the stated defaults.
type RTUOpts struct {
	Baud     int           // 9600
	CharBits int           // bits of a character with start, parity and stop: 11
	Gap      time.Duration // silence between frames: 3.5 characters, at least 2 ms
	Timeout  time.Duration // for a unit to answer, transmission apart: 300 ms
}

const (
	defaultTimeout = 300 * time.Millisecond
	minimumGap     = 2 * time.Millisecond
	// idle ends a frame that stopped in the middle. Adapters on USB hold bytes back
	// for up to 16 ms, so it cannot be the 1.5 characters of the specification.
	idle = 60 * time.Millisecond
)

// RTU speaks Modbus RTU on a Conn. Stale may be called from anywhere, all else
// only by the owner of the line.
type RTU struct {
	conn    Conn
	gap     time.Duration
	timeout time.Duration
	char    time.Duration // one character on the wire
	out     [requestSize]byte
	in      [2 * maxFrame]byte
	suspect [256]bool // units that left a request unanswered
	owed    time.Time // until then a reply may come that nobody waits for any more
	stale   atomic.Uint64
}

var _ Requester = (*RTU)(nil)

// NewRTU returns a client on conn, which it does not close.
func NewRTU(conn Conn, opts RTUOpts) *RTU {
	if opts.Baud <= 0 {
		opts.Baud = 9600
	}
	if opts.CharBits <= 0 {
		opts.CharBits = 11
	}
	char := time.Duration(opts.CharBits) * time.Second / time.Duration(opts.Baud)
	if opts.Gap <= 0 {
		opts.Gap = max(minimumGap, 7*char/2)
	}
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	return &RTU{conn: conn, gap: opts.Gap, timeout: opts.Timeout, char: char}
}

// Stale returns how many times bytes came that were not the one reply to a request.
func (c *RTU) Stale() uint64 { return c.stale.Load() }

// Exchange implements Requester.
func (c *RTU) Exchange(ctx context.Context, r Request, t *hardware.Transcript) ([]byte, error) {
	if err := r.checkRTU(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, ended(r, err)
	}
	if err := connect(ctx, c.conn); err != nil {
		return nil, unconnected(r, err)
	}
	if err := c.drain(ctx); err != nil {
		return nil, c.failed(r, err)
	}
	if err := c.discard(); err != nil {
		return nil, broken(r, err)
	}
	frame := r.AppendRTU(c.out[:0])
	t.Send(frame)
	wire := time.Duration(len(frame)+r.replySize()) * c.char
	deadline := time.Now().Add(wire + c.timeout)
	if err := c.conn.SetDeadline(deadline); err != nil {
		return nil, broken(r, err)
	}
	if _, err := c.conn.Write(frame); err != nil {
		return nil, c.failed(r, err)
	}
	n, err := c.receive(ctx, r, deadline)
	t.Receive(c.in[:n])
	if err != nil {
		c.suspect[r.Unit] = true
		c.owed = deadline.Add(c.timeout)
		return nil, c.failed(r, err)
	}
	if n == 0 {
		return nil, c.unanswered(ctx, r)
	}
	data, err := ParseReply(r, c.in[:n])
	if !errors.Is(err, hardware.ErrDevice) && err != nil {
		c.countStale(err)
		c.settle(ctx)
		return nil, at(r, err)
	}
	if late := c.more(ctx, r, n, deadline); late > 0 {
		t.Receive(c.in[n : n+late])
		_, err = ParseReply(r, c.in[:n+late])
		c.countStale(err)
		c.settle(ctx)
	}
	if err != nil {
		return nil, at(r, err)
	}
	return data, nil
}

// drain waits for the reply to a request that was given up, with its context, before
// its time: now it would be the next unit's trouble.
func (c *RTU) drain(ctx context.Context) error {
	for time.Now().Before(c.owed) {
		if err := ctx.Err(); err != nil {
			return err
		}
		step := time.Now().Add(slice)
		if c.owed.Before(step) {
			step = c.owed
		}
		n, err := c.listen(c.in[:], step)
		if err != nil {
			return err
		}
		if n > 0 { // here it is
			c.stale.Add(1)
			c.settle(ctx)
			break
		}
	}
	c.owed = time.Time{}
	return nil
}

// discard drops what came since the last exchange: nobody asked for it.
func (c *RTU) discard() error {
	n, err := 0, error(nil)
	if d, ok := c.conn.(Discarder); ok {
		n, err = d.Discard()
	} else {
		n, err = c.listen(c.in[:], time.Now().Add(time.Millisecond))
	}
	if n > 0 {
		c.stale.Add(1)
	}
	return err
}

// receive reads until the reply is whole, the line falls silent in the middle of
// one, or deadline passes. Silence is no error; the end of ctx and a broken
// connection are.
func (c *RTU) receive(ctx context.Context, r Request, deadline time.Time) (n int, err error) {
	last := time.Now() // when the latest byte came
	for {
		now := time.Now()
		until := now.Add(slice)
		if n > 0 && last.Add(idle).Before(until) {
			until = last.Add(idle)
		}
		if deadline.Before(until) {
			until = deadline
		}
		k, err := read(c.conn, c.in[n:maxFrame], until)
		if k > 0 {
			n, last = n+k, time.Now()
		}
		switch {
		case err != nil:
			return n, err
		case n == maxFrame || n > 2 && n >= c.expected(r, n):
			return n, nil
		case k > 0:
			if err := c.await(r, n, deadline); err != nil {
				return n, err
			}
		case ctx.Err() != nil:
			return n, ctx.Err()
		case !time.Now().Before(deadline), n > 0 && time.Since(last) >= idle:
			return n, nil
		}
	}
}

// await lets the rest of a reply come, of which n bytes have: it cannot be there before
// the wire has carried it.
func (c *RTU) await(r Request, n int, deadline time.Time) error {
	p, ok := c.conn.(Pauser)
	if !ok || n < 3 {
		return nil
	}
	whole := c.expected(r, n)
	if whole == maxFrame { // nothing says how long it will be
		return nil
	}
	until := time.Now().Add(min(time.Duration(whole-n)*c.char, slice))
	if deadline.Before(until) {
		until = deadline
	}
	return p.Pause(until)
}

// expected returns how long the reply will be, seen its first n bytes. One that
// does not look like a reply to r ends with a silence only.
func (c *RTU) expected(r Request, n int) int {
	switch {
	case r.answeredBy(c.in[0]) && c.in[1] == byte(r.Function) && int(c.in[2]) == 2*int(r.Count):
		return r.replySize()
	case r.answeredBy(c.in[0]) && c.in[1] == byte(r.Function)|exceptionBit:
		return exceptionSize
	case n >= declaredSize(c.in[:n]) && intact(c.in[:declaredSize(c.in[:n])]):
		return n // a whole frame, though not the one asked for
	}
	return maxFrame
}

// listen reads into b until the line was silent up to the given time, and returns
// how many bytes came. What does not fit is dropped.
func (c *RTU) listen(b []byte, until time.Time) (n int, err error) {
	for {
		room := b[min(n, len(b)-1):]
		k, err := read(c.conn, room, until)
		if k == 0 || err != nil {
			return n, err
		}
		n = min(n+k, len(b)-1)
	}
}

// more listens after a good reply for what should not come: for one gap, or as long
// as a suspect unit could still answer.
func (c *RTU) more(ctx context.Context, r Request, n int, deadline time.Time) int {
	until := time.Now().Add(c.gap)
	for c.suspect[r.Unit] && until.Before(deadline) && ctx.Err() == nil {
		step := time.Now().Add(slice)
		if deadline.Before(step) {
			step = deadline
		}
		if late, _ := c.listen(c.in[n:], step); late > 0 {
			return late
		}
		until = step
	}
	late, _ := c.listen(c.in[n:], until)
	if late == 0 && ctx.Err() == nil {
		c.suspect[r.Unit] = false
	}
	return late
}

// unanswered spends the grace: a reply that comes in it would otherwise be the next
// unit's trouble.
func (c *RTU) unanswered(ctx context.Context, r Request) error {
	c.suspect[r.Unit] = true
	end := time.Now().Add(c.timeout)
	for time.Now().Before(end) && ctx.Err() == nil {
		step := time.Now().Add(slice)
		if end.Before(step) {
			step = end
		}
		n, err := c.listen(c.in[:], step)
		if err != nil {
			return broken(r, err)
		}
		if n > 0 {
			c.stale.Add(1)
			c.suspect[r.Unit] = false
			c.settle(ctx)
			return &hardware.Error{Class: hardware.ErrTimeout, Op: r.String(),
				Err:    fmt.Errorf("the reply came after %s", c.timeout),
				Remedy: "give the device a longer timeout"}
		}
	}
	c.owed = end // the context may have ended before
	return &hardware.Error{Class: hardware.ErrAbsent, Op: r.String(),
		Err:    fmt.Errorf("no answer within %s", c.timeout),
		Remedy: "check power, wires A and B, speed, parity and the unit's address"}
}

// settle waits until the line was silent for a gap, at most one timeout.
func (c *RTU) settle(ctx context.Context) {
	for end := time.Now().Add(c.timeout); time.Now().Before(end) && ctx.Err() == nil; {
		if n, err := c.listen(c.in[:], time.Now().Add(c.gap)); n == 0 || err != nil {
			return
		}
	}
}

func (c *RTU) countStale(err error) {
	if errors.Is(err, hardware.ErrStale) || errors.Is(err, hardware.ErrWrongDevice) {
		c.stale.Add(1)
	}
}

// failed tells the end of a context and a write that hung from a broken port.
func (c *RTU) failed(r Request, err error) error {
	if gaveUp(err) {
		return ended(r, err)
	}
	return broken(r, err)
}
