package emulated

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// CableConn is the near end of a Cable in memory: what a serial port is to a real one.
// It is a hardware.Stream and a hardware.ModeSetter, and has one user at a time, but
// for Close. While the cable is unplugged all calls fail as an adapter's do that is
// gone; plugged in again, it works on.
type CableConn struct {
	cable *Cable
	timer *time.Timer

	// Guarded by the cable's mutex.
	deadline time.Time
	closed   bool
}

// Conn returns the near end of the cable. A cable has one.
func (c *Cable) Conn() *CableConn {
	timer := time.NewTimer(0)
	if !timer.Stop() {
		<-timer.C
	}
	return &CableConn{cable: c, timer: timer}
}

// usable returns why the connection cannot be used, nil if it can. The cable is locked.
func (c *CableConn) usable(op string) error {
	switch {
	case c.closed:
		return io.ErrClosedPipe
	case c.cable.unplugged:
		return os.NewSyscallError(op, syscall.EIO)
	}
	return nil
}

// Read returns what has arrived, waiting for it until the deadline.
func (c *CableConn) Read(b []byte) (int, error) {
	for {
		n, wait, changed, err := c.look(b)
		if n > 0 || err != nil {
			return n, err
		}
		c.timer.Reset(wait)
		select {
		case <-c.timer.C:
		case <-changed:
			c.timer.Stop()
		}
	}
}

func (c *CableConn) look(b []byte) (n int, wait time.Duration, changed <-chan struct{}, err error) {
	c.cable.mu.Lock()
	defer c.cable.mu.Unlock()
	if err := c.usable("read"); err != nil {
		return 0, 0, nil, err
	}
	now := time.Now()
	if !c.deadline.IsZero() && !now.Before(c.deadline) {
		return 0, 0, nil, os.ErrDeadlineExceeded
	}
	n, wait = c.cable.take(b, now)
	if !c.deadline.IsZero() {
		wait = min(wait, c.deadline.Sub(now))
	}
	return n, wait, c.cable.changed, nil
}

// Write sends b to the part.
func (c *CableConn) Write(b []byte) (int, error) {
	c.cable.mu.Lock()
	defer c.cable.mu.Unlock()
	if err := c.usable("write"); err != nil {
		return 0, err
	}
	c.cable.hear(b, time.Now())
	return len(b), nil
}

// Discard drops what has arrived and was not read.
func (c *CableConn) Discard() (int, error) {
	c.cable.mu.Lock()
	defer c.cable.mu.Unlock()
	if err := c.usable("read"); err != nil {
		return 0, err
	}
	n, _ := c.cable.take(nil, time.Now())
	return n, nil
}

// SetDeadline sets until when Read waits; zero is for ever.
func (c *CableConn) SetDeadline(t time.Time) error {
	c.cable.mu.Lock()
	defer c.cable.mu.Unlock()
	if c.closed {
		return io.ErrClosedPipe
	}
	c.deadline = t
	return nil
}

// SetMode sets the speed of the line; the frame of a character makes no difference to
// the cable.
func (c *CableConn) SetMode(mode string) error {
	speed, _, _ := strings.Cut(mode, " ")
	baud, err := strconv.Atoi(speed)
	if err != nil || baud <= 0 {
		return fmt.Errorf("no line is set to %q", mode)
	}
	c.cable.mu.Lock()
	defer c.cable.mu.Unlock()
	if err := c.usable("ioctl"); err != nil {
		return err
	}
	c.cable.baud = baud
	return nil
}

// Close ends a Read that waits, and makes all calls fail.
func (c *CableConn) Close() error {
	c.cable.mu.Lock()
	defer c.cable.mu.Unlock()
	if !c.closed {
		c.closed = true
		c.cable.alert()
	}
	return nil
}
