package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/signer"
)

// oracleSet is an oracle set and from which block on it is in force. The charter's is
// not stored: the charter is.
type oracleSet struct {
	Height uint64          `cbor:"1,keyasint"`
	Leaf   uint64          `cbor:"2,keyasint"` // of the statement that completed its adoption
	Set    entry.OracleSet `cbor:"3,keyasint"`

	keys    []signer.PublicKey // statement keys, by position
	sealing []sealingKey
}

// sealingKey is a key with which an oracle signs checkpoints or receipts.
type sealingKey struct {
	id     signer.KeyID
	oracle string
	vkey   string
}

func (o *oracleSet) storeKey() string {
	return string(binary.BigEndian.AppendUint64([]byte{'o'}, o.Height))
}

// readSet reads the keys of a set. Its error is about the set alone.
func readSet(origin string, set *entry.OracleSet) (*oracleSet, error) {
	o := &oracleSet{Set: *set}
	used := make(map[signer.KeyID]bool)
	for i := range set.Oracles {
		k := &set.Oracles[i]
		key, err := signer.NewPublicKey(signer.Algorithm(k.Algorithm), k.Key)
		if err != nil {
			return nil, fmt.Errorf("oracle %q: %w", k.Name, err)
		}
		if used[key.ID()] {
			return nil, errors.New("two oracles have the same statement key")
		}
		used[key.ID()] = true
		o.keys = append(o.keys, key)
	}
	for i := range set.Oracles {
		k := &set.Oracles[i]
		keys, err := readSealing(origin, k)
		if err != nil {
			return nil, fmt.Errorf("oracle %q: %w", k.Name, err)
		}
		for _, s := range keys {
			if used[s.id] {
				return nil, fmt.Errorf("oracle %q: key %v stands twice: a key has one purpose", k.Name, s.id)
			}
			used[s.id] = true
		}
		o.sealing = append(o.sealing, keys...)
	}
	_, err := handover.PolicyOf(origin, set)
	return o, err
}

// readSealing reads the keys with which an oracle signs checkpoints and receipts.
func readSealing(origin string, o *entry.OracleKeys) ([]sealingKey, error) {
	log, err := block.ParseVerifierKey(o.Log)
	if err != nil {
		return nil, err
	}
	cosigner, err := block.ParseVerifierKey(o.Cosigner)
	if err != nil {
		return nil, err
	}
	if log.Cosigner || log.Name != origin || !cosigner.Cosigner || cosigner.Name != o.Name {
		return nil, errors.New("its log key is not one of a log of the charter's origin, or its cosigner key not one of a cosigner of its own name")
	}
	return []sealingKey{{log.Key.ID(), o.Name, o.Log}, {cosigner.Key.ID(), o.Name, o.Cosigner}}, nil
}

// install puts a set in force that readSet has read, behind those before it.
func (s *State) install(o *oracleSet) {
	if len(s.sets) > 0 {
		for _, k := range s.current().keys {
			s.past[k.ID()] = k
		}
	}
	clear(s.oracles)
	for i, k := range o.keys {
		s.oracles[k.ID()] = i
		delete(s.past, k.ID())
	}
	for _, k := range o.sealing {
		s.sealing[k.id] = true
	}
	s.sets = append(s.sets, o)
}

// current is the set in force for the next block.
func (s *State) current() *oracleSet { return s.sets[len(s.sets)-1] }

// admissible says whether a set can follow the one in force: it states that it
// does, and each of its keys is that of the same oracle for the same purpose or was
// never used.
func (s *State) admissible(o *oracleSet) entry.Reason {
	now := s.current()
	if o.Set.Replaces != now.Set.Hash() {
		return entry.ReasonOtherOracles
	}
	used := func(id signer.KeyID) bool {
		_, was := s.past[id]
		_, is := s.oracles[id]
		return was || is || s.sealing[id] || s.keys[id] != nil || s.parties[id] != nil
	}
	for i, k := range o.keys {
		at, same := s.oracles[k.ID()]
		if same && now.Set.Oracles[at].Name == o.Set.Oracles[i].Name {
			continue
		}
		if used(k.ID()) {
			return entry.ReasonOtherOracles
		}
	}
	for _, k := range o.sealing {
		if !slices.Contains(now.sealing, k) && used(k.id) {
			return entry.ReasonOtherOracles
		}
	}
	return ""
}

