// Package request reads and signs the wishes of keys to be enrolled: statements in
// which a key asks for itself, and rotations, in which the key of the same gateway
// that is to end agrees. Their bytes are in ledger/entry/FORMAT.md section 6.
//
// A [Request] exists where its signature verified under the very key that it is for,
// and so proves that somebody holds the private part. Whether the ledger takes it is
// for the rules (ledger/state), and whether it is wanted for the operator who has an
// oracle state it.
//
// A [Conflict] is the other thing that statements carry inside: two of one key, verified,
// that no honest holder signs both.
//
// The package is pure: no clock, files, randomness or floats.
package request

import (
	"errors"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Request is a wish for an enrolment that was signed by the key it is for.
type Request struct {
	entry.EnrolmentRequest
	Public   signer.PublicKey
	IssuedAt int64 // Unix seconds UTC
	// Rotation: the statement around it names the key that it replaces, and whoever
	// knows that key asks Consented.
	Rotation bool

	outer *signer.Message // of the rotation
}

var (
	// ErrRequest is wrapped by every error of Open and Consented.
	ErrRequest = errors.New("not a request that proves possession of its key")
	// ErrLedger is wrapped where a request is for another ledger.
	ErrLedger = errors.New("it is for another ledger")
)

// Open reads the statement of a request, or of a rotation around one, for the ledger
// with the given origin. It verifies the request's signature under the key that it
// names, and not the rotation's.
func Open(statement []byte, origin string) (*Request, error) {
	if len(statement) > entry.MaxRequest {
		return nil, fmt.Errorf("%w: %d bytes, over the limit of %d", ErrRequest, len(statement), entry.MaxRequest)
	}
	r := &Request{}
	if err := r.read(statement, origin); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return r, nil
}

func (r *Request) read(statement []byte, origin string) error {
	m, err := signer.Parse(statement)
	if err != nil {
		return err
	}
	if m.Type == entry.TypeRotation {
		if _, err := readClaims(m, origin); err != nil {
			return fmt.Errorf("rotation: %w", err)
		}
		rotation, err := entry.ParseRotation(m.Payload)
		if err != nil {
			return err
		}
		r.Rotation, r.outer = true, m
		if m, err = signer.Parse(rotation.Request); err != nil {
			return err
		}
	}
	if m.Type != entry.TypeRequest {
		return fmt.Errorf("a statement of type %q", m.Type)
	}
	if r.IssuedAt, err = readClaims(m, origin); err != nil {
		return err
	}
	said, err := entry.ParseEnrolmentRequest(m.Payload)
	if err != nil {
		return err
	}
	r.EnrolmentRequest = *said
	if r.Public, err = signer.NewPublicKey(signer.Algorithm(r.Algorithm), r.Key); err != nil {
		return err
	}
	if _, err := signer.Verify(m, r.Public); err != nil {
		return err
	}
	switch {
	case len(r.Replaces) == 0 && r.Rotation:
		return errors.New("a rotation around a request that replaces no key")
	case len(r.Replaces) > 0 && (!r.Rotation || r.outer.KeyID != signer.KeyID(r.Replaces)):
		return fmt.Errorf("it replaces key %x, which has not signed it", r.Replaces)
	}
	return nil
}

// Consented verifies that old, the key that is replaced, has signed the rotation.
func (r *Request) Consented(old signer.PublicKey) error {
	if !r.Rotation {
		return fmt.Errorf("%w: no rotation", ErrRequest)
	}
	if _, err := signer.Verify(r.outer, old); err != nil {
		return fmt.Errorf("%w: rotation: %w", ErrRequest, err)
	}
	return nil
}

// readClaims reads the claims of a request or a rotation, which is no entry by itself
// and has no number: who, for which ledger, when. It returns when.
func readClaims(m *signer.Message, origin string) (int64, error) {
	if m.ContentType != entry.ContentCBOR {
		return 0, fmt.Errorf("content type %q", m.ContentType)
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return 0, err
	}
	if c.Audience != origin {
		return 0, fmt.Errorf("%w: %q", ErrLedger, c.Audience)
	}
	if c.Subject != "" || c.Uptime != 0 || c.Sequence != (entry.Sequence{}) || c.Previous != nil || c.Time != nil || c.Skipped != nil {
		return 0, errors.New("it has claims besides issuer, ledger and time")
	}
	return c.IssuedAt, nil
}

// Sign signs a request with the key that it is for, for the ledger with the given
// origin, at a time in Unix seconds. It sets Algorithm and Key.
func Sign(key signer.Signer, r entry.EnrolmentRequest, origin string, seconds int64) ([]byte, error) {
	r.Algorithm, r.Key = int(key.Public().Algorithm()), key.Public().Bytes()
	payload, err := r.Encode()
	if err != nil {
		return nil, err
	}
	return sign(key, entry.TypeRequest, payload, r.Gateway, origin, seconds)
}

// Rotate signs the rotation in which old, the key that ends, agrees to a request that
// Sign has made with Replaces set to its id.
func Rotate(old signer.Signer, request []byte, gateway, origin string, seconds int64) ([]byte, error) {
	rotation := entry.Rotation{Request: request}
	payload, err := rotation.Encode()
	if err != nil {
		return nil, err
	}
	return sign(old, entry.TypeRotation, payload, gateway, origin, seconds)
}

func sign(key signer.Signer, typ string, payload []byte, gateway, origin string, seconds int64) ([]byte, error) {
	c := entry.Claims{Issuer: "urn:wattmark:gateway:" + gateway, Audience: origin, IssuedAt: seconds}
	claims, err := c.Encode()
	if err != nil {
		return nil, err
	}
	b, err := signer.Sign(key, signer.Header{Type: typ, ContentType: entry.ContentCBOR, Claims: claims}, payload)
	if err == nil && len(b) > entry.MaxRequest {
		return nil, fmt.Errorf("a request of %d bytes, over the limit of %d: enrol fewer channels", len(b), entry.MaxRequest)
	}
	return b, err
}
