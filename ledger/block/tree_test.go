package block_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/tlog"

	"wattmark/ledger/block"
)

// forest keeps every complete node of a growing tree, by level.
type forest [][]block.Hash

func (f forest) Node(level int, index uint64) (block.Hash, error) {
	if level >= len(f) || index >= uint64(len(f[level])) {
		return block.Hash{}, fmt.Errorf("no node %d at level %d", index, level)
	}
	return f[level][index], nil
}

func (f *forest) add(leaf block.Hash) {
	h := leaf
	for l := 0; ; l++ {
		if l == len(*f) {
			*f = append(*f, nil)
		}
		(*f)[l] = append((*f)[l], h)
		n := len((*f)[l])
		if n%2 == 1 {
			return
		}
		h = block.NodeHash((*f)[l][n-2], (*f)[l][n-1])
	}
}

func leafData(i uint64) []byte { return fmt.Appendf(nil, "leaf %d", i) }

// grown is a forest of n leaves.
func grown(n uint64) *forest {
	f := &forest{}
	for i := range n {
		f.add(block.LeafHash(leafData(i)))
	}
	return f
}

func TestTreeStoresWhatTlogStores(t *testing.T) {
	var stored []tlog.Hash
	var tree block.Tree
	for n := range int64(300) {
		read := tlog.HashReaderFunc(func(list []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(list))
			for i, k := range list {
				out[i] = stored[k]
			}
			return out, nil
		})
		want, err := tlog.StoredHashes(n, leafData(uint64(n)), read)
		if err != nil {
			t.Fatal(err)
		}
		var got []block.Hash
		tree.Append(block.LeafHash(leafData(uint64(n))), func(h block.Hash) { got = append(got, h) })
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("leaf %d completes %v, want %v", n, got, want)
		}
		stored = append(stored, want...)
		root, err := tlog.TreeHash(n+1, read)
		if err != nil {
			t.Fatal(err)
		}
		if tree.Root() != root || tree.Size() != uint64(n+1) {
			t.Fatalf("size %d: root %v, want %v of %d", tree.Size(), tree.Root(), root, n+1)
		}
	}
}

func TestEmptyTree(t *testing.T) {
	var tree block.Tree
	if got, want := tree.Root(), block.Hash(rfc6962.DefaultHasher.EmptyRoot()); got != want {
		t.Errorf("root %v, want %v", got, want)
	}
	if got, err := block.NewProver(forest{}, 0).Root(); err != nil || got != tree.Root() {
		t.Errorf("prover: %v, %v, want %v", got, err, tree.Root())
	}
	if _, err := block.NewProver(forest{}, 0).Prove(0); !errors.Is(err, block.ErrProof) {
		t.Errorf("a proof in the empty tree: %v", err)
	}
}

func TestCopyOfATreeIsAnotherTree(t *testing.T) {
	var a block.Tree
	a.Append(block.LeafHash([]byte("first")), nil)
	b := a
	b.Append(block.LeafHash([]byte("second")), nil)
	if a.Size() != 1 || a.Root() != block.LeafHash([]byte("first")) {
		t.Error("appending to a copy changed the tree")
	}
}

