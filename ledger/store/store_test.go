package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/signer"
)

// drawn is a ledger made up for tests: the same for the same calls.
type drawn struct {
	tree   block.Tree
	nodes  []block.Hash // in the order in which they became complete
	leaves [][]byte
	blocks []store.Block
	header *block.Header
	rnd    *rand.Rand // for whoever checks

	drawing *rand.Rand // for leaves alone, so that they are always the same
}

func draw() *drawn {
	return &drawn{rnd: rand.New(rand.NewPCG(1, 2)), drawing: rand.New(rand.NewPCG(3, 4))}
}

// keys are the gateways'.
var keys = func() (out [7]*signer.PrivateKey) {
	for i := range out {
		k, err := signer.FromSeed(signer.EdDSA, [32]byte{byte(i), 1})
		if err != nil {
			panic(err)
		}
		out[i] = k
	}
	return out
}()

func kid(i uint64) signer.KeyID { return keys[i%7].Public().ID() }

// statement makes the statement that is leaf i.
func statement(i uint64, payload []byte) []byte {
	claims := entry.Claims{Issuer: "wattmark:gateway/test", Audience: "test.example/ledger", IssuedAt: 1_700_000_000,
		Sequence: entry.Sequence{Boot: 1, Count: i + 1}}
	c, err := claims.Encode()
	if err != nil {
		panic(err)
	}
	b, err := signer.Sign(keys[i%7], signer.Header{Type: entry.TypeReading, ContentType: entry.ContentSenML, Claims: c}, payload)
	if err != nil {
		panic(err)
	}
	return b
}

// next draws a block of n leaves of about size bytes, and its header.
func (d *drawn) next(n, size int) ([][]byte, store.Commit) {
	first := d.tree.Size()
	add := func(leaf []byte) {
		d.leaves = append(d.leaves, leaf)
		d.tree.Append(block.LeafHash(leaf), func(h block.Hash) { d.nodes = append(d.nodes, h) })
	}
	height := uint64(len(d.blocks))
	for range n {
		payload := make([]byte, 1+d.drawing.IntN(2*size))
		for j := range payload {
			payload[j] = byte(d.drawing.Uint32())
		}
		add(statement(uint64(len(d.leaves)), payload))
	}
	h := &block.Header{Version: block.HeaderVersion, Origin: "test.example/ledger", Height: height, First: first,
		Size: d.tree.Size(), Root: d.tree.Root(), Time: 1_700_000_000_000 + int64(height)}
	if d.header != nil {
		h.Prev = block.LeafHash(d.header.Encode())
	}
	d.header = h
	add(h.Encode())
	c := store.Commit{Height: height, Size: d.tree.Size(), Root: d.tree.Root(), Order: 7 * height, Digest: [32]byte{byte(height), 9}}
	d.blocks = append(d.blocks, store.Block{First: first, Commit: c})
	return d.leaves[first:], c
}

func (d *drawn) applied(height uint64) store.AppliedBlock {
	a := store.AppliedBlock{Height: height}
	for _, b := range d.blocks[height : height+1] {
		for i := b.First; i < b.Size-1; i++ {
			a.Changes = append(a.Changes, store.Change{Key: fmt.Appendf(nil, "k%d", i%50), Value: fmt.Appendf(nil, "v%d", i)})
			a.Sequences = append(a.Sequences, store.SequenceAt{KeyID: kid(i), Boot: 1, Count: i + 1, Leaf: i})
		}
		a.Changes = append(a.Changes, store.Change{Key: fmt.Appendf(nil, "k%d", b.Height%50)}) // deleted
	}
	return a
}

// state is what the state comes to after the blocks up to height.
func (d *drawn) state(blocks uint64) map[string]string {
	m := map[string]string{}
	for h := range blocks {
		for _, c := range d.applied(h).Changes {
			if c.Value == nil {
				delete(m, string(c.Key))
			} else {
				m[string(c.Key)] = string(c.Value)
			}
		}
	}
	return m
}

