// Package push takes whole frames from parts on a serial line, most of which speak
// unasked: P1 ports, optical heads, particle sensors.
//
// Such a part is listened to, not asked. What came before is old and dropped, the tail
// of a frame that was cut by that too; then the next frame is waited for, as long as the
// part may be silent. A frame that stops in the middle is handed on as far as it came:
// it is the protocol that knows what is wrong with it. Search finds the frame in what was
// taken, or recorded elsewhere.
package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"wattmark/hardware"
)

// Scan looks for the first frame in b. It returns where one begins, or may begin, len(b)
// when nowhere; and where it ends, 0 while it is not whole. A frame that another one
// begins in ends there.
type Scan func(b []byte) (start, end int)

// MaxFrame is the longest frame that is waited for, in bytes.
const MaxFrame = 16 << 10

// Listener takes frames from a stream. It has one user at a time.
type Listener struct {
	Stream hardware.Stream
	// Silence is how long to wait for a frame to begin, Idle how long for its next byte.
	Silence, Idle time.Duration
	Now           hardware.Clock
	Remedy        string // what to do about a part that says nothing

	buf  []byte
	rest int // bytes at the front of buf that came after the last frame
}

// slice is the longest single wait, so that the end of a context is noticed in time.
const slice = 40 * time.Millisecond

// Discard drops what has come so far.
func (l *Listener) Discard(ctx context.Context) error {
	l.rest = 0
	if err := ctx.Err(); err != nil {
		return ended(err)
	}
	if _, err := l.Stream.Discard(); err != nil {
		return gone(ctx, err)
	}
	return nil
}

// Next drops what has come so far and takes the frame that comes next, which t records
// as received. It returns when its first byte was seen. Errors have their class:
// ErrTimeout for silence and for the end of ctx, ErrAbsent for a port that is gone,
// ErrMalformed for bytes in which no frame begins.
func (l *Listener) Next(ctx context.Context, scan Scan, t *hardware.Transcript) (time.Duration, error) {
	if err := l.Discard(ctx); err != nil {
		return l.Now.Or()(), err
	}
	return l.Take(ctx, scan, t)
}

// Sense is the middle of a driver's Sense: it takes the frame that comes next, which is
// the evidence, notes when that was, and has d decode it. On an error dst holds no values.
func (l *Listener) Sense(ctx context.Context, scan Scan, d hardware.Decoder, dst *hardware.Batch) error {
	dst.Reset()
	begin, err := l.Next(ctx, scan, &dst.Evidence)
	dst.Span(begin, l.Now.Or()())
	if err == nil {
		err = d.Decode(&dst.Evidence, dst)
	}
	if err != nil {
		dst.ResetValues()
	}
	return err
}

// Take is Next without dropping anything: for the answer to a request.
func (l *Listener) Take(ctx context.Context, scan Scan, t *hardware.Transcript) (time.Duration, error) {
	if l.buf == nil {
		l.buf = make([]byte, MaxFrame)
	}
	n, noise := 0, 0
	begin := l.Now.Or()()
	start := time.Now()
	last := start // when the latest byte came
	for {
		k, err := l.rest, error(nil)
		if k == 0 {
			k, err = l.read(l.buf[n:])
		}
		l.rest = 0
		if k > 0 {
			last = time.Now()
			if n == 0 {
				begin = l.Now.Or()()
			}
			n += k
			skip, end := scan(l.buf[:n])
			if end > 0 {
				t.Receive(l.buf[skip:end])
				l.rest = copy(l.buf, l.buf[end:n])
				return begin, nil
			}
			noise += skip
			n = copy(l.buf, l.buf[skip:n])
		}
		switch {
		case err != nil:
			t.Receive(l.buf[:n])
			return begin, gone(ctx, err)
		case ctx.Err() != nil:
			t.Receive(l.buf[:n])
			return begin, ended(ctx.Err())
		case n == len(l.buf), n > 0 && time.Since(last) >= l.Idle:
			t.Receive(l.buf[:n])
			return begin, nil
		case n == 0 && time.Since(start) >= l.Silence && noise > 0:
			return begin, &hardware.Error{Class: hardware.ErrMalformed, Op: "listening",
				Err: fmt.Errorf("%d bytes came and no frame began in them", noise), Remedy: "check speed, parity and protocol"}
		case n == 0 && time.Since(start) >= l.Silence:
			return begin, &hardware.Error{Class: hardware.ErrTimeout, Op: "listening",
				Err: fmt.Errorf("nothing came within %s", l.Silence), Remedy: l.Remedy}
		}
	}
}

// read reads once; a wait that passed is 0 bytes and no error.
func (l *Listener) read(b []byte) (int, error) {
	if err := l.Stream.SetDeadline(time.Now().Add(slice)); err != nil {
		return 0, err
	}
	n, err := l.Stream.Read(b)
	switch {
	case n > 0, errors.Is(err, os.ErrDeadlineExceeded):
		return n, nil
	case err == nil:
		return 0, io.ErrNoProgress
	}
	return 0, err
}

// Send writes b, which t records as sent.
func (l *Listener) Send(ctx context.Context, b []byte, t *hardware.Transcript) error {
	if err := ctx.Err(); err != nil {
		return ended(err)
	}
	t.Send(b)
	if err := l.Stream.SetDeadline(time.Now().Add(l.Idle)); err != nil {
		return gone(ctx, err)
	}
	if _, err := l.Stream.Write(b); err != nil {
		return gone(ctx, err)
	}
	return nil
}

func ended(err error) error {
	return &hardware.Error{Class: hardware.ErrTimeout, Op: "listening", Err: err}
}

// gone tells the end of a context and a write that hung from a broken port.
func gone(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ended(ctx.Err())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return ended(err)
	}
	return &hardware.Error{Class: hardware.ErrAbsent, Op: "listening", Err: err, Remedy: "check the adapter and its plug"}
}
