package state

import (
	"bytes"
	"maps"
	"slices"

	"wattmark/ledger/entry"
)

// motion is a motion that waits: for votes, or adopted and for its height.
type motion struct {
	Motion  entry.Motion `cbor:"1,keyasint"`
	Leaf    uint64       `cbor:"2,keyasint"`           // of the statement that put it forward
	Since   int64        `cbor:"3,keyasint"`           // time of that one's block in Unix milliseconds
	Voters  []uint64     `cbor:"4,keyasint"`           // positions in the set in force, in order of voting
	Adopted uint64       `cbor:"5,keyasint,omitempty"` // leaf of the statement that completed them

	hash [32]byte
}

func (m *motion) storeKey() string { return "g" + string(m.hash[:]) }

// motionKind is what the rules do with motions of one kind.
type motionKind struct {
	// judge says whether the motion could take effect now, and what it is about, in a
	// word for the outcome. It is asked when the motion is put forward, when it would be
	// adopted, and right before it takes effect.
	judge func(s *State, m *entry.Motion) (detail string, reason entry.Reason)
	// enact carries out what judge allowed. leaf is that of the statement that completed
	// the adoption.
	enact func(s *State, m *entry.Motion, leaf uint64)
}

// kindOf returns what the rules do with motions of a kind. A new kind is a case
// here, a constant beside its body in package entry, and a file with its two functions.
func kindOf(kind string) (motionKind, bool) {
	switch kind {
	case entry.MotionOracles:
		return motionKind{(*State).judgeOracles, (*State).enactOracles}, true
	case entry.MotionParameter:
		return motionKind{(*State).judgeParameter, (*State).enactParameter}, true
	case entry.MotionRules:
		return motionKind{(*State).judgeRules, (*State).enactRules}, true
	case entry.MotionForget:
		return motionKind{(*State).judgeForget, (*State).enactForget}, true
	case entry.MotionRestore:
		return motionKind{(*State).judgeRestore, (*State).enactRestore}, true
	case entry.MotionTariff:
		return motionKind{(*State).judgeTariff, (*State).enactTariff}, true
	case entry.MotionDecision:
		return motionKind{(*State).judgeDecision, (*State).enactDecision}, true
	}
	return motionKind{}, false
}

// judgeMotion lets an oracle put a motion forward, or agree to one by stating the
// same.
func (s *State) judgeMotion(p *plan) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	m, err := entry.ParseMotion(p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	if m.Height <= s.meta.Height {
		return entry.ReasonWrongHeight
	}
	if q := s.motions[m.Hash()]; q != nil {
		return s.judgeAgreement(p, q)
	}
	if s.putForward(p.oracle) >= maxProposals {
		return entry.ReasonAlreadyKnown
	}
	q := &motion{Motion: *m, Since: s.meta.Time, hash: m.Hash()}
	return s.judgeAgreement(p, q)
}

// judgeConsent lets an oracle agree to a motion.
func (s *State) judgeConsent(p *plan) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	c, err := entry.ParseConsent(p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	q := s.motions[c.Motion]
	switch {
	case q == nil:
		return entry.ReasonUnknownMotion
	case q.Motion.Height <= s.meta.Height:
		return entry.ReasonWrongHeight
	}
	return s.judgeAgreement(p, q)
}

// judgeAgreement judges one oracle's voice for a motion that is on the ledger, or
// that it puts forward.
func (s *State) judgeAgreement(p *plan, q *motion) entry.Reason {
	if slices.Contains(q.Voters, uint64(p.oracle)) {
		return entry.ReasonAlreadyKnown
	}
	k, ok := kindOf(q.Motion.Kind)
	if !ok {
		return entry.ReasonUnknownSetting
	}
	if q.Adopted == 0 {
		if _, reason := k.judge(s, &q.Motion); reason != "" {
			return reason
		}
	}
	p.motion = q
	return ""
}

