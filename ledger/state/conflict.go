package state

import (
	"crypto/sha256"
	"errors"
	"maps"
	"slices"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
)

// Who is proven to have signed two things of which an honest holder of the key signs
// one at most is quarantined: from the next block on nothing that the key signs is
// accepted, until the oracles restore it by a motion. The proof is in the entry, so
// that it takes no trust in whoever states it, and a key whose holder keeps to the
// rules cannot be quarantined by anybody.
//
// Of an oracle that means: no clock, no vote and no consent of it counts, those that
// wait are forgotten, and the others leave it out of final checkpoints. The quorum and
// the threshold of governance stay what they were: they are what any two quorums share
// an honest oracle by, also for verifiers who have not heard of it. So no more oracles are
// quarantined than those two can spare. Of any one beyond, the proof is recorded and
// flagged, and people have to act: were it quarantined, the ledger could neither go on
// nor take it back.

// quarantine is what a key was proven to have done, and since when it counts.
type quarantine struct {
	KeyID []byte `cbor:"1,keyasint"`
	From  uint64 `cbor:"2,keyasint"` // first block in which its statements are refused
	Leaf  uint64 `cbor:"3,keyasint"` // of the conflict
	// Until is the first block in which they are accepted again, 0 for none.
	Until uint64 `cbor:"4,keyasint,omitempty"`
	// Spared: too few oracles would have been left.
	Spared bool `cbor:"5,keyasint,omitempty"`
	// Boot and Count are the highest sequence number that the key had used when it was
	// restored: what was done with lower ones is settled.
	Boot  uint64 `cbor:"6,keyasint,omitempty"`
	Count uint64 `cbor:"7,keyasint,omitempty"`

	id signer.KeyID
}

const quarantinePrefix = 'Q'

func (q *quarantine) storeKey() string { return string(append([]byte{quarantinePrefix}, q.id[:]...)) }

func (s *State) loadQuarantine(v []byte) error {
	var q quarantine
	if err := decMode.Unmarshal(v, &q); err != nil {
		return err
	}
	copy(q.id[:], q.KeyID)
	s.quarantines[q.id] = &q
	return nil
}

func (s *State) exportQuarantines(all map[string]record) {
	for _, id := range slices.SortedFunc(maps.Keys(s.quarantines), compareKeyIDs) {
		all[s.quarantines[id].storeKey()] = s.quarantines[id]
	}
}

// Quarantined reports whether statements of the key are refused in the next block.
func (s *State) Quarantined(id signer.KeyID) bool {
	q := s.quarantines[id]
	return q != nil && q.at(s.meta.Height)
}

// QuarantinedAt is Quarantined for a block that was made or is being made: who counts
// signatures asks for that block's height.
func (s *State) QuarantinedAt(height uint64, id signer.KeyID) bool {
	q := s.quarantines[id]
	return q != nil && q.at(height)
}

// Proven reports whether the ledger knows what the key has done, and has not restored
// it: nobody need state it again.
func (s *State) Proven(id signer.KeyID) bool { return s.quarantines[id].open() }

// at reports whether it holds for the block of a height.
func (q *quarantine) at(height uint64) bool {
	return !q.Spared && q.From <= height && (q.Until == 0 || height < q.Until)
}

// open reports whether the key is proven to have done wrong and not restored.
func (q *quarantine) open() bool { return q != nil && q.Until == 0 }

// proof is a conflict whose statements have been verified.
type proof struct {
	id     signer.KeyID
	code   string // what the outcome says it is
	name   string // of the oracle, gateway or other party
	oracle bool
}

// judgeConflict lets an oracle prove what a key has done.
func (s *State) judgeConflict(p *plan) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	if !p.plain() {
		return entry.ReasonBadPayload
	}
	c, err := request.OpenConflict(p.opened.Message().Payload, s.charter.Origin, s.keyNow)
	switch {
	case errors.Is(err, request.ErrUnknownKey):
		return entry.ReasonUnknownKey
	case errors.Is(err, request.ErrLedger):
		return entry.ReasonWrongLedger
	case err != nil:
		return entry.ReasonBadPayload
	}
	p.proof = &proof{id: c.KeyID, code: entry.QuarantinedSequence}
	p.proof.name, p.proof.oracle = s.holderOf(c.KeyID)
	if c.Promises != p.proof.oracle { // oracles number no statements, and others promise nothing
		return entry.ReasonBadPayload
	}
	q := s.quarantines[c.KeyID]
	switch {
	case q.open():
		return entry.ReasonAlreadyKnown
	case c.Promises:
		p.proof.code = entry.QuarantinedPromises
		if q != nil && c.Height < q.Until {
			return entry.ReasonAlreadyKnown
		}
	case q != nil && !(entry.Sequence{Boot: q.Boot, Count: q.Count}).Less(c.Sequence):
		return entry.ReasonAlreadyKnown
	}
	return ""
}

// keyNow returns the key with the given id of an oracle in force, of a gateway or of
// another party, ended or not.
func (s *State) keyNow(id signer.KeyID) (signer.PublicKey, bool) {
	if i, ok := s.oracles[id]; ok {
		return s.current().keys[i], true
	}
	if k := s.keys[id]; k != nil {
		return k.public, true
	}
	if a := s.parties[id]; a != nil {
		return a.public, true
	}
	return signer.PublicKey{}, false
}

// holderOf names whose key it is, and says whether that is an oracle in force.
func (s *State) holderOf(id signer.KeyID) (name string, oracle bool) {
	if i, ok := s.oracles[id]; ok {
		return s.nameOf(uint64(i)), true
	}
	if k := s.keys[id]; k != nil {
		return k.Gateway, false
	}
	if a := s.parties[id]; a != nil {
		return a.Name, false
	}
	return "", false
}

