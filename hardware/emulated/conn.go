package emulated

import (
	"io"
	"os"
	"sync"
	"time"
)

// Conn is the master's end of a Line in memory: what a serial port is to a real
// one. Each Write is one frame. It has one user at a time, as a serial port has, but
// for Close.
type Conn struct {
	line *Line
	mbap bool // frames are those of Modbus TCP

	mu       sync.Mutex // guards the fields below
	incoming []byte     // on the wire, readable from ready on
	ready    time.Time
	deadline time.Time
	closed   bool

	timer  *time.Timer
	closes chan struct{}
}

// Conn returns a connection to the line.
func (l *Line) Conn() *Conn {
	timer := time.NewTimer(0)
	if !timer.Stop() {
		<-timer.C
	}
	return &Conn{line: l, timer: timer, closes: make(chan struct{})}
}

// Write sends one frame; what the parts answer can then be read.
func (c *Conn) Write(frame []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, io.ErrClosedPipe
	}
	respond := c.line.respond
	if c.mbap {
		respond = c.line.respondTCP
	}
	var after time.Duration
	c.incoming, after = respond(c.incoming, frame)
	c.ready = time.Now().Add(after)
	return len(frame), nil
}

// Read returns what has arrived, waiting for it until the deadline.
func (c *Conn) Read(b []byte) (int, error) {
	for {
		n, wait, err := c.take(b)
		if n > 0 || err != nil {
			return n, err
		}
		c.timer.Reset(wait)
		select {
		case <-c.timer.C:
		case <-c.closes:
			c.timer.Stop()
		}
	}
}

// take returns what is there, or how long to wait for it at most.
func (c *Conn) take(b []byte) (n int, wait time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	switch {
	case c.closed:
		return 0, 0, io.ErrClosedPipe
	case !c.deadline.IsZero() && !now.Before(c.deadline):
		return 0, 0, os.ErrDeadlineExceeded
	case len(c.incoming) > 0 && !now.Before(c.ready):
		n = copy(b, c.incoming)
		c.incoming = c.incoming[:copy(c.incoming, c.incoming[n:])]
		return n, 0, nil
	}
	wait = time.Hour
	if !c.deadline.IsZero() {
		wait = c.deadline.Sub(now)
	}
	if len(c.incoming) > 0 {
		wait = min(wait, c.ready.Sub(now))
	}
	return 0, wait, nil
}

// Discard drops what has arrived and was not read.
func (c *Conn) Discard() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, io.ErrClosedPipe
	}
	if len(c.incoming) == 0 || time.Now().Before(c.ready) {
		return 0, nil
	}
	n := len(c.incoming)
	c.incoming = c.incoming[:0]
	return n, nil
}

// SetDeadline sets until when Read waits; zero is for ever.
func (c *Conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return io.ErrClosedPipe
	}
	c.deadline = t
	return nil
}

// Close ends a Read that waits, and makes all calls fail.
func (c *Conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.closes)
	}
	return nil
}
