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
		if m := o.Message(); m.Hidden() && packs != nil {
			inputs[i].Pack = packs(m.Payload)
		}
	}
	height := s.meta.Height
	r := s.execute(header.First, inputs, true)
	fail := func(format string, args ...any) (*Result, error) {
		return nil, fmt.Errorf("%w: block %d: %s", ErrReplay, height, fmt.Sprintf(format, args...))
	}
	if header.Height != height {
		return fail("it has height %d", header.Height)
	}
	if header.Time != r.Time {
		return fail("its time is %d, its clocks make %d", header.Time, r.Time)
	}
	for i, reason := range r.Reasons {
		if reason != "" {
			return fail("leaf %d should have been refused: %s", header.First+uint64(i), reason)
		}
	}
	at := len(opened)
	if at > len(leaves) {
		return fail("it has fewer leaves than statements")
	}
	for _, want := range r.Leaves[at:] {
		var err error
		if at, err = s.skipOpaque(header, leaves, opened, at); err != nil {
			return nil, err
		}
		if at >= len(leaves) || !bytes.Equal(leaves[at], want) {
			return fail("leaf %d is not the outcome that the rules make", header.First+uint64(at))
		}
		at++
	}
	at, err := s.skipOpaque(header, leaves, opened, at)
	if err != nil {
		return nil, err
	}
	for ; at < len(leaves); at++ {
		o, err := entry.ParseOutcome(leaves[at])
		if err != nil || o.Kind != entry.OutcomeRefused {
			return fail("leaf %d follows from nothing", header.First+uint64(at))
		}
	}
	return r, nil
}

// skipOpaque passes over flags of statements whose pack is not at hand.
func (s *State) skipOpaque(header *block.Header, leaves [][]byte, opened []signer.Opened, at int) (int, error) {
	for ; at < len(leaves); at++ {
		o, err := entry.ParseOutcome(leaves[at])
		if err != nil {
			return at, fmt.Errorf("%w: block %d: leaf %d: %w", ErrReplay, header.Height, header.First+uint64(at), err)
		}
		if o.Kind != entry.OutcomeFlagged || o.Leaf < header.First || o.Leaf >= header.First+uint64(len(opened)) {
			return at, nil
		}
		m := opened[o.Leaf-header.First].Message()
		c, err := entry.ParseClaims(m.Claims)
		if err != nil || s.points[c.Subject] == nil || !s.points[c.Subject].Opaque {
			return at, nil
		}
	}
	return at, nil
}