func TestProofsAgreeWithOtherImplementations(t *testing.T) {
	const most = 130
	f := grown(most)
	var tree block.Tree
	for size := uint64(1); size <= most; size++ {
		tree.Append(block.LeafHash(leafData(size-1)), nil)
		root := tree.Root()
		if at, err := block.TreeAt(f, size); err != nil || at.Root() != root || at.Size() != size {
			t.Fatalf("tree at %d has root %v, %v, want %v", size, at.Root(), err, root)
		}
		prover := block.NewProver(f, size)
		if got, err := prover.Root(); err != nil || got != root {
			t.Fatalf("size %d: prover's root %v, %v, want %v", size, got, err, root)
		}
		reader := tlog.HashReaderFunc(func(list []int64) ([]tlog.Hash, error) {
			out := make([]tlog.Hash, len(list))
			for i, k := range list {
				level, n := tlog.SplitStoredHashIndex(k)
				h, err := f.Node(level, uint64(n))
				if err != nil {
					return nil, err
				}
				out[i] = h
			}
			return out, nil
		})
		for index := range size {
			p, err := prover.Prove(index)
			if err != nil {
				t.Fatalf("leaf %d of %d: %v", index, size, err)
			}
			leaf := block.LeafHash(leafData(index))
			if got, err := p.Root(leaf); err != nil || got != root {
				t.Fatalf("leaf %d of %d: our proof leads to %v, %v, want %v", index, size, got, err, root)
			}
			theirs, err := tlog.ProveRecord(int64(size), int64(index), reader)
			if err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint([]tlog.Hash(theirs)) != fmt.Sprint(p.Path) {
				t.Fatalf("leaf %d of %d: path %v, want %v", index, size, p.Path, theirs)
			}
			if err := tlog.CheckRecord(p.Path, int64(size), root, int64(index), leaf); err != nil {
				t.Fatalf("leaf %d of %d: tlog: %v", index, size, err)
			}
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf[:], slicesOf(p.Path), root[:]); err != nil {
				t.Fatalf("leaf %d of %d: merkle: %v", index, size, err)
			}
		}
	}
}

func slicesOf(path []block.Hash) [][]byte {
	list := make([][]byte, len(path))
	for i := range path {
		list[i] = path[i][:]
	}
	return list
}

func TestProofsInLargeTrees(t *testing.T) {
	const seed = 20250615
	random := rand.New(rand.NewPCG(seed, 0))
	f := grown(20_000)
	for range 40 {
		size := 1 + random.Uint64N(20_000)
		tree, err := block.TreeAt(f, size)
		if err != nil {
			t.Fatal(err)
		}
		root := tree.Root()
		prover := block.NewProver(f, size)
		for range 25 {
			index := random.Uint64N(size)
			p, err := prover.Prove(index)
			if err != nil {
				t.Fatal(err)
			}
			leaf := block.LeafHash(leafData(index))
			if err := proof.VerifyInclusion(rfc6962.DefaultHasher, index, size, leaf[:], slicesOf(p.Path), root[:]); err != nil {
				t.Fatalf("seed %d, leaf %d of %d: %v", seed, index, size, err)
			}
			if got, err := p.Root(leaf); err != nil || got != root {
				t.Fatalf("seed %d, leaf %d of %d: %v, %v", seed, index, size, got, err)
			}
		}
	}
}

// An index of up to 63 bits must not overflow anything: no such tree can be
// grown, but its proof can be made up, and others' code says to which root it
// leads.
func TestProofsOfHugeTrees(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 0))
	for range 2000 {
		size := 1 + random.Uint64()>>(1+random.UintN(63))
		index := random.Uint64N(size)
		nodes, err := proof.Inclusion(index, size)
		if err != nil {
			t.Fatal(err)
		}
		p := block.Proof{Index: index, Size: size, Path: make([]block.Hash, pathLength(nodes, index, size))}
		for i := range p.Path {
			p.Path[i] = block.Hash{byte(random.Uint32()), byte(i)}
		}
		leaf := block.Hash{1}
		want, err := proof.RootFromInclusionProof(rfc6962.DefaultHasher, index, size, leaf[:], slicesOf(p.Path))
		if err != nil {
			t.Fatalf("seed %d, leaf %d of %d with %d hashes: %v", seed, index, size, len(p.Path), err)
		}
		if got, err := p.Root(leaf); err != nil || got != block.Hash(want) {
			t.Fatalf("seed %d, leaf %d of %d: %v, %v, want %x", seed, index, size, got, err, want)
		}
	}
}

// pathLength counts the hashes of a proof as transparency-dev/merkle sees it:
// the nodes to fetch, of which those between begin and end are hashed into one.
func pathLength(n proof.Nodes, index, size uint64) int {
	_, begin, end := n.Ephem()
	if begin == end {
		return len(n.IDs)
	}
	return len(n.IDs) - (end - begin) + 1
}

