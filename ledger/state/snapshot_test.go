package state_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
)

// TestSnapshot has the digest of the state stated every third block, of the state
// after the block before; whoever loads the bytes goes on with the same results.
func TestSnapshot(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		every := rapid.Int64Range(1, 4).Draw(r, "every")
		c := ledgertest.New(t, 3, entry.Parameter{Name: entry.ParamSnapshotBlocks, Value: every})
		c.Draw("+home1 +home2:committed\nhome1=100 home2=7000\n")
		var loaded *state.State
		for range rapid.IntRange(1, 9).Draw(r, "blocks") {
			before := c.State.Snapshot()
			at := entry.OrderPosition{Sequence: rapid.Uint64().Draw(r, "order"), Digest: sha256.Sum256(before)}
			c.State.SetOrder(at)
			messages := append(c.Clocks(60_000), c.Word("home1=+1"), c.Word("home2=+5"))
			first := c.Size()
			b := c.Append(messages...)
			due := b.Header.Height%uint64(every) == 0
			var stated []string
			for _, leaf := range b.Result.Leaves {
				if o, err := entry.ParseOutcome(leaf); err == nil && o.Kind == entry.OutcomeSnapshot {
					stated = append(stated, o.Detail)
					if o.Hash != sha256.Sum256(before) || o.Code != entry.SnapshotState {
						r.Fatalf("block %d states %+v of another state", b.Header.Height, o)
					}
					if p, err := entry.ParseOrderPosition(o.Detail); err != nil || p != at {
						r.Fatalf("block %d states position %+v, %v, want %+v", b.Header.Height, p, err, at)
					}
				}
			}
			if due != (len(stated) == 1) || due != (b.Result.Snapshot != nil) || due && !bytes.Equal(before, b.Result.Snapshot) {
				r.Fatalf("block %d states %q, a snapshot is due: %v", b.Header.Height, stated, due)
			}
			if loaded == nil && due {
				var err error
				if loaded, _, err = state.LoadSnapshot(c.Charter, before); err != nil {
					r.Fatal(err)
				}
			}
			if loaded == nil {
				continue
			}
			loaded.SetOrder(at)
			inputs, _ := b.Inputs()
			result, err := loaded.Execute(first, b.Header.Prev, inputs)
			if err != nil {
				r.Fatal(err)
			}
			if diff := cmp.Diff(b.Result.Leaves, result.Leaves); diff != "" {
				r.Fatalf("block %d by the state that was loaded:\n%s", b.Header.Height, diff)
			}
			if diff := cmp.Diff(c.State.Export(), loaded.Export()); diff != "" {
				r.Fatalf("state after block %d:\n%s", b.Header.Height, diff)
			}
		}
		sameAudited(t, c)
	})
}

func FuzzLoadSnapshot(f *testing.F) {
	c := ledgertest.New(f, 2).Draw("+home1\nhome1=100 vote1:cut_leaves=7@9")
	f.Add(c.State.Snapshot())
	f.Add([]byte{0x85})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _, err := state.LoadSnapshot(c.Charter, b)
		if err != nil {
			if !errors.Is(err, state.ErrSnapshot) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(s.Snapshot(), b) {
			t.Fatal("it is written another way")
		}
	})
}
