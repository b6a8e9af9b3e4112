package state

import (
	"maps"
	"slices"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Result is what a block made of its inputs.
type Result struct {
	// Time is the block's time in Unix milliseconds UTC.
	Time int64
	// Accepted are the positions of accepted inputs: the k-th one is leaf first+k.
	Accepted []int
	// Leaves are the accepted statements and then the outcomes that follow from
	// them; Refusals the outcomes of refused inputs, which come after. Inputs that
	// nobody is known to have written have none (entry.Reason.Logged).
	Leaves   [][]byte
	Refusals [][]byte
	// Reasons has an entry for each input, empty for an accepted one.
	Reasons []entry.Reason
	// Sequences are the sequence numbers used, for the store's index.
	Sequences []SequenceAt
	// Changes are the records that changed, in order of keys.
	Changes []Change
	// Opaque counts readings that could not be judged because their pack was not
	// at hand, or one before it of the same metering point. Only Replay has any.
	Opaque int
	// Forgotten are the metering points that the block closed: their packs, salts and
	// all, must be deleted.
	Forgotten []string
	// Snapshot is the state after the block before, where this block states its digest.
	Snapshot []byte
}

// SequenceAt says at which leaf a key's sequence number was used.
type SequenceAt struct {
	KeyID    signer.KeyID
	Sequence entry.Sequence
	Leaf     uint64
}

// Execute applies the next block, whose first leaf has index first, to inputs
// in the order they have. It changes the state.
//
// Prev is the leaf hash of the last block's header, from which the rules draw. An error
// is a fault of the rules themselves: no block may be made of the result, and the state
// must be thrown away.
func (s *State) Execute(first uint64, prev block.Hash, inputs []Input) (*Result, error) {
	s.prev = prev
	r, _, err := s.execute(first, inputs, false)
	return r, err
}

// execute judges clocks first, since they make the block's time, and then
// everything else by that time. Each statement's effect is all or nothing.
//
// What is due by the calendars of the rules comes before the statements: its outcomes
// are the first of the block. They are returned besides, since of some of them a replay
// can only tell the kind.
func (s *State) execute(first uint64, inputs []Input, replay bool) (*Result, []made, error) {
	r := &Result{Reasons: make([]entry.Reason, len(inputs)), Leaves: make([][]byte, 0, len(inputs))}
	taken, stated := s.snapshot()
	s.enact()
	s.lapse()
	s.lapseMotions()
	plans := make([]plan, len(inputs))
	spoken := make(spokenClocks)
	for i := range inputs {
		plans[i], r.Reasons[i] = s.prepare(&inputs[i])
		if r.Reasons[i] == "" && plans[i].kind == entry.TypeClock {
			if r.Reasons[i] = s.judgeClock(&plans[i], spoken); r.Reasons[i] == "" {
				s.hear(&plans[i], spoken)
			}
		}
	}
	before := s.meta.Time
	s.meta.Time = max(s.meta.Time, s.medianClock(spoken))
	r.Time = s.meta.Time

	due, err := s.due(before)
	if err != nil {
		return nil, nil, err
	}
	due = append(stated, due...)
	outcomes := make([][]byte, len(due))
	for i := range due {
		outcomes[i] = due[i].leaf
	}
	for i := range inputs {
		p := &plans[i]
		if r.Reasons[i] == "" && !p.done {
			r.Reasons[i] = s.judge(p, &inputs[i], s.meta.Time, replay)
		}
		if r.Reasons[i] != "" {
			if r.Reasons[i].Logged() {
				r.Refusals = append(r.Refusals, refusal(&inputs[i], r.Reasons[i], p.fault))
			}
			continue
		}
		inputs[i].opaque = p.opaque
		leaf := first + uint64(len(r.Accepted))
		r.Accepted = append(r.Accepted, i)
		r.Leaves = append(r.Leaves, p.opened.Message().Bytes())
		outcomes = append(outcomes, s.apply(p, leaf, r)...)
	}
	s.meta.Height++
	outcomes = append(outcomes, s.takeEffect()...)
	r.Leaves = append(r.Leaves, outcomes...)
	r.Forgotten, s.forgotten = s.forgotten, nil
	r.Snapshot = taken
	if err := s.closing(); err != nil {
		return nil, nil, err
	}
	r.Changes = s.changes()
	return r, due, nil
}

func refusal(in *Input, reason entry.Reason, fault string) []byte {
	o := entry.Outcome{Kind: entry.OutcomeRefused, Hash: in.Hash, Code: string(reason), Detail: fault}
	if !in.Opened.IsZero() {
		o.Hash = in.Opened.Message().Hash()
	}
	return o.Encode()
}

// spokenClocks are the clocks in a block that are for its own height, by the
// position of their oracle.
type spokenClocks map[int]int64

func (c spokenClocks) has(oracle int) bool {
	_, ok := c[oracle]
	return ok
}

// hear takes an accepted clock.
func (s *State) hear(p *plan, spoken spokenClocks) {
	s.meta.Clocks[p.oracle] = max(s.meta.Clocks[p.oracle], p.clock.Time)
	if p.clock.Height == s.meta.Height {
		spoken[p.oracle] = p.clock.Time
	}
	p.done = true
}

// medianClock returns the lower median of the clocks that were spoken for this
// height, if they are a quorum's, and else of all oracles' last clocks, where
// those that never spoke count with the charter's time. In a quorum of 2f+1 out
// of 3f+1 the median of f liars' and the others' clocks stays within the others';
// clocks of hours ago that oracles had when the ledger was quiet have no part in it.
func (s *State) medianClock(spoken spokenClocks) int64 {
	c := slices.Sorted(maps.Values(spoken))
	if uint64(len(c)) < s.current().Set.Quorum {
		c = c[:0]
		for i, k := range s.current().keys {
			if !s.Quarantined(k.ID()) {
				c = append(c, s.meta.Clocks[i])
			}
		}
		slices.Sort(c)
	}
	return c[(len(c)-1)/2]
}

// enact puts adopted proposals whose height has come into force.
func (s *State) enact() {
	s.meta.Proposals = slices.DeleteFunc(s.meta.Proposals, func(p proposal) bool {
		if p.Proposal.Height > s.meta.Height {
			return false
		}
		if p.Adopted {
			s.set(p.Proposal.Parameter, p.Proposal.Value)
		}
		return true
	})
}

// apply carries out a judged statement and returns its outcomes.
func (s *State) apply(p *plan, leaf uint64, r *Result) [][]byte {
	switch p.kind {
	case entry.TypeReading:
		s.number(p, leaf, r)
		s.noteSkips(p)
		if p.opaque {
			r.Opaque++
			s.missed = true
			if !p.point.Opaque {
				p.point.Opaque = true
				s.touch(p.point)
			}
			return nil
		}
		return s.observe(p, leaf)
	case entry.TypeCalibration:
		s.number(p, leaf, r)
		return s.calibrate(p, leaf)
	case entry.TypeClockMap: // for whoever reads the log: the rules go by block time
		s.number(p, leaf, r)
	case entry.TypeEnrolment, entry.TypeProvenEnrolment:
		if p.key != nil {
			s.rotate(p, leaf)
			return nil
		}
		effective, out := s.approve(p, p.enrolment.Gateway)
		if effective {
			s.enrol(p, leaf)
		}
		return out
	case entry.TypeRevocation:
		if p.party != nil {
			return s.endParty(p, leaf)
		}
		effective, out := s.approve(p, p.key.Gateway)
		if effective {
			p.key.Revoked = leaf
			s.touch(p.key)
		}
		return out
	case entry.TypeMember:
		effective, out := s.approve(p, p.member.Member)
		if effective {
			s.admitMember(p, leaf)
		}
		return out
	case entry.TypeOrder:
		s.number(p, leaf, r)
		s.placeOrder(p)
	case entry.TypeSealedOrder:
		s.number(p, leaf, r)
		s.keepSeal(p.seal)
		s.touch(p.seal)
	case entry.TypeOpenedOrder:
		s.number(p, leaf, r)
		s.openSeal(p)
	case entry.TypeStanding:
		s.number(p, leaf, r)
		s.stand(p)
	case entry.TypeDispute:
		s.number(p, leaf, r)
		s.openDispute(p, leaf)
	case entry.TypeRelease:
		s.publish(p, leaf)
	case entry.TypeVote:
		return s.vote(p)
	case entry.TypeConflict:
		return s.quarantine(p, leaf)
	case entry.TypeMotion, entry.TypeConsent:
		return s.agree(p, leaf)
	}
	if entry.IsCarbon(p.kind) {
		return s.applyCarbon(p, leaf, r)
	}
	return nil
}

// number takes note of a gateway's statement by its sequence number.
func (s *State) number(p *plan, leaf uint64, r *Result) {
	id := p.opened.Key().ID()
	s.use(id, p.claims.Sequence)
	r.Sequences = append(r.Sequences, SequenceAt{id, p.claims.Sequence, leaf})
}

func (s *State) enrol(p *plan, leaf uint64) {
	id := p.newKey.ID()
	k := s.admit(p, leaf)
	for _, def := range p.enrolment.Points {
		pt := s.points[def.Subject]
		if pt == nil {
			pt = &point{Subject: def.Subject}
			s.points[def.Subject] = pt
		}
		pt.Mode, pt.Key, pt.Proven = def.Mode, id[:], p.proven
		pt.Series = mergeSeries(pt.Series, def.Channels)
		k.Points = append(k.Points, def.Subject)
		s.touch(pt)
	}
}

// admit makes the record of a new key, which signs from the next block on.
func (s *State) admit(p *plan, leaf uint64) *key {
	e := p.enrolment
	k := &key{Algorithm: e.Algorithm, Raw: e.Key, Gateway: e.Gateway, Enrolled: leaf, public: p.newKey, since: s.meta.Height + 1}
	s.keys[p.newKey.ID()] = k
	s.names[e.Gateway] = p.newKey.ID()
	s.touch(k)
	return k
}

// rotate ends a key and gives all it had to the new one.
func (s *State) rotate(p *plan, leaf uint64) {
	id := p.newKey.ID()
	k := s.admit(p, leaf)
	k.Points = slices.Clone(p.key.Points)
	for _, subject := range k.Points {
		s.points[subject].Key = id[:]
		s.touch(s.points[subject])
	}
	p.key.Revoked = leaf
	s.touch(p.key)
}

// mergeSeries registers channels, keeping the newest reading of those that were
// there: a register goes on when its gateway gets a new key.
func mergeSeries(old []series, channels []entry.Channel) []series {
	out := make([]series, len(channels))
	for i, c := range channels {
		out[i].Channel = c
		for _, o := range old {
			if o.Channel.Name == c.Name && o.Channel.Unit == c.Unit {
				o.Channel = c
				out[i] = o
			}
		}
	}
	return out
}

func (s *State) vote(p *plan) [][]byte {
	prop := p.vote.Proposal
	i := s.findProposal(prop)
	if i < 0 {
		s.meta.Proposals = append(s.meta.Proposals, proposal{Proposal: prop})
		i = len(s.meta.Proposals) - 1
	}
	v := &s.meta.Proposals[i]
	v.Voters = append(v.Voters, uint64(p.oracle))
	if v.Adopted || uint64(len(v.Voters)) < s.current().Set.Governance {
		return nil
	}
	v.Adopted = true
	o := entry.Outcome{Kind: entry.OutcomeAdopted, Hash: prop.Hash(), Code: entry.AdoptedVote, Detail: prop.Parameter}
	return [][]byte{o.Encode()}
}

func (s *State) findProposal(p entry.Proposal) int {
	return slices.IndexFunc(s.meta.Proposals, func(q proposal) bool { return q.Proposal == p })
}
