// Package uart exchanges frames with a part that has a serial line to itself, answers
// what it is asked and is no Modbus unit. What a frame is, its driver knows.
//
// The rules are those of all serial parts here: the receive buffer is emptied before a
// request; a request is answered once, and anything more than one frame may be the
// answer to another (hardware.ErrStale); silence is hardware.ErrAbsent; a part of a
// frame is hardware.ErrTruncated; and no call outlasts its context by 50 ms.
package uart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"wattmark/hardware"
)

const (
	// slice is the longest single wait, so that the end of a context is noticed.
	slice = 40 * time.Millisecond
	// quiet is for how long nothing may come after a frame that answers a request: 3.5
	// characters at 9600 baud, and a little for adapters.
	quiet = 5 * time.Millisecond
)

// Cutter finds frames: it returns how many bytes at the front of b are none, and how
// long the frame behind them is, 0 while it is not whole.
type Cutter func(b []byte) (skip, length int)

// Port is the way to one part. It has one user at a time.
type Port struct {
	stream hardware.Stream
	in     []byte
}

// NewPort returns a port that reads frames, with what comes before them, up to size
// bytes.
func NewPort(s hardware.Stream, size int) *Port {
	return &Port{stream: s, in: make([]byte, size)}
}

// Bus returns the name of the port's bus, if it has one.
func (p *Port) Bus() string {
	if s, ok := p.stream.(fmt.Stringer); ok {
		return s.String()
	}
	return ""
}

// Ask sends a request, which it records in t with all that answers it, and returns the
// frame, valid until the next call.
func (p *Port) Ask(ctx context.Context, t *hardware.Transcript, request []byte, timeout time.Duration, cut Cutter) ([]byte, error) {
	if err := p.Tell(ctx, t, request); err != nil {
		return nil, err
	}
	n, err := p.read(ctx, time.Now().Add(timeout), cut)
	if err == nil {
		n, err = p.silent(ctx, n)
	}
	t.Receive(p.in[:n])
	if err != nil {
		return nil, err
	}
	skip, length := cut(p.in[:n])
	switch {
	case skip > 0:
		return nil, &hardware.Error{Class: hardware.ErrMalformed, Err: fmt.Errorf("%d bytes before the frame are no part of it", skip), Remedy: "check speed and wiring"}
	case n > length:
		return nil, &hardware.Error{Class: hardware.ErrStale, Err: fmt.Errorf("%d bytes follow the reply", n-length)}
	}
	return p.in[:length], nil
}

// Tell empties the receive buffer and sends what nothing answers, which it records in t.
func (p *Port) Tell(ctx context.Context, t *hardware.Transcript, request []byte) error {
	if err := ctx.Err(); err != nil {
		return ended(err)
	}
	if _, err := p.stream.Discard(); err != nil {
		return broken(ctx, err)
	}
	t.Send(request)
	if err := p.stream.SetDeadline(time.Now().Add(slice)); err != nil {
		return broken(ctx, err)
	}
	if _, err := p.stream.Write(request); err != nil {
		return broken(ctx, err)
	}
	return nil
}

// read reads until cut finds a frame, and returns how many bytes came.
func (p *Port) read(ctx context.Context, until time.Time, cut Cutter) (n int, err error) {
	for {
		if _, length := cut(p.in[:n]); length > 0 {
			return n, nil
		}
		if n == len(p.in) {
			return n, &hardware.Error{Class: hardware.ErrMalformed, Err: fmt.Errorf("no frame in %d bytes", n), Remedy: "check speed and wiring"}
		}
		if err := ctx.Err(); err != nil {
			return n, ended(err)
		}
		now := time.Now()
		switch {
		case now.Before(until):
		case n == 0:
			return 0, &hardware.Error{Class: hardware.ErrAbsent, Err: errors.New("no answer"), Remedy: "check supply, RX and TX, and the speed"}
		default:
			return n, &hardware.Error{Class: hardware.ErrTruncated, Err: fmt.Errorf("the frame ends after %d bytes", n)}
		}
		k, err := p.once(ctx, n, earliest(ctx, now.Add(slice), until))
		if n += k; err != nil {
			return n, err
		}
	}
}

// silent reads what comes too soon after a frame.
func (p *Port) silent(ctx context.Context, n int) (int, error) {
	if n == len(p.in) {
		return n, nil
	}
	k, err := p.once(ctx, n, time.Now().Add(quiet))
	return n + k, err
}

// earliest returns the earliest of two times and the end of ctx.
func earliest(ctx context.Context, a, b time.Time) time.Time {
	if b.Before(a) {
		a = b
	}
	if end, ok := ctx.Deadline(); ok && end.Before(a) {
		a = end
	}
	return a
}

// once reads once behind the first n bytes; a deadline that passed is no error.
func (p *Port) once(ctx context.Context, n int, until time.Time) (int, error) {
	if err := p.stream.SetDeadline(until); err != nil {
		return 0, broken(ctx, err)
	}
	k, err := p.stream.Read(p.in[n:])
	switch {
	case k > 0, err != nil && errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil:
		return k, nil
	case err == nil:
		err = io.ErrNoProgress
	}
	return 0, broken(ctx, err)
}

func ended(err error) error { return &hardware.Error{Class: hardware.ErrTimeout, Err: err} }

// broken is a port that fails; when ctx has ended that is why.
func broken(ctx context.Context, err error) error {
	if e := ctx.Err(); e != nil {
		return ended(e)
	}
	if class := hardware.Class(err); class != nil {
		return &hardware.Error{Class: class, Err: err}
	}
	return &hardware.Error{Class: hardware.ErrAbsent, Err: err, Remedy: "check the adapter and its plug"}
}
