package oracle_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle"
	"wattmark/oracle/broker"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// born signs a birth of a gateway with some key.
func born(t *testing.T, name string, boot uint64, at int64, key signer.Signer) []byte {
	t.Helper()
	return signedBirth(t, wire.Birth{Gateway: name, Version: "v7", Boot: boot,
		Firmware: &wire.Firmware{Version: 2, Update: &wire.Update{Version: 3, Result: "refused", Reason: "not_logged"}}}, at, key)
}

func signedBirth(t *testing.T, about wire.Birth, at int64, key signer.Signer) []byte {
	t.Helper()
	name := about.Gateway
	payload, err := json.Marshal(about)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := (&entry.Claims{Issuer: "urn:wattmark:gateway:" + name, Audience: ledgertest.Origin, IssuedAt: at}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := signer.Sign(key, signer.Header{Type: wire.TypeBirth, ContentType: wire.ContentBirth, Claims: claims}, payload)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBirths has an oracle take what gateways announce, of nobody but them, tell its operator
// of it, and know it after a start.
func TestBirths(t *testing.T) {
	s := newStreet(t, 1)
	s.start(0)
	g := s.enrol("home1", entry.ModeOpen)
	g.deliver(g.read(3)...)
	at := s.now().Unix()
	publish := func(b []byte) {
		t.Helper()
		if err := g.conn.Publish(s.subjects.Birth("home1"), b); err != nil {
			t.Fatal(err)
		}
	}
	boot := func() uint64 { return s.nodes[0].Births()["home1"].Boot }
	publish(born(t, "home1", 4, at, s.GatewayKey("home1")))
	s.until("the birth is known", func() bool { return boot() == 4 })
	publish(born(t, "home1", 9, at+9, ledgertest.NewOracle(t, "nobody").Statement))
	publish(born(t, "home2", 8, at+8, s.GatewayKey("home1"))) // in another's place
	publish(born(t, "home1", 3, at-5, s.GatewayKey("home1"))) // played again
	publish([]byte("nonsense"))
	publish([]byte(strings.Repeat("x", wire.MaxBirth+1)))
	publish([]byte(wire.Offline))
	s.until("it is off line", func() bool { return s.nodes[0].Births()["home1"].Offline })
	if got := boot(); got != 4 {
		t.Errorf("the birth of boot %d is taken for that of home1", got)
	}

	w := httptest.NewRecorder()
	s.nodes[0].API().Admin().ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/gateways", nil))
	var told struct {
		Ledger   string
		Gateways []struct {
			Gateway, Program string
			Trouble          []struct{ Kind string }
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &told); err != nil || told.Ledger != ledgertest.Origin || len(told.Gateways) != 1 || told.Gateways[0].Program != "v7" {
		t.Errorf("the operator is told %s: %v", w.Body, err)
	} else if kinds := told.Gateways[0].Trouble; len(kinds) != 2 || kinds[0].Kind != "offline" || kinds[1].Kind != "update_refused" {
		t.Errorf("troubles: %+v", kinds)
	}
	w = httptest.NewRecorder()
	s.nodes[0].API().Handler().ServeHTTP(w, httptest.NewRequest("GET", "/api/v1/gateways", nil))
	if w.Code != 404 {
		t.Errorf("anybody is told of the fleet: status %d", w.Code)
	}
	publish(born(t, "home1", 5, at+1, s.GatewayKey("home1"))) // soon after the one before
	s.until("the next birth is known", func() bool { return boot() == 5 })
	s.stop(0)
	s.start(0)
	if b := s.nodes[0].Births()["home1"]; b.Boot != 5 || b.Version != "v7" {
		t.Errorf("after a start: %+v", b)
	}
}

// TestCertifies has an oracle with the broker's authority send another client certificate to
// who says, and is believed, that its own ends soon; and nobody else.
func TestCertifies(t *testing.T) {
	s := newStreet(t, 2)
	pki, err := broker.OpenPKI(t.TempDir(), s.now())
	if err != nil {
		t.Fatal(err)
	}
	s.configure = func(i int, cfg *oracle.Config) {
		if i > 0 {
			return // it has not the authority
		}
		cfg.Certify = func(now time.Time, gateway string, spki []byte) ([]byte, error) {
			return pki.CertifyGateway(now, "street", gateway, spki)
		}
	}
	s.start(0, 1)
	home := []*gateway{s.enrol("home1", entry.ModeOpen), s.enrol("home2", entry.ModeOpen), s.enrol("home3", entry.ModeOpen)}
	spki, err := x509.MarshalPKIXPublicKey(ed25519.PublicKey(ledgertest.NewOracle(t, "tls").Statement.Public().Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	now := s.now()
	// say has a gateway say when its certificate ends, and returns how many came so far.
	say := func(g *gateway, at time.Time, key signer.Signer, ends time.Time, spki []byte) int {
		t.Helper()
		b := wire.Birth{Gateway: g.name, Certificate: &wire.Certificate{Ends: ends, Key: spki}}
		if err := g.conn.Publish(s.subjects.Birth(g.name), signedBirth(t, b, at.Unix(), key)); err != nil {
			t.Fatal(err)
		}
		g.deliver(g.read(1)...) // meanwhile it is heard
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(g.certified)
	}
	key := s.GatewayKey("home1")
	for _, c := range []struct {
		what string
		key  signer.Signer
		at   time.Time
		ends time.Time
		spki []byte
	}{
		{"its certificate lasts", key, now, now.Add(31 * day), spki},
		{"it is somebody else", ledgertest.NewOracle(t, "nobody").Statement, now.Add(time.Second), now.Add(day), spki},
		{"its clock is wrong", key, now.Add(25 * time.Hour), now.Add(day), spki},
	} {
		if n := say(home[0], c.at, c.key, c.ends, c.spki); n > 0 {
			t.Errorf("%s, and %d certificates were sent", c.what, n)
		}
	}
	if n := say(home[1], now.Add(-25*time.Hour), s.GatewayKey("home2"), now.Add(day), spki); n > 0 {
		t.Errorf("said long ago, and %d certificates were sent", n)
	}
	say(home[1], now, s.GatewayKey("home2"), now.Add(29*day), spki)
	s.until("a certificate for home2", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(home[1].certified) == 1
	})
	// Births are taken one after the other, so that those of before have been.
	s.mu.Lock()
	if n := len(home[0].certified); n > 0 {
		t.Errorf("%d certificates for home1, which needs none or is not believed", n)
	}
	s.mu.Unlock()
	leaf, err := x509.ParseCertificate(home[1].certified[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pki.Roots(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Error(err)
	}
	if !bytes.Equal(leaf.RawSubjectPublicKeyInfo, spki) || leaf.Subject.CommonName != "home2" || leaf.NotAfter.Before(now.Add(365*day)) {
		t.Errorf("a certificate for %q until %s", leaf.Subject.CommonName, leaf.NotAfter)
	}
	for i := range 3 { // it connects again and again
		if n := say(home[1], now.Add(time.Duration(i+1)*time.Second), s.GatewayKey("home2"), now.Add(29*day), spki); n != 1 {
			t.Errorf("%d certificates within ten minutes", n)
		}
	}
	if n := say(home[2], now, s.GatewayKey("home3"), now.Add(day), []byte("no key")); n > 0 {
		t.Errorf("%d certificates for what is no key", n)
	}
}
