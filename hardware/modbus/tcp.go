package modbus

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"wattmark/hardware"
)

// TCPOpts are settings of a Modbus TCP connection; zero values have the stated defaults.
type TCPOpts struct {
	Timeout time.Duration // for a server to answer: 1 s
}

// DefaultTCPTimeout is how long a server, or a unit behind a converter, has to answer.
const DefaultTCPTimeout = time.Second

// errLost is why a connection that cannot connect anew is of no use any more.
var errLost = errors.New("the connection was closed after an exchange that failed")

// TCP speaks Modbus TCP on a Conn. Stale may be called from anywhere, all else only by
// the owner of the connection.
//
// Each request has a transaction number of its own. After a request that was not
// answered in time, or wrongly, what else comes on the connection belongs to nobody: it
// is closed, and connected anew for the next request if the Conn is a [Connector].
type TCP struct {
	conn    Conn
	timeout time.Duration
	number  uint16
	lost    bool // the connection was closed; a Connector makes another
	out     [tcpRequestSize]byte
	in      [maxTCPFrame + headerSize]byte // a frame and what shows that another follows
	stale   atomic.Uint64
}

var _ Requester = (*TCP)(nil)

// NewTCP returns a client on conn.
func NewTCP(conn Conn, opts TCPOpts) *TCP {
	if opts.Timeout <= 0 {
		opts.Timeout = DefaultTCPTimeout
	}
	return &TCP{conn: conn, timeout: opts.Timeout}
}

// Stale returns how many times bytes came that were not the one reply to a request.
func (c *TCP) Stale() uint64 { return c.stale.Load() }

// Exchange implements Requester.
func (c *TCP) Exchange(ctx context.Context, r Request, t *hardware.Transcript) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, ended(r, err)
	}
	if err := c.connect(ctx); err != nil {
		return nil, unconnected(r, err)
	}
	c.number++
	frame := r.AppendTCP(c.out[:0], c.number)
	t.Send(frame)
	deadline := time.Now().Add(c.timeout)
	n, err := c.send(ctx, frame, deadline)
	t.Receive(c.in[:n])
	switch {
	case err != nil:
		return nil, c.failed(r, err)
	case n == 0:
		return nil, c.unanswered(r)
	}
	data, err := ParseTCPReply(r, c.number, c.in[:n])
	switch {
	case errors.Is(err, hardware.ErrDevice):
		return nil, at(r, err) // an answer as good as any
	case err != nil:
		if errors.Is(err, hardware.ErrStale) || errors.Is(err, hardware.ErrWrongDevice) {
			c.stale.Add(1)
		}
		c.close()
		return nil, at(r, err)
	}
	return data, nil
}

// connect sees to it that there is a connection.
func (c *TCP) connect(ctx context.Context) error {
	connector, ok := c.conn.(Connector)
	if !ok {
		if c.lost {
			return errLost
		}
		return nil
	}
	if err := connector.Connect(ctx); err != nil {
		return err
	}
	c.lost = false
	return nil
}

// close ends the connection. That it cannot be closed tells nothing: it is given up.
func (c *TCP) close() {
	c.lost = true
	if connector, ok := c.conn.(Connector); ok {
		_ = connector.Disconnect()
		return
	}
	_ = c.conn.Close()
}

// send sends frame and reads until the reply is whole or deadline passes, which is no
// error.
func (c *TCP) send(ctx context.Context, frame []byte, deadline time.Time) (n int, err error) {
	if err := c.conn.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(frame); err != nil {
		return 0, err
	}
	for {
		until := time.Now().Add(slice)
		if deadline.Before(until) {
			until = deadline
		}
		k, err := read(c.conn, c.in[n:], until)
		n += k
		switch {
		case err != nil:
			return n, err
		case n > headerSize && c.whole(n):
			return n, nil
		case k > 0:
			// Not whole yet.
		case ctx.Err() != nil:
			return n, ctx.Err()
		case !time.Now().Before(deadline):
			return n, nil
		}
	}
}

// whole reports whether the first n bytes of the buffer are a frame, or can never be one.
func (c *TCP) whole(n int) bool {
	length, err := readHeader(c.in[:n])
	return err != nil || n >= lengthAt+2+length
}

// unanswered closes the connection: the reply may come yet.
func (c *TCP) unanswered(r Request) error {
	c.close()
	return &hardware.Error{Class: hardware.ErrAbsent, Op: r.String(), Err: fmt.Errorf("no answer within %s", c.timeout),
		Remedy: "check the unit's number, and whether the server speaks Modbus TCP or RTU frames over TCP"}
}

// failed tells the end of a context and a write that hung from a broken connection.
func (c *TCP) failed(r Request, err error) error {
	c.close()
	if gaveUp(err) {
		return ended(r, err)
	}
	return &hardware.Error{Class: hardware.ErrAbsent, Op: r.String(), Err: err,
		Remedy: "check the server, and whether it takes one more connection"}
}
