package jetstream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/oracle/broker"
	"wattmark/oracle/orderer"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/orderer/orderertest"
)

const ledger = "street"

// service is a real broker on a port of its own, which keeps its port over restarts, and the clients that tests open.
type service struct {
	cfg    broker.Config
	broker *broker.Broker
	client *tls.Config
	lines  map[orderer.Orderer]*line
	conns  map[orderer.Orderer]*nats.Conn
}

func newService(t testing.TB) *service {
	t.Helper()
	now := time.Now()
	pki, err := broker.OpenPKI(t.TempDir(), now)
	if err != nil {
		t.Fatal(err)
	}
	files, err := pki.Server(now)
	if err != nil {
		t.Fatal(err)
	}
	cert, roots, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	files, err = pki.Oracle(now, ledger, "one")
	if err != nil {
		t.Fatal(err)
	}
	own, _, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	s := &service{
		cfg: broker.Config{
			StoreDir:     t.TempDir(),
			ClientListen: "127.0.0.1:0",
			Certificate:  cert,
			Roots:        roots,
			Oracles:      []broker.Oracle{{Name: "one", Identity: broker.OracleIdentity(ledger, "one"), Publish: []string{">"}, Subscribe: []string{">"}}},
		},
		client: &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: roots, MinVersion: tls.VersionTLS12},
		lines:  make(map[orderer.Orderer]*line),
		conns:  make(map[orderer.Orderer]*nats.Conn),
	}
	s.start(t)
	t.Cleanup(func() { s.broker.Close() })
	return s
}

func (s *service) start(t testing.TB) {
	t.Helper()
	b, err := broker.Start(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.broker = b
	s.cfg.ClientListen = b.NATSURL()[len("tls://"):]
}

func (s *service) restart(t testing.TB) {
	t.Helper()
	s.broker.Close()
	s.start(t)
}

func (s *service) replace(t testing.TB) {
	t.Helper()
	s.broker.Close()
	if err := os.RemoveAll(filepath.Join(s.cfg.StoreDir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	s.start(t)
}

func (s *service) connect(t testing.TB) (*nats.Conn, *line) {
	t.Helper()
	l := &line{}
	nc, err := nats.Connect(s.broker.NATSURL(), nats.Secure(s.client), nats.SetCustomDialer(l),
		nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, l
}

// config makes retries quick, as tests lose acknowledgements on purpose.
func config() jetstream.Config {
	return jetstream.Config{Ledger: ledger, AckWait: 400 * time.Millisecond}
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (s *service) open(t testing.TB) orderer.Orderer {
	t.Helper()
	nc, l := s.connect(t)
	o, err := jetstream.Open(within(t), nc, config())
	if err != nil {
		t.Fatal(err)
	}
	s.lines[o], s.conns[o] = l, nc
	return o
}

// line is a dialer whose connections can be made deaf.
type line struct {
	mu   sync.Mutex // guards what follows
	deaf bool
	open []*deafConn
}

func (l *line) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	d := &deafConn{Conn: c, line: l}
	l.open = append(l.open, d)
	return d, nil
}

func (l *line) deafen() (restore func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.deaf = true
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.deaf = false
		// What was swallowed is missing from the stream of bytes, so the client must connect again.
		for _, c := range l.open {
			c.Conn.Close()
		}
		l.open = nil
	}
}

// deafConn swallows what it reads while its line is deaf.
type deafConn struct {
	net.Conn
	line *line
	lost bool // something was swallowed; only the reader uses it
}

func (c *deafConn) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		c.line.mu.Lock()
		deaf := c.line.deaf
		c.line.mu.Unlock()
		if err != nil {
			return n, err
		}
		if !deaf {
			if c.lost {
				return 0, errors.New("connection lost bytes")
			}
			return n, nil
		}
		c.lost = true
	}
}

func TestOrder(t *testing.T) {
	orderertest.Run(t, func(t testing.TB) orderertest.Service {
		s := newService(t)
		return orderertest.Service{
			Open:    s.open,
			Restart: s.restart,
			Replace: s.replace,
			Close:   func(_ testing.TB, c orderer.Orderer) { s.conns[c].Close() },
			Deafen:  func(_ testing.TB, c orderer.Orderer) func() { return s.lines[c].deafen() },
		}
	})
}
