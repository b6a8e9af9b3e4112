package entry

import (
	"crypto/sha256"
	"fmt"
)

// OracleSet is who runs a ledger from some block on: the oracles with their keys,
// the thresholds, and the witnesses. The charter states the first one. To add,
// remove or rename an oracle or to change one's keys is to state the whole set anew,
// so that everybody who agrees sees all of it.
type OracleSet struct {
	// Replaces is the Hash of the set that this one follows; zero in the charter's.
	Replaces   [32]byte     `cbor:"1,keyasint"`
	Quorum     uint64       `cbor:"2,keyasint"` // oracles that must cosign a checkpoint
	Governance uint64       `cbor:"3,keyasint"` // oracles that must agree to a change
	Oracles    []OracleKeys `cbor:"4,keyasint"`
	Witnesses  []string     `cbor:"5,keyasint"` // C2SP vkeys of type 0x04, whose cosignatures the members ask for besides
	// WitnessQuorum is how many of the witnesses must cosign; 0 where there are none.
	WitnessQuorum uint64 `cbor:"6,keyasint"`
}

// maxWitnesses bounds the witnesses of a set.
const maxWitnesses = 32

// OracleSet returns the set that the charter founds the ledger with.
func (c *Charter) OracleSet() *OracleSet {
	return &OracleSet{Quorum: c.Quorum, Governance: c.Governance, Oracles: c.Oracles}
}

// Hash identifies a set: the SHA-256 of its encoding.
func (s *OracleSet) Hash() [32]byte { return sha256.Sum256(encode(s)) }

// Encode writes the body of a motion of the kind MotionOracles.
func (s *OracleSet) Encode() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	return encode(s), nil
}

// ParseOracleSet reads the body of a motion of the kind MotionOracles.
func ParseOracleSet(b []byte) (*OracleSet, error) {
	var s OracleSet
	if err := decode("oracle set", b, &s); err != nil {
		return nil, err
	}
	return &s, s.check()
}

func (s *OracleSet) check() error {
	if err := checkOracles("an oracle set", s.Oracles, s.Quorum, s.Governance); err != nil {
		return err
	}
	n := uint64(len(s.Witnesses))
	if n > maxWitnesses || s.WitnessQuorum > n || (s.WitnessQuorum == 0) != (n == 0) {
		return fmt.Errorf("%w: %d of %d witnesses, of which there may be %d", ErrForm, s.WitnessQuorum, n, maxWitnesses)
	}
	for i, w := range s.Witnesses {
		if err := text("witness's key", w, 512); err != nil {
			return err
		}
		for _, v := range s.Witnesses[:i] {
			if v == w {
				return fmt.Errorf("%w: witness %q stands twice", ErrForm, w)
			}
		}
	}
	return nil
}

// checkOracles checks what a charter and an oracle set have in common.
func checkOracles(what string, oracles []OracleKeys, quorum, governance uint64) error {
	n := uint64(len(oracles))
	switch {
	case n == 0 || n > 64:
		return fmt.Errorf("%w: %s names %d oracles instead of 1 to 64", ErrForm, what, n)
	case quorum > n || 3*quorum <= 2*n:
		// Above two thirds any two quorums share an honest oracle.
		return fmt.Errorf("%w: a quorum of %d of %d oracles is not more than two thirds", ErrForm, quorum, n)
	case governance == 0 || governance > n:
		return fmt.Errorf("%w: a governance threshold of %d of %d oracles", ErrForm, governance, n)
	}
	for i, o := range oracles {
		if err := o.check(); err != nil {
			return err
		}
		for _, p := range oracles[:i] {
			if p.Name == o.Name || string(p.Key) == string(o.Key) || p.Log == o.Log || p.Cosigner == o.Cosigner {
				return fmt.Errorf("%w: oracles %q and %q share a name or key", ErrForm, p.Name, o.Name)
			}
		}
	}
	return nil
}
