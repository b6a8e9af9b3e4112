package state

import (
	"maps"
	"slices"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// What parties may be: each role signs entries of its own.
const (
	// RoleMember is a member of a zone's market.
	RoleMember = "member"
)

// party is a key that signs for itself and is neither an oracle's nor a gateway's.
// Its statements are numbered as a gateway's are.
type party struct {
	Algorithm int    `cbor:"1,keyasint"`
	Raw       []byte `cbor:"2,keyasint"`
	Role      string `cbor:"3,keyasint"`
	Name      string `cbor:"4,keyasint"` // one key of a role and name at a time
	Enrolled  uint64 `cbor:"5,keyasint"` // leaf of the admission
	Revoked   uint64 `cbor:"6,keyasint"` // leaf of the revocation, 0 for none

	public signer.PublicKey
	since  uint64 // height from which it is active: the block after its admission; 0 when loaded
}

func (a *party) storeKey() string { id := a.public.ID(); return "a" + string(id[:]) }

// partyName is a role and a name, of which one key at a time is in force.
type partyName struct{ role, name string }

func (s *State) loadParty(v []byte) error {
	var r party
	if err := decMode.Unmarshal(v, &r); err != nil {
		return err
	}
	public, err := signer.NewPublicKey(signer.Algorithm(r.Algorithm), r.Raw)
	if err != nil {
		return err
	}
	r.public = public
	s.parties[public.ID()] = &r
	n := partyName{r.Role, r.Name}
	if old, ok := s.named[n]; !ok || s.parties[old].Enrolled < r.Enrolled {
		s.named[n] = public.ID()
	}
	return nil
}

// admitParty makes the record of a new party's key, which signs from the next block on.
func (s *State) admitParty(role, name string, public signer.PublicKey, leaf uint64) {
	a := &party{
		Algorithm: int(public.Algorithm()), Raw: public.Bytes(), Role: role, Name: name,
		Enrolled: leaf, public: public, since: s.meta.Height + 1,
	}
	s.parties[public.ID()] = a
	s.named[partyName{role, name}] = public.ID()
	s.touch(a)
}

// partyNow returns the newest key of a role and name, nil if it never had one.
func (s *State) partyNow(role, name string) *party {
	id, ok := s.named[partyName{role, name}]
	if !ok {
		return nil
	}
	return s.parties[id]
}

// judgeParty judges what everything has that a party of a role signs: a payload of
// plain CBOR, and a number.
func (s *State) judgeParty(p *plan, role string, now int64) entry.Reason {
	q := p.claims.Sequence
	switch {
	case p.party == nil || p.party.Role != role:
		return entry.ReasonNotAuthorised
	case q.Count == 0:
		return entry.ReasonMalformed
	case p.party.Revoked != 0: // revoked earlier in this very block
		return entry.ReasonRevokedKey
	}
	id := p.opened.Key().ID()
	switch {
	case s.Used(id, q):
		return entry.ReasonSequenceUsed
	case s.seen[seenID{id, q.Boot}].full(q.Count):
		return entry.ReasonTooManyHoles
	case s.future(p.claims.IssuedAt*1000, now):
		return entry.ReasonFuture
	case !p.plain():
		return entry.ReasonBadPayload
	}
	return ""
}

// judgePartyEnd lets a party end its own key, and enough oracles any.
func (s *State) judgePartyEnd(p *plan, a *party) entry.Reason {
	switch {
	case p.oracle < 0 && p.party != a:
		return entry.ReasonNotAuthorised
	case a.Revoked != 0:
		return entry.ReasonAlreadyKnown
	}
	p.party = a
	if p.oracle >= 0 {
		return s.judgeApproval(p)
	}
	return ""
}

// endParty ends a party's key, if enough oracles have stated it or it has itself.
func (s *State) endParty(p *plan, leaf uint64) [][]byte {
	effective, out := s.approve(p, p.party.Name)
	if effective {
		p.party.Revoked = leaf
		s.touch(p.party)
		if p.party.Role == RoleMember {
			s.leave(p.party.Name)
		}
	}
	return out
}

// PartyInfo is what the ledger knows of a party's key.
type PartyInfo struct {
	Public   signer.PublicKey
	Role     string
	Name     string
	Enrolled uint64 // leaf index of the admission
	Revoked  uint64 // leaf index of the revocation, 0 for none
}

// Party returns the key of a party with the given id.
func (s *State) Party(id signer.KeyID) (PartyInfo, bool) {
	a, ok := s.parties[id]
	if !ok {
		return PartyInfo{}, false
	}
	return PartyInfo{a.public, a.Role, a.Name, a.Enrolled, a.Revoked}, true
}

// Parties returns the keys of all parties in order of their admission.
func (s *State) Parties() []PartyInfo {
	out := make([]PartyInfo, 0, len(s.parties))
	for _, id := range slices.SortedFunc(maps.Keys(s.parties), compareKeyIDs) {
		info, _ := s.Party(id)
		out = append(out, info)
	}
	slices.SortStableFunc(out, func(a, b PartyInfo) int { return compare(a.Enrolled, b.Enrolled) })
	return out
}

// NextCount returns the number with which a party goes on in a boot: one above the
// highest that it has used.
func (s *State) NextCount(id signer.KeyID, boot uint64) uint64 {
	r := s.seen[seenID{id, boot}]
	if r == nil || len(r.Used) == 0 {
		return 1
	}
	return r.Used[len(r.Used)-1].Last + 1
}
