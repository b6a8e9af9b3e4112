package state

import (
	"slices"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
)

// plan is a statement that has been read and will be judged and applied.
type plan struct {
	opened signer.Opened
	kind   string
	claims *entry.Claims
	oracle int    // position of the signing oracle, -1 for a gateway
	key    *key   // the signing gateway's key; for a revocation or rotation the key that ends
	party  *party // the signing party's key; for a revocation the key that ends
	done   bool

	clock       *entry.Clock
	enrolment   *entry.Enrolment
	newKey      signer.PublicKey
	proven      bool // the new key has signed for itself
	vote        *entry.Vote
	motion      *motion // that the oracle agrees to
	proof       *proof  // of what a key has done
	point       *point
	pack        *entry.Pack
	calibration *entry.Calibration
	member      *request.Member
	preimage    []byte // of a committed pack
	order       *entry.Order
	seal        *storedSeal // that is made or opened
	standing    *entry.Standing
	dispute     *entry.Dispute
	appointment *request.Party
	factors     *entry.FactorPack
	effect      effect // of an entry of carbon accounting
	fault       string // the field at fault, of an entry of the market
	release     *entry.Release
	opaque      bool
	governed    bool     // takes effect when enough oracles have stated the same
	shared      [32]byte // what they have in common: the SHA-256 of the payload
}

// prepare reads what every statement has: who signed it, for which ledger.
func (s *State) prepare(in *Input) (plan, entry.Reason) {
	if in.Refused != "" {
		return plan{}, in.Refused
	}
	m := in.Opened.Message()
	p := plan{opened: in.Opened, kind: m.Type, oracle: -1}
	if in.tooLarge() {
		return p, entry.ReasonTooLarge
	}
	id := in.Opened.Key().ID()
	if i, ok := s.oracles[id]; ok {
		p.oracle = i
	} else if _, ok := s.past[id]; ok {
		return p, entry.ReasonRevokedKey
	} else if a, ok := s.parties[id]; ok && a.since <= s.meta.Height {
		if a.Revoked != 0 {
			return p, entry.ReasonRevokedKey
		}
		p.party = a
	} else if k, ok := s.keys[id]; !ok || k.since > s.meta.Height {
		return p, entry.ReasonUnknownKey
	} else if k.Revoked != 0 {
		return p, entry.ReasonRevokedKey
	} else {
		p.key = k
	}
	in.Read()
	if in.claims == nil {
		return p, entry.ReasonMalformed
	}
	p.claims = in.claims
	if p.claims.Audience != s.charter.Origin {
		return p, entry.ReasonWrongLedger
	}
	if s.Quarantined(id) {
		return p, entry.ReasonQuarantinedKey
	}
	if p.kind == entry.TypeClock {
		return p, s.prepareClock(&p)
	}
	return p, ""
}

// plain reports whether a statement's payload is of the one content type that
// everything but a reading has.
func (p *plan) plain() bool { return p.opened.Message().ContentType == entry.ContentCBOR }

func (s *State) prepareClock(p *plan) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	c, err := entry.ParseClock(p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	p.clock = c
	return ""
}

// judgeClock accepts an oracle's first clock for this block, and any for it or an
// earlier one that is ahead of its last: some come when their block is closed
// already, under load many blocks later. spoken are the clocks heard for this
// height.
//
// The first counts whatever it says, since the block was closed for it: were one
// that stands still refused, a liar could have a block closed with a clock less
// than a quorum.
func (s *State) judgeClock(p *plan, spoken spokenClocks) entry.Reason {
	switch {
	case p.clock.Height > s.meta.Height:
		return entry.ReasonWrongHeight
	case p.clock.Time > s.meta.Clocks[p.oracle]:
		return ""
	case p.clock.Height == s.meta.Height && !spoken.has(p.oracle):
		return ""
	}
	return entry.ReasonAlreadyKnown
}

