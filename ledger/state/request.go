package state

import (
	"errors"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Request is a wish for an enrolment that was signed by the key it is for.
type Request struct {
	*entry.EnrolmentRequest
	Public   signer.PublicKey
	IssuedAt int64 // Unix seconds UTC
	// Rotation is the statement of the key that is replaced, nil where there is none. Its
	// signature is not verified yet: see Consented.
	Rotation *signer.Message
}

var (
	// ErrRequest is wrapped by every error of OpenRequest.
	ErrRequest = errors.New("not a request that proves possession of its key")
	// ErrLedger is wrapped where a request is for another ledger.
	ErrLedger = errors.New("it is for another ledger")
)

// OpenRequest reads what a proven enrolment carries, the statement of a request or of
// a rotation around one, for the ledger with the given origin. It verifies the
// request's signature under the key that it names.
func OpenRequest(carried []byte, origin string) (*Request, error) {
	if len(carried) > entry.MaxRequest {
		return nil, fmt.Errorf("%w: %d bytes, over the limit of %d", ErrRequest, len(carried), entry.MaxRequest)
	}
	m, err := signer.Parse(carried)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	r := &Request{}
	if m.Type == entry.TypeRotation {
		if _, err := plainClaims(m, origin); err != nil {
			return nil, fmt.Errorf("%w: rotation: %w", ErrRequest, err)
		}
		rotation, err := entry.ParseRotation(m.Payload)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
		r.Rotation = m
		if m, err = signer.Parse(rotation.Request); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
	}
	if err := r.open(m, origin); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return r, nil
}

func (r *Request) open(m *signer.Message, origin string) error {
	if m.Type != entry.TypeRequest {
		return fmt.Errorf("a statement of type %q", m.Type)
	}
	c, err := plainClaims(m, origin)
	if err != nil {
		return err
	}
	if r.EnrolmentRequest, err = entry.ParseEnrolmentRequest(m.Payload); err != nil {
		return err
	}
	if r.Public, err = signer.NewPublicKey(signer.Algorithm(r.Algorithm), r.Key); err != nil {
		return err
	}
	if _, err := signer.Verify(m, r.Public); err != nil {
		return err
	}
	switch {
	case len(r.Replaces) == 0 && r.Rotation != nil:
		return errors.New("a rotation around a request that replaces no key")
	case len(r.Replaces) > 0 && (r.Rotation == nil || r.Rotation.KeyID != signer.KeyID(r.Replaces)):
		return fmt.Errorf("it replaces key %x, which has not signed it", r.Replaces)
	}
	r.IssuedAt = c.IssuedAt
	return nil
}

// Consented verifies that the key that is replaced has signed the rotation.
func (r *Request) Consented(old signer.PublicKey) error {
	if r.Rotation == nil {
		return fmt.Errorf("%w: no rotation", ErrRequest)
	}
	if _, err := signer.Verify(r.Rotation, old); err != nil {
		return fmt.Errorf("%w: rotation: %w", ErrRequest, err)
	}
	return nil
}

// plainClaims reads the claims of a statement that is carried in another one and has
// no number: who, for which ledger, when.
func plainClaims(m *signer.Message, origin string) (*entry.Claims, error) {
	if m.ContentType != entry.ContentCBOR {
		return nil, fmt.Errorf("content type %q", m.ContentType)
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return nil, err
	}
	if c.Audience != origin {
		return nil, fmt.Errorf("%w: %q", ErrLedger, c.Audience)
	}
	if c.Subject != "" || c.Uptime != 0 || c.Sequence != (entry.Sequence{}) || c.Previous != nil || c.Time != nil || c.Skipped != nil {
		return nil, errors.New("it has claims besides issuer, ledger and time")
	}
	return &c, nil
}

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
	r, err := OpenRequest(e.Request, s.charter.Origin)
	switch {
	case errors.Is(err, ErrLedger):
		return entry.ReasonWrongLedger
	case err != nil:
		return entry.ReasonBadPayload
	}
	p.enrolment, p.newKey, p.proven = r.Enrolment(), r.Public, true
	if r.Rotation != nil {
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

func (s *State) judgeRotation(p *plan, r *Request) entry.Reason {
	old, ok := s.keys[signer.KeyID(r.Replaces)]
	switch {
	case !ok || old.since > s.meta.Height:
		return entry.ReasonUnknownKey
	case old.Revoked != 0:
		return entry.ReasonRevokedKey
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
