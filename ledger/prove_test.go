package ledger_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
)

// TestEvidenceOfEveryLeaf makes evidence and a log proof of each leaf of a stored
// ledger: they read back, and what can be checked holds.
func TestEvidenceOfEveryLeaf(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	l, _ := create(t, c, store.Options{})
	for _, b := range c.Blocks[1:] {
		appendBlock(t, l, b)
	}
	note, cp := c.Note(), c.Last().Checkpoint
	trust := audit.Trust{Policy: c.Policy}
	for i := range c.Size() {
		leaf, _ := c.Leaf(i)
		e, err := ledger.Evidence(l.Store(), note, cp, i, l.Pack)
		if err != nil {
			t.Fatalf("leaf %d: %v", i, err)
		}
		if again, err := audit.ParseEvidence(e.Encode()); err != nil || again.Claim != i {
			t.Errorf("leaf %d: evidence does not read back: %v", i, err)
		}
		want := audit.ExitHolds
		if entry.KindOf(leaf) == entry.LeafOutcome {
			want = audit.ExitUnchecked // its rule needs the blocks before
		}
		if r := audit.Verify("x.evidence", e.Encode(), trust); r.Exit() != want {
			t.Errorf("leaf %d, a %v: exit status %d, want %d: %v", i, entry.KindOf(leaf), r.Exit(), want, r.Verdicts)
		}
		p, err := ledger.LogProof(l.Store(), note, cp, i)
		if err != nil {
			t.Fatalf("leaf %d: %v", i, err)
		}
		if _, err := p.Verify(c.Policy); err != nil {
			t.Errorf("leaf %d: log proof: %v", i, err)
		}
		if found, err := ledger.Find(t.Context(), l.Store(), block.LeafHash(leaf)); err != nil || found != i {
			t.Errorf("leaf %d is found at %d: %v", i, found, err)
		}
	}
	if _, err := ledger.Find(t.Context(), l.Store(), block.Hash{1}); !errors.Is(err, ledger.ErrNoLeaf) {
		t.Errorf("a hash no leaf has: %v", err)
	}
}

func TestEvidenceHolds(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	note, cp := c.Note(), c.Last().Checkpoint
	kinds := func(index uint64, packs func([]byte) []byte) (out []uint64, disclosed int) {
		t.Helper()
		e, err := ledger.Evidence(c, note, cp, index, packs)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range e.Leaves {
			out = append(out, l.Index)
		}
		return out, len(e.Disclosures)
	}
	b := c.Blocks
	// What three oracles stated to end the key of home2, and the outcome of it.
	ended := []uint64{b[6].Header.First + 7, b[6].Header.First + 8, b[7].Header.First + 4, b[7].Header.First + 7}
	for _, tt := range []struct {
		name      string
		claim     uint64
		want      []uint64
		disclosed int
	}{
		{"the charter", 0, []uint64{0, 1}, 0},
		{"a header", b[2].Header.Size, []uint64{b[2].Header.Size}, 0},
		{"a clock, which the charter knows the key of", b[2].Header.First, []uint64{0, b[2].Header.First, b[2].Header.Size}, 0},
		{"an open reading, whose key one oracle wants to end", b[2].Header.First + 4,
			[]uint64{0, b[1].Header.First + 4, b[2].Header.First + 4, b[2].Header.Size, b[7].Header.First + 6}, 0},
		{"a committed reading", b[2].Header.First + 5,
			append([]uint64{0, b[1].Header.First + 5, b[2].Header.First + 5, b[2].Header.Size}, ended...), 1},
		{"a reading of a key that ended later", b[2].Header.First + 6,
			[]uint64{0, b[1].Header.First + 6, b[2].Header.First + 6, b[2].Header.Size, b[4].Header.First + 6}, 0},
		{"a flag of a committed reading", b[3].Header.First + 8,
			append([]uint64{0, b[1].Header.First + 5, b[3].Header.First + 5, b[3].Header.First + 8, b[3].Header.Size}, ended...), 1},
		{"a refusal", b[3].Header.First + 10, []uint64{b[3].Header.First + 10, b[3].Header.Size}, 0},
	} {
		got, disclosed := kinds(tt.claim, c.Packs)
		if diff := cmp.Diff(tt.want, got); diff != "" || disclosed != tt.disclosed {
			t.Errorf("%s: %d packs, want %d; leaves (-want +got)\n%s", tt.name, disclosed, tt.disclosed, diff)
		}
		if _, disclosed := kinds(tt.claim, nil); disclosed != 0 {
			t.Errorf("%s: packs were disclosed that nobody gave", tt.name)
		}
	}
}

func TestProveRefuses(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(street)
	old := c.Blocks[2].Checkpoint
	note := c.Sign(t, old)
	if _, err := ledger.Evidence(c, note, old, old.Size, nil); !errors.Is(err, ledger.ErrNotFinal) {
		t.Errorf("evidence for a leaf behind the checkpoint: %v", err)
	}
	if _, err := ledger.Evidence(c, note, old, c.Size(), nil); !errors.Is(err, ledger.ErrNoLeaf) {
		t.Errorf("evidence for a leaf there is not: %v", err)
	}
	if _, err := ledger.LogProof(c, note, old, old.Size); !errors.Is(err, ledger.ErrNotFinal) {
		t.Errorf("log proof for a leaf behind the checkpoint: %v", err)
	}
	if _, err := ledger.LogProof(c, c.Note(), c.Last().Checkpoint, c.Size()); !errors.Is(err, ledger.ErrNotFinal) {
		t.Errorf("log proof for a leaf there is not: %v", err)
	}
}