func open(t testing.TB, dir string, o store.Options) *store.Store {
	t.Helper()
	s, _, err := store.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func appendTo(t testing.TB, s *store.Store, d *drawn, n, size int) {
	t.Helper()
	leaves, c := d.next(n, size)
	if err := s.Append(leaves, nil, c); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(d.applied(c.Height)); err != nil {
		t.Fatal(err)
	}
}

// compare checks everything that a reader gives against what was drawn, of the
// first blocks.
func compare(t testing.TB, r *store.Reader, d *drawn, blocks int) {
	t.Helper()
	last, ok := r.Last()
	if !ok || last != d.blocks[blocks-1].Commit {
		t.Fatalf("last commit is %+v, want %+v", last, d.blocks[blocks-1].Commit)
	}
	size := last.Size
	at := uint64(0)
	err := r.Leaves(0, size, func(i uint64, leaf []byte) error {
		if i != at || string(leaf) != string(d.leaves[i]) {
			return fmt.Errorf("leaf %d is given as leaf %d with %d bytes, want %d", at, i, len(leaf), len(d.leaves[at]))
		}
		at++
		return nil
	})
	if err != nil || at != size {
		t.Fatalf("%d leaves of %d read: %v", at, size, err)
	}
	for range 50 {
		i := d.rnd.Uint64N(size)
		got, err := r.Leaf(i)
		if err != nil || string(got) != string(d.leaves[i]) {
			t.Fatalf("leaf %d: %d bytes, %v", i, len(got), err)
		}
	}
	var got []store.Block
	from := d.rnd.IntN(blocks)
	if err := r.Blocks(uint64(from), func(b store.Block) error { got = append(got, b); return nil }); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.blocks[from:blocks], got); diff != "" {
		t.Errorf("blocks from %d on (-want +got):\n%s", from, diff)
	}
	for range 10 {
		h := d.rnd.IntN(blocks)
		b, err := r.BlockAt(uint64(h))
		if err != nil || b != d.blocks[h] {
			t.Fatalf("block %d is %+v, %v", h, b, err)
		}
	}
	p := block.NewProver(r, size)
	for range 20 {
		i := d.rnd.Uint64N(size)
		proof, err := p.Prove(i)
		if err != nil {
			t.Fatal(err)
		}
		if root, err := proof.Root(block.LeafHash(d.leaves[i])); err != nil || root != last.Root {
			t.Fatalf("proof of leaf %d leads to %v, want %v: %v", i, root, last.Root, err)
		}
	}
}

