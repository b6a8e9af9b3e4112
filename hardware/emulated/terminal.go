package emulated

import (
	"context"
	"errors"
	"fmt"
	"os"
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
}

// OpenLine returns a line without meters on a pseudo-terminal of its own. It answers
// while Run runs.
func OpenLine() (*Terminal, error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("opening a pseudo-terminal: %w", err)
	}
	// Until a program sets it raw, a new terminal echoes what is written to it.
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		return nil, errors.Join(fmt.Errorf("setting %s raw: %w", slave.Name(), err), master.Close(), slave.Close())
	}
	return &Terminal{Line: NewLine(), master: master, slave: slave}, nil
}

// Path returns the name of the port, such as /dev/pts/7.
func (t *Terminal) Path() string { return t.slave.Name() }

// Run answers until ctx ends or the line is closed, and then returns nil. The port
// stays: Run may be called again.
func (t *Terminal) Run(ctx context.Context) error {
	if err := t.master.SetDeadline(time.Time{}); err != nil {
		return ignoreClosed(err)
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
			return ignoreClosed(err)
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
		reply, after := t.respond(rest[:size])
		if after > 0 {
			select {
			case <-time.After(after):
			case <-ctx.Done():
				return used, nil
			}
		}
		if _, err := t.master.Write(reply); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return used, ignoreClosed(err)
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
	return errors.Join(t.master.Close(), t.slave.Close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return fmt.Errorf("serving an emulated line: %w", err)
}
