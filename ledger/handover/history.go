package handover

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"wattmark/ledger/block"
)

type wireHandover struct {
	Version    uint64 `cbor:"1,keyasint"`
	Checkpoint []byte `cbor:"2,keyasint"`
	Leaves     []Leaf `cbor:"3,keyasint"`
}

// Limits of what is read.
const (
	version   = 1
	maxLeaves = 1 << 17
	// maxHandovers bounds the changes of oracles that are followed.
	maxHandovers = 4096
)

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		MaxNestedLevels: 6, MaxArrayElements: maxLeaves, MaxMapPairs: 16,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return v
}

// Encode writes the handover as deterministic CBOR.
func (h *Handover) Encode() []byte {
	return must(encMode.Marshal(wireHandover{version, h.Checkpoint, h.Leaves}))
}

// Parse reads what Handover.Encode wrote. Nothing in it is verified yet.
func Parse(b []byte) (*Handover, error) {
	var w wireHandover
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("handover: %w: %w", block.ErrForm, err)
	}
	if w.Version != version {
		return nil, fmt.Errorf("handover: %w: version %d is not known", block.ErrForm, w.Version)
	}
	if !bytes.Equal(must(encMode.Marshal(w)), b) {
		return nil, fmt.Errorf("handover: %w: not deterministic CBOR", block.ErrForm)
	}
	for i := range w.Leaves {
		if i > 0 && w.Leaves[i].Index <= w.Leaves[i-1].Index {
			return nil, fmt.Errorf("handover: %w: leaves are not in order of their indices", block.ErrForm)
		}
	}
	return &Handover{w.Checkpoint, w.Leaves}, nil
}

// EncodeHistory writes handovers as one file, which a verifier gives beside a policy.
func EncodeHistory(list []*Handover) []byte {
	raw := make([][]byte, len(list))
	for i, h := range list {
		raw[i] = h.Encode()
	}
	return must(encMode.Marshal(raw))
}

// ParseHistory reads what EncodeHistory wrote.
func ParseHistory(b []byte) ([]*Handover, error) {
	var raw [][]byte
	if err := decMode.Unmarshal(b, &raw); err != nil {
		return nil, fmt.Errorf("history of oracles: %w: %w", block.ErrForm, err)
	}
	if len(raw) > maxHandovers || !bytes.Equal(must(encMode.Marshal(raw)), b) {
		return nil, fmt.Errorf("history of oracles: %w: over %d handovers, or not deterministic CBOR", block.ErrForm, maxHandovers)
	}
	list := make([]*Handover, len(raw))
	for i := range raw {
		var err error
		if list[i], err = Parse(raw[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Follow starts from the policy that a verifier trusts and follows the oracle sets
// through handovers, in order: each later set is accepted by the one before alone, and
// heights only go up. Handovers of sets before the one trusted are passed over.
func Follow(p *block.Policy, list []*Handover) ([]Span, error) {
	spans := []Span{{Policy: p}}
	for i, h := range list {
		last := &spans[len(spans)-1]
		next, err := last.Next(h)
		if err != nil {
			if len(spans) == 1 && (errors.Is(err, block.ErrQuorum) || errors.Is(err, ErrOthers)) {
				continue // of a set before the one that is trusted
			}
			return nil, fmt.Errorf("handover %d: %w", i, err)
		}
		last.Until = next.From
		spans = append(spans, *next)
	}
	return spans, nil
}

// PolicyFor returns the policy that is good for a checkpoint of so many leaves.
func PolicyFor(spans []Span, size uint64) *block.Policy {
	for _, s := range spans {
		if s.Until == 0 || size <= s.Until {
			return s.Policy
		}
	}
	return nil
}
