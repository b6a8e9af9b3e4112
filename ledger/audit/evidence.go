package audit

import (
	"bytes"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"wattmark/ledger/block"
)

// Evidence is everything that one claim rests on, in one file: leaves with
// inclusion proofs that share one checkpoint, and the packs disclosed with them.
type Evidence struct {
	// Claim is the index of the leaf that the file is about.
	Claim uint64
	// Checkpoint is the cosigned note that all proofs lead to.
	Checkpoint []byte
	// Leaves hold the claim, what it rests on, key history and headers, in order
	// of their indices.
	Leaves []EvidenceLeaf
	// Disclosures are preimages of committed packs.
	Disclosures [][]byte
	// Lines are those of a settlement that are shown: the totals and one member's. A file
	// with lines has version 2.
	Lines []Shown
}

// EvidenceLeaf is a leaf and its inclusion path.
type EvidenceLeaf struct {
	_     struct{} `cbor:",toarray"`
	Index uint64
	Leaf  []byte
	Path  []block.Hash
}

type wireEvidence struct {
	Version     uint64         `cbor:"1,keyasint"`
	Claim       uint64         `cbor:"2,keyasint"`
	Checkpoint  []byte         `cbor:"3,keyasint"`
	Leaves      []EvidenceLeaf `cbor:"4,keyasint"`
	Disclosures [][]byte       `cbor:"5,keyasint,omitempty"`
	Lines       []Shown        `cbor:"6,keyasint,omitempty"`
}

// Limits of an evidence file.
const (
	maxEvidence = 256 << 20 // bytes
	maxLines    = 2         // totals, and one member's
	// MaxEvidenceLeaves is how many leaves a file has at most.
	MaxEvidenceLeaves = 1 << 17
)

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		MaxNestedLevels: 6, MaxArrayElements: MaxEvidenceLeaves, MaxMapPairs: 16,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return v
}

// Encode writes the evidence as deterministic CBOR.
func (e *Evidence) Encode() []byte {
	version := uint64(1)
	if len(e.Lines) > 0 {
		version = 2
	}
	return must(encMode.Marshal(wireEvidence{version, e.Claim, e.Checkpoint, e.Leaves, e.Disclosures, e.Lines}))
}

// ParseEvidence reads what Encode wrote. Nothing in it is verified yet.
func ParseEvidence(b []byte) (*Evidence, error) {
	if len(b) > maxEvidence {
		return nil, fmt.Errorf("evidence: %w: %d bytes, over the limit of %d", block.ErrForm, len(b), maxEvidence)
	}
	var w wireEvidence
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("evidence: %w: %w", block.ErrForm, err)
	}
	if w.Version < 1 || w.Version > 2 || (w.Version == 2) != (len(w.Lines) > 0) {
		return nil, fmt.Errorf("evidence: %w: version %d is not known", block.ErrForm, w.Version)
	}
	if !bytes.Equal(must(encMode.Marshal(w)), b) {
		return nil, fmt.Errorf("evidence: %w: not deterministic CBOR", block.ErrForm)
	}
	if len(w.Lines) > maxLines {
		return nil, fmt.Errorf("evidence: %w: %d lines, over the limit of %d", block.ErrForm, len(w.Lines), maxLines)
	}
	e := &Evidence{w.Claim, w.Checkpoint, w.Leaves, w.Disclosures, w.Lines}
	for i := range e.Leaves {
		if i > 0 && e.Leaves[i].Index <= e.Leaves[i-1].Index {
			return nil, fmt.Errorf("evidence: %w: leaves are not in order of their indices", block.ErrForm)
		}
	}
	if e.leaf(e.Claim) == nil {
		return nil, fmt.Errorf("evidence: %w: the claimed leaf %d is not among the leaves", block.ErrForm, e.Claim)
	}
	return e, nil
}

// leaf returns the leaf with an index, nil if the file has none.
func (e *Evidence) leaf(index uint64) []byte {
	if e == nil {
		return nil
	}
	for i := range e.Leaves {
		if e.Leaves[i].Index == index {
			return e.Leaves[i].Leaf
		}
	}
	return nil
}
