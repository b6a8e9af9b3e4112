package audit

import (
	"slices"

	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/signer"
)

// adoptions calls fn with each outcome of adoption in the file.
func (e *Evidence) adoptions(fn func(index uint64, o *entry.Outcome)) {
	if e == nil {
		return
	}
	for i := range e.Leaves {
		if entry.KindOf(e.Leaves[i].Leaf) != entry.LeafOutcome {
			continue
		}
		if o, err := entry.ParseOutcome(e.Leaves[i].Leaf); err == nil && o.Kind == entry.OutcomeAdopted {
			fn(e.Leaves[i].Index, o)
		}
	}
}

// laterOracles adds the oracles of sets whose motion and adoption are in the file.
func (e *Evidence) laterOracles(oracles map[signer.KeyID]KnownKey) {
	adopted := make(map[[32]byte]bool)
	e.adoptions(func(_ uint64, o *entry.Outcome) {
		if o.Code == entry.MotionOracles {
			adopted[o.Hash] = true
		}
	})
	for i := range e.Leaves {
		m, set := handover.MotionOf(e.Leaves[i].Leaf)
		if set == nil || !adopted[m.Hash()] {
			continue
		}
		for _, o := range set.Oracles {
			if k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key); err == nil {
				oracles[k.ID()] = KnownKey{Public: k, Name: o.Name, Role: RoleOracle}
			}
		}
	}
}

// stated reports whether a motion with a hash is in the file.
func (e *Evidence) stated(hash [32]byte) bool {
	return slices.ContainsFunc(e.Leaves, func(l EvidenceLeaf) bool {
		m, _ := handover.MotionOf(l.Leaf)
		return m != nil && m.Hash() == hash
	})
}

// rests reports whether the statement s, whose leaf it is, says whose key signed
// another one in the file, or is a voice for the forgetting of m's metering point.
func (e *Evidence) rests(leaf []byte, s, m *signer.Message) bool {
	if _, set := handover.MotionOf(leaf); set != nil {
		return slices.ContainsFunc(e.Leaves, func(l EvidenceLeaf) bool {
			by, err := signer.Parse(l.Leaf)
			return err == nil && slices.ContainsFunc(set.Oracles, func(o entry.OracleKeys) bool {
				k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key)
				return err == nil && k.ID() == by.KeyID
			})
		})
	}
	found := false
	e.adoptions(func(_ uint64, o *entry.Outcome) { found = found || e.forgets(o, m) && handover.Agrees(s, o.Hash) })
	return found
}

// forgets reports whether an outcome says that the metering point of a hidden
// statement was closed and its packs deleted.
func (e *Evidence) forgets(o *entry.Outcome, m *signer.Message) bool {
	c, err := entry.ParseClaims(m.Claims)
	return err == nil && m.Hidden() && o.Code == entry.MotionForget && o.Detail == c.Subject
}

// forgottenPoint returns by which entry a metering point was forgotten, if the file says
// that it was: the statement that completed the adoption.
func (e *Evidence) forgottenPoint(subject string) (by uint64, ok bool) {
	e.adoptions(func(at uint64, o *entry.Outcome) {
		if o.Code != entry.MotionForget || o.Detail != subject || ok {
			return
		}
		for i := range e.Leaves {
			s, err := signer.Parse(e.Leaves[i].Leaf)
			if err == nil && e.Leaves[i].Index < at && handover.Agrees(s, o.Hash) {
				by, ok = e.Leaves[i].Index, true
			}
		}
	})
	return by, ok
}

// forgotten is forgottenPoint for the metering point of a statement.
func (e *Evidence) forgotten(statement []byte) (by uint64, ok bool) {
	m, err := signer.Parse(statement)
	if err != nil || !m.Hidden() {
		return 0, false
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return 0, false
	}
	return e.forgottenPoint(c.Subject)
}

// VoiceFor returns the hash of the motion that a statement puts forward or agrees to, zero
// for another leaf, and the oracle set where it puts one forward.
func VoiceFor(leaf []byte) (hash [32]byte, set *entry.OracleSet) {
	s, err := signer.Parse(leaf)
	if err != nil {
		return hash, nil
	}
	switch s.Type {
	case entry.TypeConsent:
		if c, err := entry.ParseConsent(s.Payload); err == nil {
			hash = c.Motion
		}
	case entry.TypeMotion:
		if m, err := entry.ParseMotion(s.Payload); err == nil {
			hash = m.Hash()
			_, set = handover.MotionOf(leaf)
		}
	}
	return hash, set
}
