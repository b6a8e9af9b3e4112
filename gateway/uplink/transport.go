package uplink

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Transport makes connections to a broker. Connect is called by one goroutine, and
// again after the connection before has been closed.
type Transport interface {
	// Connect opens a connection and listens on the subjects, each of which the
	// broker must have granted. deliver gets every message, possibly from several
	// goroutines at once and possibly before Connect returns; it may block until ctx
	// ends, which is at the latest when the connection is closed. It keeps message.
	Connect(ctx context.Context, listen []string, deliver func(subject string, message []byte)) (Conn, error)
	// String names protocol and broker, without secrets.
	String() string
}

// Conn is one connection. It is not used any more once it failed.
type Conn interface {
	// Publish hands a message to the broker, as soon as few enough before it wait
	// for an acknowledgement. Nil says that it is on its way and nothing else. It
	// keeps message.
	Publish(ctx context.Context, subject string, message []byte) error
	// Done is closed when the connection has failed or was closed.
	Done() <-chan struct{}
	// Err says why the connection failed, once Done is closed.
	Err() error
	// Close ends the connection and waits until nothing is delivered any more.
	Close()
}

// announcer is a Conn that can leave a message behind for whoever looks later.
type announcer interface {
	// Announce publishes a message on the link's Announce subject, retained where the
	// broker can, and returns as Publish does.
	Announce(ctx context.Context, message []byte) error
}

// Link says how a broker is reached.
type Link struct {
	// URL is "ssl://host:8883" (MQTT) or "tls://host:4222" (NATS). "tcp://" and
	// "nats://" are without TLS, and for the loopback only.
	URL string
	// TLS has the client certificate and the consortium's roots. Nil for a plain
	// connection.
	TLS *tls.Config
	// ClientID names the connection for people; over MQTT something random is added.
	ClientID string
	// Announce is the subject of birth and will; empty for neither. NATS has no retained
	// messages and no wills: there the birth is published to whoever listens just then.
	Announce string
	// Dial opens the network connection; nil is the system's. What it returns is
	// closed by the uplink.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout is for connecting, and for the broker to acknowledge; 0 means 30 s.
	Timeout time.Duration
}

// inFlight is how many publishes may wait for their acknowledgement.
const inFlight = 64

// keepAlive is how often a quiet connection is tried.
const keepAlive = 30 * time.Second

// link is a Link that was checked.
type link struct {
	Link
	address string
	secure  bool
}

func (l Link) check(secure, plain []string, port string) (link, error) {
	u, err := url.Parse(l.URL)
	if err != nil {
		return link{}, fmt.Errorf("broker address: %w", err)
	}
	out := link{Link: l, secure: slices.Contains(secure, u.Scheme)}
	host := u.Hostname()
	switch {
	case !out.secure && !slices.Contains(plain, u.Scheme):
		return out, fmt.Errorf("broker %q: the address starts with one of %q", l.URL, append(secure, plain...))
	case host == "" || u.User != nil || u.RawQuery != "" || u.Path != "" && u.Path != "/":
		return out, fmt.Errorf("broker %q: the address is a protocol, a host and a port", u.Redacted())
	case !out.secure && !loopback(host):
		return out, fmt.Errorf("broker %q: without TLS only the loopback may be reached: use %q", l.URL, secure[0]+"://")
	case l.ClientID == "":
		return out, errors.New("a connection needs a client id")
	}
	if u.Port() != "" {
		port = u.Port()
	}
	out.address = net.JoinHostPort(host, port)
	if out.Dial == nil {
		out.Dial = (&net.Dialer{KeepAlive: keepAlive}).DialContext
	}
	if out.Timeout <= 0 {
		out.Timeout = 30 * time.Second
	}
	if out.secure {
		return out, out.checkTLS(host)
	}
	return out, nil
}

func (l *link) checkTLS(host string) error {
	switch c := l.TLS; {
	case c == nil || c.RootCAs == nil:
		return fmt.Errorf("broker %q: TLS needs the consortium's roots", l.URL)
	case len(c.Certificates) == 0 && c.GetClientCertificate == nil:
		return fmt.Errorf("broker %q: TLS needs the gateway's client certificate", l.URL)
	case c.InsecureSkipVerify:
		return fmt.Errorf("broker %q: a certificate that is not verified protects nothing", l.URL)
	}
	l.TLS = l.TLS.Clone()
	l.TLS.MinVersion = max(l.TLS.MinVersion, tls.VersionTLS12)
	if l.TLS.ServerName == "" {
		l.TLS.ServerName = host
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// wire opens the network connection, with TLS where hands says so. It is closed
// when ctx ends.
func (l *link) wire(ctx context.Context, handshake bool) (net.Conn, error) {
	dialing, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	raw, err := l.Dial(dialing, "tcp", l.address)
	if err != nil {
		return nil, err
	}
	c := &closer{Conn: raw}
	c.stop = context.AfterFunc(ctx, func() { c.Conn.Close() })
	if !handshake || !l.secure {
		return c, nil
	}
	secured := tls.Client(c, l.TLS)
	if err := secured.HandshakeContext(dialing); err != nil {
		c.Close()
		return nil, fmt.Errorf("TLS with %s: %w", l.address, err)
	}
	return secured, nil
}

// closer is a connection that gives up waiting for its context when it is closed.
type closer struct {
	net.Conn
	stop func() bool
}

// Close closes the connection.
func (c *closer) Close() error {
	c.stop()
	return c.Conn.Close()
}

// ending is the part of a Conn that says how it ended.
type ending struct {
	once sync.Once
	done chan struct{}
	err  error // set before done is closed
}

func newEnding() ending { return ending{done: make(chan struct{})} }

func (e *ending) end(err error) {
	e.once.Do(func() {
		e.err = err
		close(e.done)
	})
}

// Done implements Conn.
func (e *ending) Done() <-chan struct{} { return e.done }

// Err implements Conn.
func (e *ending) Err() error { return e.err }

var (
	errClosed = errors.New("the connection was closed")
	errSilent = errors.New("the broker does not acknowledge")
)
