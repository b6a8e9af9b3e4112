package broker_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"wattmark/oracle/broker"
)

const (
	ledger  = "street"
	patient = 10 * time.Second // how long a test waits for what must come
)

// gateway is what one gateway may do, as oracle/wire would list it.
func gateway(name string) broker.Gateway {
	base := "wattmark.v1." + ledger + "."
	return broker.Gateway{
		Name:      name,
		Identity:  broker.GatewayIdentity(ledger, name),
		Publish:   []string{base + "up." + name, base + "birth." + name},
		Subscribe: []string{base + "receipt." + name, base + "refusal." + name, base + "release"},
	}
}

// site is a broker with certificates for the gateways a and b.
type site struct {
	*broker.Broker
	pki *broker.PKI
	cfg broker.Config
}

func open(t *testing.T, change func(*broker.Config)) *site {
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
	s := &site{pki: pki, cfg: broker.Config{
		StoreDir:     t.TempDir(),
		ClientListen: "127.0.0.1:0",
		MQTTListen:   "127.0.0.1:0",
		Certificate:  cert,
		Roots:        roots,
		Gateways:     []broker.Gateway{gateway("a"), gateway("b")},
		Oracles:      []broker.Oracle{{Name: "far", Identity: broker.OracleIdentity(ledger, "far"), Publish: []string{"wattmark.v1.street.receipt.*"}, Subscribe: []string{"wattmark.v1.street.up.*"}}},
		Log:          slog.New(slog.NewTextHandler(&testLog{t: t}, nil)),
	}}
	if change != nil {
		change(&s.cfg)
	}
	s.start(t)
	return s
}

