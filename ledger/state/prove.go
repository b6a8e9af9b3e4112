package state

import (
	"errors"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
)

// judgeProvenEnrolment lets an oracle admit a key that has signed for itself: as an
// enrolment, or in place of a key that agrees.
func (s *State) judgeProvenEnrolment(p *plan) entry.Reason {
	if p.oracle < 0 {
		return entry.ReasonNotAuthorised
	}
	e, err := entry.ParseProvenEnrolment(p.opened.Message().Payload)
	if err != nil || !p.plain() {
		return entry.ReasonBadPayload
	}
	r, err := request.Open(e.Request, s.charter.Origin)
	switch {
	case errors.Is(err, request.ErrLedger):
		return entry.ReasonWrongLedger
	case err != nil:
		return entry.ReasonBadPayload
	}
	p.enrolment, p.newKey, p.proven = r.Enrolment(), r.Public, true
	if r.Rotation {
		return s.judgeRotation(p, r)
	}
	for i := range r.Points {
		for k := range r.Points[i].Channels {
			if entry.CheckClaimable(&r.Points[i].Channels[k]) != nil {
				return entry.ReasonNotClaimable
			}
		}
	}
	return s.judgeAdmission(p)
}

func (s *State) judgeRotation(p *plan, r *request.Request) entry.Reason {
	old, ok := s.keys[signer.KeyID(r.Replaces)]
	switch {
	case !ok || old.since > s.meta.Height:
		return entry.ReasonUnknownKey
	case old.Revoked != 0:
		return entry.ReasonRevokedKey
	case s.Quarantined(signer.KeyID(r.Replaces)): // its consent counts no more than the rest
		return entry.ReasonQuarantinedKey
	case old.Gateway != r.Gateway:
		return entry.ReasonNotAuthorised
	case r.Consented(old.public) != nil:
		return entry.ReasonBadPayload
	}
	if reason := s.judgeNewKey(p.newKey.ID()); reason != "" {
		return reason
	}
	p.key = old
	return ""
}
