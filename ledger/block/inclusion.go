package block

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"
)

// Inclusion checks the proofs of many leaves against one root. Leaves that lie close
// together share the upper part of their proofs, and it is hashed once. It is safe
// for concurrent use.
type Inclusion struct {
	size uint64
	root Hash

	mu    sync.Mutex // guards the fields below: the last proof that verified
	any   bool
	index uint64
	inner int
	path  []Hash
	nodes []Hash // that it went by: nodes[l] is the one of level l above the leaf
	climb []Hash // those of the proof at hand, below where it meets the last one
}

// NewInclusion returns an Inclusion for the tree of a root and a size.
func NewInclusion(root Hash, size uint64) *Inclusion { return &Inclusion{size: size, root: root} }

// Check verifies that a leaf with this hash is at index of the tree. It keeps path,
// which must not change afterwards. A failure wraps ErrProof.
func (in *Inclusion) Check(leaf Hash, index uint64, path []Hash) error {
	p := Proof{Index: index, Size: in.size, Path: path}
	inner, err := p.inner()
	if err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	meet, want := len(path), in.root
	met := in.meets(&p, inner)
	if met >= 0 {
		// From there on the path is that of a proof that led to the root.
		meet, want = met, in.nodes[met]
	}
	h := leaf
	in.climb = in.climb[:0]
	for l := range meet {
		in.climb = append(in.climb, h)
		h = p.parent(h, l, inner)
	}
	if h != want {
		return fmt.Errorf("%w: the statement is not leaf %d of the tree of %d", ErrProof, index, in.size)
	}
	if met >= 0 {
		copy(in.nodes, in.climb)
	} else {
		in.nodes = append(append(in.nodes[:0], in.climb...), h)
	}
	in.any, in.index, in.inner, in.path = true, index, inner, path
	return nil
}

// meets returns the level from which on p goes the way of the last proof, or -1. It
// is that of the smallest subtree which has both leaves, where that is complete, and
// where what is above it is the same in both proofs. The caller holds mu.
func (in *Inclusion) meets(p *Proof, inner int) int {
	l := bits.Len64(in.index ^ p.Index)
	if !in.any || l > min(in.inner, inner) || !slices.Equal(in.path[l:], p.Path[l:]) {
		return -1
	}
	return l
}
