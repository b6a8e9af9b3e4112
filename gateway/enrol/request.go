package enrol

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"wattmark/ledger/entry"
	"wattmark/ledger/request"
	"wattmark/signer"
)

// Request is a request whose signature was verified under the key that it names.
// Whether the key that it replaces is the gateway's is for the ledger to say.
type Request struct {
	*request.Request
	// Carried is what an oracle states again: the request's statement, or the
	// rotation's around it.
	Carried []byte
	Origin  string    // of the ledger that it is for
	Time    time.Time // when it was signed, by the gateway's clock
}

// ErrRequest is wrapped where a request is not one, or proves nothing.
var ErrRequest = errors.New("no enrolment request")

// NewRequest has key ask for its enrolment on the ledger of the given origin. It
// fills the key in.
func NewRequest(key signer.Signer, origin string, now time.Time, ask entry.EnrolmentRequest) (*Request, error) {
	if len(ask.Replaces) > 0 {
		return nil, errors.New("a request that replaces a key is made by NewRotation")
	}
	if ask.Devices == nil {
		ask.Devices = []entry.RequestDevice{}
	}
	b, err := request.Sign(key, ask, origin, now.Unix())
	if err != nil {
		return nil, err
	}
	return ParseRequest(b)
}

// NewRotation has key ask to be put into the place of old, which consents. The
// metering points stay as they are registered.
func NewRotation(key, old signer.Signer, origin string, now time.Time, ask entry.EnrolmentRequest) (*Request, error) {
	id := old.Public().ID()
	if key.Public().ID() == id {
		return nil, fmt.Errorf("key %v cannot replace itself", id)
	}
	ask.Replaces, ask.Points = id[:], []entry.Point{}
	if ask.Devices == nil {
		ask.Devices = []entry.RequestDevice{}
	}
	inner, err := request.Sign(key, ask, origin, now.Unix())
	if err != nil {
		return nil, err
	}
	b, err := request.Rotate(old, inner, ask.Gateway, origin, now.Unix())
	if err != nil {
		return nil, err
	}
	return ParseRequest(b)
}

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
	m, err := signer.Parse(r.Carried)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	claims, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	r.Origin = claims.Audience
	if r.Request, err = request.Open(r.Carried, r.Origin); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	r.Time = time.Unix(r.IssuedAt, 0).UTC()
	return r, nil
}