// quarantine carries out a judged conflict.
func (s *State) quarantine(p *plan, leaf uint64) [][]byte {
	if q := s.quarantines[p.proof.id]; q.open() { // by a statement before in this very block
		return nil
	}
	q := &quarantine{KeyID: p.proof.id[:], From: s.meta.Height + 1, Leaf: leaf, id: p.proof.id}
	if old := s.quarantines[q.id]; old != nil {
		q.Boot, q.Count = old.Boot, old.Count
	}
	q.Spared = p.proof.oracle && !s.canSpare(q.id)
	s.quarantines[q.id] = q
	s.touch(q)
	if q.Spared {
		o := entry.Outcome{Kind: entry.OutcomeFlagged, Leaf: leaf, Code: entry.FlagSpared, Detail: p.proof.name}
		return [][]byte{o.Encode()}
	}
	if p.proof.oracle {
		s.unvote(uint64(s.oracles[q.id]))
	}
	o := entry.Outcome{Kind: entry.OutcomeQuarantined, Hash: sha256.Sum256(p.opened.Message().Payload), Code: p.proof.code, Detail: p.proof.name}
	return [][]byte{o.Encode()}
}

// canSpare reports whether the others are still enough for a quorum and for governance
// without one more oracle.
func (s *State) canSpare(id signer.KeyID) bool { return s.enough(s.current(), id) }

// enough reports whether the oracles of a set whose word counts, but for one key, are
// enough for its quorum and for governance.
func (s *State) enough(o *oracleSet, but signer.KeyID) bool {
	left := uint64(0)
	for _, k := range o.keys {
		q := s.quarantines[k.ID()]
		if k.ID() != but && (!q.open() || q.Spared) {
			left++
		}
	}
	return left >= max(o.Set.Quorum, o.Set.Governance)
}

// unvote forgets what an oracle stated of what is not adopted.
func (s *State) unvote(oracle uint64) {
	is := func(v uint64) bool { return v == oracle }
	s.meta.Proposals = slices.DeleteFunc(s.meta.Proposals, func(p proposal) bool { return !p.Adopted && len(p.Voters) == 1 && is(p.Voters[0]) })
	for i := range s.meta.Proposals {
		if p := &s.meta.Proposals[i]; !p.Adopted {
			p.Voters = slices.DeleteFunc(slices.Clone(p.Voters), is)
		}
	}
	s.meta.Approvals = slices.DeleteFunc(s.meta.Approvals, func(a approval) bool { return len(a.Voters) == 1 && is(a.Voters[0]) })
	for i := range s.meta.Approvals {
		a := &s.meta.Approvals[i]
		a.Voters = slices.DeleteFunc(slices.Clone(a.Voters), is)
	}
	for _, q := range s.sortedMotions() {
		if q.Adopted != 0 || !slices.ContainsFunc(q.Voters, is) {
			continue
		}
		if len(q.Voters) == 1 {
			s.dropMotion(q)
			continue
		}
		q.Voters = slices.DeleteFunc(slices.Clone(q.Voters), is)
		s.touch(q)
	}
}

// judgeRestore is for motions of the kind MotionRestore.
func (s *State) judgeRestore(m *entry.Motion) (string, entry.Reason) {
	r, err := entry.ParseRestoration(m.Body)
	if err != nil {
		return "", entry.ReasonBadPayload
	}
	id := signer.KeyID(r.KeyID)
	name, _ := s.holderOf(id)
	switch q := s.quarantines[id]; {
	case q == nil:
		return "", entry.ReasonUnknownKey
	case !q.open():
		return "", entry.ReasonAlreadyKnown
	}
	return name, ""
}

// enactRestore lets a key sign again, from the next block on.
func (s *State) enactRestore(m *entry.Motion, _ uint64) {
	r, err := entry.ParseRestoration(m.Body)
	must(0, err)
	q := *s.quarantines[signer.KeyID(r.KeyID)]
	q.Until = s.meta.Height
	for _, id := range slices.SortedFunc(maps.Keys(s.seen), compareSeenIDs) {
		if u := s.seen[id].Used; id.key == q.id && len(u) > 0 {
			q.Boot, q.Count = id.boot, u[len(u)-1].Last // boots come in order
		}
	}
	s.quarantines[q.id] = &q
	s.touch(&q)
}

// QuarantineInfo is what a key was proven to have done.
type QuarantineInfo struct {
	KeyID signer.KeyID
	// Name is that of the oracle in force, of the gateway or of another party.
	Name   string
	Oracle bool
	From   uint64 // first block in which its statements are refused
	Until  uint64 // first block in which they are accepted again, 0 for none
	Leaf   uint64 // of the conflict that proves it
	// Spared: nothing is refused, as too few oracles would be left.
	Spared bool
}

// Quarantines returns all of them, past ones too, in order of their leaves.
func (s *State) Quarantines() []QuarantineInfo {
	out := make([]QuarantineInfo, 0, len(s.quarantines))
	for _, id := range slices.SortedFunc(maps.Keys(s.quarantines), compareKeyIDs) {
		q := s.quarantines[id]
		i := QuarantineInfo{KeyID: id, From: q.From, Until: q.Until, Leaf: q.Leaf, Spared: q.Spared}
		i.Name, i.Oracle = s.holderOf(id)
		out = append(out, i)
	}
	slices.SortStableFunc(out, func(a, b QuarantineInfo) int { return compare(a.Leaf, b.Leaf) })
	return out
}
