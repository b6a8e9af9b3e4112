package audit_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
)

// from gives leaves one by one, as an Auditor wants them.
func from(leaves [][]byte) func() ([]byte, error) {
	return func() ([]byte, error) {
		if len(leaves) == 0 {
			return nil, nil
		}
		l := leaves[0]
		leaves = leaves[1:]
		return l, nil
	}
}

func TestAuditor(t *testing.T) {
	c, _ := drawStreet(t)
	a := audit.NewAuditor(c.Packs)
	var heights []uint64
	a.OnBlock(func(b *audit.Block) error {
		want := c.Blocks[b.Header.Height]
		if *b.Header != *want.Header || b.Checkpoint != want.Checkpoint {
			t.Errorf("block %d is another", b.Header.Height)
		}
		if diff := cmp.Diff(want.Result.Changes, b.Result.Changes); diff != "" {
			t.Errorf("changes of block %d\n%s", b.Header.Height, diff)
		}
		heights = append(heights, b.Header.Height)
		return nil
	})
	for _, b := range c.Blocks[2:] {
		a.Expect(b.Checkpoint)
	}
	got, err := a.Run(from(c.All()))
	if err != nil {
		t.Fatal(err)
	}
	last := c.Last().Checkpoint
	want := &audit.Summary{
		Origin: ledgertest.Origin, Leaves: c.Size(), Statements: 5*4 + 3 + 3 + 3 + 2 + 2, Outcomes: 3, Blocks: 6,
		Checkpoint: true, Size: last.Size, Root: last.Root,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary (-want +got)\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{0, 1, 2, 3, 4, 5}, heights); diff != "" {
		t.Errorf("blocks\n%s", diff)
	}
	if diff := cmp.Diff(c.State.Export(), a.State().Export()); diff != "" {
		t.Errorf("state\n%s", diff)
	}
}

// TestAuditorWithoutPacks audits what a stranger sees.
func TestAuditorWithoutPacks(t *testing.T) {
	c, _ := drawStreet(t)
	sum, err := audit.NewAuditor(nil).Run(from(c.All()))
	if err != nil || sum.Opaque != 3 {
		t.Errorf("%d opaque readings, want 3: %v", sum.Opaque, err)
	}
}

// TestEveryTampering changes a ledger in every way there is a helper for. The
// auditor finds each, and says at which leaf.
func TestEveryTampering(t *testing.T) {
	c, _ := drawStreet(t)
	for _, tt := range c.Tamperings() {
		a := audit.NewAuditor(c.Packs)
		a.Expect(c.Last().Checkpoint)
		_, err := a.Run(from(tt.Leaves))
		if !errors.Is(err, audit.ErrLedger) {
			t.Errorf("%s: got %v", tt.Name, err)
			continue
		}
		if tt.Honest {
			if !strings.Contains(err.Error(), "signed checkpoint") {
				t.Errorf("%s: got %v, want that a signed checkpoint is missed", tt.Name, err)
			}
			if _, err := audit.NewAuditor(c.Packs).Run(from(tt.Leaves)); err != nil {
				t.Errorf("%s: without a checkpoint it should be a ledger: %v", tt.Name, err)
			}
			continue
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("leaf %d", tt.Leaf)) || !strings.Contains(err.Error(), "block ") {
			t.Errorf("%s: got %v, want leaf %d and a block", tt.Name, err, tt.Leaf)
		}
	}
}

// TestEveryLeafFlipped flips a bit of each leaf; none passes.
func TestEveryLeafFlipped(t *testing.T) {
	c, _ := drawStreet(t)
	for i := range c.Size() {
		for _, at := range []int{0, 5, -1} {
			_, err := audit.NewAuditor(c.Packs).Run(from(ledgertest.FlipByte(c.All(), i, at)))
			last := i == c.Size()-1
			if !errors.Is(err, audit.ErrLedger) && !last {
				t.Errorf("leaf %d, byte %d: got %v", i, at, err)
			}
			a := audit.NewAuditor(c.Packs)
			a.Expect(c.Last().Checkpoint)
			if _, err := a.Run(from(ledgertest.FlipByte(c.All(), i, at))); !errors.Is(err, audit.ErrLedger) {
				t.Errorf("leaf %d, byte %d, with a checkpoint: got %v", i, at, err)
			}
		}
	}
}

