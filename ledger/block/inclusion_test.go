package block_test

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/block"
)

// What was checked before makes no difference: a proof is accepted where it leads to
// the root by itself, and nowhere else.
func TestInclusionAgreesWithRoot(t *testing.T) {
	f := grown(300)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Uint64Range(1, 300).Draw(t, "size")
		tree, err := block.TreeAt(f, size)
		if err != nil {
			t.Fatal(err)
		}
		in, prover := block.NewInclusion(tree.Root(), size), block.NewProver(f, size)
		for range rapid.IntRange(1, 40).Draw(t, "proofs") {
			index := rapid.Uint64Range(0, size-1).Draw(t, "index")
			p, err := prover.Prove(index)
			if err != nil {
				t.Fatal(err)
			}
			leaf := block.LeafHash(leafData(index))
			p.Path = slices.Clone(p.Path)
			switch rapid.SampledFrom([]string{"", "", "", "leaf", "index", "hash", "longer", "shorter"}).Draw(t, "fault") {
			case "leaf":
				leaf[0] ^= 1
			case "index":
				p.Index = rapid.Uint64Range(0, size+1).Draw(t, "other")
			case "hash":
				if len(p.Path) > 0 {
					p.Path[rapid.IntRange(0, len(p.Path)-1).Draw(t, "at")][7] ^= 1
				}
			case "longer":
				p.Path = append(p.Path, leaf)
			case "shorter":
				p.Path = p.Path[:max(0, len(p.Path)-1)]
			}
			root, err := p.Root(leaf)
			want := err == nil && root == tree.Root()
			if err := in.Check(leaf, p.Index, p.Path); (err == nil) != want || err != nil && !errors.Is(err, block.ErrProof) {
				t.Fatalf("leaf %d of %d: %v, by itself %v", p.Index, size, err, want)
			}
		}
	})
}

// One gateway's leaves of a block, as they stand in a message of receipts.
func BenchmarkInclusion(b *testing.B) {
	const size, step = 1 << 16, 64
	f := grown(size)
	tree, err := block.TreeAt(f, size)
	if err != nil {
		b.Fatal(err)
	}
	prover := block.NewProver(f, size)
	var proofs []block.Proof
	var leaves []block.Hash
	for i := uint64(0); i < 1024; i += step {
		p, err := prover.Prove(size/2 + i)
		if err != nil {
			b.Fatal(err)
		}
		proofs, leaves = append(proofs, p), append(leaves, block.LeafHash(leafData(p.Index)))
	}
	b.Run("together", func(b *testing.B) {
		for b.Loop() {
			in := block.NewInclusion(tree.Root(), size)
			for i, p := range proofs {
				if err := in.Check(leaves[i], p.Index, p.Path); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			for i, p := range proofs {
				if root, err := p.Root(leaves[i]); err != nil || root != tree.Root() {
					b.Fatal(root, err)
				}
			}
		}
	})
}
