package witness_test

import (
	"fmt"
	"testing"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/witness"
	"wattmark/signer"
)

const name = "witness.example/w1"

func key(t testing.TB) *signer.PrivateKey { return ledgertest.Key(t, signer.EdDSA, "witness") }

// story is a tree that grows, as one of several that oracles might tell: stories with
// the same beginning differ from some leaf on.
type story struct {
	levels [][]block.Hash
	roots  []block.Hash // by size
}

// tell makes a story of most leaves that goes its own way from the leaf fork on.
func tell(most, fork, variant int) *story {
	s := &story{}
	var t block.Tree
	s.roots = append(s.roots, t.Root())
	for i := range most {
		v := 0
		if i >= fork {
			v = variant
		}
		h := block.LeafHash(fmt.Appendf(nil, "leaf %d of %d", i, v))
		t.Append(h, nil)
		s.roots = append(s.roots, t.Root())
		for l := 0; ; l++ {
			if l == len(s.levels) {
				s.levels = append(s.levels, nil)
			}
			s.levels[l] = append(s.levels[l], h)
			n := len(s.levels[l])
			if n%2 == 1 {
				break
			}
			h = block.NodeHash(s.levels[l][n-2], s.levels[l][n-1])
		}
	}
	return s
}

func (s *story) Node(level int, index uint64) (block.Hash, error) {
	if level >= len(s.levels) || index >= uint64(len(s.levels[level])) {
		return block.Hash{}, fmt.Errorf("no node %d of level %d", index, level)
	}
	return s.levels[level][index], nil
}

func (s *story) at(size uint64) block.Checkpoint {
	return block.Checkpoint{Origin: ledgertest.Origin, Size: size, Root: s.roots[size]}
}

// request asks for a cosignature of a size, coming from another.
func (s *story) request(t testing.TB, c *ledgertest.Consortium, old, size uint64, oracles ...int) *witness.Request {
	t.Helper()
	r := &witness.Request{Old: old, Checkpoint: c.Sign(t, s.at(size), oracles...)}
	if old <= size {
		var err error
		if r.Proof, err = block.ProveConsistency(s, old, size); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func open(t testing.TB, dir string, c *ledgertest.Consortium) *witness.Witness {
	t.Helper()
	w, err := witness.Open(witness.Config{
		Name: name, Key: key(t), Dir: dir, Ledgers: []*block.Policy{c.Policy}, Now: func() time.Time { return time.UnixMilli(ledgertest.Start) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}
