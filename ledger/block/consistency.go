package block

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// maxConsistency is the most hashes that a consistency proof may have, as witnesses
// take it (C2SP tlog-witness).
const maxConsistency = 63

// ProveConsistency returns the proof that the tree of size leaves begins with that of
// old leaves (RFC 9162 section 2.1.4). It is empty where there is nothing to prove:
// for an empty tree, and for one and the same.
func ProveConsistency(nodes Nodes, old, size uint64) ([]Hash, error) {
	switch {
	case old > size || size > maxSize:
		return nil, fmt.Errorf("%w: a tree of %d leaves does not begin with one of %d", ErrProof, size, old)
	case old == 0 || old == size:
		return nil, nil
	}
	p, err := tlog.ProveTree(int64(size), int64(old), hashReader{nodes})
	if err != nil {
		return nil, fmt.Errorf("proving that a tree of %d leaves begins with one of %d: %w", size, old, err)
	}
	return p, nil
}

// VerifyConsistency checks that the tree of c begins with that of old. A failure
// wraps ErrProof.
func VerifyConsistency(old, c Checkpoint, proof []Hash) error {
	wrong := func(why string) error {
		return fmt.Errorf("%w: consistency of %d leaves with %d: %s", ErrProof, c.Size, old.Size, why)
	}
	switch {
	case old.Size > c.Size || c.Size > maxSize:
		return wrong("the tree became smaller")
	case len(proof) > maxConsistency:
		return wrong(fmt.Sprintf("a proof of %d hashes", len(proof)))
	case (old.Size == 0 || old.Size == c.Size) && len(proof) > 0:
		return wrong("there is nothing to prove, and a proof of it")
	case old.Size == c.Size && old.Root != c.Root:
		return wrong("the roots differ")
	case old.Size == 0 || old.Size == c.Size:
		return nil
	}
	if err := tlog.CheckTree(proof, int64(c.Size), c.Root, int64(old.Size), old.Root); err != nil {
		return wrong(err.Error())
	}
	return nil
}

// hashReader gives nodes under the numbers that tlog stores them by.
type hashReader struct{ nodes Nodes }

func (r hashReader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		level, n := tlog.SplitStoredHashIndex(x)
		h, err := r.nodes.Node(level, uint64(n))
		if err != nil {
			return nil, err
		}
		out[i] = h
	}
	return out, nil
}
