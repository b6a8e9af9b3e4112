package gateway_test

import (
	"context"
	"crypto/tls"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/gateway"
	"wattmark/gateway/outbox"
	"wattmark/gateway/uplink"
	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// consortium is a broker and one oracle, which enrolled the gateway.
type consortium struct {
	gateway.Config
	pki    *broker.PKI
	broker *broker.Broker
	oracle *oracle.Node
}

func newConsortium(t *testing.T, cfg gateway.Config) *consortium {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	keys, err := oracle.LoadKeys(filepath.Join(dir, "keys"))
	must(err)
	const origin = "wattmark.example/roundtrip"
	charter := oracle.NewCharter(origin, time.Now(), []entry.OracleKeys{keys.Public("wattmark.example/oracle", origin)})
	must(ledger.Create(filepath.Join(dir, "oracle"), charter))
	c := &consortium{Config: cfg}
	c.Origin = origin
	c.Policy, err = oracle.PolicyOf(charter)
	must(err)
	c.OracleKeys = map[signer.KeyID]signer.PublicKey{keys.Statement.Public().ID(): keys.Statement.Public()}

	c.pki, err = broker.OpenPKI(filepath.Join(dir, "pki"), time.Now())
	must(err)
	server, err := c.pki.Server(time.Now())
	must(err)
	certificate, roots, err := server.Load()
	must(err)
	sub := wire.For(origin)
	c.broker, err = broker.Start(broker.Config{
		StoreDir: filepath.Join(dir, "broker"), ClientListen: "127.0.0.1:0", MQTTListen: "127.0.0.1:0", Certificate: certificate, Roots: roots,
		Gateways: []broker.Gateway{{
			Name: name, Identity: broker.GatewayIdentity(wire.ShortName(origin), name),
			Publish: sub.Ups(name, 1), Subscribe: []string{sub.Receipt(name), sub.Refusal(name)},
		}},
	})
	must(err)
	t.Cleanup(func() { c.broker.Close() })
	conn, err := c.broker.Conn()
	must(err)
	t.Cleanup(conn.Close)
	js := jetstream.Config{Ledger: wire.ShortName(origin)}
	order, err := jetstream.Open(t.Context(), conn, js)
	must(err)
	packs, err := jetstream.OpenPacks(t.Context(), conn, js)
	must(err)
	c.oracle, _, err = oracle.Open(oracle.Config{
		Name: "wattmark.example/oracle", Keys: keys, Dir: filepath.Join(dir, "oracle"), Conn: conn, Order: order, Packs: packs,
		Policy: c.Policy, Now: time.Now, CutAfter: 10 * time.Millisecond,
	})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := c.oracle.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })

	var channels []entry.Channel
	for _, n := range []string{"active_energy_import", "active_power", "voltage_l1"} {
		channels = append(channels, entry.Channel{Name: n, Unit: "Wh", Kind: entry.KindGauge, Most: entry.Int(1 << 40)})
	}
	e := entry.Enrolment{
		Algorithm: int(cfg.Key.Public().Algorithm()), Key: cfg.Key.Public().Bytes(), Gateway: name,
		Points: []entry.Point{{Subject: subject, Mode: cfg.Devices[0].Mode, Channels: channels}},
	}
	payload, err := e.Encode()
	must(err)
	statement, err := c.oracle.Sign(entry.TypeEnrolment, payload)
	must(err)
	must(c.oracle.Submit(t.Context(), statement))
	return c
}

func (c *consortium) link(t *testing.T, url string) uplink.Link {
	t.Helper()
	files, err := c.pki.Gateway(time.Now(), wire.ShortName(c.Origin), name)
	if err != nil {
		t.Fatal(err)
	}
	certificate, roots, err := files.Load()
	if err != nil {
		t.Fatal(err)
	}
	return uplink.Link{URL: url, ClientID: name, Announce: wire.For(c.Origin).Birth(name), TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots}}
}