// agree counts a judged voice, and adopts the motion when it is the last that was
// missing.
func (s *State) agree(p *plan, leaf uint64) [][]byte {
	q := p.motion
	if s.motions[q.hash] == nil {
		q.Leaf, q.Since = leaf, s.meta.Time
		s.motions[q.hash] = q
	}
	q.Voters = append(q.Voters, uint64(p.oracle))
	s.touch(q)
	if q.Adopted != 0 || uint64(len(q.Voters)) < s.current().Set.Governance {
		return nil
	}
	q.Adopted = leaf
	k, _ := kindOf(q.Motion.Kind)
	detail, _ := k.judge(s, &q.Motion)
	o := entry.Outcome{Kind: entry.OutcomeAdopted, Hash: q.hash, Code: q.Motion.Kind, Detail: detail}
	return [][]byte{o.Encode()}
}

// takeEffect carries out the motions whose height is that of the next block, in the
// order in which they were adopted, and lets go what was not adopted in time. It is
// the last thing that a block does, so that between two blocks everybody sees whose
// keys and what rules are in force for the next one.
func (s *State) takeEffect() (outcomes [][]byte) {
	due := s.sortedMotions()
	slices.SortStableFunc(due, func(a, b *motion) int { return compare(a.Adopted, b.Adopted) })
	for _, q := range due {
		if q.Motion.Height > s.meta.Height || s.motions[q.hash] == nil { // a change of oracles has dropped it
			continue
		}
		s.dropMotion(q)
		if q.Adopted == 0 {
			continue
		}
		k, _ := kindOf(q.Motion.Kind)
		if _, reason := k.judge(s, &q.Motion); reason != "" {
			o := entry.Outcome{Kind: entry.OutcomeVoid, Hash: q.hash, Code: string(reason)}
			outcomes = append(outcomes, o.Encode())
			continue
		}
		k.enact(s, &q.Motion, q.Adopted)
	}
	return outcomes
}

// putForward counts the waiting motions that the oracle put forward.
func (s *State) putForward(oracle int) (n int) {
	for _, q := range s.sortedMotions() {
		if q.Voters[0] == uint64(oracle) {
			n++
		}
	}
	return n
}

func (s *State) sortedMotions() []*motion {
	if len(s.motions) == 0 {
		return nil
	}
	out := make([]*motion, 0, len(s.motions))
	for _, hash := range slices.SortedFunc(maps.Keys(s.motions), func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }) {
		out = append(out, s.motions[hash])
	}
	return out
}

// lapseMotions forgets those that nobody adopted for too long.
func (s *State) lapseMotions() {
	for _, q := range s.sortedMotions() {
		if q.Adopted == 0 && s.meta.Time-q.Since > approvalLasts {
			s.dropMotion(q)
		}
	}
}

func (s *State) dropMotion(q *motion) {
	delete(s.motions, q.hash)
	s.dirty[q.storeKey()] = nil
}

// MotionInfo is a motion that waits for votes or for its height.
type MotionInfo struct {
	entry.Motion
	Hash    [32]byte
	Leaf    uint64   // of the statement that put it forward
	Since   int64    // time of that one's block in Unix milliseconds
	Oracles []string // names of those that agree, in the order in which they did
	Adopted bool
}

// Motions returns what waits, in order of leaves.
func (s *State) Motions() []MotionInfo {
	var out []MotionInfo
	for _, q := range s.sortedMotions() {
		m := MotionInfo{Motion: q.Motion, Hash: q.hash, Leaf: q.Leaf, Since: q.Since, Adopted: q.Adopted != 0}
		for _, v := range q.Voters {
			m.Oracles = append(m.Oracles, s.nameOf(v))
		}
		out = append(out, m)
	}
	slices.SortStableFunc(out, func(a, b MotionInfo) int { return compare(a.Leaf, b.Leaf) })
	return out
}

// nameOf is an oracle's name, empty for a position of another set.
func (s *State) nameOf(position uint64) string {
	if o := s.current().Set.Oracles; position < uint64(len(o)) {
		return o[position].Name
	}
	return ""
}
