package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Source is what proofs are made from: a store, or a reader of one.
type Source interface {
	block.Nodes
	leaves
	Size() uint64
	Leaf(i uint64) ([]byte, error)
}

// ErrNotFinal is returned where no checkpoint covers the leaf yet.
var ErrNotFinal = errors.New("no final checkpoint covers the leaf yet")

// ErrNoLeaf is returned where the ledger holds no such leaf.
var ErrNoLeaf = errors.New("the ledger holds no such leaf")

// Evidence makes the evidence for one leaf under a final checkpoint: the leaf,
// the header of its block, and for a statement the charter and the whole life of
// its key; for a flag the statement that it is about. Packs, where not nil, gives
// the preimages of committed packs, which are then disclosed. It reads the ledger
// from the first leaf to the last.
func Evidence(src Source, note []byte, cp block.Checkpoint, index uint64, packs func(digest []byte) []byte) (*audit.Evidence, error) {
	if index >= src.Size() {
		return nil, fmt.Errorf("%w: it ends before leaf %d", ErrNoLeaf, index)
	}
	if index >= cp.Size {
		return nil, fmt.Errorf("%w: leaf %d, checkpoint of %d leaves", ErrNotFinal, index, cp.Size)
	}
	leaf, err := src.Leaf(index)
	if err != nil {
		return nil, err
	}
	e := &audit.Evidence{Claim: index, Checkpoint: note}
	want := map[uint64]bool{index: true}
	statement := leaf
	if entry.KindOf(leaf) == entry.LeafOutcome {
		if statement, err = flagged(src, leaf, want); err != nil {
			return nil, err
		}
	}
	if entry.KindOf(statement) == entry.LeafStatement {
		m, err := signer.Parse(statement)
		if err != nil {
			return nil, err
		}
		want[0] = true
		if err := keyHistory(src, cp.Size, m.KeyID, want); err != nil {
			return nil, err
		}
		if err := governing(src, cp.Size, m, want); err != nil {
			return nil, err
		}
		if m.Hidden() && packs != nil {
			if p := packs(m.Payload); p != nil {
				e.Disclosures = append(e.Disclosures, p)
			}
		}
		if err := calibrations(src, cp.Size, e.Pack(m), want); err != nil {
			return nil, err
		}
		if err := firmware(src, cp.Size, m, want); err != nil {
			return nil, err
		}
	}
	if err := closingHeader(src, cp.Size, index, want); err != nil {
		return nil, err
	}
	made, err := assemble(src, note, cp, index, want)
	if err != nil {
		return nil, err
	}
	made.Disclosures = e.Disclosures
	return made, nil
}

// assemble makes the evidence for a claim of the leaves that are wanted.
func assemble(src Source, note []byte, cp block.Checkpoint, claim uint64, want map[uint64]bool) (*audit.Evidence, error) {
	e := &audit.Evidence{Claim: claim, Checkpoint: note}
	prover := block.NewProver(src, cp.Size)
	for _, i := range slices.Sorted(maps.Keys(want)) {
		l, err := src.Leaf(i)
		if err != nil {
			return nil, err
		}
		p, err := prover.Prove(i)
		if err != nil {
			return nil, err
		}
		e.Leaves = append(e.Leaves, audit.EvidenceLeaf{Index: i, Leaf: l, Path: p.Path})
	}
	return e, nil
}

// flagged returns the statement that a flag is about, nil for another outcome.
func flagged(src Source, leaf []byte, want map[uint64]bool) ([]byte, error) {
	o, err := entry.ParseOutcome(leaf)
	if err != nil || o.Kind != entry.OutcomeFlagged {
		return nil, err
	}
	want[o.Leaf] = true
	return src.Leaf(o.Leaf)
}

// keyHistory finds what was stated of the enrolment and the revocation of a key,
// and the outcomes that say that enough oracles did.
func keyHistory(src Source, size uint64, id signer.KeyID, want map[uint64]bool) error {
	adopted := []byte(entry.OutcomeAdopted)
	payloads := make(map[[32]byte]bool) // of the statements found
	return src.Leaves(0, size, func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) == entry.LeafOutcome {
			if bytes.Contains(leaf, adopted) {
				o, err := entry.ParseOutcome(leaf)
				if err == nil && o.Kind == entry.OutcomeAdopted && payloads[o.Hash] {
					want[i] = true
				}
			}
			return nil
		}
		if !aboutKeys(leaf) {
			return nil // the others need not be parsed
		}
		m, err := signer.Parse(leaf)
		if err != nil {
			return nil
		}
		c, err := audit.ReadKeyChange(m)
		if err == nil && (c.Ends == id || !c.Begins.IsZero() && c.Begins.ID() == id) {
			want[i], payloads[sha256.Sum256(m.Payload)] = true, true
		}
		return nil
	})
}

// What the types of statements about keys end in.
var enrolmentType, revocationType = []byte("enrolment+cose"), []byte("revocation+cose")

// aboutKeys tells quickly which leaves cannot be about keys.
func aboutKeys(leaf []byte) bool {
	return bytes.Contains(leaf, enrolmentType) || bytes.Contains(leaf, revocationType)
}

// calibrations finds those that a pack names.
func calibrations(src Source, size uint64, p *entry.Pack, want map[uint64]bool) error {
	if p == nil {
		return nil
	}
	named := audit.Calibrations(p)
	if len(named) == 0 {
		return nil
	}
	typ := []byte(entry.TypeCalibration)
	return src.Leaves(0, size, func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafStatement || !bytes.Contains(leaf, typ) {
			return nil
		}
		if m, err := signer.Parse(leaf); err == nil && m.Type == entry.TypeCalibration && slices.Contains(named, m.Hash()) {
			want[i] = true
		}
		return nil
	})
}

var errFound = errors.New("found")

func closingHeader(src Source, size, index uint64, want map[uint64]bool) error {
	err := src.Leaves(index, size, func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) == entry.LeafHeader {
			want[i] = true
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}

// LogProof makes the C2SP proof of one leaf under a signed checkpoint.
func LogProof(src Source, note []byte, cp block.Checkpoint, index uint64) (*block.LogProof, error) {
	if index >= cp.Size {
		return nil, fmt.Errorf("%w: leaf %d, checkpoint of %d leaves", ErrNotFinal, index, cp.Size)
	}
	leaf, err := src.Leaf(index)
	if err != nil {
		return nil, err
	}
	p, err := block.NewProver(src, cp.Size).Prove(index)
	if err != nil {
		return nil, err
	}
	return &block.LogProof{Extra: leaf, Index: index, Path: p.Path, Checkpoint: note}, nil
}

// Find returns the index of the newest leaf whose leaf hash is h.
func Find(ctx context.Context, src interface {
	Find(ctx context.Context, h block.Hash) (index uint64, ok bool, err error)
}, h block.Hash) (uint64, error) {
	index, ok, err := src.Find(ctx, h)
	if err == nil && !ok {
		err = fmt.Errorf("%w: none has the hash %x", ErrNoLeaf, h[:])
	}
	return index, err
}
