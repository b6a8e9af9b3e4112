package oracle_test

import (
	"context"
	"slices"
	"testing"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/oracle"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// quarantined reports whether all the oracles named refuse what a key signs.
func (s *street) quarantined(key signer.KeyID, list ...int) bool {
	for _, i := range list {
		out := false
		s.nodes[i].Ledger().View(func(st *state.State) { out = st.Quarantined(key) })
		if !out {
			return false
		}
	}
	return true
}

// conflicts counts those on the ledger of a node.
func (s *street) conflicts(i int) (n int) {
	s.t.Helper()
	ledger := s.nodes[i].Ledger().Store()
	for k := range ledger.Size() {
		leaf, err := ledger.Leaf(k)
		if err != nil {
			s.t.Fatal(err)
		}
		if m, err := signer.Parse(leaf); err == nil && m.Type == entry.TypeConflict {
			n++
		}
	}
	return n
}

// An oracle that votes for two checkpoints of one height is accused by whoever hears
// it, with no person's help: the ledger says so once, its votes do not count any more,
// and the others go on.
func TestEquivocatorIsQuarantined(t *testing.T) {
	s := newStreet(t, 4)
	liar := &s.Oracles[3]
	s.liars[liar.Cosigner.Public().ID()] = true
	s.start(0, 1, 2, 3) // its honest part goes on beside the lies
	g := s.enrol("home-1", entry.ModeOpen)
	g.deliver(g.read(3)...)
	s.level(0, 1, 2, 3)
	h, checkpoint, _ := s.nodes[0].Ledger().Last()
	conn := s.connect()
	for variant := range byte(2) {
		checkpoint.Root[0] ^= 1 + variant
		if err := conn.Publish(s.subjects.Vote(), s.vote(3, h.Height+1, checkpoint).Encode()); err != nil {
			t.Fatal(err)
		}
	}
	id := liar.Statement.Public().ID()
	s.until("the liar's quarantine", func() bool { return s.quarantined(id, 0, 1, 2, 3) })
	g.deliver(g.read(5)...)
	g.deliver(g.read(5)...)
	s.level(0, 1, 2)
	g.once(s.nodes[1])
	f := s.nodes[0].Final()
	signed, err := s.Policy.Verify(f.Note)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range signed.Witnesses {
		if w.Key == liar.Cosigner.Public() {
			t.Error("its signature counts")
		}
	}
	if n := s.conflicts(0); n != 1 {
		t.Errorf("the ledger holds %d conflicts, want 1", n)
	}
	if _, reasons := s.ready(3); !slices.Contains(reasons, "quarantined") {
		t.Errorf("the liar calls itself ready, but for %q", reasons)
	}
	if got := s.figures(0)["wattmark_quarantined_keys"]; got != 1 {
		t.Errorf("the metrics tell of %v quarantined keys", got)
	}
}

// Two statements with one sequence number, sent to oracles at once or one after the
// other, end what the key may do, until the oracles restore it.
func TestKeyInTwoPlacesIsQuarantined(t *testing.T) {
	s := newStreet(t, 4)
	s.start(0, 1, 2, 3)
	g, other := s.enrol("home-1", entry.ModeOpen), s.enrol("home-2", entry.ModeOpen)
	g.deliver(g.read(2)...)
	s.level(0, 1, 2, 3)
	copied := s.Reading("home-1", ledgertest.Record("home-1", "energy", 7, s.now().UnixMilli()))
	copied.Claims.Sequence.Count = 2
	statement, _ := copied.Sign(t)
	g.publish(wire.Frame{Statement: statement}.Encode())
	id := s.GatewayKey("home-1").Public().ID()
	s.until("the key's quarantine", func() bool { return s.quarantined(id, 0, 1, 2, 3) })
	other.deliver(other.read(3)...)
	s.level(0, 1, 2, 3)
	if n := s.conflicts(2); n != 1 {
		t.Errorf("the ledger holds %d conflicts, want 1", n)
	}
	g.publish(g.read(1)...)
	s.until("the refusal of what it sends", func() bool {
		return s.seen(0, isRefusal(entry.ReasonQuarantinedKey))+s.seen(1, isRefusal(entry.ReasonQuarantinedKey))+
			s.seen(2, isRefusal(entry.ReasonQuarantinedKey))+s.seen(3, isRefusal(entry.ReasonQuarantinedKey)) > 0
	})
	// The other way in: both get past the intake, and the rules see them.
	two := s.Reading("home-2", ledgertest.Record("home-2", "energy", 8, s.now().UnixMilli()))
	two.Claims.Sequence.Count = 1
	statement, _ = two.Sign(t)
	if err := s.nodes[2].Submit(context.Background(), statement); err != nil {
		t.Fatal(err)
	}
	s.until("the other key's quarantine", func() bool { return s.quarantined(s.GatewayKey("home-2").Public().ID(), 0, 1, 2, 3) })
}

func isRefusal(reason entry.Reason) func(oracle.Event) bool {
	return func(e oracle.Event) bool { return e.Refusal != nil && e.Refusal.Reason == reason }
}
