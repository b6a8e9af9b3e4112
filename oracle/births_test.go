package oracle_test

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
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
	s.stop(0)
	s.start(0)
	if b := s.nodes[0].Births()["home1"]; b.Boot != 4 || b.Version != "v7" {
		t.Errorf("after a start: %+v", b)
	}
}
