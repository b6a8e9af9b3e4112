package emulated

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
)

// CableTerminal is a Cable whose near end is a pseudo-terminal: Path is what a program
// opens as its serial port. To unplug it, Close it; the one that is plugged in again is
// a new one, with another path.
type CableTerminal struct {
	*Cable
	master *os.File
	slave  *os.File // stays open, as a Terminal's
	closed atomic.Bool
}

// OpenCable returns a cable with the part at its end, on a pseudo-terminal of its own.
// The part speaks and answers while Run runs.
func OpenCable(part any) (*CableTerminal, error) {
	master, slave, err := openPair()
	if err != nil {
		return nil, err
	}
	return &CableTerminal{Cable: NewCable(part), master: master, slave: slave}, nil
}

// Path returns the name of the port, such as /dev/pts/7.
func (t *CableTerminal) Path() string { return t.slave.Name() }

// Run lets the part speak and answer until ctx ends or the port is closed, and then
// returns nil. It may be called again.
func (t *CableTerminal) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = t.master.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var buf [512]byte
	for ctx.Err() == nil {
		wait, err := t.speak(buf[:])
		if err != nil {
			return t.unlessClosed(err)
		}
		if err := t.master.SetReadDeadline(time.Now().Add(wait)); err != nil {
			return t.unlessClosed(err)
		}
		if ctx.Err() != nil {
			break // it ended before the deadline was set
		}
		n, err := t.master.Read(buf[:])
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return t.unlessClosed(err)
		}
		if n > 0 {
			t.listen(buf[:n])
		}
	}
	return nil
}

// longestWait is after how long Run looks again for what another goroutine changed.
const longestWait = 20 * time.Millisecond

// speak writes what has arrived to the port and returns when to do so again. What the
// kernel does not take, because nobody reads it, is lost.
func (t *CableTerminal) speak(buf []byte) (wait time.Duration, err error) {
	for {
		t.mu.Lock()
		t.tune()
		n, wait := t.take(buf, time.Now())
		t.mu.Unlock()
		if n == 0 {
			return min(wait, longestWait), nil
		}
		if err := t.master.SetWriteDeadline(time.Now().Add(longestWait)); err != nil {
			return 0, err
		}
		if _, err := t.master.Write(buf[:n]); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return 0, err
		}
	}
}

// listen hands what the program sent to the part. A pseudo-terminal takes no time to send
// it, so the speed may have been changed since: what the part hears is never garbled.
func (t *CableTerminal) listen(b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.baud = 0
	t.hear(b, time.Now())
}

// tune takes the speed that the program has set, for parts that mind. The cable is
// locked.
func (t *CableTerminal) tune() {
	if _, ok := t.part.(Tuned); !ok {
		return
	}
	if baud := speedOf(t.slave); baud > 0 {
		t.baud = baud
	}
}

// Close removes the port. A program that has it open reads end of file or an
// input/output error, as when an adapter is unplugged.
func (t *CableTerminal) Close() error {
	t.closed.Store(true)
	return errors.Join(t.master.Close(), t.slave.Close())
}

func (t *CableTerminal) unlessClosed(err error) error {
	if t.closed.Load() {
		return nil
	}
	return fmt.Errorf("serving an emulated cable: %w", err)
}