// Judge says whether the statement would be accepted into the next block at
// time now, in Unix milliseconds, or why not. It changes nothing in the state:
// ingest asks before it puts a statement into the order.
func (s *State) Judge(in *Input, now int64) entry.Reason {
	p, reason := s.prepare(in)
	if reason != "" {
		return reason
	}
	if p.kind == entry.TypeClock {
		return s.judgeClock(&p, nil)
	}
	return s.judge(&p, in, now, false)
}

func (s *State) judge(p *plan, in *Input, now int64, replay bool) entry.Reason {
	switch p.kind {
	case entry.TypeReading:
		return s.judgeReading(p, in, now, replay)
	case entry.TypeCalibration:
		return s.judgeCalibration(p, now)
	case entry.TypeClockMap:
		return s.judgeClockMap(p, now)
	case entry.TypeEnrolment:
		return s.judgeEnrolment(p)
	case entry.TypeProvenEnrolment:
		return s.judgeProvenEnrolment(p)
	case entry.TypeRevocation:
		return s.judgeRevocation(p)
	case entry.TypeMember:
		return s.judgeMember(p)
	case entry.TypeOrder:
		return s.judgeOrder(p, now)
	case entry.TypeSealedOrder:
		return s.judgeSeal(p, now)
	case entry.TypeOpenedOrder:
		return s.judgeOpened(p, now)
	case entry.TypeStanding:
		return s.judgeStanding(p, now)
	case entry.TypeDispute:
		return s.judgeDispute(p, now)
	case entry.TypeRelease:
		return s.judgeRelease(p)
	case entry.TypeVote:
		return s.judgeVote(p)
	case entry.TypeMotion:
		return s.judgeMotion(p)
	case entry.TypeConsent:
		return s.judgeConsent(p)
	case entry.TypeConflict:
		return s.judgeConflict(p)
	}
	if entry.IsCarbon(p.kind) {
		return s.judgeCarbon(p, now, replay)
	}
	return entry.ReasonWrongType
}

// judgeGateway judges what everything has that a gateway signs with a number.
func (s *State) judgeGateway(p *plan, now int64) entry.Reason {
	q := p.claims.Sequence
	if p.key == nil {
		return entry.ReasonNotAuthorised
	}
	if q.Count == 0 {
		return entry.ReasonMalformed
	}
	if p.key.Revoked != 0 { // revoked earlier in this very block
		return entry.ReasonRevokedKey
	}
	id := p.opened.Key().ID()
	if s.Used(id, q) {
		return entry.ReasonSequenceUsed
	}
	if s.seen[seenID{id, q.Boot}].full(q.Count) {
		return entry.ReasonTooManyHoles
	}
	if s.future(p.claims.IssuedAt*1000, now) {
		return entry.ReasonFuture
	}
	return ""
}

// future reports whether a time lies further ahead of now than is allowed, both in
// Unix milliseconds.
func (s *State) future(time, now int64) bool {
	return time > now+s.Setting(entry.ParamFutureLimit)*1000
}

// ownPoint takes the metering point that is the statement's subject, if it is
// registered with the key that signed.
func (s *State) ownPoint(p *plan) entry.Reason {
	id := p.opened.Key().ID()
	p.point = s.points[p.claims.Subject]
	if p.point == nil || string(p.point.Key) != string(id[:]) {
		return entry.ReasonUnknownPoint
	}
	if p.point.Forgotten != 0 {
		return entry.ReasonForgotten
	}
	return ""
}

func (s *State) judgeReading(p *plan, in *Input, now int64, replay bool) entry.Reason {
	if reason := s.judgeGateway(p, now); reason != "" {
		return reason
	}
	if reason := s.ownPoint(p); reason != "" {
		return reason
	}
	if p.opened.Message().Hidden() != (p.point.Mode == entry.ModeCommitted) {
		return entry.ReasonWrongMode
	}
	return s.readPack(p, in, replay)
}

// readPack takes the pack that Read has read. A replay without the pack cannot,
// and from there on nothing can be told of the point's plausibility.
func (s *State) readPack(p *plan, in *Input, replay bool) entry.Reason {
	p.opaque = replay && p.point.Opaque
	if replay && in.Pack == nil && p.opened.Message().Hidden() {
		p.opaque = true
		return ""
	}
	if in.packReason != "" {
		return in.packReason
	}
	if in.pack.Base != p.claims.Subject+"/" {
		return entry.ReasonBadPayload
	}
	p.pack, p.preimage = in.pack, in.Pack
	return ""
}

