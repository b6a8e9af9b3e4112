package handover_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
)

// exchange has the oracles of a chain exchanged one by one, first the first, until none
// of those at the beginning is left, and returns what shows each step.
func exchange(t testing.TB, oracles int) (first *block.Policy, list []*handover.Handover) {
	t.Helper()
	c := ledgertest.New(t, oracles)
	first = c.Policy
	for i := range oracles {
		next := slices.Clone(c.Oracles)
		next[i] = ledgertest.NewOracle(t, fmt.Sprintf("ledgertest.example/new%d", i+1))
		list = append(list, c.HandedOver(next...))
	}
	return first, list
}

func TestFollowUntilNoneOfTheFirstIsLeft(t *testing.T) {
	first, list := exchange(t, 4)
	spans, err := handover.Follow(first, list)
	if err != nil || len(spans) != 5 {
		t.Fatalf("%d spans: %v", len(spans), err)
	}
	for i := 1; i < len(spans); i++ {
		was, is := spans[i-1], spans[i]
		if is.Height <= was.Height || is.From <= was.From || was.Until != is.From || is.Set == nil {
			t.Errorf("span %d: %+v after %+v", i, is, was)
		}
	}
	for _, w := range first.Witnesses() {
		if _, ok := spans[4].Policy.Witness(w.Key.Key.ID()); ok {
			t.Errorf("%s is left in the last policy", w.Name)
		}
	}
	// Who trusts a later set passes over what was before; who misses a step does not
	// come further, and who has come further does not go back.
	if later, err := handover.Follow(spans[2].Policy, list); err != nil || len(later) != 3 || later[2].Policy.String() != spans[4].Policy.String() {
		t.Errorf("from the second change on: %d spans, %v", len(later), err)
	}
	if _, err := spans[1].Next(list[2]); !errors.Is(err, handover.ErrOthers) {
		t.Errorf("a step that misses the one before: %v", err)
	}
	if _, err := spans[0].Next(list[2]); !errors.Is(err, block.ErrQuorum) {
		t.Errorf("a step that misses two: %v", err)
	}
	for i := range 3 {
		if _, err := spans[3].Next(list[i]); !errors.Is(err, handover.ErrBefore) {
			t.Errorf("back to handover %d: %v", i, err)
		}
	}
}

// TestNobodyGoesBack has the same oracles agree to other thresholds, twice. What they
// signed satisfies the policies of all three sets, and nobody follows it a second time.
func TestNobodyGoesBack(t *testing.T) {
	c := ledgertest.New(t, 4)
	first := c.Policy
	change := func(quorum uint64) *handover.Handover {
		set := c.NextSet(c.Oracles...)
		set.Quorum = quorum
		return c.HandedOverTo(set, c.Oracles...)
	}
	up, down := change(4), change(3)
	spans, err := handover.Follow(first, []*handover.Handover{up, down})
	if err != nil || len(spans) != 3 || spans[2].Policy.String() != first.String() {
		t.Fatalf("up and down: %d spans, %v", len(spans), err)
	}
	if _, err := spans[2].Policy.Verify(up.Checkpoint); err != nil {
		t.Fatalf("the first handover does not satisfy the last policy, so this shows nothing: %v", err)
	}
	for i := 1; i < 3; i++ {
		if _, err := spans[i].Next(up); !errors.Is(err, handover.ErrBefore) || !errors.Is(err, handover.ErrHandover) {
			t.Errorf("the first handover once more, after %d: %v", i, err)
		}
	}
	if _, err := handover.Follow(first, []*handover.Handover{up, down, up}); !errors.Is(err, handover.ErrBefore) {
		t.Errorf("a history that goes round: %v", err)
	}

	// The same keys can sign another history, which is longer: the set that its motion
	// replaces is not the one that is trusted.
	other := ledgertest.New(t, 4).Draw("+a\na=1\na=2\na=3\na=4\na=5\na=6\na=7\na=8\na=9")
	forged := other.HandedOver(ledgertest.NewOracle(t, "ledgertest.example/thief"))
	if _, err := spans[0].Next(forged); err != nil {
		t.Fatalf("it would not be followed from the first policy, so this shows nothing: %v", err)
	}
	if _, err := spans[2].Next(forged); !errors.Is(err, handover.ErrHandover) {
		t.Errorf("a second history with the keys of the first set: %v", err)
	}
}

