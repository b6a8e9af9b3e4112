package store

import (
	"crypto/sha256"
	"math/bits"

	"wattmark/ledger/block"
)

// Tree is the right edge of a Merkle tree, as block.Tree is, which it equals in
// every root; unlike that one it can be taken up at any size from stored nodes,
// without every leaf's hash being added again. The zero value is the empty tree.
// Copying a Tree copies its state.
type Tree struct {
	size uint64
	edge [64]block.Hash // edge[l] is the root of the complete subtree of 2^l leaves that bit l of size stands for
}

// loadTree returns the tree of the first size leaves of nodes.
func loadTree(nodes block.Nodes, size uint64) (Tree, error) {
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
func (t *Tree) Append(leaf block.Hash, store func(block.Hash)) {
	h := leaf
	if store != nil {
		store(h)
	}
	l := 0
	for ; t.size>>l&1 == 1; l++ {
		h = block.NodeHash(t.edge[l], h)
		if store != nil {
			store(h)
		}
	}
	t.edge[l] = h
	t.size++
}

// Root returns the tree's root hash; of the empty tree SHA-256 of nothing.
func (t *Tree) Root() block.Hash {
	if t.size == 0 {
		return sha256.Sum256(nil)
	}
	l := bits.TrailingZeros64(t.size)
	h := t.edge[l]
	for l++; l < 64; l++ {
		if t.size>>l&1 == 1 {
			h = block.NodeHash(t.edge[l], h)
		}
	}
	return h
}

// nodeCount returns how many nodes are complete in a tree of size leaves.
func nodeCount(size uint64) uint64 { return 2*size - uint64(bits.OnesCount64(size)) }

// nodeIndex returns the place of a node in the order in which nodes become
// complete: tlog.StoredHashIndex. The node comes with its last leaf.
func nodeIndex(level int, index uint64) uint64 {
	return nodeCount((index+1)<<level-1) + uint64(level)
}
