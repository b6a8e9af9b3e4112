package uplink_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/gateway/uplink"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/broker"
	"wattmark/oracle/oracletest"
	"wattmark/oracle/wire"
)

// patient is how long a test waits for what must come.
const patient = 15 * time.Second

// site is the embedded broker with a certificate for one gateway, and an oracle
// that answers every frame.
type site struct {
	*oracletest.Broker
	ledger *ledger

	mu     sync.Mutex // guards the fields below
	frames int
	mute   bool
}

func openSite(t *testing.T) *site {
	t.Helper()
	s := &site{ledger: newLedger(t), Broker: oracletest.StartBroker(t, ledgertest.Origin, 4, gatewayName)}
	conn, err := s.Conn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	subjects := wire.For(ledgertest.Origin)
	hear := func(m *nats.Msg) { s.oracle(t, conn, m) }
	if _, err = conn.QueueSubscribe(subjects.Up("*"), wire.QueueGroup, hear); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if _, err = conn.Subscribe(subjects.UpTo("*", i), hear); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

// oracle answers a frame with receipts.
func (s *site) oracle(t *testing.T, conn *nats.Conn, m *nats.Msg) {
	f, err := wire.ParseFrame(m.Data)
	if err != nil {
		t.Errorf("frame: %v", err)
		return
	}
	s.mu.Lock()
	s.frames++
	mute := s.mute
	s.mu.Unlock()
	if mute {
		return
	}
	subjects := wire.For(ledgertest.Origin)
	err = conn.Publish(subjects.Receipt(subjects.Gateway(m.Subject)), s.ledger.receipts(t, f.Statement).Encode())
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) { // as at the test's end
		t.Errorf("answering: %v", err)
	}
}

func (s *site) setMute(mute bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mute = mute
}

func (s *site) seen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames
}

// cable is a network that can be cut.
type cable struct {
	mu    sync.Mutex // guards the fields below
	cut   bool
	conns []net.Conn
}

func (c *cable) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil, errCut
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cable) set(cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = cut
	if cut {
		for _, conn := range c.conns {
			conn.Close()
		}
		c.conns = nil
	}
}

func transports(t *testing.T, s *site, c *cable) map[string]uplink.Transport {
	t.Helper()
	link := uplink.Link{TLS: s.TLS(t, gatewayName), ClientID: "wattmark-" + gatewayName, Timeout: 5 * time.Second}
	if c != nil {
		link.Dial = c.dial
	}
	link.URL = s.MQTTURL()
	m, err := uplink.MQTT(link)
	if err != nil {
		t.Fatal(err)
	}
	link.URL = s.NATSURL()
	n, err := uplink.NATS(link)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]uplink.Transport{"mqtt": m, "nats": n}
}

// serve runs an uplink; the function ends it.
func (s *site) serve(t *testing.T, b *box, via uplink.Transport, change func(*uplink.Config)) (*uplink.Uplink, func()) {
	t.Helper()
	cfg := uplink.Config{
		Gateway: gatewayName, Origin: ledgertest.Origin, Policy: s.ledger.Policy, OracleKeys: s.ledger.keys(), Outbox: b.Outbox, Transport: via,
		Resend:    uplink.Backoff{First: 100 * time.Millisecond, Most: time.Second},
		Reconnect: uplink.Backoff{First: 20 * time.Millisecond, Most: 100 * time.Millisecond},
	}
	if change != nil {
		change(&cfg)
	}
	u, err := uplink.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- u.Run(ctx) }()
	var once sync.Once
	end := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(end)
	return u, end
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patient); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patient, what)
		}
	}
}

func (b *box) empty() bool { return b.Stats().Pending == 0 }

func TestThroughTheBroker(t *testing.T) {
	s := openSite(t)
	wire := &cable{}
	for name, via := range transports(t, s, wire) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			b := openBox(t, dir)
			_, end := s.serve(t, b, via, nil)
			b.add(t, 200)
			until(t, "200 receipts", b.empty)

			// The network is cut, readings go on, the network comes back.
			wire.set(true)
			b.add(t, 100)
			if b.empty() {
				t.Fatal("statements left through a cut network")
			}
			wire.set(false)
			until(t, "receipts for what was signed meanwhile", b.empty)

			// The oracle takes frames and says nothing: they are sent again.
			s.setMute(true)
			before := s.seen()
			b.add(t, 3)
			until(t, "three statements sent at least twice", func() bool { return s.seen() >= before+6 })
			if b.empty() {
				t.Fatal("forgotten without a receipt")
			}

			// The gateway is gone and comes back; then the oracle does.
			end()
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			b = openBox(t, dir)
			if got := b.Stats().Pending; got != 3 {
				t.Fatalf("%d statements wait after the restart, want 3", got)
			}
			u, end := s.serve(t, b, via, nil)
			until(t, "a connection", func() bool { return u.Stats().Connected })
			s.setMute(false)
			until(t, "receipts for the last three", b.empty)
			end()
		})
	}
}

