package request

import (
	"errors"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Conflict is two statements of one key, both verified, of which an honest holder of
// the key signs one at most.
type Conflict struct {
	KeyID signer.KeyID
	// Promises are two of an oracle for Height; else they are two statements with the
	// number Sequence.
	Promises bool
	Height   uint64
	Sequence entry.Sequence
}

var (
	// ErrConflict is wrapped by every error of OpenConflict.
	ErrConflict = errors.New("not a conflict")
	// ErrUnknownKey is wrapped where the ledger does not know the key.
	ErrUnknownKey = errors.New("its key is not known")
)

// OpenConflict reads the payload of a conflict for the ledger with the given origin,
// and verifies both statements under the key that key returns for the id they name.
func OpenConflict(payload []byte, origin string, key func(signer.KeyID) (signer.PublicKey, bool)) (*Conflict, error) {
	c, err := entry.ParseConflict(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	var m [2]*signer.Message
	var claims [2]entry.Claims
	for i, b := range [][]byte{c.First, c.Second} {
		if m[i], err = signer.Parse(b); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConflict, err)
		}
		k, ok := key(m[i].KeyID)
		if !ok {
			return nil, fmt.Errorf("%w: %w", ErrConflict, ErrUnknownKey)
		}
		if _, err := signer.Verify(m[i], k); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConflict, err)
		}
		if claims[i], err = entry.ParseClaims(m[i].Claims); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConflict, err)
		}
		if claims[i].Audience != origin {
			return nil, fmt.Errorf("%w: %w: %q", ErrConflict, ErrLedger, claims[i].Audience)
		}
	}
	// Two signatures of one content are no two statements.
	if m[0].KeyID != m[1].KeyID || m[0].Hash() == m[1].Hash() {
		return nil, fmt.Errorf("%w: not two statements of one key", ErrConflict)
	}
	out := &Conflict{KeyID: m[0].KeyID}
	if m[0].Type == entry.TypePromise && m[1].Type == entry.TypePromise {
		p, err := entry.ParsePromise(m[0].Payload)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConflict, err)
		}
		q, err := entry.ParsePromise(m[1].Payload)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConflict, err)
		}
		if p.Height != q.Height || *p == *q {
			return nil, fmt.Errorf("%w: promises for heights %d and %d that may both be kept", ErrConflict, p.Height, q.Height)
		}
		out.Promises, out.Height = true, p.Height
		return out, nil
	}
	if claims[0].Sequence != claims[1].Sequence || claims[0].Sequence.Count == 0 {
		return nil, fmt.Errorf("%w: statements with numbers %v and %v", ErrConflict, claims[0].Sequence, claims[1].Sequence)
	}
	out.Sequence = claims[0].Sequence
	return out, nil
}
