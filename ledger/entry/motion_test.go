package entry_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
)

func nextSet() *entry.OracleSet {
	c := charter()
	return &entry.OracleSet{
		Replaces: c.OracleSet().Hash(), Quorum: c.Quorum, Governance: c.Governance, Oracles: c.Oracles,
		Witnesses: []string{"witness.example/w+0000abcd+BAAA"}, WitnessQuorum: 1,
	}
}

// TestMotionVectors has motions of every kind, consents, and their outcomes.
func TestMotionVectors(t *testing.T) {
	set := nextSet()
	body := encodeOf(t, set.Encode)
	forget := &entry.Forgetting{Subject: "mp-1", Reason: "moved away"}
	parameter := &entry.Parameter{Name: entry.ParamSnapshotBlocks, Value: 1000}
	rules := &entry.RuleVersion{Rules: "market", Version: 2}
	motion := &entry.Motion{Kind: entry.MotionParameter, Height: 200, Body: parameter.Encode()}
	oracles := &entry.Motion{Kind: entry.MotionOracles, Height: 300, Body: body}
	consent := &entry.Consent{Motion: motion.Hash()}
	adopted := &entry.Outcome{Kind: entry.OutcomeAdopted, Hash: motion.Hash(), Code: motion.Kind, Detail: parameter.Name}
	void := &entry.Outcome{Kind: entry.OutcomeVoid, Hash: oracles.Hash(), Code: string(entry.ReasonOtherOracles)}
	at := entry.OrderPosition{Sequence: 4711, Digest: sha256.Sum256([]byte("a message"))}
	snapshot := &entry.Outcome{Kind: entry.OutcomeSnapshot, Hash: sha256.Sum256([]byte("a state")), Code: entry.SnapshotState, Detail: at.String()}
	checkVectors(t, "motions.json", []example{
		of("motion for a parameter", motion, motion.Encode, entry.ParseMotion),
		of("motion for an oracle set", oracles, oracles.Encode, entry.ParseMotion),
		of("consent", consent, always(consent.Encode), entry.ParseConsent),
		of("oracle set", set, set.Encode, entry.ParseOracleSet),
		of("parameter", parameter, always(parameter.Encode), entry.ParseParameter),
		of("version of rules", rules, always(rules.Encode), entry.ParseRuleVersion),
		of("forgetting", forget, forget.Encode, entry.ParseForgetting),
		of("adopted", adopted, always(adopted.Encode), entry.ParseOutcome),
		of("void", void, always(void.Encode), entry.ParseOutcome),
		of("snapshot", snapshot, always(snapshot.Encode), entry.ParseOutcome),
	})
	if got, err := entry.ParseOrderPosition(snapshot.Detail); err != nil || got != at {
		t.Errorf("position %+v, %v, want %+v", got, err, at)
	}
	written := readVectors(t, "motions.json")
	if sha256.Sum256(written["motion for a parameter"]) != motion.Hash() || sha256.Sum256(written["oracle set"]) != set.Hash() {
		t.Error("the hash of a motion or a set is not that of its encoding")
	}
}

func encodeOf(t testing.TB, encode func() ([]byte, error)) []byte {
	t.Helper()
	b, err := encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestOracleSetsThatAreRefused(t *testing.T) {
	for name, change := range map[string]func(*entry.OracleSet){
		"no oracles":                 func(s *entry.OracleSet) { s.Oracles = nil },
		"a quorum of two thirds":     func(s *entry.OracleSet) { s.Quorum = 2 * uint64(len(s.Oracles)) / 3 },
		"a quorum above all":         func(s *entry.OracleSet) { s.Quorum = uint64(len(s.Oracles)) + 1 },
		"nobody governs":             func(s *entry.OracleSet) { s.Governance = 0 },
		"a name twice":               func(s *entry.OracleSet) { s.Oracles = append(s.Oracles[:1:1], s.Oracles[0]) },
		"more witnesses than named":  func(s *entry.OracleSet) { s.WitnessQuorum = 2 },
		"witnesses that nobody asks": func(s *entry.OracleSet) { s.WitnessQuorum = 0 },
		"a witness twice":            func(s *entry.OracleSet) { s.Witnesses = append(s.Witnesses, s.Witnesses[0]) },
	} {
		s := nextSet()
		change(s)
		if _, err := s.Encode(); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string]*entry.Motion{
		"no kind": {Height: 1, Body: []byte{0}}, "no body": {Kind: "x", Height: 1},
		"a body too long": {Kind: "x", Height: 1, Body: make([]byte, 60_001)}, "a long kind": {Kind: strings.Repeat("k", 65), Body: []byte{0}},
	} {
		if _, err := m.Encode(); !errors.Is(err, entry.ErrForm) {
			t.Errorf("motion with %s: %v", name, err)
		}
	}
}

// FuzzMotions reads bytes as everything that a motion is made of: what reads is written
// back the same.
func FuzzMotions(f *testing.F) {
	m := entry.Motion{Kind: entry.MotionOracles, Height: 9, Body: encodeOf(f, nextSet().Encode)}
	f.Add(encodeOf(f, m.Encode))
	f.Add(encodeOf(f, nextSet().Encode))
	f.Add((&entry.Consent{}).Encode())
	f.Add((&entry.RuleVersion{Rules: "market", Version: 2}).Encode())
	f.Add(encodeOf(f, (&entry.Forgetting{Subject: "mp-1", Reason: "moved"}).Encode))
	f.Add([]byte((entry.OrderPosition{Sequence: 7}).String()))
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(what string, again []byte, err error) {
			if err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%s %x: written again as %x, %v", what, b, again, err)
			}
		}
		if v, err := entry.ParseMotion(b); err == nil {
			again, err := v.Encode()
			same("motion", again, err)
		}
		if v, err := entry.ParseOracleSet(b); err == nil {
			again, err := v.Encode()
			same("oracle set", again, err)
		}
		if v, err := entry.ParseConsent(b); err == nil {
			same("consent", v.Encode(), nil)
		}
		if v, err := entry.ParseParameter(b); err == nil {
			same("parameter", v.Encode(), nil)
		}
		if v, err := entry.ParseRuleVersion(b); err == nil {
			same("version of rules", v.Encode(), nil)
		}
		if v, err := entry.ParseForgetting(b); err == nil {
			again, err := v.Encode()
			same("forgetting", again, err)
		}
		if p, err := entry.ParseOrderPosition(string(b)); err == nil {
			same("position", []byte(p.String()), nil)
		}
	})
}

// TestCharterStatesTheFirstSet has the two forms agree.
func TestCharterStatesTheFirstSet(t *testing.T) {
	c := charter()
	want := &entry.OracleSet{Quorum: c.Quorum, Governance: c.Governance, Oracles: c.Oracles}
	if diff := cmp.Diff(want, c.OracleSet()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
