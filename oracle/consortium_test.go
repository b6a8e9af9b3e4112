package oracle_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/oracle"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// join adds an oracle to the street that is in no set yet.
func (s *street) join(o ledgertest.Oracle) (i int) {
	s.t.Helper()
	i = len(s.nodes)
	s.Oracles = append(s.Oracles, o)
	s.nodes = append(s.nodes, nil)
	return i
}

// state states something by a node and puts it into the order.
func (s *street) state(i int, typ string, payload []byte) {
	s.t.Helper()
	b, err := s.nodes[i].Sign(typ, payload)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.nodes[i].Submit(context.Background(), b); err != nil {
		s.t.Fatal(err)
	}
}

// adopt has nodes put a motion forward and agree, and waits until all that run have
// come to its height. It returns the height.
func (s *street) adopt(g *gateway, kind string, body []byte, nodes ...int) uint64 {
	s.t.Helper()
	m := entry.Motion{Kind: kind, Body: body}
	s.nodes[nodes[0]].Ledger().View(func(st *state.State) { m.Height = st.Height() + 8 })
	payload, err := m.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, i := range nodes { // to state the same is to agree
		s.state(i, entry.TypeMotion, payload)
	}
	s.pass(g, m.Height)
	return m.Height
}

// pass has blocks made until all that run are at a height. Of what is sent meanwhile
// the receipts come when the street's policy is that of the height.
func (s *street) pass(g *gateway, height uint64) {
	s.t.Helper()
	at := uint64(0)
	s.until(fmt.Sprint("block ", height), func() bool {
		least := ^uint64(0)
		for _, n := range s.nodes {
			if n != nil {
				h, _, _ := n.Ledger().Last()
				least = min(least, h.Height)
			}
		}
		if least < height && least+1 != at {
			at = least + 1
			g.waiting = append(g.waiting, g.read(1)...)
			g.publish(g.waiting[len(g.waiting)-1])
		}
		return least >= height
	})
}

func (s *street) nextSet(list ...int) *entry.OracleSet {
	var who []ledgertest.Oracle
	for _, i := range list {
		who = append(who, s.Oracles[i])
	}
	set := s.NextSet(who...)
	s.nodes[list[0]].Ledger().View(func(st *state.State) { set.Replaces = st.Oracles().Hash() })
	return set
}

// expect has gateways take receipts of the oracles of a set, too.
func (s *street) expect(set *entry.OracleSet) *block.Policy {
	s.t.Helper()
	p, err := handover.PolicyOf(ledgertest.Origin, set)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.later = append(s.later, p)
	return p
}