func TestAuditorEnds(t *testing.T) {
	c, _ := drawStreet(t)
	all := c.All()
	last := c.Last()
	broken := errors.New("broken disk")
	for _, tt := range []struct {
		name   string
		leaves [][]byte
		expect []block.Checkpoint
		want   string // "" for none
	}{
		{"as it is", all, []block.Checkpoint{last.Checkpoint}, ""},
		{"nothing", nil, nil, "holds no block"},
		{"the charter alone", all[:1], nil, "holds no block"},
		{"genesis", all[:2], nil, ""},
		{"cut in a block", all[:last.Header.First+2], nil, fmt.Sprintf("2 leaves follow the header of block 4, leaf %d", last.Header.First-1)},
		{"cut behind a block", all[:last.Header.First], []block.Checkpoint{last.Checkpoint}, "before the signed checkpoint"},
		{"a leaf more", append(c.All(), all[len(all)-2]), []block.Checkpoint{last.Checkpoint}, "1 leaves follow the header of block 5"},
		{"junk at the end", append(c.All(), []byte("junk")), nil, "in block 6, is nothing that a ledger holds"},
		{"another root", all, []block.Checkpoint{{Origin: ledgertest.Origin, Size: last.Checkpoint.Size}}, "has another root"},
		{"two roots of one size", all, []block.Checkpoint{last.Checkpoint, {Size: last.Checkpoint.Size}}, "has another root"},
		{"a checkpoint inside a block", all, []block.Checkpoint{{Size: last.Checkpoint.Size - 1}}, "no block ends at size"},
		{"without charter", all[1:], nil, "no charter"},
		{"begun in the middle", all[last.Header.First:], nil, "neither an oracle's nor enrolled"},
	} {
		a := audit.NewAuditor(c.Packs)
		for _, cp := range tt.expect {
			a.Expect(cp)
		}
		_, err := a.Run(from(tt.leaves))
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (!errors.Is(err, audit.ErrLedger) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	next := from(all[:len(all)/2])
	_, err := audit.NewAuditor(c.Packs).Run(func() ([]byte, error) {
		l, _ := next()
		if l == nil {
			return nil, broken
		}
		return l, nil
	})
	if !errors.Is(err, broken) || errors.Is(err, audit.ErrLedger) {
		t.Errorf("a source that breaks: %v", err)
	}
	a := audit.NewAuditor(c.Packs)
	a.OnBlock(func(b *audit.Block) error { return broken })
	if _, err := a.Run(from(all)); !errors.Is(err, broken) {
		t.Errorf("a listener that breaks: %v", err)
	}
}

// TestResume audits a ledger in two parts, from the state stored between them.
func TestResume(t *testing.T) {
	c, _ := drawStreet(t)
	for _, b := range c.Blocks {
		st, err := state.Load(c.Charter, func(fn func(k, v []byte) error) error {
			for _, ch := range b.Export {
				if err := fn(ch.Key, ch.Value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		tree, err := block.TreeAt(c, b.Checkpoint.Size)
		if err != nil {
			t.Fatal(err)
		}
		a := audit.Resume(st, tree, b.Header, c.Packs)
		a.Expect(c.Last().Checkpoint)
		sum, err := a.Run(from(c.All()[b.Checkpoint.Size:]))
		if b == c.Last() {
			// Nothing is left to audit, so that nothing can be said of a checkpoint.
			if err == nil {
				t.Error("a checkpoint held that was not audited")
			}
			continue
		}
		if err != nil || sum.Origin != ledgertest.Origin || sum.Root != c.Last().Checkpoint.Root {
			t.Errorf("from block %d on: %v %+v", b.Header.Height, err, sum)
		}
		if diff := cmp.Diff(c.State.Export(), a.State().Export()); diff != "" {
			t.Errorf("from block %d on: state\n%s", b.Header.Height, diff)
		}
	}
}

// TestScribbledLedgersPass audits whatever the rules made of random drawings.
func TestScribbledLedgersPass(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }
		drawing := ledgertest.Scribble(pick, 4, 1+pick(4))
		c := ledgertest.New(t, 4).Draw(drawing)
		a := audit.NewAuditor(c.Packs)
		a.Expect(c.Last().Checkpoint)
		if _, err := a.Run(from(c.All())); err != nil {
			rt.Fatalf("%v\n%s", err, drawing)
		}
		at := uint64(pick(int(c.Size() - 1)))
		if _, err := audit.NewAuditor(c.Packs).Run(from(ledgertest.FlipByte(c.All(), at, -1))); !errors.Is(err, audit.ErrLedger) {
			rt.Fatalf("leaf %d changed: got %v\n%s", at, err, drawing)
		}
	})
}

// TestMemoryIsFlat audits 200,000 leaves that are made while they are asked for.
// Signatures are the few of a real block repeated in ever new blocks of refusals,
// so that the test is quick: what is measured is what the auditor keeps.
func TestMemoryIsFlat(t *testing.T) {
	c := ledgertest.New(t, 1)
	c.KeepExports(false)
	c.Draw("+home1\nhome1=1000 again:home1=1000")
	all := c.All()
	refusal := all[len(all)-2]
	prev := *c.Last().Header
	tree, err := block.TreeAt(c, c.Size())
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const blocks, refusals = 400, 500
	var early, late uint64
	h := prev
	inBlock, made := 0, 0
	next := func() ([]byte, error) {
		if len(all) > 0 {
			l := all[0]
			all = all[1:]
			return l, nil
		}
		if made == blocks {
			late = heap()
			return nil, nil
		}
		if made == blocks/10 && early == 0 {
			early = heap()
		}
		if inBlock < refusals {
			inBlock++
			l := append([]byte(nil), refusal...)
			tree.Append(block.LeafHash(l), nil)
			return l, nil
		}
		last := block.LeafHash(h.Encode())
		h.Height, h.Prev, h.First, h.Size, h.Root = h.Height+1, last, h.Size+1, tree.Size(), tree.Root()
		l := h.Encode()
		tree.Append(block.LeafHash(l), nil)
		inBlock = 0
		made++
		return l, nil
	}
	sum, err := audit.NewAuditor(nil).Run(next)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Leaves < blocks*refusals {
		t.Fatalf("only %d leaves were audited", sum.Leaves)
	}
	const most = 4 << 20
	if late > early+most {
		t.Errorf("the heap grew from %d to %d bytes over %d leaves, more than %d", early, late, sum.Leaves, most)
	}
}
