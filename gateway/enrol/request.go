package enrol

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Request is a request whose signature was verified under the key that it names.
type Request struct {
	*entry.EnrolmentRequest
	// Carried is what an oracle states again: the request's statement, or the
	// rotation's around it.
	Carried []byte
	Public  signer.PublicKey
	Origin  string    // of the ledger that it is for
	Time    time.Time // when it was signed, by the gateway's clock
	// Rotation is the statement of the key that is replaced, nil where there is none.
	// Whether that key is the gateway's is for the ledger to say.
	Rotation *signer.Message
}

// ErrRequest is wrapped where a request is not one, or proves nothing.
var ErrRequest = errors.New("no enrolment request")

// NewRequest has key ask for its enrolment on the ledger of the given origin. It
// fills the key in.
func NewRequest(key signer.Signer, origin string, now time.Time, ask entry.EnrolmentRequest) (*Request, error) {
	public := key.Public()
	ask.Algorithm, ask.Key = int(public.Algorithm()), public.Bytes()
	if len(ask.Replaces) > 0 {
		return nil, errors.New("a request that replaces a key is made by NewRotation")
	}
	if ask.Devices == nil {
		ask.Devices = []entry.RequestDevice{}
	}
	b, err := statement(key, origin, now, ask.Gateway, entry.TypeRequest, ask.Encode)
	if err != nil {
		return nil, err
	}
	return ParseRequest(b)
}

// NewRotation has key ask to be put into the place of old, which consents. The
// metering points stay as they are registered.
func NewRotation(key, old signer.Signer, origin string, now time.Time, ask entry.EnrolmentRequest) (*Request, error) {
	public, id := key.Public(), old.Public().ID()
	if public.ID() == id {
		return nil, fmt.Errorf("key %v cannot replace itself", id)
	}
	ask.Algorithm, ask.Key, ask.Replaces, ask.Points = int(public.Algorithm()), public.Bytes(), id[:], []entry.Point{}
	if ask.Devices == nil {
		ask.Devices = []entry.RequestDevice{}
	}
	inner, err := statement(key, origin, now, ask.Gateway, entry.TypeRequest, ask.Encode)
	if err != nil {
		return nil, err
	}
	rotation := entry.Rotation{Request: inner}
	b, err := statement(old, origin, now, ask.Gateway, entry.TypeRotation, rotation.Encode)
	if err != nil {
		return nil, err
	}
	return ParseRequest(b)
}

// statement signs what a request or rotation says.
func statement(key signer.Signer, origin string, now time.Time, gateway, typ string, encode func() ([]byte, error)) ([]byte, error) {
	payload, err := encode()
	if err != nil {
		return nil, err
	}
	claims := entry.Claims{Issuer: issuer(gateway), Audience: origin, IssuedAt: now.Unix()}
	c, err := claims.Encode()
	if err != nil {
		return nil, err
	}
	return signer.Sign(key, signer.Header{Type: typ, ContentType: entry.ContentCBOR, Claims: c}, payload)
}

func issuer(gateway string) string { return "urn:wattmark:gateway:" + gateway }

// ParseRequest reads a request, as the bytes of its statement or as text, and
// verifies that the key it names has signed it.
func ParseRequest(b []byte) (*Request, error) {
	if len(b) > maxText {
		return nil, fmt.Errorf("%w: %d bytes, over the limit of %d", ErrRequest, len(b), maxText)
	}
	if start := bytes.TrimSpace(b); len(start) > 1 && bytes.EqualFold(start[:2], []byte(prefix[:2])) {
		var err error
		if b, err = parseText(start); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRequest, err)
		}
	}
	r := &Request{Carried: bytes.Clone(b)}
	if err := r.open(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return r, nil
}

func (r *Request) open() error {
	if len(r.Carried) > entry.MaxRequest {
		return fmt.Errorf("%d bytes, over the limit of %d", len(r.Carried), entry.MaxRequest)
	}
	m, err := signer.Parse(r.Carried)
	if err != nil {
		return err
	}
	var outer entry.Claims
	if m.Type == entry.TypeRotation {
		if outer, err = plainClaims(m); err != nil {
			return fmt.Errorf("rotation: %w", err)
		}
		rotation, err := entry.ParseRotation(m.Payload)
		if err != nil {
			return err
		}
		r.Rotation = m
		if m, err = signer.Parse(rotation.Request); err != nil {
			return err
		}
	}
	if m.Type != entry.TypeRequest {
		return fmt.Errorf("a statement of type %q", m.Type)
	}
	c, err := plainClaims(m)
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
	case r.Rotation != nil && (outer.Audience != c.Audience || outer.Issuer != c.Issuer):
		return errors.New("the rotation is for another ledger or gateway than its request")
	case c.Issuer != issuer(r.Gateway):
		return fmt.Errorf("it is issued by %q, for the gateway %q", c.Issuer, r.Gateway)
	}
	r.Origin, r.Time = c.Audience, time.Unix(c.IssuedAt, 0).UTC()
	return nil
}

// plainClaims reads the claims of a statement that is carried by another.
func plainClaims(m *signer.Message) (entry.Claims, error) {
	if m.ContentType != entry.ContentCBOR {
		return entry.Claims{}, fmt.Errorf("content type %q", m.ContentType)
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return c, err
	}
	if c.Subject != "" || c.Sequence != (entry.Sequence{}) || c.Previous != nil || c.Skipped != nil || c.Time != nil || c.Uptime != 0 {
		return c, errors.New("it has claims beside issuer, ledger and time")
	}
	return c, nil
}
