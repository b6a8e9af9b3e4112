package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/enrol"
	"wattmark/ledger/entry"
)

// proposals lists them as a person's program does.
func (s *site) proposals() (list []shownProposal) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.exec(0, "ledger", "proposals", s.dir, "--json")), &list); err != nil {
		s.t.Fatal(err)
	}
	return list
}

// proposed reads what propose, vote and forget print as JSON.
func (s *site) proposed(args ...string) (p shownProposal) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(s.exec(0, append(args, "--dir", s.dir, "--json")...)), &p); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// pass has blocks made, by proposals that nobody minds, until one took effect.
func (s *site) pass(hash string) shownProposal {
	s.t.Helper()
	for i := range 20 {
		for _, p := range s.proposals() {
			if p.Hash == hash && p.Status != "open" && p.Status != "adopted" {
				return p
			}
		}
		s.proposed("ledger", "propose", "parameter", "late_after_s", fmt.Sprint(7000+i), "--in", "2", "--oracle", fmt.Sprint(i%4+1))
	}
	s.t.Fatalf("%s took no effect in twenty blocks", hash)
	return shownProposal{}
}

// TestOperatorsGovern has operators propose, agree, and look, with real oracles: a
// parameter, and the forgetting of a home whose gateway sent readings.
func TestOperatorsGovern(t *testing.T) {
	s := openSite(t)
	p := s.proposed("ledger", "propose", "parameter", "snapshot_blocks", "3", "--in", "9")
	want := shownProposal{Hash: p.Hash, Kind: "parameter", Height: p.Height, Status: "open", Says: "snapshot_blocks = 3", Leaf: p.Leaf, Oracles: p.Oracles, Needed: 3}
	if diff := cmp.Diff(want, p); diff != "" || len(p.Oracles) != 1 || p.Leaf == 0 {
		t.Errorf("proposed (-want +got):\n%s%+v", diff, p)
	}
	said := s.exec(0, "ledger", "proposals", s.dir, "--open")
	for _, want := range []string{"parameter open, from block", "snapshot_blocks = 3", "1 of 3 agree: " + p.Oracles[0], "wattmark ledger vote " + p.Hash[:16]} {
		if !strings.Contains(said, want) {
			t.Errorf("proposals does not say %q:\n%s", want, said)
		}
	}
	s.proposed("ledger", "vote", p.Hash[:12], "--oracle", "2")
	if v := s.proposed("ledger", "vote", p.Hash, "--oracle", "4"); v.Status != "adopted" || len(v.Oracles) != 3 || v.By == 0 {
		t.Errorf("after the third voice: %+v", v)
	}
	if said := s.exec(1, "ledger", "vote", p.Hash, "--oracle", "3", "--dir", s.dir); !strings.Contains(said, "no open proposal") {
		t.Errorf("voting for what is adopted: %s", said)
	}
	if got := s.pass(p.Hash); got.Status != "in_force" {
		t.Errorf("in the end it is %+v", got)
	}
	for _, wrong := range [][]string{
		{"ledger", "propose", "parameter", "dance", "1", "--dir", s.dir},
		{"ledger", "propose", "rules", "market", "99", "--dir", s.dir},
		{"ledger", "vote", "00", "--dir", s.dir},
		{"ledger", "forget", "nobody", "--reason", "moved away", "--dir", s.dir},
	} {
		if said := s.exec(1, wrong...); said == "" {
			t.Errorf("%q says nothing", wrong)
		}
	}
	for _, usage := range [][]string{
		{"ledger", "propose", "oracles", "--dir", s.dir}, {"ledger", "propose", "parameter", "cut_leaves", "many", "--dir", s.dir},
		{"ledger", "forget", "nobody", "--dir", s.dir}, {"ledger", "vote"}, {"ledger", "renew-order", "--dir", s.dir}, {"ledger", "join", "x"},
	} {
		s.exec(2, usage...)
	}

	// A home whose readings are hidden.
	g := s.gatewayOf(t)
	point := g.Points()[0]
	if point.Mode != entry.ModeCommitted {
		t.Fatalf("the point of %s is %s", g.Name, point.Mode)
	}
	f := s.proposed("ledger", "forget", point.Subject, "--reason", "moved away", "--in", "12")
	s.proposed("ledger", "vote", f.Hash, "--oracle", "3")
	s.proposed("ledger", "vote", f.Hash, "--oracle", "2")
	if got := s.pass(f.Hash); got.Status != "in_force" {
		t.Errorf("in the end it is %+v", got)
	}
	for i, n := range s.cluster.nodes {
		s.until("forgetting", func() bool {
			rest, err := n.Ledger().ToForget()
			return err == nil && len(rest) == 0
		})
		if digests, err := n.Ledger().PacksOf(point.Subject); err != nil || len(digests) > 0 {
			t.Errorf("oracle %d still holds %d packs, %v", i+1, len(digests), err)
		}
	}
	audited := s.exec(0, "ledger", "audit", s.dir)
	if !strings.Contains(audited, fmt.Sprintf("the readings of a metering point were forgotten by entry %d", s.forgottenBy(f.Hash))) {
		t.Errorf("audit does not say by which entry:\n%s", audited)
	}
	if out := s.exec(0, "ledger", "report", filepath.Join(s.dir, "oracles", "2")); !strings.Contains(out, "rests on message") || !strings.Contains(out, "4 oracles in force") {
		t.Errorf("report says:\n%s", out)
	}
	if out := s.exec(0, "ledger", "policy", s.dir); !strings.Contains(out, "through 0 changes") {
		t.Errorf("policy says:\n%s", out)
	}
}

func (s *site) forgottenBy(hash string) uint64 {
	for _, p := range s.proposals() {
		if p.Hash == hash {
			return p.By
		}
	}
	return 0
}

// gatewayOf enrols the street's gateway and has it deliver some readings.
func (s *site) gatewayOf(t *testing.T) *demoGateway {
	t.Helper()
	g := &demoGateway{Gateway: s.street.Gateways()[0], demo: s.demo, cable: newCable(), latest: make(map[string]float64), unseen: make(map[entry.Sequence]time.Time)}
	key, err := gatewayKey(s.dir, &g.Gateway)
	if err != nil {
		t.Fatal(err)
	}
	ask := entry.EnrolmentRequest{Gateway: g.Name, Points: g.Points(), Devices: []entry.RequestDevice{{Model: "sdm630"}}}
	r, err := enrol.NewRequest(key, s.cluster.charter.Origin, time.Now(), ask)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "approval")
	s.exec(0, "member", "approve", "--qr-text", r.Text(), "--dir", s.dir, "--approval", file, "--yes")
	if _, err := os.Stat(file); err != nil {
		t.Fatal(err)
	}
	stop := s.runs(g)
	s.until("a receipt", func() bool { return s.signedBy(g, key.Public()) })
	stop()
	return g
}
