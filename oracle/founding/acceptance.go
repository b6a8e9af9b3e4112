package founding

import (
	"errors"
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// MaxAcceptance bounds an acceptance in bytes.
const MaxAcceptance = 1 << 10

// ErrAcceptance is wrapped by every error of OpenAcceptance.
var ErrAcceptance = errors.New("no acceptance of this charter by this oracle")

type wireAcceptance struct {
	Charter []byte `cbor:"1,keyasint"` // hash of leaf 0
}

// Accept signs, with an oracle's statement key, that it runs on the charter whose leaf
// has a digest, at a time in Unix seconds.
func Accept(key signer.Signer, name, origin string, digest block.Hash, seconds int64) ([]byte, error) {
	return sign(key, TypeAcceptance, name, origin, must(encMode.Marshal(wireAcceptance{digest[:]})), seconds)
}

// OpenAcceptance verifies that an oracle has accepted a charter.
func OpenAcceptance(statement []byte, o *entry.OracleKeys, origin string, digest block.Hash) error {
	if err := openAcceptance(statement, o, origin, digest); err != nil {
		return fmt.Errorf("%w: %w", ErrAcceptance, err)
	}
	return nil
}

func openAcceptance(statement []byte, o *entry.OracleKeys, origin string, digest block.Hash) error {
	if len(statement) > MaxAcceptance {
		return fmt.Errorf("%d bytes, over the limit of %d", len(statement), MaxAcceptance)
	}
	m, err := signer.Parse(statement)
	if err != nil {
		return err
	}
	c, err := readClaims(m, TypeAcceptance)
	if err != nil {
		return err
	}
	key, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key)
	if err != nil {
		return err
	}
	if _, err := signer.Verify(m, key); err != nil {
		return err
	}
	if c.Audience != origin {
		return fmt.Errorf("it is of the ledger %q, not of %q", c.Audience, origin)
	}
	var w wireAcceptance
	if err := decode(m.Payload, &w); err != nil {
		return err
	}
	if len(w.Charter) != len(digest) {
		return fmt.Errorf("a hash of %d bytes", len(w.Charter))
	}
	if said := block.Hash(w.Charter); said != digest {
		return fmt.Errorf("it accepts the charter %q, this one is %q", Words(said), Words(digest))
	}
	return nil
}
