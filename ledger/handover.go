package ledger

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// Handover makes what shows that an oracle set put the next one into its place. note
// is the checkpoint of the last block of the set before, which that set has made final.
// It reads the ledger from the first leaf on.
func Handover(src Source, note []byte, cp block.Checkpoint, before, next state.OracleSetAt) (*handover.Handover, error) {
	want := map[uint64]bool{cp.Size - 1: true} // the header
	body, err := next.Set.Encode()
	if err != nil {
		return nil, err
	}
	m := entry.Motion{Kind: entry.MotionOracles, Height: next.Height, Body: body}
	hash, was := m.Hash(), [32]byte{}
	if before.Height == 0 {
		want[0] = true
	} else {
		if body, err = before.Set.Encode(); err != nil {
			return nil, err
		}
		m = entry.Motion{Kind: entry.MotionOracles, Height: before.Height, Body: body}
		was = m.Hash()
	}
	found, stated := false, before.Height == 0
	err = src.Leaves(0, cp.Size, func(i uint64, leaf []byte) error {
		if !aboutMotions(leaf) {
			return nil
		}
		switch h, ok := handover.AboutMotion(leaf); {
		case ok && h == hash:
			want[i], found = true, true
		case ok && h == was && !stated && entry.KindOf(leaf) == entry.LeafStatement && isMotion(leaf):
			want[i], stated = true, true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !found || !stated {
		return nil, fmt.Errorf("internal error: the oracle set of block %d is in force, and the log does not say why", next.Height)
	}
	h := &handover.Handover{Checkpoint: note}
	prover := block.NewProver(src, cp.Size)
	for _, i := range slices.Sorted(maps.Keys(want)) {
		leaf, err := src.Leaf(i)
		if err != nil {
			return nil, err
		}
		p, err := prover.Prove(i)
		if err != nil {
			return nil, err
		}
		h.Leaves = append(h.Leaves, handover.Leaf{Index: i, Leaf: leaf, Path: p.Path})
	}
	return h, nil
}

func isMotion(leaf []byte) bool {
	m, err := signer.Parse(leaf)
	return err == nil && m.Type == entry.TypeMotion
}

var motionTypes = [][]byte{[]byte("motion+cose"), []byte("consent+cose"), []byte(entry.MotionOracles)}

// aboutMotions tells quickly which leaves cannot be about motions for oracle sets.
func aboutMotions(leaf []byte) bool {
	return slices.ContainsFunc(motionTypes, func(t []byte) bool { return bytes.Contains(leaf, t) })
}

// Handovers is where a ledger keeps them: a store, or a reader of one.
type Handovers interface {
	Handovers() ([]uint64, error)
	Handover(height uint64) ([]byte, error)
}

// HistoryOf returns the handovers that a ledger keeps, in order.
func HistoryOf(from Handovers) ([]*handover.Handover, error) {
	heights, err := from.Handovers()
	if err != nil {
		return nil, err
	}
	var list []*handover.Handover
	for _, h := range heights {
		b, err := from.Handover(h)
		if err != nil {
			return nil, err
		}
		o, err := handover.Parse(b)
		if err != nil {
			return nil, fmt.Errorf("oracle set of block %d: %w", h, err)
		}
		list = append(list, o)
	}
	return list, nil
}
