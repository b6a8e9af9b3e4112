package block

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// Hash is a node of the Merkle tree, a SHA-256.
type Hash = tlog.Hash

// LeafHash returns the hash of a leaf: SHA-256(0x00 || leaf).
func LeafHash(leaf []byte) Hash { return tlog.RecordHash(leaf) }

// NodeHash returns the hash of a node: SHA-256(0x01 || left || right).
func NodeHash(left, right Hash) Hash { return tlog.NodeHash(left, right) }

// Tree is the right edge of a Merkle tree: enough to append and to know the
// root, in memory that grows with the logarithm of its size. The zero value is
// the empty tree. Copying a Tree copies its state.
type Tree struct {
	size uint64
	edge [64]Hash // edge[l] is the root of the complete subtree of 2^l leaves that bit l of size stands for
}

// TreeAt returns the tree of the first size leaves of nodes.
func TreeAt(nodes Nodes, size uint64) (Tree, error) {
	t := Tree{size: size}
	for l := range 64 {
		if size>>l&1 == 0 {
			continue
		}
		h, err := nodes.Node(l, size>>l-1)
		if err != nil {
			return Tree{}, err
		}
		t.edge[l] = h
	}
	return t, nil
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Append adds a leaf by its hash. It calls store, if not nil, with every node
// that became complete, the leaf first: the order of tlog.StoredHashes.
func (t *Tree) Append(leaf Hash, store func(Hash)) {
	h := leaf
	if store != nil {
		store(h)
	}
	l := 0
	for ; t.size>>l&1 == 1; l++ {
		h = NodeHash(t.edge[l], h)
		if store != nil {
			store(h)
		}
	}
	t.edge[l] = h
	t.size++
}

// Root returns the tree's root hash; of the empty tree SHA-256 of nothing.
func (t *Tree) Root() Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	l := bits.TrailingZeros64(t.size)
	h := t.edge[l]
	for l++; l < 64; l++ {
		if t.size>>l&1 == 1 {
			h = NodeHash(t.edge[l], h)
		}
	}
	return h
}

// ErrProof is wrapped by every failed check of a proof.
var ErrProof = errors.New("proof does not verify")

// Proof shows that a leaf is at Index of the tree with Size leaves: the hashes
// of RFC 9162 section 2.1.3, the leaf's sibling first.
type Proof struct {
	Index uint64
	Size  uint64
	Path  []Hash
}

// Root computes the root that the proof leads to from a leaf's hash. A path of
// the wrong length is an error: with the size known, exactly one length is
// right, which binds the index.
func (p *Proof) Root(leaf Hash) (Hash, error) {
	inner, err := p.inner()
	if err != nil {
		return Hash{}, err
	}
	h := leaf
	for l := range p.Path {
		h = p.parent(h, l, inner)
	}
	return h, nil
}

// inner returns how many hashes of the path are siblings within complete subtrees;
// the others are roots to the left of the tree's ragged edge.
func (p *Proof) inner() (int, error) {
	if p.Index >= p.Size {
		return 0, fmt.Errorf("%w: leaf %d is not in a tree of %d", ErrProof, p.Index, p.Size)
	}
	inner := bits.Len64(p.Index ^ (p.Size - 1))
	border := bits.OnesCount64(p.Index >> inner)
	if len(p.Path) != inner+border {
		return 0, fmt.Errorf("%w: a path of %d hashes instead of %d", ErrProof, len(p.Path), inner+border)
	}
	return inner, nil
}

// parent joins h with the path's hash at l.
func (p *Proof) parent(h Hash, l, inner int) Hash {
	if l < inner && p.Index>>l&1 == 0 {
		return NodeHash(h, p.Path[l])
	}
	return NodeHash(p.Path[l], h)
}

// Nodes gives the hashes of complete subtrees: Node(level, index) is the root of
// leaves index<<level to (index+1)<<level, not included.
type Nodes interface {
	Node(level int, index uint64) (Hash, error)
}

// Prover makes inclusion proofs in a tree of one size. It keeps the nodes on
// the ragged right edge, so that proofs for the leaves of one block share them.
// It is not safe for concurrent use.
type Prover struct {
	nodes Nodes
	size  uint64
	edge  map[uint64]Hash // root of leaves [begin, size) by begin, for ragged ranges
}

// NewProver returns a Prover for the tree of the first size leaves of nodes.
func NewProver(nodes Nodes, size uint64) *Prover {
	return &Prover{nodes: nodes, size: size, edge: make(map[uint64]Hash)}
}

// Prove returns the proof for the leaf at index.
func (p *Prover) Prove(index uint64) (Proof, error) {
	if index >= p.size {
		return Proof{}, fmt.Errorf("%w: leaf %d is not in a tree of %d", ErrProof, index, p.size)
	}
	inner := bits.Len64(index ^ (p.size - 1))
	path := make([]Hash, 0, inner+bits.OnesCount64(index>>inner))
	for l := range inner {
		h, err := p.rangeRoot((index>>l^1)<<l, l)
		if err != nil {
			return Proof{}, err
		}
		path = append(path, h)
	}
	// Above the split every sibling is complete and to the left.
	for l := inner; index>>l != 0; l++ {
		if index>>l&1 == 1 {
			h, err := p.nodes.Node(l, index>>l-1)
			if err != nil {
				return Proof{}, err
			}
			path = append(path, h)
		}
	}
	return Proof{Index: index, Size: p.size, Path: path}, nil
}

// Root returns the root of the whole tree.
func (p *Prover) Root() (Hash, error) {
	if p.size == 0 {
		return sha256.Sum256(nil), nil
	}
	return p.rangeRoot(0, bits.Len64(p.size-1))
}

// rangeRoot returns the root of the leaves [begin, begin+2^level), cut off at
// the tree's size.
func (p *Prover) rangeRoot(begin uint64, level int) (Hash, error) {
	if begin+1<<level <= p.size {
		return p.nodes.Node(level, begin>>level)
	}
	if h, ok := p.edge[begin]; ok {
		return h, nil
	}
	n := p.size - begin
	half := bits.Len64(n-1) - 1 // the largest power of two below n
	if n == 1 {
		return p.nodes.Node(0, begin)
	}
	left, err := p.nodes.Node(half, begin>>half)
	if err != nil {
		return Hash{}, err
	}
	right, err := p.rangeRoot(begin+1<<half, half)
	if err != nil {
		return Hash{}, err
	}
	h := NodeHash(left, right)
	p.edge[begin] = h
	return h, nil
}

// ParseHash reads a hash in the one base64 form that notes and proofs use.
func ParseHash(s string) (Hash, error) {
	var h Hash
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != len(h) || base64.StdEncoding.EncodeToString(b) != s {
		return h, fmt.Errorf("%q is not the base64 of a SHA-256", s)
	}
	copy(h[:], b)
	return h, nil
}
