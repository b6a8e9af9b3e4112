package bus

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// dialTimeout is for a server or converter to take a connection. It is shorter than a
// transfer may hang.
const dialTimeout = 2 * time.Second

// keepAlive notices within half a minute that the other end of an idle connection is
// gone. While something is on its way the system's own limit counts (userTimeout).
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

// Converter is an Opener of a serial port at the other end of a TCP connection: a
// converter set to pass bytes as they are ("raw" or "TCP server" mode), at host:port.
// The speed of the line is set in the converter. For Modbus it is the setting
// rtu-over-tcp; units have 1 s to answer.
//
// A unit that is silent does not end the connection, since a converter passes a late
// reply to the next one too, and its neighbours would wait for it to be made: the rules
// of package modbus for late replies hold as on a wire.
func Converter(address string) Opener {
	return func() (io.Closer, error) { return &remote{address: address, framing: modbus.FramingRTU}, nil }
}

// ModbusTCP is an Opener of a server of Modbus TCP at host:port, which has 1 s to
// answer. It connects with the first request; after one that was not answered the
// connection is made anew.
func ModbusTCP(address string) Opener {
	return func() (io.Closer, error) { return &remote{address: address, framing: modbus.FramingTCP}, nil }
}

// TellFraming finds out which framing is spoken at host:port, by reading one register of
// a unit in each. It only reads. The error is ErrAbsent of package hardware when nobody
// is there, or no unit answers in either.
func TellFraming(ctx context.Context, address string, unit byte, timeout time.Duration) (modbus.Framing, error) {
	dial := func(ctx context.Context) (modbus.Conn, error) {
		r := &remote{address: address}
		if err := r.Connect(ctx); err != nil {
			return nil, err
		}
		return r, nil
	}
	return modbus.Tell(ctx, dial, unit, timeout)
}

// errNotConnected is what becomes of a transfer without a connection.
var errNotConnected = errors.New("not connected")

// remote is a TCP connection that is made when it is needed: a modbus.Conn and
// modbus.Connector. Close may be called from any goroutine.
type remote struct {
	address string
	framing modbus.Framing

	mu     sync.Mutex // guards the fields below
	conn   net.Conn   // nil while there is none
	closed bool
}

// Connect implements modbus.Connector.
func (r *remote) Connect(ctx context.Context) error {
	if r.current() != nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := net.Dialer{KeepAliveConfig: keepAlive, Control: userTimeout}
	c, err := dialer.DialContext(limited, "tcp", r.address)
	switch {
	case err != nil && ctx.Err() != nil:
		return &hardware.Error{Class: hardware.ErrTimeout, Op: "connecting to " + r.address, Err: ctx.Err()}
	case err != nil:
		return openError(r.address, err, "check address and port, the power of what is there, and who else is connected to it")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.Join(errNotConnected, c.Close())
	}
	r.conn = c
	return nil
}

// Disconnect implements modbus.Connector.
func (r *remote) Disconnect() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.conn
	r.conn = nil
	if c == nil {
		return nil
	}
	return c.Close()
}

// Close ends the connection for good.
func (r *remote) Close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	return r.Disconnect()
}

// current returns the connection, nil if there is none.
func (r *remote) current() net.Conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn
}

// Read implements io.Reader.
func (r *remote) Read(b []byte) (int, error) {
	if c := r.current(); c != nil {
		return c.Read(b)
	}
	return 0, errNotConnected
}

// Write implements io.Writer.
func (r *remote) Write(b []byte) (int, error) {
	if c := r.current(); c != nil {
		return c.Write(b)
	}
	return 0, errNotConnected
}

// SetDeadline implements modbus.Conn.
func (r *remote) SetDeadline(t time.Time) error {
	if c := r.current(); c != nil {
		return c.SetDeadline(t)
	}
	return errNotConnected
}
