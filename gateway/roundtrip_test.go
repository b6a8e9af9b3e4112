package gateway_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"wattmark/gateway"
	"wattmark/gateway/outbox"
	"wattmark/gateway/uplink"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/oracle/oracletest"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// consortium is one that enrolled the gateway.
type consortium struct {
	gateway.Config
	far *oracletest.Consortium
}

func newConsortium(t *testing.T, cfg gateway.Config) *consortium {
	t.Helper()
	cfg.Origin = "wattmark.example/roundtrip"
	c := &consortium{Config: cfg, far: oracletest.New(t, cfg.Origin, name)}
	c.Policy = c.far.Policy
	c.OracleKeys = map[signer.KeyID]signer.PublicKey{c.far.Keys.Statement.Public().ID(): c.far.Keys.Statement.Public()}
	c.far.Enrol(t, name, subject, cfg.Devices[0].Mode, cfg.Key.Public())
	return c
}

func (c *consortium) link(t *testing.T, url string) uplink.Link {
	t.Helper()
	return uplink.Link{URL: url, ClientID: name, Announce: wire.For(c.Origin).Birth(name), TLS: c.far.TLS(t, name)}
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
				c.Transport, err = uplink.MQTT(c.link(t, c.far.MQTTURL()))
			} else {
				c.Transport, err = uplink.NATS(c.link(t, c.far.NATSURL()))
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
			about, _, err := wire.OpenBirth(<-births, key.Public())
			if err != nil || about.Gateway != name || about.Boot != 1 || len(about.Catalog) != 64 {
				t.Errorf("birth %+v, %v", about, err)
			}
			if _, _, err := wire.OpenBirth(receipts[0].Statement, key.Public()); !errors.Is(err, wire.ErrBirth) {
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
	conn, err := c.far.Conn()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	heard := make(chan []byte, 8)
	if _, err := conn.Subscribe(subject, func(m *nats.Msg) {
		if string(m.Data) != wire.Offline {
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
