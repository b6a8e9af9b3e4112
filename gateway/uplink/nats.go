package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// natsLink is core NATS: publishes are flushed, and every 64th waits for the
// server's answer to a ping, which all before it have reached by then.
type natsLink struct{ link }

// NATS returns the transport over NATS.
func NATS(l Link) (Transport, error) {
	checked, err := l.check([]string{"tls"}, []string{"nats"}, "4222")
	if err != nil {
		return nil, err
	}
	return &natsLink{checked}, nil
}

// String implements Transport.
func (n *natsLink) String() string { return "NATS " + n.address }

type natsConn struct {
	ending
	conn      *nats.Conn
	birth     string // subject, empty for none
	cancel    context.CancelFunc
	timeout   time.Duration
	unflushed int // the publisher's own
}

// natsDialer opens the network connection; the client adds TLS itself.
type natsDialer struct {
	ctx  context.Context
	link *link
}

// Dial implements nats.CustomDialer.
func (d natsDialer) Dial(_, _ string) (net.Conn, error) { return d.link.wire(d.ctx, false) }

// Bounds of what waits to be delivered.
const (
	pendingMessages = 1024
	pendingBytes    = 16 << 20
)

// Connect implements Transport.
func (n *natsLink) Connect(ctx context.Context, listen []string, deliver func(string, []byte)) (Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := &natsConn{ending: newEnding(), birth: n.Announce, cancel: cancel, timeout: n.Timeout}
	opts := []nats.Option{
		nats.Name(n.ClientID), nats.NoReconnect(), nats.ReconnectBufSize(-1),
		nats.Timeout(n.Timeout), nats.FlusherTimeout(n.Timeout), nats.PingInterval(keepAlive), nats.MaxPingsOutstanding(2),
		nats.SetCustomDialer(natsDialer{ctx, &n.link}),
		nats.ClosedHandler(func(nc *nats.Conn) { c.end(reasonOf(nc)) }),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // LastError has it; the default prints
	}
	scheme := "nats://"
	if n.secure {
		scheme = "tls://"
		opts = append(opts, nats.Secure(n.TLS))
	}
	var err error
	if c.conn, err = nats.Connect(scheme+n.address, opts...); err == nil {
		err = c.listen(ctx, listen, deliver, n.Timeout)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("%s: %w", n, err)
	}
	return c, nil
}

func reasonOf(nc *nats.Conn) error {
	if err := nc.LastError(); err != nil {
		return err
	}
	return nats.ErrConnectionClosed
}

func (c *natsConn) listen(ctx context.Context, subjects []string, deliver func(string, []byte), timeout time.Duration) error {
	for _, s := range subjects {
		sub, err := c.conn.Subscribe(s, func(m *nats.Msg) {
			if ctx.Err() == nil {
				deliver(s, m.Data)
			}
		})
		if err == nil {
			err = sub.SetPendingLimits(pendingMessages, pendingBytes)
		}
		if err != nil {
			return fmt.Errorf("subscribing: %w", err)
		}
	}
	// A server answers a subscription it does not grant before it answers a ping.
	if err := c.conn.FlushTimeout(timeout); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	if err := c.conn.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("the broker does not let this gateway listen: %w", err)
	}
	return nil
}

// Publish implements Conn.
func (c *natsConn) Publish(ctx context.Context, subject string, message []byte) error {
	if err := c.conn.Publish(subject, message); err != nil {
		return err
	}
	if c.unflushed++; c.unflushed < inFlight {
		return nil
	}
	c.unflushed = 0
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.conn.FlushWithContext(ctx)
}

// Announce implements announcer.
func (c *natsConn) Announce(_ context.Context, message []byte) error {
	if c.birth == "" {
		return nil
	}
	return c.conn.Publish(c.birth, message)
}

// Close implements Conn.
func (c *natsConn) Close() {
	c.end(errClosed)
	if c.conn != nil {
		c.conn.Close()
	}
	c.cancel()
}
