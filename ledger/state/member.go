package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
)

// member is a member of a zone's market, as its newest admission has it.
type member struct {
	Member      string             `cbor:"1,keyasint"`
	Zone        string             `cbor:"2,keyasint"`
	Power       int64              `cbor:"3,keyasint"`
	Renewable   bool               `cbor:"4,keyasint"`
	Connections []entry.Connection `cbor:"5,keyasint"`
	Admitted    uint64             `cbor:"6,keyasint"` // leaf of the newest admission
}

func (m *member) storeKey() string { return "u" + m.Member }

// connection is where a metering point's registers go.
type connection struct {
	member *member
	index  int // in the member's connections
}

// judgeMember lets one oracle admit a member that is new in all it has: its id, its
// key, its metering points. What another had takes as many oracles as change a rule,
// and no key of it may be alive.
func (s *State) judgeMember(p *plan) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	e, err := entry.ParseMember(p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	r, err := request.OpenMember(e.Request, s.charter.Origin)
	switch {
	case errors.Is(err, request.ErrLedger):
		return entry.ReasonWrongLedger
	case err != nil:
		return entry.ReasonBadPayload
	}
	if reason := s.judgeNewKey(r.Public.ID()); reason != "" {
		return reason
	}
	for i := range r.Connections {
		if reason := s.judgeConnection(&r.Connections[i]); reason != "" {
			return reason
		}
	}
	p.member, p.newKey = r, r.Public
	old := s.partyNow(RoleMember, r.Member)
	if old != nil && old.Revoked == 0 {
		return entry.ReasonAlreadyKnown
	}
	had := old != nil
	for i := range r.Connections {
		if c, ok := s.connections[r.Connections[i].Subject]; ok {
			had = true
			if c.member.Member != r.Member && s.partyNow(RoleMember, c.member.Member).Revoked == 0 {
				return entry.ReasonAlreadyKnown
			}
		}
	}
	if had {
		return s.judgeApproval(p)
	}
	return ""
}

// judgeConnection wants registers in Wh of a metering point that is enrolled.
func (s *State) judgeConnection(c *entry.Connection) entry.Reason {
	pt := s.points[c.Subject]
	if pt == nil {
		return entry.ReasonUnknownPoint
	}
	for _, name := range []string{c.Import, c.Export} {
		if name == "" {
			continue
		}
		sr, _ := pt.find(name, 0)
		if sr == nil || sr.Channel.Kind != entry.KindCounter || sr.Channel.Unit != "Wh" {
			return entry.ReasonUnknownChannel
		}
	}
	return ""
}

// admitMember carries out an admission that takes effect. Metering points go over from
// whoever had them.
func (s *State) admitMember(p *plan, leaf uint64) {
	r := p.member
	s.admitParty(RoleMember, r.Member, p.newKey, leaf)
	for i := range r.Connections {
		if c, ok := s.connections[r.Connections[i].Subject]; ok && c.member.Member != r.Member {
			s.disconnect(c)
		}
	}
	if old := s.members[r.Member]; old != nil {
		for i := range old.Connections {
			delete(s.connections, old.Connections[i].Subject)
		}
	}
	m := &member{Member: r.Member, Zone: r.Zone, Power: r.Power, Renewable: r.Renewable, Connections: r.Connections, Admitted: leaf}
	s.members[m.Member] = m
	s.connect(m)
	s.touch(m)
}

// disconnect takes a metering point away from the member that had it.
func (s *State) disconnect(c connection) {
	m := *c.member
	subject := m.Connections[c.index].Subject
	m.Connections = slices.Delete(slices.Clone(m.Connections), c.index, c.index+1)
	delete(s.connections, subject)
	s.members[m.Member] = &m
	s.connect(&m)
	s.touch(&m)
}

func (s *State) connect(m *member) {
	for i := range m.Connections {
		s.connections[m.Connections[i].Subject] = connection{m, i}
	}
}

func (s *State) loadMember(v []byte) error {
	var m member
	if err := decMode.Unmarshal(v, &m); err != nil {
		return err
	}
	s.members[m.Member] = &m
	return nil
}

// checkMembers checks what the rules rely on between the records of members, and finds
// out again which metering point is whose.
func (s *State) checkMembers() error {
	for _, id := range slices.Sorted(maps.Keys(s.members)) {
		m := s.members[id]
		if s.partyNow(RoleMember, id) == nil {
			return fmt.Errorf("member %q has no key", id)
		}
		for i := range m.Connections {
			subject := m.Connections[i].Subject
			if c, ok := s.connections[subject]; ok {
				return fmt.Errorf("metering point %q is of the members %q and %q", subject, c.member.Member, id)
			}
			if s.judgeConnection(&m.Connections[i]) != "" {
				return fmt.Errorf("member %q is metered by %q, which is not enrolled so", id, subject)
			}
		}
		s.connect(m)
	}
	return nil
}

// MemberInfo is what the ledger knows of a member.
type MemberInfo struct {
	Member      string
	Zone        string
	Power       int64 // W
	Renewable   bool
	Connections []entry.Connection
	Key         signer.PublicKey // the newest
	Admitted    uint64           // leaf index of the newest admission
	Revoked     uint64           // leaf index of the end of the key, 0 for none
}

// Member returns a member by its id.
func (s *State) Member(id string) (MemberInfo, bool) {
	m := s.members[id]
	if m == nil {
		return MemberInfo{}, false
	}
	a := s.partyNow(RoleMember, id)
	return MemberInfo{m.Member, m.Zone, m.Power, m.Renewable, m.Connections, a.public, m.Admitted, a.Revoked}, true
}

// Members returns all members by id as bytes.
func (s *State) Members() []MemberInfo {
	out := make([]MemberInfo, 0, len(s.members))
	for _, id := range slices.Sorted(maps.Keys(s.members)) {
		info, _ := s.Member(id)
		out = append(out, info)
	}
	return out
}
