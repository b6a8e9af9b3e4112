package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wattmark/gateway/enrol"
	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/ledger/state"
	"wattmark/oracle/api"
	"wattmark/signer"
)

// TestAMemberJoins has a person ask to join, an operator admit it, and the oracles open the
// zone's market: each as it is typed.
func TestAMemberJoins(t *testing.T) {
	t.Parallel() // it waits for blocks more than it computes
	s := openSite(t)
	g := s.gatewayOf(t)
	dir := t.TempDir()
	key, asked := filepath.Join(dir, "anna.pem"), filepath.Join(dir, "anna.member")
	join := []string{"member", "join", "anna", "--ledger", s.cluster.charter.Origin, "--zone", "street", "--power", "12000", "--renewable",
		"--point", g.Points()[0].Subject + "=active_energy_import,active_energy_export", "--key", key, "--out", asked}
	words := s.exec(0, join...)
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file: %v, %v", info, err)
	}
	if said := s.exec(1, join...); !strings.Contains(said, "exists") {
		t.Errorf("the request is written over: %s", said)
	}
	for name, args := range map[string][]string{
		"no ledger":  {"member", "join", "anna", "--key", key},
		"no channel": {"member", "join", "anna", "--ledger", "x", "--key", key, "--point", "mp-1"},
		"no words":   {"member", "admit", asked, "--dir", s.dir},
		"nobody":     {"member", "join"},
		"no file":    {"member", "admit", "--dir", s.dir},
	} {
		if said := s.exec(2, args...); said == "" {
			t.Errorf("%s: nothing is said", name)
		}
	}
	if said := s.exec(2, "member", "admit", asked, "--dir", s.dir); !strings.Contains(said, strings.TrimSpace(words[strings.LastIndex(words, "\n  "):])) {
		t.Errorf("the operator is shown other words than the member:\n%s%s", words, said)
	}
	if said := s.exec(0, "member", "admit", asked, "--dir", s.dir, "--yes"); !strings.Contains(said, "final in block") {
		t.Errorf("admitted: %s", said)
	}
	if said := s.exec(1, "member", "admit", asked, "--dir", s.dir, "--yes", "--oracle", "2"); !strings.Contains(said, "already_known") {
		t.Errorf("admitted twice: %s", said)
	}
	var listed listedMember
	if err := json.Unmarshal([]byte(s.exec(0, "member", "list", "--dir", s.dir, "--json")), &listed); err != nil || listed.Member != "anna" || !listed.Renewable || listed.PowerW != 12000 {
		t.Errorf("listed: %+v, %v", listed, err)
	}

	tariff := filepath.Join(dir, "tariff.json")
	write := func(text string) {
		if err := os.WriteFile(tariff, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"zone":"street","from":"2026-06-01T00:00:00Z","feed_in":80000,"retail":300000,"fee":40000,"auction":"uniform","pool":"mid"}`)
	height := fmt.Sprint(s.height() + 12)
	for _, oracle := range []string{"1", "2", "3"} {
		if said := s.exec(0, "market", "tariff", tariff, "--dir", s.dir, "--oracle", oracle, "--height", height); !strings.Contains(said, "It takes effect with block "+height) {
			t.Errorf("oracle %s: %s", oracle, said)
		}
	}
	if said := s.exec(1, "market", "tariff", tariff, "--dir", s.dir, "--oracle", "3", "--height", height); !strings.Contains(said, "already_known") && !strings.Contains(said, "wrong_height") {
		t.Errorf("agreed twice: %s", said)
	}
	s.pass(s.hashOf("tariff"))
	s.stateTwice(t)
	var zones []state.ZoneInfo
	s.cluster.nodes[0].Ledger().View(func(st *state.State) { zones = st.Zones() })
	if len(zones) != 1 || zones[0].Tariffs[0].Retail != 300_000 {
		t.Errorf("zones: %+v", zones)
	}
	write(`{"zone":"street","from":"2026-06-01T00:00:00Z","retail":"much"}`)
	if said := s.exec(2, "market", "tariff", tariff, "--dir", s.dir, "--height", "9"); !strings.Contains(said, "retail") {
		t.Errorf("a price that is none: %s", said)
	}
}

// stateTwice puts a statement onto the ledger and the same bytes again, as the same command
// within one second makes them: the broker keeps one, and nobody waits for the other.
func (s *site) stateTwice(t *testing.T) {
	t.Helper()
	flags := memberFlags{dir: s.dir, oracle: 4}
	m, err := flags.open()
	if err != nil {
		t.Fatal(err)
	}
	tariff := entry.Tariff{Zone: "street", From: 1_811_808_000, Currency: "EUR", Retail: 310_000, Auction: entry.AuctionUniform, Pool: entry.PoolMid}
	body, err := tariff.Encode()
	if err != nil {
		t.Fatal(err)
	}
	motion := entry.Motion{Kind: entry.MotionTariff, Height: s.height() + 1000, Body: body}
	payload, err := motion.Encode()
	if err != nil {
		t.Fatal(err)
	}
	statement, err := m.sign(entry.TypeMotion, payload)
	if err != nil {
		t.Fatal(err)
	}
	leaf, _, err := m.put(t.Context(), statement)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := m.put(t.Context(), statement); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("as leaf %d: already_known", leaf)) {
		t.Errorf("stated twice: %v", err)
	}
	hash := motion.Hash()
	if _, err := m.place(t.Context(), statement, fmt.Sprintf("%x", hash)); err == nil || !strings.Contains(err.Error(), "already_known") {
		t.Errorf("put to the vote twice: %v", err)
	}
}

// TestAnInvitedMember has an operator invite a person, whose device asks over HTTP, and let
// it in by name.
func TestAnInvitedMember(t *testing.T) {
	t.Parallel()
	s := openSite(t)
	g := s.gatewayOf(t)
	invite := []string{"member", "invite", "berta", "--dir", s.dir, "--url", "https://oracle.example", "--zone", "street", "--power", "12000",
		"--point", g.Points()[0].Subject + "=active_energy_import,active_energy_export", "--json"}
	var got invited
	if err := json.Unmarshal([]byte(s.exec(0, invite...)), &got); err != nil || got.Member != "berta" || !strings.HasPrefix(got.URL, "https://oracle.example/join#") {
		t.Fatalf("invited: %+v, %v", got, err)
	}
	for name, args := range map[string][]string{
		"no address": {"member", "invite", "berta", "--dir", s.dir},
		"a path":     {"member", "invite", "berta", "--dir", s.dir, "--url", "https://oracle.example/x"},
		"nobody":     {"member", "invite", "--dir", s.dir, "--url", "https://oracle.example"},
	} {
		if said := s.exec(2, args...); said == "" {
			t.Errorf("%s: nothing is said", name)
		}
	}
	if said := s.exec(1, append(invite[:len(invite)-2:len(invite)-2], "mp=")...); !strings.Contains(said, "import") && !strings.Contains(said, "channel") {
		t.Errorf("a point without a register: %s", said)
	}
	if said := s.exec(0, "member", "list", "--waiting", "--dir", s.dir); !strings.Contains(said, "Nobody waits.") {
		t.Errorf("before: %s", said)
	}

	// The device, as the page does it.
	key, err := signer.Generate(signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	r := entry.MemberRequest{Member: "berta", Zone: "street", Power: 12_000, Connections: []entry.Connection{
		{Subject: g.Points()[0].Subject, Import: "active_energy_import", Export: "active_energy_export"}}}
	ask := func(r entry.MemberRequest, key signer.Signer) (int, api.JoinItem) {
		t.Helper()
		b, err := request.SignMember(key, r, s.cluster.charter.Origin, time.Now().Unix())
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(map[string]string{"invitation": got.URL[strings.IndexByte(got.URL, '#')+1:], "request": base64.RawURLEncoding.EncodeToString(b)})
		if err != nil {
			t.Fatal(err)
		}
		req := httptest.NewRequest(http.MethodPost, "https://oracle.example/api/v1/join", bytes.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.cluster.nodes[0].API().Handler().ServeHTTP(w, req)
		var item api.JoinItem
		if err := json.Unmarshal(w.Body.Bytes(), &item); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		return w.Code, item
	}
	more := r
	more.Power = 50_000
	if status, _ := ask(more, key); status != http.StatusUnprocessableEntity {
		t.Errorf("more than was offered: status %d", status)
	}
	status, item := ask(r, key)
	if status != http.StatusAccepted || item.State != "waiting" || strings.Join(item.Words, " ") != strings.Join(enrol.Words(key.Public().ID()), " ") {
		t.Fatalf("asked: %d %+v", status, item)
	}
	var w waitingMember
	if err := json.Unmarshal([]byte(s.exec(0, "member", "list", "--waiting", "--dir", s.dir, "--json")), &w); err != nil || w.Member != "berta" || strings.Join(w.Words, " ") != strings.Join(item.Words, " ") {
		t.Errorf("waiting: %+v, %v", w, err)
	}
	if said := s.exec(2, "member", "admit", "berta", "--dir", s.dir); !strings.Contains(said, strings.Join(item.Words, " ")) {
		t.Errorf("the operator is shown other words: %s", said)
	}
	if said := s.exec(0, "member", "admit", "berta", "--dir", s.dir, "--yes"); !strings.Contains(said, "final in block") {
		t.Errorf("admitted: %s", said)
	}
	if said := s.exec(0, "member", "list", "--waiting", "--dir", s.dir); !strings.Contains(said, "Nobody waits.") {
		t.Errorf("after: %s", said)
	}
	if status, item := ask(r, key); status != http.StatusAccepted || item.State != "admitted" {
		t.Errorf("asked again: %d %+v", status, item)
	}
	thief, err := signer.Generate(signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := ask(r, thief); status != http.StatusConflict {
		t.Errorf("another device with the link: status %d", status)
	}
	if said := s.exec(0, "member", "list", "--waiting", "--dir", s.dir); !strings.Contains(said, "Nobody waits.") {
		t.Errorf("with the thief: %s", said)
	}
}

func (s *site) height() (h uint64) {
	s.cluster.nodes[0].Ledger().View(func(st *state.State) { h = st.Height() })
	return h
}

// hashOf is that of the newest proposal of a kind.
func (s *site) hashOf(kind string) (hash string) {
	for _, p := range s.proposals() {
		if p.Kind == kind {
			hash = p.Hash
		}
	}
	return hash
}