func (s *site) start(t *testing.T) {
	t.Helper()
	b, err := broker.Start(s.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	s.Broker = b
}

// testLog writes to the test's log, and to also if that is there.
type testLog struct {
	t    *testing.T
	mu   sync.Mutex // guards also
	also io.Writer
}

func (l *testLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Log(strings.TrimSpace(string(p)))
	if l.also != nil {
		l.also.Write(p)
	}
	return len(p), nil
}

func (s *site) clientTLS(t *testing.T, files broker.Files, err error) *tls.Config {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	cert, roots, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert}, RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func (s *site) gatewayTLS(t *testing.T, name string) *tls.Config {
	t.Helper()
	files, err := s.pki.Gateway(time.Now(), ledger, name)
	return s.clientTLS(t, files, err)
}

// mqtt connects a gateway over MQTT.
func (s *site) mqtt(t *testing.T, name, clientID string) mqtt.Client {
	t.Helper()
	c, err := s.tryMQTT(s.gatewayTLS(t, name), clientID)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func (s *site) tryMQTT(conf *tls.Config, clientID string) (mqtt.Client, error) {
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(s.MQTTURL()).SetClientID(clientID).SetTLSConfig(conf).
		SetCleanSession(false).SetAutoReconnect(false).SetConnectTimeout(patient).SetProtocolVersion(4))
	return c, wait(c.Connect())
}

func wait(token mqtt.Token) error {
	if !token.WaitTimeout(patient) {
		return errors.New("no answer in time")
	}
	return token.Error()
}

// subscribe returns the code of the SUBACK and a channel of what comes.
func subscribe(t *testing.T, c mqtt.Client, topic string) (byte, <-chan string) {
	t.Helper()
	got := make(chan string, 16)
	token := c.Subscribe(topic, 1, func(_ mqtt.Client, m mqtt.Message) { got <- string(m.Payload()) })
	// A refused subscription is an error of paho's in some versions and only a code in others.
	if err := wait(token); err != nil && token.(*mqtt.SubscribeToken).Result()[topic] != 0x80 {
		t.Fatalf("subscribing to %s: %v", topic, err)
	}
	return token.(*mqtt.SubscribeToken).Result()[topic], got
}

// nats connects a gateway over NATS; refusals arrive on the channel.
func (s *site) nats(t *testing.T, name string) (*nats.Conn, <-chan error) {
	t.Helper()
	refused := make(chan error, 16)
	nc, err := nats.Connect(s.NATSURL(), nats.Secure(s.gatewayTLS(t, name)), nats.NoReconnect(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, refused
}

// oracle connects within the process and hears everything under wattmark.
func (s *site) oracle(t *testing.T) (*nats.Conn, <-chan *nats.Msg) {
	t.Helper()
	nc, err := s.Conn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	heard := make(chan *nats.Msg, 64)
	if _, err := nc.ChanSubscribe("wattmark.>", heard); err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	return nc, heard
}

func flush(t *testing.T, nc *nats.Conn) {
	t.Helper()
	if err := nc.FlushTimeout(patient); err != nil {
		t.Fatal(err)
	}
}

func next[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patient):
		t.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// said is subject and content of a message.
func said(m *nats.Msg) string { return m.Subject + " " + string(m.Data) }

func TestMQTTGatewayPublishesOnItsOwnSubjectsOnly(t *testing.T) {
	s := open(t, nil)
	_, heard := s.oracle(t)
	c := s.mqtt(t, "a", "a")
	publish := func(topic, text string) {
		t.Helper()
		// Every one of these is acknowledged: a PUBACK proves nothing.
		if err := wait(c.Publish(topic, 1, false, text)); err != nil {
			t.Fatalf("publishing on %s: %v", topic, err)
		}
	}
	publish("wattmark/v1/street/up/b", "forbidden 1")
	publish("wattmark/v1/street/receipt/a", "forbidden 2")
	publish("wattmark/v1/street/release", "forbidden 3")
	publish("order/street", "forbidden 4")
	publish("$JS/API/STREAM/LIST", "forbidden 5")
	publish("wattmark/v1/street/up/a", "statement")
	publish("wattmark/v1/street/birth/a", "birth")

	// Publishes of one connection arrive in order, so what was forbidden would have come first.
	got := []string{said(next(t, heard, "the statement")), said(next(t, heard, "the birth"))}
	want := []string{"wattmark.v1.street.up.a statement", "wattmark.v1.street.birth.a birth"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("oracle heard (-want +got):\n%s", diff)
	}
}

func TestNATSGatewayPublishesOnItsOwnSubjectsOnly(t *testing.T) {
	s := open(t, nil)
	_, heard := s.oracle(t)
	nc, refused := s.nats(t, "b")
	for _, subject := range []string{"wattmark.v1.street.up.a", "order.street", "$JS.API.STREAM.LIST", "$MQTT.msgs.x"} {
		if err := nc.Publish(subject, []byte("forbidden")); err != nil {
			t.Fatal(err)
		}
		flush(t, nc)
		if err := next(t, refused, "the refusal"); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("publishing on %s: got error %v, want a permission violation", subject, err)
		}
	}
	if err := nc.Publish("wattmark.v1.street.up.b", []byte("statement")); err != nil {
		t.Fatal(err)
	}
	if got, want := said(next(t, heard, "the statement")), "wattmark.v1.street.up.b statement"; got != want {
		t.Errorf("oracle heard %q, want %q", got, want)
	}
}

func TestMQTTGatewayHearsItsOwnSubjectsOnly(t *testing.T) {
	s := open(t, nil)
	oracle, _ := s.oracle(t)
	c := s.mqtt(t, "a", "a")
	var mine []<-chan string
	for _, topic := range []string{"receipt/a", "refusal/a", "release"} {
		code, ch := subscribe(t, c, "wattmark/v1/street/"+topic)
		if code != 1 {
			t.Errorf("SUBACK for %s: got code %#x, want 1", topic, code)
		}
		mine = append(mine, ch)
	}
	for _, topic := range []string{
		"wattmark/v1/street/receipt/b", "wattmark/v1/street/receipt/+", "wattmark/v1/street/#", "#", "order/street", "packs/street/+",
		"$MQTT/sub/+", "$MQTT/sub/#", "$MQTT.sub/+", "$JS/#",
	} {
		if code, _ := subscribe(t, c, topic); code != 0x80 {
			t.Errorf("SUBACK for %s: got code %#x, want 0x80", topic, code)
		}
	}
	for i, subject := range []string{"receipt.a", "refusal.a", "release"} {
		if err := oracle.Publish("wattmark.v1.street."+subject, []byte(subject)); err != nil {
			t.Fatal(err)
		}
		if got := next(t, mine[i], subject); got != subject {
			t.Errorf("heard %q, want %q", got, subject)
		}
	}
}

func TestNATSGatewayHearsItsOwnSubjectsOnly(t *testing.T) {
	s := open(t, nil)
	oracle, _ := s.oracle(t)
	nc, refused := s.nats(t, "b")
	for _, subject := range []string{
		"wattmark.v1.street.receipt.a", "wattmark.v1.street.receipt.*", "wattmark.>", ">", "order.street", "_INBOX.>", "$MQTT.>", "$MQTT.sub.*", "$JS.>",
	} {
		if _, err := nc.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		flush(t, nc)
		if err := next(t, refused, "the refusal"); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("subscribing to %s: got error %v, want a permission violation", subject, err)
		}
	}
	sub, err := nc.SubscribeSync("wattmark.v1.street.receipt.b")
	if err != nil {
		t.Fatal(err)
	}
	flush(t, nc)
	if err := oracle.Publish("wattmark.v1.street.receipt.b", []byte("receipt")); err != nil {
		t.Fatal(err)
	}
	m, err := sub.NextMsg(patient)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := said(m), "wattmark.v1.street.receipt.b receipt"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// What a gateway may not publish it can neither leave behind as a retained message nor as its will.
func TestForbiddenRetainedAndWill(t *testing.T) {
	s := open(t, nil)
	oracle, heard := s.oracle(t)
	c := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(s.MQTTURL()).SetClientID("a").SetTLSConfig(s.gatewayTLS(t, "a")).
		SetAutoReconnect(false).SetWill("wattmark/v1/street/receipt/b", "will", 1, true))
	if err := wait(c.Connect()); err == nil {
		if err := wait(c.Publish("wattmark/v1/street/receipt/b", 1, true, "retained")); err != nil {
			t.Fatal(err)
		}
		if err := wait(c.Publish("wattmark/v1/street/release", 1, true, "retained")); err != nil {
			t.Fatal(err)
		}
		cut(t, s, c)
	}
	b := s.mqtt(t, "b", "b")
	_, receipts := subscribe(t, b, "wattmark/v1/street/receipt/b")
	_, releases := subscribe(t, b, "wattmark/v1/street/release")
	for _, subject := range []string{"receipt.b", "release"} {
		if err := oracle.Publish("wattmark.v1.street."+subject, []byte("genuine")); err != nil {
			t.Fatal(err)
		}
	}
	for _, ch := range []<-chan string{receipts, releases} {
		if got := next(t, ch, "the genuine message"); got != "genuine" {
			t.Errorf("gateway b heard %q, want only what the oracle said", got)
		}
	}
	for len(heard) > 0 {
		if m := <-heard; string(m.Data) != "genuine" {
			t.Errorf("oracle heard %q", said(m))
		}
	}
}

// cut ends a gateway's connection without its goodbye, so that its will is due, and waits until the broker knows.
func cut(t *testing.T, s *site, c mqtt.Client) {
	t.Helper()
	if err := s.SetGateways([]broker.Gateway{gateway("b")}); err != nil {
		t.Fatal(err)
	}
	if err := until(func() bool { return !c.IsConnectionOpen() }); err != nil {
		t.Fatalf("gateway still connected: %v", err)
	}
}

// A gateway that takes over another's MQTT session by its client id must not get what that session subscribed to.
func TestMQTTSessionOfAnotherGivesNothing(t *testing.T) {
	s := open(t, nil)
	oracle, _ := s.oracle(t)
	a := s.mqtt(t, "a", "gateway-a")
	if code, _ := subscribe(t, a, "wattmark/v1/street/receipt/a"); code != 1 {
		t.Fatalf("SUBACK: got code %#x, want 1", code)
	}
	thief := make(chan string, 16)
	conf := s.gatewayTLS(t, "b")
	b := mqtt.NewClient(mqtt.NewClientOptions().AddBroker(s.MQTTURL()).SetClientID("gateway-a").SetTLSConfig(conf).
		SetCleanSession(false).SetAutoReconnect(false).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { thief <- m.Topic() }))
	if err := wait(b.Connect()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Disconnect(0) })
	code, own := subscribe(t, b, "wattmark/v1/street/release")
	if code != 1 {
		t.Fatalf("SUBACK: got code %#x, want 1", code)
	}
	for _, subject := range []string{"receipt.a", "release"} {
		if err := oracle.Publish("wattmark.v1.street."+subject, []byte(subject)); err != nil {
			t.Fatal(err)
		}
	}
	next(t, own, "the release notice") // it was published after the receipt
	select {
	case topic := <-thief:
		t.Errorf("gateway b heard %s in the session of gateway a", topic)
	default:
	}
}

