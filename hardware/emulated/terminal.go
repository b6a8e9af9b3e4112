package emulated

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// Terminal is a Line on a pseudo-terminal: Path is what a program opens as its
// serial port.
type Terminal struct {
	*Line
	master *os.File
	// slave stays open: without it the master would fail whenever nobody else has
	// the port open.
	slave *os.File
	// closed tells the errors of closing from others: package os has several.
	closed atomic.Bool
	reply  []byte // to the request at hand; Run's
}

// OpenLine returns a line without meters on a pseudo-terminal of its own. It answers
// while Run runs.
func OpenLine() (*Terminal, error) {
	master, slave, err := openPair()
	if err != nil {
		return nil, err
	}
	return &Terminal{Line: NewLine(), master: master, slave: slave}, nil
}

// openPair returns the two ends of a new pseudo-terminal, raw, the master with working
// deadlines.
func openPair() (master, slave *os.File, err error) {
	master, slave, err = pty.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("opening a pseudo-terminal: %w", err)
	}
	// pty.Open leaves the master blocking, where deadlines have no effect.
	if err := setNonblock(master); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("preparing %s: %w", master.Name(), err), master.Close(), slave.Close())
	}
	// Until a program sets it raw, a new terminal echoes what is written to it.
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("setting %s raw: %w", slave.Name(), err), master.Close(), slave.Close())
	}
	return master, slave, nil
}

func setNonblock(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = syscall.SetNonblock(int(fd), true) })
	return errors.Join(err, failed)
}

// Path returns the name of the port, such as /dev/pts/7.
func (t *Terminal) Path() string { return t.slave.Name() }

// Run answers until ctx ends or the line is closed, and then returns nil. The port
// stays: Run may be called again.
func (t *Terminal) Run(ctx context.Context) error {
	if err := t.master.SetDeadline(time.Time{}); err != nil {
		return t.unlessClosed(err)
	}
	stop := context.AfterFunc(ctx, func() { _ = t.master.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	// A request is at most 9 + 255 bytes; noise is dropped before it fills this.
	var buf [512]byte
	n := 0
	for ctx.Err() == nil {
		k, err := t.master.Read(buf[n:])
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				continue
			}
			return t.unlessClosed(err)
		}
		n += k
		used, err := t.serve(ctx, buf[:n])
		if err != nil {
			return err
		}
		n = copy(buf[:], buf[used:n])
	}
	return nil
}

// serve answers the requests at the front of b and returns how many bytes are done
// with.
func (t *Terminal) serve(ctx context.Context, b []byte) (used int, err error) {
	for {
		rest := b[used:]
		size := frameSize(rest)
		if size == 0 || size > len(rest) {
			return used, nil
		}
		var after time.Duration
		t.reply, after = t.respond(t.reply[:0], rest[:size])
		if after > 0 {
			select {
			case <-time.After(after):
			case <-ctx.Done():
				return used, nil
			}
		}
		if _, err := t.master.Write(t.reply); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return used, t.unlessClosed(err)
		}
		used += size
		if !wellFormed(rest[:size]) {
			return len(b), nil // noise: what follows cannot be told apart either
		}
	}
}

// Close removes the port. A program that has it open reads end of file or an
// input/output error, as when an adapter is unplugged.
func (t *Terminal) Close() error {
	t.closed.Store(true)
	return errors.Join(t.master.Close(), t.slave.Close())
}

func (t *Terminal) unlessClosed(err error) error {
	if t.closed.Load() {
		return nil
	}
	return fmt.Errorf("serving an emulated line: %w", err)
}
