package wire_test

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

const (
	origin  = "wattmark.example/street/one"
	patient = 20 * time.Second // how long a test waits for what must come
)

func TestSubjects(t *testing.T) {
	s := wire.For(origin)
	for _, c := range []struct{ got, want string }{
		{wire.ShortName(origin), "2da5951ac35d3f9f"},
		{s.Up("home-1"), "wattmark.v1.2da5951ac35d3f9f.up.home-1"},
		{s.Receipt("home-1"), "wattmark.v1.2da5951ac35d3f9f.receipt.home-1"},
		{s.Refusal("home-1"), "wattmark.v1.2da5951ac35d3f9f.refusal.home-1"},
		{s.Vote(), "wattmark.v1.2da5951ac35d3f9f.vote"},
		{s.Pack(), "wattmark.v1.2da5951ac35d3f9f.pack"},
		{s.UpTo("home-1", 3), "wattmark.v1.2da5951ac35d3f9f.up.home-1.3"},
		{s.Birth("home-1"), "wattmark.v1.2da5951ac35d3f9f.birth.home-1"},
		{strings.Join(s.Ups("home-1", 2), " "), s.Up("home-1") + " " + s.Birth("home-1") + " " + s.EnrolBy("home-1") + " " + s.UpTo("home-1", 0) + " " + s.UpTo("home-1", 1)},
		{s.Enrol(), "wattmark.v1.2da5951ac35d3f9f.enrol"},
		{s.EnrolBy("home-1"), "wattmark.v1.2da5951ac35d3f9f.enrol.home-1"},
		{s.Approval(signer.KeyID{0xab, 15: 1}), "wattmark.v1.2da5951ac35d3f9f.approval.ab000000000000000000000000000001"},
		{s.Pending(2), "wattmark.v1.2da5951ac35d3f9f.pending.2"},
		{s.Gateway(s.EnrolBy("home-1")), "home-1"},
		{s.Gateway(s.Enrol()), ""},
		{s.Gateway(s.Up("home-1")), "home-1"},
		{s.Gateway(s.UpTo("home-1", 3)), "home-1"},
		{s.Gateway(s.Receipt("home-1")), "home-1"},
		{s.Gateway(s.Vote()), ""},
		{s.Gateway("wattmark.v1.0000000000000000.up.home-1"), ""},
		{wire.Topic(s.Up("home-1")), "wattmark/v1/2da5951ac35d3f9f/up/home-1"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
	if a, b := wire.For("a.example/x").Vote(), wire.For("a.example/y").Vote(); a == b {
		t.Errorf("two ledgers share the subject %q", a)
	}
}

// An MQTT client that uses Topic of a subject speaks to whoever uses that subject.
func TestTopicsAreSubjects(t *testing.T) {
	b, conf := startBroker(t)
	nc, err := b.Conn()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	s := wire.For(origin)
	up, err := nc.SubscribeSync(s.Up("*"))
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}

	o := mqtt.NewClientOptions().AddBroker(b.MQTTURL()).SetClientID("home-1").SetTLSConfig(conf)
	c := mqtt.NewClient(o)
	done(t, c.Connect())
	defer c.Disconnect(0)
	heard := make(chan string, 2)
	for _, subject := range []string{s.Receipt("home-1"), s.Refusal("home-1")} {
		token := c.Subscribe(wire.Topic(subject), 1, func(_ mqtt.Client, m mqtt.Message) {
			heard <- m.Topic() + " " + string(m.Payload())
		})
		done(t, token)
		for topic, code := range token.(*mqtt.SubscribeToken).Result() {
			if code > 2 {
				t.Fatalf("subscription to %q: code %#x", topic, code)
			}
		}
	}
	done(t, c.Publish(wire.Topic(s.Up("home-1")), 1, false, "frame"))
	m, err := up.NextMsg(patient)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Gateway(m.Subject); got != "home-1" || string(m.Data) != "frame" {
		t.Errorf("got %q from gateway %q, want the frame from home-1", m.Data, got)
	}

	for _, subject := range []string{s.Receipt("home-1"), s.Refusal("home-1")} {
		if err := nc.Publish(subject, []byte("answer")); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-heard:
			if want := strings.ReplaceAll(subject, ".", "/") + " answer"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		case <-time.After(patient):
			t.Fatalf("nothing came on %q", wire.Topic(subject))
		}
	}
}

func startBroker(t *testing.T) (*broker.Broker, *tls.Config) {
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
	short, s := wire.ShortName(origin), wire.For(origin)
	b, err := broker.Start(broker.Config{
		StoreDir: t.TempDir(), MQTTListen: "127.0.0.1:0", Certificate: cert, Roots: roots,
		Gateways: []broker.Gateway{{
			Name: "home-1", Identity: broker.GatewayIdentity(short, "home-1"),
			Publish: []string{s.Up("home-1")}, Subscribe: []string{s.Receipt("home-1"), s.Refusal("home-1")},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if files, err = pki.Gateway(now, short, "home-1"); err != nil {
		t.Fatal(err)
	}
	own, _, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	return b, &tls.Config{Certificates: []tls.Certificate{own}, RootCAs: roots, MinVersion: tls.VersionTLS12}
}

func done(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patient) {
		t.Fatal("the broker does not answer")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}