func TestOnlyKnownCertificatesConnect(t *testing.T) {
	s := open(t, nil)
	other, err := broker.OpenPKI(t.TempDir(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	own := s.gatewayTLS(t, "a")
	foreignFiles, err := other.Gateway(time.Now(), ledger, "a")
	foreign := s.clientTLS(t, foreignFiles, err)
	foreign.RootCAs = own.RootCAs
	for name, conf := range map[string]*tls.Config{
		"no certificate":              {RootCAs: own.RootCAs},
		"another authority":           foreign,
		"an identity that is unknown": s.gatewayTLS(t, "stranger"),
	} {
		if c, err := s.tryMQTT(conf, "x"); err == nil {
			c.Disconnect(0)
			t.Errorf("%s: connected over MQTT", name)
		}
		if nc, err := nats.Connect(s.NATSURL(), nats.Secure(conf), nats.NoReconnect()); err == nil {
			nc.Close()
			t.Errorf("%s: connected over NATS", name)
		}
	}
	// A user name without a certificate, and no TLS at all.
	id := broker.GatewayIdentity(ledger, "a")
	for _, opts := range [][]nats.Option{
		{nats.Secure(&tls.Config{RootCAs: own.RootCAs}), nats.UserInfo(id+"/nats", "")},
		{nats.UserInfo(id+"/nats", "")},
	} {
		if nc, err := nats.Connect(strings.Replace(s.NATSURL(), "tls://", "nats://", 1), append(opts, nats.NoReconnect())...); err == nil {
			nc.Close()
			t.Error("connected over NATS with a user name alone")
		}
	}
}

func TestCertificateMustBeValidNow(t *testing.T) {
	later := time.Now().Add(500 * 24 * time.Hour)
	s := open(t, func(c *broker.Config) { c.Now = func() time.Time { return later } })
	conf := s.gatewayTLS(t, "a")
	if nc, err := nats.Connect(s.NATSURL(), nats.Secure(conf), nats.NoReconnect()); err == nil {
		nc.Close()
		t.Error("connected over NATS with a certificate that ran out")
	}
	if c, err := s.tryMQTT(conf, "a"); err == nil {
		c.Disconnect(0)
		t.Error("connected over MQTT with a certificate that ran out")
	}
}

func TestRemoteOracleMayDoWhatItIsGiven(t *testing.T) {
	s := open(t, nil)
	_, heard := s.oracle(t)
	files, err := s.pki.Oracle(time.Now(), ledger, "far")
	nc, err := nats.Connect(s.NATSURL(), nats.Secure(s.clientTLS(t, files, err)), nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if err := nc.Publish("wattmark.v1.street.receipt.a", []byte("receipt")); err != nil {
		t.Fatal(err)
	}
	if got, want := said(next(t, heard, "the receipt")), "wattmark.v1.street.receipt.a receipt"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	refused := make(chan error, 8)
	nc.SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err })
	for _, subject := range []string{"wattmark.v1.street.up.a", "$JS.API.STREAM.DELETE.ORDER-street", "$JS.API.STREAM.PURGE.PACKS-street"} {
		if err := nc.Publish(subject, []byte("forged")); err != nil {
			t.Fatal(err)
		}
		if err := next(t, refused, "the refusal of "+subject); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("publishing on %s: %v", subject, err)
		}
	}
	if _, err := nc.SubscribeSync("wattmark.v1.street.>"); err != nil {
		t.Fatal(err)
	}
	if err := next(t, refused, "the refusal to listen"); !errors.Is(err, nats.ErrPermissionViolation) {
		t.Errorf("listening to everything: %v", err)
	}
}

