package request

import (
	"errors"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Party is a verifier's or a registry's wish to be appointed that was signed by the key
// it is for.
type Party struct {
	entry.PartyRequest
	Public   signer.PublicKey
	IssuedAt int64 // Unix seconds UTC
}

// OpenParty reads the statement of a party's request for the ledger with the given
// origin, and verifies it under the key that it names.
func OpenParty(statement []byte, origin string) (*Party, error) {
	if len(statement) > entry.MaxRequest {
		return nil, fmt.Errorf("%w: %d bytes, over the limit of %d", ErrRequest, len(statement), entry.MaxRequest)
	}
	p := &Party{}
	if err := p.read(statement, origin); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRequest, err)
	}
	return p, nil
}

func (p *Party) read(statement []byte, origin string) error {
	m, err := signer.Parse(statement)
	if err != nil {
		return err
	}
	if m.Type != entry.TypePartyRequest || m.Hidden() {
		return fmt.Errorf("a statement of type %q, or a hidden one", m.Type)
	}
	if p.IssuedAt, err = readClaims(m, origin); err != nil {
		return err
	}
	said, err := entry.ParsePartyRequest(m.Payload)
	if err != nil {
		return err
	}
	p.PartyRequest = *said
	if p.Public, err = signer.NewPublicKey(signer.Algorithm(p.Algorithm), p.Key); err != nil {
		return err
	}
	if _, err := signer.Verify(m, p.Public); err != nil {
		return errors.Join(errors.New("the key has not signed it"), err)
	}
	return nil
}

// SignParty signs a party's request with the key that it is for, for the ledger with the
// given origin, at a time in Unix seconds. It sets Algorithm and Key.
func SignParty(key signer.Signer, r entry.PartyRequest, origin string, seconds int64) ([]byte, error) {
	r.Algorithm, r.Key = int(key.Public().Algorithm()), key.Public().Bytes()
	payload, err := entry.EncodePartyRequest(&r)
	if err != nil {
		return nil, err
	}
	c := entry.Claims{Issuer: "urn:wattmark:" + r.Role + ":" + r.Name, Audience: origin, IssuedAt: seconds}
	claims, err := c.Encode()
	if err != nil {
		return nil, err
	}
	return signer.Sign(key, signer.Header{Type: entry.TypePartyRequest, ContentType: entry.ContentCBOR, Claims: claims}, payload)
}
