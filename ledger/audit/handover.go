package audit

import (
	"bytes"
	"errors"
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// Handover shows that an oracle set put the next one into its place: a checkpoint
// that the set itself has made final, and under it the leaf that states the set, the
// motion for the next one, and the statements of the oracles that agreed, as many as
// the governance threshold asks for.
type Handover struct {
	Checkpoint []byte
	Leaves     []EvidenceLeaf // in order of their indices
}

// Span is a policy and the checkpoints that it is good for: those of Until leaves at
// most, 0 for all. When its oracles had handed over, their signatures count no more.
type Span struct {
	Policy *block.Policy
	Height uint64 // first block of the oracle set, 0 for the one that the verifier brought
	Until  uint64
}

// ErrHandover is wrapped where a handover does not show what it should.
var ErrHandover = errors.New("handover between oracle sets does not hold")

type wireHandover struct {
	Version    uint64         `cbor:"1,keyasint"`
	Checkpoint []byte         `cbor:"2,keyasint"`
	Leaves     []EvidenceLeaf `cbor:"3,keyasint"`
}

// maxHandovers bounds the changes of oracles that are followed.
const maxHandovers = 4096

// Encode writes the handover as deterministic CBOR.
func (h *Handover) Encode() []byte {
	return must(encMode.Marshal(wireHandover{1, h.Checkpoint, h.Leaves}))
}

// ParseHandover reads what Encode wrote. Nothing in it is verified yet.
func ParseHandover(b []byte) (*Handover, error) {
	var w wireHandover
	if err := decMode.Unmarshal(b, &w); err != nil {
		return nil, fmt.Errorf("handover: %w: %w", block.ErrForm, err)
	}
	if w.Version != 1 {
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
		if list[i], err = ParseHandover(raw[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Follow starts from the policy that a verifier trusts and follows the oracle sets
// through handovers, in order: each later set is accepted by the one before alone.
// Handovers of sets before the one trusted are passed over.
func Follow(p *block.Policy, list []*Handover) ([]Span, error) {
	spans := []Span{{Policy: p}}
	for i, h := range list {
		last := &spans[len(spans)-1]
		next, size, err := h.follow(last.Policy)
		if err != nil {
			if len(spans) == 1 && errors.Is(err, block.ErrQuorum) {
				continue // of a set before the one that is trusted
			}
			return nil, fmt.Errorf("handover %d: %w", i, err)
		}
		last.Until = size
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

// follow verifies the handover by the policy of the set that hands over.
func (h *Handover) follow(p *block.Policy) (*Span, uint64, error) {
	signed, err := p.Verify(h.Checkpoint)
	if err != nil {
		return nil, 0, err
	}
	fail := func(format string, args ...any) (*Span, uint64, error) {
		return nil, 0, fmt.Errorf("%w: %s", ErrHandover, fmt.Sprintf(format, args...))
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
	before := h.before(next.Replaces)
	if before == nil {
		return fail("there is no leaf that states the set before")
	}
	if was, err := state.PolicyOf(p.Origin(), before); err != nil || !sameOracles(was, p, before) {
		return fail("the set before is not the one that signed the checkpoint")
	}
	if n := h.agreed(motion, before, p.Origin()); uint64(n) < before.Governance {
		return fail("%d oracles agreed to the next set, of %d that must", n, before.Governance)
	}
	policy, err := state.PolicyOf(p.Origin(), next)
	if err != nil {
		return fail("%v", err)
	}
	return &Span{Policy: policy, Height: motion.Height}, signed.Size, nil
}

// sameOracles reports whether a policy is one of a set: it knows its logs and
// cosigners. A verifier may ask for more of them, or for other witnesses.
func sameOracles(of, p *block.Policy, set *entry.OracleSet) bool {
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
	return of.Origin() == p.Origin()
}

// Height is that of the first block of the next set, as the motion states it; 0 where
// there is none.
func (h *Handover) Height() uint64 {
	if m, _ := h.motion(); m != nil {
		return m.Height
	}
	return 0
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
			if m, set := oracleMotion(h.Leaves[k].Leaf); m != nil && m.Hash() == o.Hash {
				return m, set
			}
		}
	}
	return nil, nil
}

// oracleMotion reads a statement that is a motion for an oracle set, nil if it is
// something else.
func oracleMotion(leaf []byte) (*entry.Motion, *entry.OracleSet) {
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
		if _, set := oracleMotion(l.Leaf); set != nil && set.Hash() == hash {
			return set
		}
	}
	return nil
}

// agreed counts the oracles of a set whose agreement to a motion is in the file,
// each signature verified.
func (h *Handover) agreed(m *entry.Motion, set *entry.OracleSet, origin string) int {
	keys := make(map[signer.KeyID]signer.PublicKey)
	for _, o := range set.Oracles {
		if k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key); err == nil {
			keys[k.ID()] = k
		}
	}
	voices := make(map[signer.KeyID]bool)
	hash := m.Hash()
	for i := range h.Leaves {
		s, err := signer.Parse(h.Leaves[i].Leaf)
		if err != nil || !agreesTo(s, hash) {
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

// agreesTo reports whether a statement is a motion with a hash, or a consent to it.
func agreesTo(s *signer.Message, hash [32]byte) bool {
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
		if m, set := oracleMotion(leaf); set != nil {
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