func TestSetGateways(t *testing.T) {
	// A host that is not written as the listener's address is: so is that of ":4222".
	s := open(t, func(c *broker.Config) { c.ClientListen = "localhost:0" })
	oracle, heard := s.oracle(t)
	a := s.mqtt(t, "a", "a")
	b, _ := s.nats(t, "b")
	natsURL, mqttURL := s.NATSURL(), s.MQTTURL()

	bad := gateway("d")
	bad.Publish = []string{"wattmark.>"}
	if err := s.SetGateways([]broker.Gateway{bad}); err == nil {
		t.Error("a wildcard to publish on was accepted")
	}
	if err := s.SetGateways([]broker.Gateway{gateway("a"), gateway("c")}); err != nil {
		t.Fatal(err)
	}
	if s.NATSURL() != natsURL || s.MQTTURL() != mqttURL {
		t.Errorf("addresses changed: %s %s, want %s %s", s.NATSURL(), s.MQTTURL(), natsURL, mqttURL)
	}
	if err := wait(a.Publish("wattmark/v1/street/up/a", 1, false, "still here")); err != nil {
		t.Fatal(err)
	}
	if got, want := said(next(t, heard, "gateway a")), "wattmark.v1.street.up.a still here"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	c := s.mqtt(t, "c", "c")
	if err := wait(c.Publish("wattmark/v1/street/up/c", 1, false, "new here")); err != nil {
		t.Fatal(err)
	}
	if got, want := said(next(t, heard, "gateway c")), "wattmark.v1.street.up.c new here"; got != want {
		t.Errorf("heard %q, want %q", got, want)
	}
	if err := until(b.IsClosed); err != nil {
		t.Errorf("gateway b is still connected: %v", err)
	}
	if !oracle.IsConnected() {
		t.Error("the oracle's connection was closed")
	}
}

