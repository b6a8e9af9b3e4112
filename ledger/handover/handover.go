package handover

import (
	"errors"
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Handover shows that an oracle set put the next one into its place: a checkpoint
// that the set itself has made final, and under it the leaf that states the set, the
// motion for the next one, the statements of the oracles that agreed, as many as
// the governance threshold asks for, and the header of the set's last block.
type Handover struct {
	Checkpoint []byte
	Leaves     []Leaf // in order of their indices
}

// Leaf is a leaf and its inclusion path.
type Leaf struct {
	_     struct{} `cbor:",toarray"`
	Index uint64
	Leaf  []byte
	Path  []block.Hash
}

var (
	// ErrHandover is wrapped where a handover does not show what it should.
	ErrHandover = errors.New("handover between oracle sets does not hold")
	// ErrBefore is wrapped, with ErrHandover, where a handover is of a set before the one
	// that is trusted: nobody goes back.
	ErrBefore = errors.New("it is of oracles before those that are trusted")
	// ErrOthers is wrapped, with ErrHandover, where those who hand over are not those who
	// are trusted, though enough of them are among them to satisfy the policy.
	ErrOthers = errors.New("the set before is not the one that is trusted")
)

// Span is a policy and the checkpoints that it is good for: those of more than From
// leaves, and of Until at most, 0 for all. When its oracles had handed over, their
// signatures count no more.
type Span struct {
	Policy *block.Policy
	Height uint64 // first block of the oracle set, 0 for the one that the verifier brought
	From   uint64 // leaves of the checkpoint with which the set before ended, 0 for the one brought
	Until  uint64
	Set    *entry.OracleSet // nil for the one brought
}

// Next verifies a handover by the policy of the set that hands over, and returns what
// is trusted from then on; s does not change. Its error wraps block.ErrQuorum where the
// policy is not satisfied, ErrBefore where the handover is of a set before, ErrOthers
// where it is of another, and else ErrHandover, or the error with which the checkpoint
// does not read.
func (s *Span) Next(h *Handover) (*Span, error) {
	fail := func(format string, args ...any) (*Span, error) {
		return nil, fmt.Errorf("%w: %s", ErrHandover, fmt.Sprintf(format, args...))
	}
	before := func(what string, is, trusted uint64) (*Span, error) {
		return nil, fmt.Errorf("%w: %w: its %s is %d, and that of the trusted ones %d", ErrHandover, ErrBefore, what, is, trusted)
	}
	p := s.Policy
	if c, err := block.Stated(h.Checkpoint); err == nil && s.From > 0 && c.Size <= s.From { // before any signature is looked at
		return before("size", c.Size, s.From)
	}
	signed, err := p.Verify(h.Checkpoint)
	if err != nil {
		return nil, err
	}
	for i := range h.Leaves {
		l := &h.Leaves[i]
		root, err := (&block.Proof{Index: l.Index, Size: signed.Size, Path: l.Path}).Root(block.LeafHash(l.Leaf))
		if err != nil || root != signed.Root {
			return fail("leaf %d is not under the checkpoint", l.Index)
		}
	}
	motion, next := h.motion()
	if motion == nil {
		return fail("there is no motion for an oracle set that was adopted")
	}
	if motion.Height <= s.Height {
		return before("height", motion.Height, s.Height)
	}
	switch last := h.Header(); {
	case last == nil || last.Origin != p.Origin():
		return fail("there is no header of the block with which the set before ended")
	case last.Height+1 != motion.Height:
		return fail("the checkpoint is of block %d, and the next set begins with block %d", last.Height, motion.Height)
	}
	was := h.before(next.Replaces)
	if was == nil {
		return fail("there is no leaf that states the set before")
	}
	if !sameOracles(p, was) || s.Set != nil && s.Set.Hash() != next.Replaces {
		return nil, fmt.Errorf("%w: %w", ErrHandover, ErrOthers)
	}
	if n := h.agreed(motion, was, p.Origin()); uint64(n) < was.Governance {
		return fail("%d oracles agreed to the next set, of %d that must", n, was.Governance)
	}
	policy, err := PolicyOf(p.Origin(), next)
	if err != nil {
		return fail("%v", err)
	}
	return &Span{Policy: policy, Height: motion.Height, From: signed.Size, Set: next}, nil
}

// sameOracles reports whether a policy is one of a set: it knows its logs and
// cosigners. A verifier may ask for more of them, or for other witnesses.
func sameOracles(p *block.Policy, set *entry.OracleSet) bool {
	if _, err := PolicyOf(p.Origin(), set); err != nil {
		return false
	}
	for _, o := range set.Oracles {
		l, err := block.ParseVerifierKey(o.Log)
		if err != nil {
			return false
		}
		w, err := block.ParseVerifierKey(o.Cosigner)
		if err != nil {
			return false
		}
		_, log := p.Log(l.Key.ID())
		_, cosigner := p.Witness(w.Key.ID())
		if !log || !cosigner {
			return false
		}
	}
	return true
}

// Height is that of the first block of the next set, as the motion states it; 0 where
// there is none.
func (h *Handover) Height() uint64 {
	if m, _ := h.motion(); m != nil {
		return m.Height
	}
	return 0
}

// Header is the header of the block that the checkpoint is of: its last leaf. It is nil
// where that is not there.
func (h *Handover) Header() *block.Header {
	c, err := block.Stated(h.Checkpoint)
	if err != nil || len(h.Leaves) == 0 {
		return nil
	}
	l := &h.Leaves[len(h.Leaves)-1]
	if last, err := block.ParseHeader(l.Leaf); err == nil && l.Index+1 == c.Size && last.Size == l.Index {
		return last
	}
	return nil
}

// Next is the set that takes over, nil where none is stated.
func (h *Handover) Next() *entry.OracleSet {
	_, set := h.motion()
	return set
}

// motion returns the motion in the file whose adoption is in it too, the last such one,
// and its set.
func (h *Handover) motion() (*entry.Motion, *entry.OracleSet) {
	for i := len(h.Leaves) - 1; i >= 0; i-- {
		o, err := entry.ParseOutcome(h.Leaves[i].Leaf)
		if entry.KindOf(h.Leaves[i].Leaf) != entry.LeafOutcome || err != nil || o.Kind != entry.OutcomeAdopted || o.Code != entry.MotionOracles {
			continue
		}
		for k := range h.Leaves[:i] {
			if m, set := MotionOf(h.Leaves[k].Leaf); m != nil && m.Hash() == o.Hash {
				return m, set
			}
		}
	}
	return nil, nil
}

// MotionOf reads a statement that is a motion for an oracle set, nil if it is
// something else.
func MotionOf(leaf []byte) (*entry.Motion, *entry.OracleSet) {
	if entry.KindOf(leaf) != entry.LeafStatement {
		return nil, nil
	}
	s, err := signer.Parse(leaf)
	if err != nil || s.Type != entry.TypeMotion {
		return nil, nil
	}
	m, err := entry.ParseMotion(s.Payload)
	if err != nil || m.Kind != entry.MotionOracles {
		return nil, nil
	}
	set, err := entry.ParseOracleSet(m.Body)
	if err != nil {
		return nil, nil
	}
	return m, set
}

// before returns the set with a hash, from the charter or the motion that states it.
func (h *Handover) before(hash [32]byte) *entry.OracleSet {
	for i := range h.Leaves {
		l := &h.Leaves[i]
		if c, err := entry.ParseCharter(l.Leaf); l.Index == 0 && err == nil {
			if set := c.OracleSet(); set.Hash() == hash {
				return set
			}
		}
		if _, set := MotionOf(l.Leaf); set != nil && set.Hash() == hash {
			return set
		}
	}
	return nil
}

// agreed counts the oracles of a set whose agreement to a motion is in the file,
// each signature verified.
func (h *Handover) agreed(m *entry.Motion, set *entry.OracleSet, origin string) int {
	keys := StatementKeys(set)
	voices := make(map[signer.KeyID]bool)
	hash := m.Hash()
	for i := range h.Leaves {
		s, err := signer.Parse(h.Leaves[i].Leaf)
		if err != nil || !Agrees(s, hash) {
			continue
		}
		c, err := entry.ParseClaims(s.Claims)
		if err != nil || c.Audience != origin {
			continue
		}
		if k, ok := keys[s.KeyID]; ok {
			if _, err := signer.Verify(s, k); err == nil {
				voices[s.KeyID] = true
			}
		}
	}
	return len(voices)
}

// Agrees reports whether a statement is a motion with a hash, or a consent to it.
func Agrees(s *signer.Message, hash [32]byte) bool {
	switch s.Type {
	case entry.TypeMotion:
		m, err := entry.ParseMotion(s.Payload)
		return err == nil && m.Hash() == hash
	case entry.TypeConsent:
		c, err := entry.ParseConsent(s.Payload)
		return err == nil && c.Motion == hash
	}
	return false
}

// AboutMotion reports whether a leaf is about a motion that sets oracles, with a hash
// by which the leaves of one are found: the motion itself, a consent, the outcome.
func AboutMotion(leaf []byte) (hash [32]byte, ok bool) {
	switch entry.KindOf(leaf) {
	case entry.LeafStatement:
		s, err := signer.Parse(leaf)
		if err != nil {
			return hash, false
		}
		if s.Type == entry.TypeConsent {
			c, err := entry.ParseConsent(s.Payload)
			if err != nil {
				return hash, false
			}
			return c.Motion, true
		}
		if m, set := MotionOf(leaf); set != nil {
			return m.Hash(), true
		}
	case entry.LeafOutcome:
		o, err := entry.ParseOutcome(leaf)
		if err == nil && o.Kind == entry.OutcomeAdopted && o.Code == entry.MotionOracles {
			return o.Hash, true
		}
	}
	return hash, false
}
