package ledgertest_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
)

const street = `
	+home1 +home2:committed +stack:es256   # three gateways
	home1=1000 home2=500 stack=7

	home1=900 home1/power=-5 junk home2#9=510 forged:stack=8
	again:home1=1000 vote1:cut_leaves=9@5 clock1@+60 clock2@+60 clock3@+60
	-home1
`

func TestDraw(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	var got [][]entry.Reason
	for _, b := range c.Blocks[1:] {
		got = append(got, b.Result.Reasons)
	}
	want := [][]entry.Reason{
		{"", "", "", "", "", "", ""},
		{"", "", "", "", "", "", ""},
		{"", "", "", "", "", "", entry.ReasonMalformed, "", entry.ReasonBadSignature},
		{entry.ReasonSequenceUsed, "", "", "", ""},
		{"", "", "", "", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got)\n%s", diff)
	}
	if got := c.Last().Header.Time - ledgertest.Start; got != 5*60_000+4 {
		t.Errorf("the last block is %d ms after genesis", got)
	}
	again := ledgertest.New(t, 4).Draw(street)
	if diff := cmp.Diff(c.All(), again.All()); diff != "" {
		t.Errorf("drawn twice it differs:\n%s", diff)
	}
}

// TestSource compares leaves and nodes with a tree made of the leaves, and what
// is signed with the policy.
func TestSource(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	tree, err := block.TreeAt(c, c.Size())
	if err != nil || tree.Root() != c.Last().Checkpoint.Root {
		t.Errorf("the nodes give the root %v: %v", tree.Root(), err)
	}
	if _, err := c.Node(0, c.Size()); err == nil {
		t.Error("there is a node behind the last leaf")
	}
	if _, err := c.Leaf(c.Size()); err == nil {
		t.Error("there is a leaf behind the last one")
	}
	if s, err := c.Policy.Verify(c.Note()); err != nil || s.Checkpoint != c.Last().Checkpoint || len(s.Witnesses) != 3 {
		t.Errorf("a quorum signed: %v", err)
	}
	if _, err := c.Policy.Verify(c.Note(0, 3)); !errors.Is(err, block.ErrQuorum) {
		t.Errorf("two signed: %v", err)
	}
}

func TestSave(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	dir := filepath.Join(t.TempDir(), "ledger")
	c.Save(dir)
	if r, err := store.Check(dir, nil); err != nil || !r.OK() {
		t.Fatalf("store check: %v %v", err, r.Faults)
	}
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.View(func(s *state.State) {
		if diff := cmp.Diff(c.State.Export(), s.Export()); diff != "" {
			t.Errorf("state (-drawn +opened)\n%s", diff)
		}
	})
	note, height, ok := l.Store().Final()
	if !ok || height != 5 || string(note) != string(c.Note()) {
		t.Errorf("final checkpoint of block %d (%v): %s", height, ok, note)
	}
}

// TestRechain shows that what is rewritten alike is the same, and that only the
// auditor's rules tell a rewritten ledger from a true one.
func TestRechain(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	if diff := cmp.Diff(c.All(), ledgertest.Rechain(c.All())); diff != "" {
		t.Errorf("rechained it differs:\n%s", diff)
	}
	c = ledgertest.New(t, 1).Draw("+home1\nhome1=1000 home1/power=30000")
	at := c.Last().Header.First + 1 // behind the clock
	leaves := ledgertest.Rechain(ledgertest.Swap(c.All(), at, at+1))
	forged := ledgertest.Of(leaves)
	if forged.Size() != c.Size() || forged.Checkpoint().Root == c.Last().Checkpoint.Root {
		t.Error("swapped leaves have the same root")
	}
	dir := t.TempDir()
	ledgertest.SaveLeaves(c, dir, leaves)
	if _, _, err := ledger.Open(dir, store.Options{}); !errors.Is(err, audit.ErrLedger) {
		t.Errorf("a ledger whose readings were swapped opens: %v", err)
	}
}

func TestScribble(t *testing.T) {
	reasons := make(map[entry.Reason]int)
	flags := make(map[string]int)
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		c := ledgertest.New(t, 4).Draw(ledgertest.Scribble(r.IntN, 4, 20))
		for _, b := range c.Blocks[1:] {
			for _, reason := range b.Result.Reasons {
				reasons[reason]++
			}
			for _, leaf := range b.Result.Leaves[len(b.Result.Accepted):] {
				if o, err := entry.ParseOutcome(leaf); err == nil {
					flags[o.Code]++
				}
			}
		}
	}
	for _, want := range []entry.Reason{"", entry.ReasonMalformed, entry.ReasonUnknownKey, entry.ReasonRevokedKey, entry.ReasonBadSignature,
		entry.ReasonSequenceUsed, entry.ReasonFuture, entry.ReasonAlreadyKnown, entry.ReasonWrongMode, entry.ReasonWrongHeight} {
		if reasons[want] == 0 {
			t.Errorf("no scribble has the reason %q", want)
		}
	}
	for _, want := range []string{entry.AdoptedVote, entry.AdoptedEnrolment, entry.AdoptedRevocation, entry.FlagLate, entry.FlagRange, entry.FlagRate, entry.FlagRegisterFell, entry.FlagUnregistered} {
		if flags[want] == 0 {
			t.Errorf("no scribble has the flag %q", want)
		}
	}
}
