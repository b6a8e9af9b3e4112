package state

import (
	"bytes"
	"errors"
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// ErrReplay is wrapped where a block is not what its statements make.
var ErrReplay = errors.New("replay differs")

// Replay applies a block that exists: its leaves without the header, the opened
// statements among them in order, and the header. Packs returns the preimage of
// a committed pack by its digest, or nil where it is not at hand: what depends
// on such a pack is then passed over and counted in Result.Opaque. Refusals are
// checked for form alone, as what was refused is not in the log.
func (s *State) Replay(header *block.Header, leaves [][]byte, opened []signer.Opened, packs func(digest []byte) []byte) (*Result, error) {
	inputs := make([]Input, len(opened))
	for i, o := range opened {
		inputs[i].Opened = o
		inputs[i].FindPack(packs)
	}
	return s.ReplayInputs(header, leaves, inputs)
}

// ReplayInputs is Replay for statements that were read before, on other cores:
// inputs are the block's statements in order, each with its pack where there is
// one.
func (s *State) ReplayInputs(header *block.Header, leaves [][]byte, inputs []Input) (*Result, error) {
	height := s.meta.Height
	fail := func(format string, args ...any) (*Result, error) {
		return nil, fmt.Errorf("%w: block %d: %s", ErrReplay, height, fmt.Sprintf(format, args...))
	}
	if header.Height != height {
		return fail("it has height %d", header.Height)
	}
	s.prev, s.replayed = header.Prev, leaves
	defer func() { s.replayed = nil }()
	r, due, err := s.execute(header.First, inputs, true)
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", height, err)
	}
	if header.Time != r.Time {
		return fail("its time is %d, its clocks make %d", header.Time, r.Time)
	}
	for i, reason := range r.Reasons {
		if reason != "" {
			return fail("leaf %d should have been refused: %s", header.First+uint64(i), reason)
		}
	}
	if len(inputs) > len(leaves) {
		return fail("it has fewer leaves than statements")
	}
	c := comparison{header, inputs, leaves, len(inputs), r.Opaque > 0}
	follow := r.Leaves[len(inputs):]
	r.Leaves = r.Leaves[:len(inputs):len(inputs)]
	for i, want := range follow {
		if i < len(due) && due[i].like != nil {
			switch {
			case c.at < len(leaves) && due[i].like(leaves[c.at]):
				want = leaves[c.at] // it stands as it is
			case due[i].maybe:
				continue
			}
		}
		if i >= len(due) {
			c.skipOpaque()
		}
		if c.at >= len(leaves) || !bytes.Equal(leaves[c.at], want) {
			return fail("leaf %d is not the outcome that the rules make", header.First+uint64(c.at))
		}
		r.Leaves = append(r.Leaves, want)
		c.at++
	}
	c.skipOpaque()
	for ; c.at < len(leaves); c.at++ {
		o, err := entry.ParseOutcome(leaves[c.at])
		if err != nil || o.Kind != entry.OutcomeRefused {
			return fail("leaf %d follows from nothing", header.First+uint64(c.at))
		}
		if !entry.Reason(o.Code).Logged() {
			return fail("leaf %d is a refusal for %q, which leaves no outcome", header.First+uint64(c.at), o.Code)
		}
	}
	return r, nil
}

// comparison walks over a block's outcomes.
type comparison struct {
	header *block.Header
	inputs []Input
	leaves [][]byte
	at     int  // of the next leaf
	opaque bool // some statement of the block is
}

// skipOpaque passes over flags of statements whose pack is not at hand.
func (c *comparison) skipOpaque() {
	for ; c.opaque && c.at < len(c.leaves); c.at++ {
		o, err := entry.ParseOutcome(c.leaves[c.at])
		if err != nil || o.Kind != entry.OutcomeFlagged || o.Leaf < c.header.First || o.Leaf-c.header.First >= uint64(len(c.inputs)) {
			return
		}
		if !c.inputs[o.Leaf-c.header.First].opaque {
			return
		}
	}
}