func TestBrokerGoesAway(t *testing.T) {
	s := openSite(t)
	b := openBox(t, t.TempDir())
	via := transports(t, s, nil)["mqtt"]
	u, _ := s.serve(t, b, via, nil)
	b.add(t, 1)
	until(t, "a receipt", b.empty)
	s.Broker.Close()
	until(t, "the connection's end", func() bool { return !u.Stats().Connected })
	b.add(t, 2)
	if got := u.Stats().Failure; got == "" {
		t.Error("no failure is told while the broker is down")
	}
	if b.empty() {
		t.Error("statements are forgotten while the broker is down")
	}
}

func TestSubscriptionThatIsNotGranted(t *testing.T) {
	s := openSite(t)
	for name, via := range transports(t, s, nil) {
		ctx, cancel := context.WithTimeout(context.Background(), patient)
		_, err := via.Connect(ctx, []string{"wattmark.v1.other.receipt.home-02"}, func(string, []byte) {})
		cancel()
		if err == nil || !strings.Contains(err.Error(), "does not let this gateway listen") {
			t.Errorf("%s: %v, want an error that names what is not granted", name, err)
		}
	}
}

func TestWithoutTheRightCertificate(t *testing.T) {
	s := openSite(t)
	stranger, err := broker.OpenPKI(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	good := s.TLS(t, gatewayName)
	s.PKI = stranger
	for what, conf := range map[string]*tls.Config{
		"a certificate of another authority": {Certificates: s.TLS(t, gatewayName).Certificates, RootCAs: good.RootCAs},
		"roots of another authority":         {Certificates: good.Certificates, RootCAs: stranger.Roots()},
	} {
		for _, make := range []func(uplink.Link) (uplink.Transport, error){uplink.MQTT, uplink.NATS} {
			link := uplink.Link{URL: s.MQTTURL(), TLS: conf, ClientID: "x", Timeout: 5 * time.Second}
			via, err := make(link)
			if err != nil {
				link.URL = s.NATSURL()
				if via, err = make(link); err != nil {
					t.Fatal(err)
				}
			}
			conn, err := via.Connect(context.Background(), nil, func(string, []byte) {})
			if err == nil {
				conn.Close()
				t.Errorf("%s over %s: connected", what, via)
			}
		}
	}
}

func TestLinksAreChecked(t *testing.T) {
	conf := &tls.Config{Certificates: []tls.Certificate{{}}, RootCAs: x509.NewCertPool()}
	bad := conf.Clone()
	bad.InsecureSkipVerify = true
	for what, l := range map[string]uplink.Link{
		"plain beyond the loopback":   {URL: "tcp://192.0.2.1:1883", ClientID: "x"},
		"plain to a name":             {URL: "tcp://broker.example:1883", ClientID: "x"},
		"unknown protocol":            {URL: "http://127.0.0.1", ClientID: "x"},
		"no TLS configuration":        {URL: "ssl://127.0.0.1:8883", ClientID: "x"},
		"no roots":                    {URL: "ssl://127.0.0.1:8883", ClientID: "x", TLS: &tls.Config{Certificates: conf.Certificates}},
		"no client certificate":       {URL: "ssl://127.0.0.1:8883", ClientID: "x", TLS: &tls.Config{RootCAs: conf.RootCAs}},
		"verification switched off":   {URL: "ssl://127.0.0.1:8883", ClientID: "x", TLS: bad},
		"a password in the address":   {URL: "ssl://me:secret@127.0.0.1:8883", ClientID: "x", TLS: conf},
		"no client id":                {URL: "ssl://127.0.0.1:8883", TLS: conf},
		"an address that is no URL":   {URL: "://", ClientID: "x", TLS: conf},
		"a path behind the address":   {URL: "ssl://127.0.0.1:8883/x", ClientID: "x", TLS: conf},
		"an address without any host": {URL: "ssl://:8883", ClientID: "x", TLS: conf},
	} {
		if _, err := uplink.MQTT(l); err == nil {
			t.Errorf("%s: accepted", what)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error tells the password: %v", what, err)
		}
	}
	for _, l := range []uplink.Link{
		{URL: "tcp://127.0.0.1:1883", ClientID: "x"}, {URL: "mqtt://[::1]", ClientID: "x"}, {URL: "tls://broker.example", TLS: conf, ClientID: "x"},
	} {
		if _, err := uplink.MQTT(l); err != nil {
			t.Errorf("%s: %v", l.URL, err)
		}
	}
}