// until polls for what comes without a signal.
func until(done func() bool) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patient); time.Now().Before(end); <-tick.C {
		if done() {
			return nil
		}
	}
	return errors.New("not in time")
}

func TestGatewayWithoutSubjectsMayDoNothing(t *testing.T) {
	s := open(t, func(c *broker.Config) {
		c.Gateways = []broker.Gateway{{Name: "a", Identity: broker.GatewayIdentity(ledger, "a")}}
	})
	_, heard := s.oracle(t)
	c := s.mqtt(t, "a", "a")
	if err := wait(c.Publish("wattmark/v1/street/up/a", 1, false, "forbidden")); err != nil {
		t.Fatal(err)
	}
	if code, _ := subscribe(t, c, "wattmark/v1/street/up/a"); code != 0x80 {
		t.Errorf("SUBACK: got code %#x, want 0x80", code)
	}
	nc, refused := s.nats(t, "a")
	if err := nc.Publish("wattmark.v1.street.up.a", []byte("forbidden")); err != nil {
		t.Fatal(err)
	}
	next(t, refused, "the refusal")
	if len(heard) != 0 {
		t.Errorf("heard %q", said(<-heard))
	}
}

func TestWithoutListeners(t *testing.T) {
	b, err := broker.Start(broker.Config{StoreDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.NATSURL() != "" || b.MQTTURL() != "" {
		t.Errorf("addresses %q and %q, want none", b.NATSURL(), b.MQTTURL())
	}
	nc, err := b.Conn(nats.Name("oracle"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	flush(t, nc)
}

func TestStoreIsUsedByOneBroker(t *testing.T) {
	dir := t.TempDir()
	b, err := broker.Start(broker.Config{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := broker.Start(broker.Config{StoreDir: dir}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("second broker: got error %v, want one that says the store is in use", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := broker.Start(broker.Config{StoreDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func TestBadConfigurationIsRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	good := open(t, nil).cfg
	for name, change := range map[string]func(*broker.Config){
		"no directory":            func(c *broker.Config) { c.StoreDir = "" },
		"no certificate":          func(c *broker.Config) { c.Certificate = tls.Certificate{} },
		"no roots":                func(c *broker.Config) { c.Roots = nil },
		"bad address":             func(c *broker.Config) { c.ClientListen = "127.0.0.1" },
		"bad port":                func(c *broker.Config) { c.MQTTListen = "127.0.0.1:mqtt" },
		"port taken, NATS":        func(c *broker.Config) { c.ClientListen = taken.Addr().String() },
		"port taken, MQTT":        func(c *broker.Config) { c.MQTTListen = taken.Addr().String() },
		"bad name":                func(c *broker.Config) { c.Name = "a b" },
		"gateway twice":           func(c *broker.Config) { c.Gateways = append(c.Gateways, gateway("a")) },
		"no identity":             func(c *broker.Config) { c.Gateways = []broker.Gateway{{Name: "a"}} },
		"identity not normal":     func(c *broker.Config) { c.Oracles = []broker.Oracle{{Identity: "WATTMARK:x y"}} },
		"publish on wildcard":     func(c *broker.Config) { c.Gateways[0].Publish = []string{"a.*"} },
		"publish on server's":     func(c *broker.Config) { c.Gateways[0].Publish = []string{"$JS.API.x"} },
		"subscribe to everything": func(c *broker.Config) { c.Gateways[0].Subscribe = []string{">"} },
		"subscribe to inboxes":    func(c *broker.Config) { c.Gateways[0].Subscribe = []string{"_INBOX.>"} },
		"malformed subject":       func(c *broker.Config) { c.Gateways[0].Subscribe = []string{"a..b"} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := good
			cfg.StoreDir = t.TempDir()
			cfg.Gateways = []broker.Gateway{gateway("a"), gateway("b")}
			change(&cfg)
			b, err := broker.Start(cfg)
			if err == nil {
				b.Close()
				t.Fatal("started")
			}
			if cfg.StoreDir == "" {
				return
			}
			if _, err := os.Stat(cfg.StoreDir + "/jetstream"); err == nil && !strings.HasPrefix(name, "port taken") {
				t.Error("a refused configuration left a store behind")
			}
		})
	}
}

func ExampleStart() {
	dir, err := os.MkdirTemp("", "broker")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	b, err := broker.Start(broker.Config{StoreDir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	nc, err := b.Conn()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	sub, _ := nc.SubscribeSync("hello")
	nc.Publish("hello", []byte("world"))
	m, err := sub.NextMsg(time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(m.Data))
	// Output: world
}