func TestWrongProofsAreRefused(t *testing.T) {
	f := grown(100)
	for _, size := range []uint64{1, 2, 3, 7, 8, 64, 65, 99, 100} {
		tree, err := block.TreeAt(f, size)
		if err != nil {
			t.Fatal(err)
		}
		prover := block.NewProver(f, size)
		for index := range size {
			p, err := prover.Prove(index)
			if err != nil {
				t.Fatal(err)
			}
			leaf := block.LeafHash(leafData(index))
			verify := func(what string, q block.Proof, leaf block.Hash) {
				if root, err := q.Root(leaf); err == nil && root == tree.Root() {
					t.Errorf("leaf %d of %d: %s verifies", index, size, what)
				}
			}
			verify("another leaf", p, block.LeafHash([]byte("no leaf")))
			verify("the leaf as a node", p, block.NodeHash(leaf, leaf))
			longer, shorter := p, p
			longer.Path = append(append([]block.Hash(nil), p.Path...), block.Hash{})
			verify("a longer path", longer, leaf)
			if len(p.Path) > 0 {
				shorter.Path = p.Path[:len(p.Path)-1]
				verify("a shorter path", shorter, leaf)
			}
			for other := range size + 2 {
				if other != index {
					verify(fmt.Sprint("index ", other), block.Proof{Index: other, Size: size, Path: p.Path}, leaf)
				}
			}
			for i := range p.Path {
				changed := p
				changed.Path = append([]block.Hash(nil), p.Path...)
				changed.Path[i][31] ^= 1
				verify(fmt.Sprint("with hash ", i, " changed"), changed, leaf)
			}
		}
	}
	for _, p := range []block.Proof{{}, {Index: 5, Size: 5}, {Index: 1<<64 - 1, Size: 3}} {
		if _, err := p.Root(block.Hash{}); !errors.Is(err, block.ErrProof) {
			t.Errorf("leaf %d of %d: %v, want ErrProof", p.Index, p.Size, err)
		}
	}
}

func TestMissingNodesAreReported(t *testing.T) {
	f := grown(9)
	(*f)[1] = (*f)[1][:1]
	if _, err := block.NewProver(f, 9).Prove(0); err == nil {
		t.Error("a proof without its node")
	}
	if _, err := block.NewProver(f, 9).Prove(9); !errors.Is(err, block.ErrProof) {
		t.Errorf("a leaf beyond the end: %v", err)
	}
	if _, err := block.TreeAt(f, 7); err == nil {
		t.Error("a tree without its node")
	}
}

func TestHashesInBase64(t *testing.T) {
	h := block.LeafHash([]byte("x"))
	good := h.String()
	if got, err := block.ParseHash(good); err != nil || got != h {
		t.Errorf("%q: %v, %v", good, got, err)
	}
	loose := good[:42] + string(good[42]+1) + "=" // the last digit has two bits that mean nothing
	for _, s := range []string{"", good[:43], good + "=", good + "\n", "\r" + good, loose, good[:40] + "****"} {
		if h, err := block.ParseHash(s); err == nil {
			t.Errorf("%q: %v", s, h)
		}
	}
}

func BenchmarkProver(b *testing.B) {
	const size = 1<<17 + 12_345
	f := grown(size)
	b.Run("one leaf", func(b *testing.B) {
		b.ReportAllocs()
		i := uint64(0)
		for b.Loop() {
			i = (i + 7919) % size
			if _, err := block.NewProver(f, size).Prove(i); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("block of 512", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			p := block.NewProver(f, size)
			for i := uint64(size - 512); i < size; i++ {
				if _, err := p.Prove(i); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		p, err := block.NewProver(f, size).Prove(100_000)
		if err != nil {
			b.Fatal(err)
		}
		leaf := block.LeafHash(leafData(100_000))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := p.Root(leaf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkTreeAppend(b *testing.B) {
	var tree block.Tree
	h := block.LeafHash([]byte("leaf"))
	for b.Loop() {
		tree.Append(h, nil)
	}
}
