package modbus

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"wattmark/hardware"
)

// Requester reads registers from units behind one connection. It is not safe for concurrent
// use: the owner of the bus makes all calls.
type Requester interface {
	// Exchange sends r, records in t the frames sent and received, and returns the
	// register bytes of the reply, valid until the next call. It returns within
	// 50 ms of the end of ctx.
	Exchange(ctx context.Context, r Request, t *hardware.Transcript) ([]byte, error)
}

// Conn carries frames: a serial port, a pseudo-terminal, or a TCP connection. A
// deadline that passes is os.ErrDeadlineExceeded.
type Conn interface {
	io.ReadWriteCloser
	SetDeadline(t time.Time) error
}

// Discarder is a Conn that can drop at once what was received and not read. Without
// it each request on a line waits a millisecond for bytes that should not be there.
type Discarder interface {
	Discard() (n int, err error)
}

// Pauser is a Conn that can wait without being woken by what arrives meanwhile. Without
// it the reader of a slow reply is woken for each of its pieces.
type Pauser interface {
	// Pause waits until a time. Its errors are those of Read.
	Pause(until time.Time) error
}

// Connector is a Conn that connects when it is needed, as often as it is needed.
type Connector interface {
	// Connect does nothing while there is a connection, and returns within 50 ms of
	// the end of ctx. Its errors have the classes of package hardware.
	Connect(ctx context.Context) error
	// Disconnect ends the connection. What was on its way is lost with it.
	Disconnect() error
}

// slice is the longest single wait, so that the end of a context is noticed in time
// without a goroutine for each request.
const slice = 40 * time.Millisecond

// connect connects conn, if that is something it does.
func connect(ctx context.Context, conn Conn) error {
	if c, ok := conn.(Connector); ok {
		return c.Connect(ctx)
	}
	return nil
}

// read reads once; a deadline that passed is 0 bytes and no error.
func read(conn Conn, b []byte, until time.Time) (int, error) {
	if err := conn.SetDeadline(until); err != nil {
		return 0, err
	}
	n, err := conn.Read(b)
	switch {
	case n > 0, err != nil && errors.Is(err, os.ErrDeadlineExceeded):
		return n, nil
	case err == nil:
		return 0, io.ErrNoProgress
	}
	return 0, err
}

// gaveUp tells a caller who gave up, and a write that hung, from a broken connection.
func gaveUp(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

func ended(r Request, err error) error {
	return &hardware.Error{Class: hardware.ErrTimeout, Op: r.String(), Err: err}
}

func broken(r Request, err error) error {
	return &hardware.Error{Class: hardware.ErrAbsent, Op: r.String(), Err: err, Remedy: "check the adapter and its plug"}
}

// unconnected is why there is no connection to ask r on.
func unconnected(r Request, err error) error {
	if hardware.Class(err) == nil {
		if gaveUp(err) {
			return ended(r, err)
		}
		return broken(r, err)
	}
	return at(r, err)
}

// at adds to a refusal what was being read.
func at(r Request, err error) error {
	e := new(hardware.Error)
	if !errors.As(err, &e) {
		return err
	}
	refused := *e
	refused.Op = r.String()
	return &refused
}