// TestRoundTrip reads an emulated meter, signs, publishes over TLS to the embedded
// broker, and forgets only when the oracle's receipt has verified: over both
// transports, with an open and with a committed point.
func TestRoundTrip(t *testing.T) {
	for _, test := range []struct {
		transport, mode string
		alg             signer.Algorithm
	}{
		{"mqtt", entry.ModeCommitted, signer.EdDSA},
		{"nats", entry.ModeOpen, signer.ES256},
	} {
		t.Run(test.transport+" "+test.mode, func(t *testing.T) {
			t.Parallel()
			port, _ := line(t)
			key := newKey(t, test.alg)
			cfg := config(t, t.TempDir(), port, key)
			cfg.Devices[0].Mode = test.mode
			c := newConsortium(t, cfg)
			var err error
			if test.transport == "mqtt" {
				c.Transport, err = uplink.MQTT(c.link(t, c.broker.MQTTURL()))
			} else {
				c.Transport, err = uplink.NATS(c.link(t, c.broker.NATSURL()))
			}
			if err != nil {
				t.Fatal(err)
			}
			c.Resend = uplink.Backoff{First: time.Second}
			c.Drain = 30 * time.Second
			births := listenFor(t, c, wire.For(c.Origin).Birth(name))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			signed := make(map[outbox.Number][]byte)
			var mu sync.Mutex // guards receipts
			var receipts []uplink.Receipt
			c.OnSigned = func(s gateway.Signed) { signed[s.Number] = s.Statement }
			c.OnReceipt = func(r uplink.Receipt) {
				mu.Lock()
				defer mu.Unlock()
				if receipts = append(receipts, r); len(receipts) == 2 {
					cancel()
				}
			}
			g, _, err := gateway.Open(c.Config)
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Run(ctx); err != nil {
				t.Fatal(err)
			}
			// Run drained: whatever was signed until the end has its receipt.
			if len(receipts) != len(signed) || len(receipts) < 2 {
				t.Errorf("%d statements were signed, %d have receipts", len(signed), len(receipts))
			}
			about, err := gateway.OpenBirth(<-births, key.Public())
			if err != nil || about.Gateway != name || about.Boot != 1 || len(about.Catalog) != 64 {
				t.Errorf("birth %+v, %v", about, err)
			}
			if _, err := gateway.OpenBirth(receipts[0].Statement, key.Public()); !errors.Is(err, gateway.ErrBirth) {
				t.Errorf("a reading was taken for a birth: %v", err)
			}
			trust := audit.Trust{Policy: c.Policy}
			if trust.Keys, err = keySet(key); err != nil {
				t.Fatal(err)
			}
			for _, r := range receipts {
				if string(r.Statement) != string(signed[r.Number]) {
					t.Errorf("the receipt of %v is for other bytes than were signed", r.Number)
				}
				for _, v := range audit.Verify("x.cose", r.Transparent, trust).Verdicts {
					// What the machine's clock is worth is the machine's business.
					if v.Check != audit.CheckTime && v.Verdict != audit.Holds && v.Verdict != audit.NotApplicable {
						t.Errorf("the receipt of %v does not verify: %+v", r.Number, v)
					}
				}
			}
			o, _, err := outbox.Open(outbox.Disk, filepath.Join(c.Dir, "outbox"), outbox.Options{GatewayID: name})
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			if s := o.Stats(); s.Pending != 0 || s.Kept != len(receipts) {
				t.Errorf("after all receipts %d statements are pending and %d receipts kept", s.Pending, s.Kept)
			}
		})
	}
}

// listenFor gives what is published on a subject, but for the will.
func listenFor(t *testing.T, c *consortium, subject string) <-chan []byte {
	t.Helper()
	conn, err := c.broker.Conn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	heard := make(chan []byte, 8)
	if _, err := conn.Subscribe(subject, func(m *nats.Msg) {
		if string(m.Data) != uplink.Offline {
			heard <- m.Data
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	return heard
}

func keySet(key signer.Signer) (*audit.KeySet, error) {
	b, err := audit.EncodeKeys([]audit.KnownKey{{Public: key.Public(), Name: name, Role: audit.RoleGateway}})
	if err != nil {
		return nil, err
	}
	set, err := audit.ParseKeys(b)
	if set == nil && err == nil {
		err = errors.New("no key set")
	}
	return set, err
}
