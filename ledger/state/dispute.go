package state

import (
	"maps"
	"slices"
	"strings"

	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// dispute is a member's objection to an invoiced interval. It freezes the payment of
// that line, and nothing else, until it ends.
type dispute struct {
	Dispute entry.Dispute `cbor:"1,keyasint"`
	Zone    string        `cbor:"2,keyasint"`
	Leaf    uint64        `cbor:"3,keyasint"`
	// Ended is the leaf of the reading or decision that ended it, 0 for an open one.
	Ended uint64 `cbor:"4,keyasint,omitempty"`
	// Decided is what the oracles found, nil where nothing.
	Decided *entry.DecidedEnergy `cbor:"5,keyasint,omitempty"`
	// Read says that a new reading came for the interval.
	Read bool `cbor:"6,keyasint,omitempty"`
}

type disputeID struct {
	member string
	at     unit.Interval
}

// disputeWithin is how long after the invoice a line may be disputed, in milliseconds.
const disputeWithin = 60 * 24 * 3600 * 1000

func (d *dispute) id() disputeID    { return disputeID{d.Dispute.Member, d.Dispute.Interval} }
func (d *dispute) storeKey() string { return spotID{d.Dispute.Member, d.Dispute.Interval}.key("d") }

func compareDisputeIDs(a, b disputeID) int {
	if c := strings.Compare(a.member, b.member); c != 0 {
		return c
	}
	return compareIntervals(a.at, b.at)
}

func (s *State) loadDispute(v []byte) error {
	var d dispute
	if err := decMode.Unmarshal(v, &d); err != nil {
		return err
	}
	s.disputes[d.id()] = &d
	return nil
}

// judgeDispute lets a member dispute a line of its own that was invoiced in the last 60
// days, once.
func (s *State) judgeDispute(p *plan, now int64) entry.Reason {
	if reason := s.judgeParty(p, RoleMember, now); reason != "" {
		return reason
	}
	d, err := entry.ParseDispute(p.opened.Message().Payload)
	if err != nil {
		return entry.ReasonBadPayload
	}
	if d.Member != p.party.Name {
		p.fault = "member"
		return entry.ReasonNotAuthorised
	}
	v := s.intervals[spotID{s.members[d.Member].Zone, d.Interval}]
	p.fault = "interval"
	if v == nil || v.Invoiced == 0 {
		return entry.ReasonUnknownLine
	}
	rows := v.rows()
	if i, ok := findRow(rows, d.Member); !ok || rows[i].Hash != nil {
		return entry.ReasonUnknownLine
	}
	if now > v.Invoiced+disputeWithin {
		return entry.ReasonWrongInterval
	}
	if s.disputes[disputeID{d.Member, d.Interval}] != nil {
		return entry.ReasonAlreadyKnown
	}
	p.dispute, p.fault = d, ""
	return ""
}

func (s *State) openDispute(p *plan, leaf uint64) {
	d := &dispute{Dispute: *p.dispute, Zone: s.members[p.dispute.Member].Zone, Leaf: leaf}
	s.disputes[d.id()] = d
	s.touch(d)
}

// judgeDecision is for motions of the kind MotionDecision: they end an open dispute.
func (s *State) judgeDecision(m *entry.Motion) (string, entry.Reason) {
	e, err := entry.ParseDecision(m.Body)
	if err != nil {
		return "", entry.ReasonBadPayload
	}
	if d := s.disputes[disputeID{e.Member, e.Interval}]; d == nil || d.Ended != 0 {
		return "", entry.ReasonUnknownLine
	}
	return e.Member, ""
}

func (s *State) enactDecision(m *entry.Motion, leaf uint64) {
	e, err := entry.ParseDecision(m.Body)
	must(0, err)
	d := s.disputes[disputeID{e.Member, e.Interval}]
	d.Ended, d.Decided = leaf, e.Energy
	s.touch(d)
}

// answered ends the disputes that a new value of a register bears on.
func (s *State) answered(subject string, at unit.Interval, leaf uint64) {
	if len(s.disputes) == 0 {
		return
	}
	c, ok := s.connections[subject]
	if !ok { // a feeder's
		return
	}
	id := c.member.Member
	for _, i := range [...]unit.Interval{at, at - unit.IntervalSeconds} {
		if d := s.disputes[disputeID{id, i}]; d != nil && d.Ended == 0 {
			d.Ended, d.Read = leaf, true
			s.touch(d)
		}
	}
}

// decided returns what oracles found of a member's interval, nil where nothing.
func (s *State) decided(member string, at unit.Interval) *entry.DecidedEnergy {
	if d := s.disputes[disputeID{member, at}]; d != nil {
		return d.Decided
	}
	return nil
}

// dropDisputes lets go those about an interval that is settled for good.
func (s *State) dropDisputes(v *interval) {
	if len(s.disputes) == 0 {
		return
	}
	for _, id := range slices.SortedFunc(maps.Keys(s.disputes), compareDisputeIDs) {
		if d := s.disputes[id]; d.Zone == v.Zone && id.at == v.At {
			s.erase(d)
			delete(s.disputes, id)
		}
	}
}

// DisputeInfo is a dispute.
type DisputeInfo struct {
	entry.Dispute
	Zone    string
	Leaf    uint64
	Ended   uint64 // leaf of what ended it, 0 for an open one
	Read    bool   // a new reading did
	Decided *entry.DecidedEnergy
}

// Disputes returns all disputes of intervals that are not settled for good, by member and
// interval.
func (s *State) Disputes() []DisputeInfo {
	var out []DisputeInfo
	for _, id := range slices.SortedFunc(maps.Keys(s.disputes), compareDisputeIDs) {
		d := s.disputes[id]
		out = append(out, DisputeInfo{d.Dispute, d.Zone, d.Leaf, d.Ended, d.Read, d.Decided})
	}
	return out
}
