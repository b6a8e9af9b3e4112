package audit

import (
	"errors"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
)

// KeyChange is what a statement says of gateways' keys: that one begins, that one
// ends, or in a rotation both. Whether it has that effect is for the rules.
type KeyChange struct {
	Begins  signer.PublicKey // zero for none
	Gateway string           // of the key that begins
	Points  []entry.Point    // of it; none in a rotation, which changes none
	// Proven: the key that begins has signed for itself.
	Proven bool
	Ends   signer.KeyID // zero for none
	Reason string       // why a revocation ends it
}

// readParty reads the key of a party that a statement admits, of any role.
func readParty(m *signer.Message) (signer.PublicKey, error) {
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return signer.PublicKey{}, err
	}
	switch m.Type {
	case entry.TypeMember:
		e, err := entry.ParseMember(m.Payload)
		if err != nil {
			return signer.PublicKey{}, err
		}
		r, err := request.OpenMember(e.Request, c.Audience)
		if err != nil {
			return signer.PublicKey{}, err
		}
		return r.Public, nil
	case entry.TypeAppointment:
		e, err := entry.ParseCarbon(m.Type, m.Payload)
		if err != nil {
			return signer.PublicKey{}, err
		}
		r, err := request.OpenParty(e.(*entry.Appointment).Request, c.Audience)
		if err != nil {
			return signer.PublicKey{}, err
		}
		return r.Public, nil
	}
	return signer.PublicKey{}, ErrNoChange
}

// ErrNoChange is returned for statements that are of no type that changes keys.
var ErrNoChange = errors.New("not a statement about keys")

// ReadKeyChange reads an enrolment, proven or not, or a revocation. It verifies the
// signature by which a key proves itself, and no other.
func ReadKeyChange(m *signer.Message) (*KeyChange, error) {
	switch m.Type {
	case entry.TypeEnrolment:
		n, err := entry.ParseEnrolment(m.Payload)
		if err != nil {
			return nil, err
		}
		k, err := signer.NewPublicKey(signer.Algorithm(n.Algorithm), n.Key)
		if err != nil {
			return nil, err
		}
		return &KeyChange{Begins: k, Gateway: n.Gateway, Points: n.Points}, nil
	case entry.TypeProvenEnrolment:
		r, err := openedRequest(m)
		if err != nil {
			return nil, err
		}
		c := &KeyChange{Begins: r.Public, Gateway: r.Gateway, Points: r.Points, Proven: true}
		if r.Rotation {
			c.Ends = signer.KeyID(r.Replaces)
		}
		return c, nil
	case entry.TypeRevocation:
		v, err := entry.ParseRevocation(m.Payload)
		if err != nil {
			return nil, err
		}
		return &KeyChange{Ends: signer.KeyID(v.KeyID), Reason: v.Reason}, nil
	}
	return nil, ErrNoChange
}

// openedRequest opens what a proven enrolment carries, for the ledger that the
// enrolment itself is for.
func openedRequest(m *signer.Message) (*request.Request, error) {
	n, err := entry.ParseProvenEnrolment(m.Payload)
	if err != nil {
		return nil, err
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return nil, err
	}
	return request.Open(n.Request, c.Audience)
}

// concerns reports whether it is about the key with the given id.
func (c *KeyChange) concerns(id signer.KeyID) bool {
	return c.Ends == id || !c.Begins.IsZero() && c.Begins.ID() == id
}
