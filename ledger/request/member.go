package request

import (
	"errors"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Member is a wish to be admitted as a member that was signed by the key it is for.
type Member struct {
	entry.MemberRequest
	Public   signer.PublicKey
	IssuedAt int64 // Unix seconds UTC
}

// OpenMember reads the statement of a member's request for the ledger with the given
// origin, and verifies it under the key that it names.
func OpenMember(statement []byte, origin string) (*Member, error) {
	if len(statement) > entry.MaxRequest {
		return nil, fmt.Errorf("%w: %d bytes, over the limit of %d", ErrRequest, len(statement), entry.MaxRequest)
	}
	m := &Member{}
	if err := m.read(statement, origin); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return m, nil
}

func (r *Member) read(statement []byte, origin string) error {
	m, err := signer.Parse(statement)
	if err != nil {
		return err
	}
	if m.Type != entry.TypeMemberRequest {
		return fmt.Errorf("a statement of type %q", m.Type)
	}
	if m.Hidden() {
		return errors.New("its payload is hidden")
	}
	if r.IssuedAt, err = readClaims(m, origin); err != nil {
		return err
	}
	said, err := entry.ParseMemberRequest(m.Payload)
	if err != nil {
		return err
	}
	r.MemberRequest = *said
	if r.Public, err = signer.NewPublicKey(signer.Algorithm(r.Algorithm), r.Key); err != nil {
		return err
	}
	_, err = signer.Verify(m, r.Public)
	return err
}

// SignMember signs a member's request with the key that it is for, for the ledger with
// the given origin, at a time in Unix seconds. It sets Algorithm and Key.
func SignMember(key signer.Signer, r entry.MemberRequest, origin string, seconds int64) ([]byte, error) {
	r.Algorithm, r.Key = int(key.Public().Algorithm()), key.Public().Bytes()
	payload, err := r.Encode()
	if err != nil {
		return nil, err
	}
	c := entry.Claims{Issuer: "urn:wattmark:member:" + r.Member, Audience: origin, IssuedAt: seconds}
	claims, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return signer.Sign(key, signer.Header{Type: entry.TypeMemberRequest, ContentType: entry.ContentCBOR, Claims: claims}, payload)
}
