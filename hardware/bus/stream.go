package bus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// readSlice is the longest single wait of a Read, so that a part may be silent for
// longer than a transfer may hang, and the end of a job's context is noticed.
const readSlice = 40 * time.Millisecond

// Stream returns the way to the one part on a serial line that is no Modbus unit. It
// works inside jobs only: Read and Write end with the job's context, each transfer is
// timed and abandoned when it hangs, and a port that failed is opened anew for the
// next job. A deadline lasts until the end of the job. The Stream is a
// hardware.ModeSetter.
func (b *Bus) Stream() hardware.Stream { return stream{b} }

// stream is a bus as drivers of serial parts see it.
type stream struct{ bus *Bus }

var _ hardware.ModeSetter = stream{}

// modeSetter is a port whose mode can change.
type modeSetter interface{ setMode(m Mode) error }

// with runs f with the port's connection, alone. The connection belongs to the
// worker, so one that was abandoned and comes back late cannot touch its successor's.
func (s stream) with(f func(w *worker, c modbus.Conn) error) error {
	w := s.bus.worker.Load()
	if w == nil || !w.working.Load() || !w.exchanging.CompareAndSwap(false, true) {
		return outside(s.bus, "serial line")
	}
	defer w.exchanging.Store(false)
	if w.client.Load() == nil || w.serial == nil { // no line, or a port that is closed
		return outside(s.bus, "serial line")
	}
	return f(w, w.serial)
}

// Read implements io.Reader.
func (s stream) Read(b []byte) (n int, err error) {
	err = s.with(func(w *worker, c modbus.Conn) error {
		n, err = w.patient(func(until time.Time) (int, error) {
			if err := c.SetDeadline(until); err != nil {
				w.broken = true
				return 0, err
			}
			return c.Read(b)
		})
		return err
	})
	return n, err
}

// Write implements io.Writer.
func (s stream) Write(b []byte) (n int, err error) {
	err = s.with(func(w *worker, c modbus.Conn) error {
		n, err = w.patient(func(until time.Time) (int, error) {
			if err := c.SetDeadline(until); err != nil {
				w.broken = true
				return 0, err
			}
			k, err := c.Write(b[n:])
			n += k
			return n, err
		})
		return err
	})
	return n, err
}

// patient repeats a short transfer until it moves bytes or fails, the stream's
// deadline passes or the job's context ends.
func (w *worker) patient(transfer func(until time.Time) (int, error)) (int, error) {
	for {
		if err := w.ctx.Err(); err != nil {
			return 0, err
		}
		now := time.Now()
		if !w.deadline.IsZero() && !now.Before(w.deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		until := now.Add(readSlice)
		if !w.deadline.IsZero() && w.deadline.Before(until) {
			until = w.deadline
		}
		n, err := transfer(until)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
	}
}

// SetDeadline implements hardware.Stream.
func (s stream) SetDeadline(t time.Time) error {
	return s.with(func(w *worker, _ modbus.Conn) error {
		w.deadline = t
		return nil
	})
}

// Discard implements hardware.Stream. A port that cannot discard is read from until
// nothing came for a millisecond.
func (s stream) Discard() (n int, err error) {
	err = s.with(func(w *worker, c modbus.Conn) error {
		if d, ok := c.(modbus.Discarder); ok {
			n, err = d.Discard()
			return err
		}
		var waste [512]byte
		for n < 1<<16 { // a line that babbles for ever is left to the next read
			if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
				w.broken = true
				return err
			}
			k, err := c.Read(waste[:])
			n += k
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}

// SetMode implements hardware.ModeSetter.
func (s stream) SetMode(mode string) error {
	m, err := ParseMode(mode)
	if err != nil {
		return err
	}
	return s.with(func(w *worker, _ modbus.Conn) error {
		if w.setMode == nil {
			return fmt.Errorf("%s: setting the line to %s: %w", s.bus.config.Name, m, errors.ErrUnsupported)
		}
		if !w.enter() {
			return outside(s.bus, "serial line")
		}
		err := w.setMode(m)
		if err != nil {
			w.broken = true
		}
		w.leave()
		return err
	})
}

// lend makes the stream ready for a job.
func (w *worker) lend(ctx context.Context) { w.ctx, w.deadline = ctx, time.Time{} }