func encoded(t testing.TB, b []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestOraclesChange has a street's oracles take in a fifth that watched, change the
// keys of the second, and let the first go, all with one motion; and then one more.
// Blocks stay final throughout, and who trusts the charter's oracles alone comes to
// whoever is in force.
func TestOraclesChange(t *testing.T) {
	s := newStreet(t, 4)
	rotated := s.Oracles[1].Rotated(t)
	five := s.join(ledgertest.NewOracle(t, "ledgertest.example/oracle5"))
	if err := ledger.Create(s.oracleDir(five), s.Charter); err != nil {
		t.Fatal(err)
	}
	s.configure = func(i int, cfg *oracle.Config) {
		cfg.Watch = true
		if i == 1 {
			cfg.Next = &oracle.Keys{Statement: rotated.Statement, Log: rotated.Log, Cosigner: rotated.Cosigner}
		}
	}
	s.start(0, 1, 2, 3, five)
	g := s.enrol("home1", entry.ModeOpen)
	g.deliver(g.read(20)...)
	s.level(0, 1, 2, 3, five)
	if _, in := s.nodes[five].Position(); in {
		t.Error("the fifth oracle is in force before a set has it")
	}

	first := s.Policy
	s.Oracles[1] = rotated
	set := s.nextSet(1, 2, 3, five)
	body, err := set.Encode()
	next := s.expect(set)
	handed := s.adopt(g, entry.MotionOracles, encoded(t, body, err), 0, 1, 2) - 1
	s.stop(0)
	g.deliver(append(g.waiting, g.read(20)...)...)
	s.level(1, 2, 3, five)
	f := s.nodes[five].Final()
	if _, err := next.Verify(f.Note); err != nil {
		t.Errorf("the final checkpoint by the set in force: %v", err)
	}
	if _, err := first.Verify(f.Note); err == nil {
		t.Error("the final checkpoint satisfies the charter's policy, so this shows nothing")
	}

	// A second change: three of the four go on.
	set = s.nextSet(2, 3, five)
	body, err = set.Encode()
	s.expect(set)
	second := s.adopt(g, entry.MotionOracles, encoded(t, body, err), 1, 2, five) - 1
	s.stop(1)
	g.deliver(append(g.waiting, g.read(20)...)...)
	s.level(2, 3, five)

	// The third oracle began at the third place and is at the first now: what a gateway says
	// to the first place alone reaches it, and reaches the ledger.
	frame := g.read(1)[0]
	s.until("a receipt for what the first place alone was told", func() bool {
		if err := g.conn.Publish(s.subjects.UpTo(g.name, 0), frame); err != nil {
			t.Fatal(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(g.places) == len(g.sent)
	})

	for _, i := range []int{2, 3, five} {
		list, err := ledger.HistoryOf(s.nodes[i].Ledger().Store())
		if err != nil {
			t.Fatal(err)
		}
		spans, err := handover.Follow(first, list)
		if err != nil {
			t.Fatal(err)
		}
		if len(spans) != 3 || spans[1].Height != handed+1 || spans[2].Height != second+1 {
			t.Fatalf("a verifier follows to %+v, want sets of blocks %d and %d", spans, handed+1, second+1)
		}
		f := s.nodes[i].Final()
		if _, err := handover.PolicyFor(spans, f.Size).Verify(f.Note); err != nil {
			t.Errorf("the final checkpoint by the set followed to: %v", err)
		}
		again, err := handover.ParseHistory(handover.EncodeHistory(list))
		if err != nil || !bytes.Equal(handover.EncodeHistory(again), handover.EncodeHistory(list)) {
			t.Errorf("the history does not read as it was written: %v", err)
		}
	}
	s.until("handovers among the tiles", func() bool {
		_, err := os.Stat(filepath.Join(s.oracleDir(2), "tiles", "handover", fmt.Sprint(second+1)))
		return err == nil
	})

	s.leads(g, first, handed+1, second+1)

	// The first oracle comes back to watch, without a handover of its own.
	if err := os.RemoveAll(filepath.Join(s.oracleDir(0), "handover")); err != nil {
		t.Fatal(err)
	}
	s.start(0)
	g.deliver(g.read(5)...)
	s.level(2, 3, five, 0)
	if _, err := s.nodes[0].Ledger().Store().Handover(second + 1); err != nil {
		t.Errorf("it was given no handover: %v", err)
	}
	// A handover that a program of before has kept, without the last header, is made whole.
	s.stop(0)
	path := filepath.Join(s.oracleDir(0), "handover", fmt.Sprint(second+1))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	less, err := handover.Parse(whole)
	if err != nil {
		t.Fatal(err)
	}
	less.Leaves = less.Leaves[:len(less.Leaves)-1]
	if err := os.WriteFile(path, less.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start(0)
	g.deliver(g.read(5)...)
	s.level(2, 3, five, 0)
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, whole) {
		t.Errorf("the handover is not made whole: %d bytes of %d, %v", len(again), len(whole), err)
	}
	if !slices.Equal(s.names(0), s.names(2)) {
		t.Errorf("oracle 1 knows %q in force, oracle 3 %q", s.names(0), s.names(2))
	}
}

// leads has a gateway say whom it trusts: it is sent what it lacks, and somebody else who
// says so in its place has it sent nothing.
func (s *street) leads(g *gateway, first *block.Policy, one, two uint64) {
	s.t.Helper()
	at := s.now().Unix()
	key := s.GatewayKey(g.name)
	stranger := wire.TrustsOf(first, 0)
	stranger.Policy = strings.Repeat("0", 64)
	for _, c := range []struct {
		what   string
		key    signer.Signer
		trusts *wire.Trusts
		want   []uint64
	}{
		{"nothing", key, nil, nil},
		{"the first policy, said by another", ledgertest.NewOracle(s.t, "nobody").Statement, wire.TrustsOf(first, 0), nil},
		{"the first change", key, &wire.Trusts{Height: one}, []uint64{two}},
		{"the policy of the first change", key, wire.TrustsOf(s.later[0], 0), []uint64{two}},
		{"the first policy", key, wire.TrustsOf(first, 0), []uint64{one, two}},
		{"a policy that nobody knows", key, stranger, []uint64{one, two}},
		{"the second change", key, &wire.Trusts{Height: two}, nil},
		{"the first change once more", key, &wire.Trusts{Height: one}, []uint64{two}},
	} {
		at++
		s.mu.Lock()
		g.handed = nil
		s.mu.Unlock()
		if err := g.conn.Publish(s.subjects.Birth(g.name), signedBirth(s.t, wire.Birth{Gateway: g.name, Trusts: c.trusts}, at, c.key)); err != nil {
			s.t.Fatal(err)
		}
		s.until("handovers for who trusts "+c.what, func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			got := slices.Clone(g.handed)
			slices.Sort(got)
			return len(got) == 3*len(c.want) && slices.Equal(slices.Compact(got), c.want) // three oracles run
		})
		if c.trusts == nil || c.key != key {
			continue
		}
		s.until("who trusts "+c.what+" is told of", func() bool { return s.nodes[2].Births()[g.name].At == at })
		if n := s.nodes[2].Births()[g.name].Behind; n != len(c.want) {
			s.t.Errorf("who trusts %s is %d changes behind, want %d", c.what, n, len(c.want))
		}
	}
}

func (s *street) names(i int) (out []string) {
	s.nodes[i].Ledger().View(func(st *state.State) {
		for _, o := range st.Oracles().Oracles {
			out = append(out, o.Name)
		}
	})
	return out
}
