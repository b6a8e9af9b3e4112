package state

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// member is a member of a zone's market, as its newest admission has it.
type member struct {
	Member    string        `cbor:"1,keyasint"`
	Zone      string        `cbor:"2,keyasint"`
	Power     int64         `cbor:"3,keyasint"`
	Renewable bool          `cbor:"4,keyasint"`
	Metered   []metered     `cbor:"5,keyasint"` // by subject, then by time
	Admitted  uint64        `cbor:"6,keyasint"` // leaf of the newest admission
	From      unit.Interval `cbor:"7,keyasint"` // the first that it takes part in
	Until     unit.Interval `cbor:"8,keyasint"` // the first that it does not any more, 0 for none
}

// metered is a metering point that settles a member for a time.
type metered struct {
	Subject string        `cbor:"1,keyasint"`
	Import  string        `cbor:"2,keyasint"`
	Export  string        `cbor:"3,keyasint,omitempty"`
	From    unit.Interval `cbor:"4,keyasint"`
	Until   unit.Interval `cbor:"5,keyasint,omitempty"` // 0 for one that is the member's now
}

func (c *metered) during(i unit.Interval) bool { return c.From <= i && (c.Until == 0 || i < c.Until) }

func (m *member) storeKey() string { return "u" + m.Member }

// connection is where a metering point's registers go.
type connection struct {
	member *member
	index  int // in Metered
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
	from := s.nextInterval()
	for i := range r.Connections {
		if c, ok := s.connections[r.Connections[i].Subject]; ok {
			s.disconnect(c, from)
		}
	}
	m := s.members[r.Member]
	if m == nil {
		m = &member{Member: r.Member}
		s.members[m.Member] = m
	}
	for i := range m.Metered { // what it had and does not name any more
		if c := &m.Metered[i]; c.Until == 0 {
			s.disconnect(connection{m, i}, from)
		}
	}
	m.Zone, m.Power, m.Renewable, m.Admitted, m.From, m.Until = r.Zone, r.Power, r.Renewable, leaf, from, 0
	for _, c := range r.Connections {
		m.Metered = append(m.Metered, metered{Subject: c.Subject, Import: c.Import, Export: c.Export, From: from})
	}
	slices.SortStableFunc(m.Metered, func(a, b metered) int { return strings.Compare(a.Subject, b.Subject) })
	s.connect(m)
	s.touch(m)
}

// nextInterval is the first interval that begins at or behind the block's time.
func (s *State) nextInterval() unit.Interval {
	at, err := unit.IntervalAt((s.meta.Time + 999) / 1000)
	if err != nil {
		return unit.LastInterval
	}
	if at.StartMilli() < s.meta.Time {
		if at, err = at.Plus(1); err != nil {
			return unit.LastInterval
		}
	}
	return at
}

// disconnect ends a metering point's part in a member.
func (s *State) disconnect(c connection, until unit.Interval) {
	c.member.Metered[c.index].Until = until
	delete(s.connections, c.member.Metered[c.index].Subject)
	s.touch(c.member)
}

func (s *State) connect(m *member) {
	for i := range m.Metered {
		if m.Metered[i].Until == 0 {
			s.connections[m.Metered[i].Subject] = connection{m, i}
		}
	}
}

// leave ends a member's part in its zone: its key has ended.
func (s *State) leave(id string) {
	if m := s.members[id]; m != nil {
		m.Until = s.nextInterval()
		s.touch(m)
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
		for i := range m.Metered {
			subject := m.Metered[i].Subject
			if s.points[subject] == nil {
				return fmt.Errorf("member %q is metered by %q, which is not enrolled", id, subject)
			}
			if c, ok := s.connections[subject]; ok && m.Metered[i].Until == 0 {
				return fmt.Errorf("metering point %q is of the members %q and %q", subject, c.member.Member, id)
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
	var now []entry.Connection
	for i := range m.Metered {
		if c := &m.Metered[i]; c.Until == 0 {
			now = append(now, entry.Connection{Subject: c.Subject, Import: c.Import, Export: c.Export})
		}
	}
	return MemberInfo{m.Member, m.Zone, m.Power, m.Renewable, now, a.public, m.Admitted, a.Revoked}, true
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