// judgeOracles is for motions of the kind MotionOracles.
func (s *State) judgeOracles(m *entry.Motion) (string, entry.Reason) {
	set, err := entry.ParseOracleSet(m.Body)
	if err != nil {
		return "", entry.ReasonBadPayload
	}
	o, err := readSet(s.charter.Origin, set)
	if err != nil {
		return "", entry.ReasonBadPayload
	}
	if reason := s.admissible(o); reason != "" {
		return "", reason
	}
	if !s.enough(o, signer.KeyID{}) {
		return "", entry.ReasonTooFewLeft
	}
	return "", ""
}

// enactOracles puts a set in force that judgeOracles found right. Thresholds are
// counted within one set: what was not adopted by the one before must be put
// forward again. Oracles keep their clocks; a new one's starts with the block's time.
func (s *State) enactOracles(m *entry.Motion, leaf uint64) {
	set, err := entry.ParseOracleSet(m.Body)
	must(0, err)
	o := must(readSet(s.charter.Origin, set))
	o.Height, o.Leaf = m.Height, leaf
	clocks := make([]int64, len(set.Oracles))
	for i := range set.Oracles {
		clocks[i] = s.meta.Time
		at := slices.IndexFunc(s.current().Set.Oracles, func(k entry.OracleKeys) bool { return k.Name == set.Oracles[i].Name })
		if at >= 0 {
			clocks[i] = s.meta.Clocks[at]
		}
	}
	s.meta.Clocks = clocks
	s.install(o)
	s.touch(o)
	s.meta.Proposals = slices.DeleteFunc(s.meta.Proposals, func(p proposal) bool { return !p.Adopted })
	s.meta.Approvals = nil
	for _, q := range s.sortedMotions() {
		if q.Adopted == 0 {
			s.dropMotion(q)
		}
	}
}

// OracleSetAt is an oracle set and the first block that it is in force for. Leaf is
// that of the statement that completed its adoption, 0 for the charter.
type OracleSetAt struct {
	Height uint64
	Leaf   uint64
	Set    *entry.OracleSet
}

// OracleSets returns the sets that have been in force, in order of heights. They
// must not be changed.
func (s *State) OracleSets() []OracleSetAt {
	out := make([]OracleSetAt, len(s.sets))
	for i, o := range s.sets {
		out[i] = OracleSetAt{o.Height, o.Leaf, &o.Set}
	}
	return out
}

// Oracles returns the set in force for the next block. It must not be changed.
func (s *State) Oracles() *entry.OracleSet { return &s.current().Set }

// OraclesAt returns the set that was in force for the block of a height, of those
// up to the next one.
func (s *State) OraclesAt(height uint64) *entry.OracleSet {
	for i := len(s.sets) - 1; i > 0; i-- {
		if s.sets[i].Height <= height {
			return &s.sets[i].Set
		}
	}
	return &s.sets[0].Set
}

// Oracle returns the position, in the set in force for the next block, of the
// oracle whose statement key has the given id.
func (s *State) Oracle(id signer.KeyID) (position int, ok bool) {
	position, ok = s.oracles[id]
	return position, ok
}

// reserved reports whether a key is named by an oracle set that is adopted and waits
// for its height: nobody gets it for something else meanwhile.
func (s *State) reserved(id signer.KeyID) bool {
	for _, q := range s.sortedMotions() {
		if q.Adopted == 0 || q.Motion.Kind != entry.MotionOracles {
			continue
		}
		set, err := entry.ParseOracleSet(q.Motion.Body)
		must(0, err)
		o := must(readSet(s.charter.Origin, set))
		for _, k := range o.keys {
			if k.ID() == id {
				return true
			}
		}
		for _, k := range o.sealing {
			if k.id == id {
				return true
			}
		}
	}
	return false
}