// compareIndex checks the state and the sequence numbers of the first blocks.
func compareIndex(t testing.TB, s *store.Store, d *drawn, blocks uint64) {
	t.Helper()
	h, ok := s.AppliedHeight()
	if blocks == 0 && ok || blocks > 0 && h != blocks-1 {
		t.Fatalf("state is at height %d (%v) after %d blocks", h, ok, blocks)
	}
	want := d.state(blocks)
	for i := range 50 {
		k := fmt.Sprintf("k%d", i)
		v, ok, err := s.Value([]byte(k))
		w, wantOK := want[k]
		if err != nil || ok != wantOK || string(v) != w {
			t.Fatalf("value of %s is %q, %v, %v; want %q, %v", k, v, ok, err, w, wantOK)
		}
	}
	for h := range blocks {
		for _, q := range d.applied(h).Sequences {
			leaf, ok, err := s.Lookup(q.KeyID, q.Boot, q.Count)
			if err != nil || !ok || leaf != q.Leaf {
				t.Fatalf("sequence %d-%d is leaf %d, %v, %v; want %d", q.Boot, q.Count, leaf, ok, err, q.Leaf)
			}
		}
	}
	if _, ok, err := s.Lookup(kid(0), 2, 1); ok || err != nil {
		t.Fatalf("a sequence number nobody used is found: %v", err)
	}
	got := map[string]string{}
	last := ""
	err := s.State(func(k, v []byte) error {
		if string(k) <= last {
			return fmt.Errorf("key %q after %q", k, last)
		}
		last = string(k)
		got[last] = string(v)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("state after %d blocks (-want +got):\n%s", blocks, diff)
	}
}

func TestStoreKeepsWhatItIsGiven(t *testing.T) {
	dir := t.TempDir()
	d := draw()
	s := open(t, dir, store.Options{SegmentBytes: 40_000, FlushBlocks: 5})
	for i := range 60 {
		appendTo(t, s, d, 1+i%9, 300)
		if tree := s.Tree(); tree.Size() != d.tree.Size() || tree.Root() != d.tree.Root() {
			t.Fatalf("tree has %d leaves, want %d", s.Size(), d.tree.Size())
		}
	}
	compare(t, s.Reader, d, 60)
	compareIndex(t, s, d, 60)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, report, err := store.Open(dir, store.Options{SegmentBytes: 40_000})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if report.Replayed != 0 || report.Torn != nil || len(report.Lines()) > 0 {
		t.Errorf("after a clean end Open reports %+v", report)
	}
	compare(t, s.Reader, d, 60)
	compareIndex(t, s, d, 60)
	appendTo(t, s, d, 5, 300)
	compare(t, s.Reader, d, 61)
	compareIndex(t, s, d, 61)
}

func TestOnlyOneWrites(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	if _, _, err := store.Open(dir, store.Options{}); !errors.Is(err, store.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, store.Options{})
}

func TestAppendRefusesWhatDoesNotFollow(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	d := draw()
	appendTo(t, s, d, 3, 100)
	leaves, c := d.next(3, 100)
	change := func(f func(*store.Commit)) store.Commit {
		c := c
		f(&c)
		return c
	}
	header := func(f func(*block.Header)) ([][]byte, store.Commit) {
		h := *d.header
		f(&h)
		l := append(append([][]byte{}, leaves[:3]...), h.Encode())
		tree := s.Tree()
		for _, leaf := range l {
			tree.Append(block.LeafHash(leaf), nil)
		}
		return l, store.Commit{Height: c.Height, Size: c.Size, Root: tree.Root()}
	}
	type attempt struct {
		name   string
		leaves [][]byte
		hashes []block.Hash
		c      store.Commit
	}
	tries := []attempt{
		{"root", leaves, nil, change(func(c *store.Commit) { c.Root[0]++ })},
		{"size", leaves, nil, change(func(c *store.Commit) { c.Size++ })},
		{"height", leaves, nil, change(func(c *store.Commit) { c.Height++ })},
		{"no leaves", nil, nil, c},
		{"hashes of fewer leaves", leaves, make([]block.Hash, 1), c},
		{"hashes of others", leaves, make([]block.Hash, 4), c},
		{"no header", leaves[:3], nil, c},
		{"empty leaf", [][]byte{{}, leaves[3]}, nil, c},
		{"large leaf", [][]byte{make([]byte, store.MaxLeaf+1), leaves[3]}, nil, c},
		{"heavy block", append(slices.Repeat([][]byte{make([]byte, store.MaxLeaf)}, entry.MaxBlock/store.MaxLeaf), leaves[3]), nil, c},
	}
	for name, f := range map[string]func(*block.Header){
		"other ledger":  func(h *block.Header) { h.Origin = "other" },
		"broken chain":  func(h *block.Header) { h.Prev[3]++ },
		"other height":  func(h *block.Header) { h.Height++ },
		"other root":    func(h *block.Header) { h.Root[0]++ },
		"earlier start": func(h *block.Header) { h.First-- },
	} {
		l, c := header(f)
		tries = append(tries, attempt{"header: " + name, l, nil, c})
	}
	for _, a := range tries {
		if err := s.Append(a.leaves, a.hashes, a.c); !errors.Is(err, store.ErrRefused) {
			t.Errorf("%s: %v, want a refusal", a.name, err)
		}
	}
	compare(t, s.Reader, d, 1)
	hashes := make([]block.Hash, len(leaves))
	for i, l := range leaves {
		hashes[i] = block.LeafHash(l)
	}
	if err := s.Append(leaves, hashes, c); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(leaves, hashes, c); !errors.Is(err, store.ErrRefused) {
		t.Errorf("the same height twice: %v", err)
	}
	compare(t, s.Reader, d, 2)
}

func TestNodesEqualBruteForce(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	d := draw()
	for range 20 {
		appendTo(t, s, d, 20, 10)
	}
	check := func(r *store.Reader) {
		t.Helper()
		size := d.tree.Size()
		row := make([]block.Hash, size)
		for i := range row {
			row[i] = block.LeafHash(d.leaves[i])
		}
		for l := 0; len(row) > 0; l++ {
			for i, want := range row {
				if got, err := r.Node(l, uint64(i)); err != nil || got != want {
					t.Fatalf("node %d of level %d is %v, want %v: %v", i, l, got, want, err)
				}
			}
			if _, err := r.Node(l, uint64(len(row))); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("node %d of level %d, which is not complete: %v", len(row), l, err)
			}
			up := make([]block.Hash, len(row)/2)
			for i := range up {
				up[i] = block.NodeHash(row[2*i], row[2*i+1])
			}
			row = up
		}
		for _, l := range []int{-1, 63, 64, 200} {
			if _, err := r.Node(l, 0); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("level %d: %v", l, err)
			}
		}
	}
	check(s.Reader)
	r, _, err := store.OpenReader(dir) // nothing in memory
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	check(r)
}

func TestApplyTakesBlocksInOrder(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	d := draw()
	if err := s.Apply(store.AppliedBlock{}); !errors.Is(err, store.ErrRefused) {
		t.Errorf("a block was applied before any was appended: %v", err)
	}
	for range 3 {
		leaves, c := d.next(3, 50)
		if err := s.Append(leaves, nil, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Apply(d.applied(1)); !errors.Is(err, store.ErrRefused) {
		t.Errorf("block 1 was applied before block 0: %v", err)
	}
	compareIndex(t, s, d, 0)
	for _, h := range []uint64{0, 1, 0, 1, 2, 1} {
		if err := s.Apply(d.applied(h)); err != nil {
			t.Fatal(err)
		}
	}
	compareIndex(t, s, d, 3)
	leaves, c := d.next(1, 50)
	if err := s.Append(leaves, nil, c); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, store.MaxStateKey + 1} {
		a := store.AppliedBlock{Height: c.Height, Changes: []store.Change{{Key: make([]byte, n)}}}
		if err := s.Apply(a); !errors.Is(err, store.ErrRefused) {
			t.Errorf("a key of %d bytes: %v", n, err)
		}
	}
	compareIndex(t, s, d, 3)
}