func (s *State) judgeEnrolment(p *plan) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	e, err := entry.ParseEnrolment(p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	k, err := signer.NewPublicKey(signer.Algorithm(e.Algorithm), e.Key)
	if err != nil {
		return entry.ReasonBadPayload
	}
	p.enrolment, p.newKey = e, k
	return s.judgeAdmission(p)
}

// judgeNewKey refuses a key that has another purpose already, or had this one.
func (s *State) judgeNewKey(id signer.KeyID) entry.Reason {
	if _, ok := s.keys[id]; ok {
		return entry.ReasonAlreadyKnown
	}
	if _, ok := s.oracles[id]; ok {
		return entry.ReasonAlreadyKnown
	}
	if _, ok := s.parties[id]; ok {
		return entry.ReasonAlreadyKnown
	}
	if _, ok := s.past[id]; ok || s.sealing[id] || s.reserved(id) {
		return entry.ReasonNotAuthorised
	}
	return ""
}

// judgeAdmission judges an enrolment that says all of itself: it takes no name and no
// metering point from a key that lives.
func (s *State) judgeAdmission(p *plan) entry.Reason {
	if reason := s.judgeNewKey(p.newKey.ID()); reason != "" {
		return reason
	}
	id, had := s.names[p.enrolment.Gateway]
	if had && s.keys[id].Revoked == 0 {
		return entry.ReasonAlreadyKnown
	}
	for _, def := range p.enrolment.Points {
		pt := s.points[def.Subject]
		if pt == nil {
			continue
		}
		had = true
		if pt.Forgotten != 0 {
			return entry.ReasonForgotten
		}
		if s.keys[signer.KeyID(pt.Key)].Revoked == 0 {
			return entry.ReasonAlreadyKnown
		}
		if pt.Mode != def.Mode { // who was promised that packs are hidden keeps the promise
			return entry.ReasonWrongMode
		}
	}
	if had {
		return s.judgeApproval(p)
	}
	return ""
}

// judgeRevocation lets a gateway or a party end its own key, and enough oracles any.
func (s *State) judgeRevocation(p *plan) entry.Reason {
	r, err := entry.ParseRevocation(p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	if a, ok := s.parties[signer.KeyID(r.KeyID)]; ok {
		return s.judgePartyEnd(p, a)
	}
	k, ok := s.keys[signer.KeyID(r.KeyID)]
	switch {
	case !ok:
		return entry.ReasonUnknownKey
	case p.oracle < 0 && p.key != k:
		return entry.ReasonNotAuthorised
	case k.Revoked != 0:
		return entry.ReasonAlreadyKnown
	}
	p.key = k
	if p.oracle >= 0 {
		return s.judgeApproval(p)
	}
	return ""
}

// maxProposals bounds the proposals of each oracle that wait for votes or their
// height: one of them alone cannot keep the others from proposing.
const maxProposals = 16

func (s *State) judgeVote(p *plan) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	v, err := entry.ParseVote(p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	if !knownParameter(v.Proposal.Parameter) || !allowedValue(v.Proposal.Value) {
		return entry.ReasonUnknownSetting
	}
	if v.Proposal.Height <= s.meta.Height {
		return entry.ReasonWrongHeight
	}
	i := s.findProposal(v.Proposal)
	if i < 0 && s.proposed(p.oracle) >= maxProposals || i >= 0 && slices.Contains(s.meta.Proposals[i].Voters, uint64(p.oracle)) {
		return entry.ReasonAlreadyKnown
	}
	p.vote = v
	return ""
}

// proposed counts the waiting proposals for which the oracle voted first.
func (s *State) proposed(oracle int) (n int) {
	for i := range s.meta.Proposals {
		if s.meta.Proposals[i].Voters[0] == uint64(oracle) {
			n++
		}
	}
	return n
}