// TestRefuses changes a handover in every way that matters.
func TestRefuses(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1\nhome1=100")
	from := &handover.Span{Policy: c.Policy}
	before := c.Policy.String()
	h := c.HandedOver(ledgertest.NewOracle(t, "ledgertest.example/five"), c.Oracles[2], c.Oracles[3])
	if _, err := from.Next(h); err != nil {
		t.Fatalf("unchanged: %v", err)
	}
	for i := range h.Leaves {
		without := &handover.Handover{Checkpoint: h.Checkpoint, Leaves: slices.Delete(slices.Clone(h.Leaves), i, i+1)}
		if _, err := from.Next(without); !errors.Is(err, handover.ErrHandover) {
			t.Errorf("without leaf %d, a %v: %v", h.Leaves[i].Index, entry.KindOf(h.Leaves[i].Leaf), err)
		}
		changed := &handover.Handover{Checkpoint: h.Checkpoint, Leaves: slices.Clone(h.Leaves)}
		changed.Leaves[i].Leaf = bytes.Clone(changed.Leaves[i].Leaf)
		changed.Leaves[i].Leaf[len(changed.Leaves[i].Leaf)-1] ^= 1
		if _, err := from.Next(changed); !errors.Is(err, handover.ErrHandover) {
			t.Errorf("with leaf %d changed: %v", h.Leaves[i].Index, err)
		}
	}
	// Adopted is not in force: a checkpoint of a block before the last one, signed by all,
	// shows nothing yet.
	early := ledgertest.New(t, 4)
	was := early.State.OracleSets()[0]
	set := early.NextSet(ledgertest.NewOracle(t, "ledgertest.example/five"))
	body, err := set.Encode()
	if err != nil {
		t.Fatal(err)
	}
	adopted := early.Adopt(entry.MotionOracles, early.State.Height()+2, body)
	note := early.Note()
	soon := early.Handover(note, adopted.Checkpoint, was, state.OracleSetAt{Height: early.State.Height() + 1, Set: set})
	if _, err := from.Next(soon); soon.Next() == nil || !errors.Is(err, handover.ErrHandover) || !strings.Contains(err.Error(), "begins with block") {
		t.Errorf("a block too early: %v", err)
	}
	unsigned := &handover.Handover{Checkpoint: []byte(strings.Split(string(h.Checkpoint), "\n\n")[0] + "\n\n"), Leaves: h.Leaves}
	if _, err := from.Next(unsigned); err == nil {
		t.Error("a handover that nobody signed is followed")
	}
	if from.Policy.String() != before || from.Height != 0 || from.Until != 0 {
		t.Errorf("what was refused changed what is trusted: %+v", from)
	}
}

// TestBothPutForward has each of two oracles put the same motion forward: either is a
// voice, and both are needed.
func TestBothPutForward(t *testing.T) {
	c := ledgertest.New(t, 2)
	from, was := &handover.Span{Policy: c.Policy}, c.State.OracleSets()[0]
	set := c.NextSet(c.Oracles[1])
	height := c.State.Height() + 1
	b := c.Append(append(c.Clocks(60_000), c.Send(c.SetMotion(0, height, set), c.SetMotion(1, height, set))...)...)
	h := c.Handover(c.Note(), b.Checkpoint, was, state.OracleSetAt{Height: height, Set: set})
	if _, err := from.Next(h); err != nil {
		t.Fatal(err)
	}
	voices := 0
	for i := range h.Leaves {
		if m, _ := handover.MotionOf(h.Leaves[i].Leaf); m == nil {
			continue
		}
		voices++
		one := &handover.Handover{Checkpoint: h.Checkpoint, Leaves: slices.Delete(slices.Clone(h.Leaves), i, i+1)}
		if _, err := from.Next(one); !errors.Is(err, handover.ErrHandover) {
			t.Errorf("without leaf %d, one of two voices: %v", h.Leaves[i].Index, err)
		}
	}
	if voices != 2 {
		t.Errorf("%d motions are among the leaves, want 2", voices)
	}
}

// TestAnyOrder gives the handovers of a ledger, and damaged ones, in any order and as
// often as may be, to somebody who takes what Next takes: the height only goes up, each
// policy is one of the ledger's, and once all came in their order the last one is
// trusted.
func TestAnyOrder(t *testing.T) {
	first, list := exchange(t, 4)
	spans, err := handover.Follow(first, list)
	if err != nil {
		t.Fatal(err)
	}
	policies := make(map[uint64]string)
	for _, s := range spans {
		policies[s.Height] = s.Policy.String()
	}
	rapid.Check(t, func(r *rapid.T) {
		at := &handover.Span{Policy: first}
		take := func(h *handover.Handover) {
			next, err := at.Next(h)
			if err != nil {
				return
			}
			if next.Height <= at.Height || policies[next.Height] != next.Policy.String() {
				r.Fatalf("from block %d to block %d with\n%s", at.Height, next.Height, next.Policy)
			}
			at = next
		}
		for range rapid.IntRange(0, 8).Draw(r, "given") {
			b := bytes.Clone(list[rapid.IntRange(0, len(list)-1).Draw(r, "handover")].Encode())
			switch rapid.IntRange(0, 3).Draw(r, "damage") {
			case 1:
				b[rapid.IntRange(0, len(b)-1).Draw(r, "byte")] ^= byte(rapid.IntRange(1, 255).Draw(r, "bits"))
			case 2:
				b = b[:rapid.IntRange(0, len(b)-1).Draw(r, "length")]
			}
			if h, err := handover.Parse(b); err == nil {
				take(h)
			}
		}
		for _, h := range list {
			take(h)
		}
		if at.Height != spans[4].Height {
			r.Fatalf("all handovers lead to block %d, want %d", at.Height, spans[4].Height)
		}
	})
}

func FuzzParse(f *testing.F) {
	first, list := exchange(f, 1)
	f.Add(list[0].Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := handover.Parse(b)
		if err != nil {
			return
		}
		if again := h.Encode(); !bytes.Equal(again, b) {
			t.Fatalf("%x: written again as %x", b, again)
		}
		next, err := (&handover.Span{Policy: first}).Next(h)
		if (next == nil) == (err == nil) {
			t.Fatalf("%+v and %v", next, err)
		}
	})
}

func FuzzParseHistory(f *testing.F) {
	_, list := exchange(f, 1)
	f.Add(handover.EncodeHistory(list))
	f.Add(handover.EncodeHistory(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := handover.ParseHistory(b)
		if err != nil {
			return
		}
		if again := handover.EncodeHistory(list); !bytes.Equal(again, b) {
			t.Fatalf("%x: written again as %x", b, again)
		}
	})
}
