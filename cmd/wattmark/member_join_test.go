package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/ledger/state"
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
