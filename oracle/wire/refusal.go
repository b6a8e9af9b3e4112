package wire

import (
	"bytes"
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Refusal is an oracle's answer to a statement it did not put into the order.
// It travels as a COSE_Sign1 of type entry.TypeRefusal by the oracle's statement
// key.
type Refusal struct {
	// Leaf is the leaf hash of the statement's bytes as they arrived, or of the
	// whole frame where no statement could be read from it.
	Leaf block.Hash `cbor:"1,keyasint"`
	// Boot and Count are the statement's sequence number, 0 where unreadable.
	Boot   uint64       `cbor:"2,keyasint"`
	Count  uint64       `cbor:"3,keyasint"`
	Reason entry.Reason `cbor:"4,keyasint"`
}

// Sign writes the refusal, signed by s as oracle issuer for the ledger origin
// at a time in Unix seconds.
func (r *Refusal) Sign(s signer.Signer, issuer, origin string, seconds int64) ([]byte, error) {
	claims := entry.Claims{Issuer: issuer, Audience: origin, IssuedAt: seconds}
	raw, err := claims.Encode()
	if err != nil {
		return nil, err
	}
	h := signer.Header{Type: entry.TypeRefusal, ContentType: entry.ContentCBOR, Claims: raw}
	return signer.Sign(s, h, must(encMode.Marshal(r)))
}

// OpenRefusal reads a refusal and verifies it under the key that find returns
// for its key id.
func OpenRefusal(b []byte, origin string, find func(signer.KeyID) (signer.PublicKey, bool)) (*Refusal, error) {
	m, err := signer.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%w: refusal: %w", ErrMessage, err)
	}
	k, ok := find(m.KeyID)
	if !ok {
		return nil, fmt.Errorf("%w: a refusal of key %v, which is no oracle's", ErrMessage, m.KeyID)
	}
	o, err := signer.Verify(m, k)
	if err != nil {
		return nil, fmt.Errorf("refusal: %w", err)
	}
	claims, err := entry.ParseClaims(o.Message().Claims)
	if err != nil {
		return nil, fmt.Errorf("refusal: %w", err)
	}
	switch {
	case m.Type != entry.TypeRefusal || m.ContentType != entry.ContentCBOR:
		return nil, fmt.Errorf("%w: a statement of type %q with a payload of type %q is no refusal", ErrMessage, m.Type, m.ContentType)
	case claims.Audience != origin:
		return nil, fmt.Errorf("%w: a refusal of ledger %q, not of %q", ErrMessage, claims.Audience, origin)
	}
	return parseRefusal(m.Payload)
}

// parseRefusal reads the payload of a refusal.
func parseRefusal(b []byte) (*Refusal, error) {
	var r Refusal
	if err := decMode.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: refusal: %w", ErrMessage, err)
	}
	if !validReason(r.Reason) {
		return nil, fmt.Errorf("%w: refusal: %q is not the form of a reason", ErrMessage, r.Reason)
	}
	if !bytes.Equal(must(encMode.Marshal(&r)), b) {
		return nil, fmt.Errorf("%w: refusal is not deterministic CBOR", ErrMessage)
	}
	return &r, nil
}

// maxReason bounds a reason in bytes.
const maxReason = 64

// validReason reports whether r has the form of a reason. It need not be a known
// one, as an oracle may be newer than a gateway; but it is shown to people.
func validReason(r entry.Reason) bool {
	for i := range len(r) {
		if c := r[i]; (c < 'a' || c > 'z') && c != '_' {
			return false
		}
	}
	return len(r) >= 1 && len(r) <= maxReason
}
