package signer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/oasisprotocol/curve25519-voi/curve"
)

// Algorithm is a COSE algorithm identifier together with its curve.
type Algorithm int

// The algorithms a key can be registered with. The numbers are the polymorphic
// COSE identifiers that are written; the fully specified ones of RFC 9864 (-19
// and -9) are accepted in their place when reading.
const (
	EdDSA Algorithm = -8 // Ed25519, verified by ZIP-215
	ES256 Algorithm = -7 // ECDSA with P-256 and SHA-256, low S only
)

// String returns the name that JOSE and COSE use, "EdDSA" or "ES256".
func (a Algorithm) String() string {
	switch a {
	case EdDSA:
		return "EdDSA"
	case ES256:
		return "ES256"
	}
	return fmt.Sprintf("algorithm(%d)", int(a))
}

// ParseAlgorithm is the inverse of String. It also takes "ed25519" and "es256",
// as people type them.
func ParseAlgorithm(s string) (Algorithm, error) {
	switch s {
	case "EdDSA", "Ed25519", "ed25519":
		return EdDSA, nil
	case "ES256", "es256":
		return ES256, nil
	}
	return 0, fmt.Errorf("algorithm %q is not known: use ed25519 or es256", s)
}

// KeyID is a COSE kid: the first 16 bytes of SHA-256(SubjectPublicKeyInfo).
type KeyID [16]byte

// String returns the id as 32 lower-case hexadecimal digits.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// ParseKeyID is the inverse of String.
func ParseKeyID(s string) (KeyID, error) {
	var id KeyID
	if len(s) != 2*len(id) {
		return id, fmt.Errorf("key id %q is not %d hexadecimal digits", s, 2*len(id))
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		return id, fmt.Errorf("key id %q: %w", s, err)
	}
	copy(id[:], b)
	return id, nil
}

// PublicKey is a key registered with exactly one algorithm. The zero value is
// no key. PublicKey values are comparable.
type PublicKey struct {
	alg Algorithm
	raw string // 32 bytes for Ed25519; 65 bytes, an uncompressed point, for P-256
	id  KeyID
}

// NewPublicKey makes a key from its raw form: 32 bytes for EdDSA (RFC 8032), an
// uncompressed point of 65 bytes for ES256 (SEC 1 section 2.3.3). It refuses what
// is no point of the curve, and for EdDSA points of small order and encodings that
// are not canonical: nobody gets such a key who makes one.
func NewPublicKey(alg Algorithm, raw []byte) (PublicKey, error) {
	k, err := newPublicKey(alg, raw)
	if err == nil && alg == EdDSA {
		err = checkPoint(raw)
	}
	if err != nil {
		return PublicKey{}, err
	}
	return k, nil
}

// checkPoint refuses Ed25519 keys that were made to be odd. By ZIP-215 one signature
// that anybody can write verifies for every message under a key of small order, and
// a key that can be written in two ways has two ids.
func checkPoint(raw []byte) error {
	var c curve.CompressedEdwardsY
	if _, err := c.SetBytes(raw); err != nil {
		return fmt.Errorf("reading Ed25519 public key: %w", err)
	}
	var p curve.EdwardsPoint
	if _, err := p.SetCompressedY(&c); err != nil {
		return errors.New("an Ed25519 public key that is no point of the curve")
	}
	switch {
	case !c.IsCanonicalVartime():
		return errors.New("an Ed25519 public key whose encoding is not the canonical one")
	case p.IsSmallOrder():
		return errors.New("an Ed25519 public key of small order, for which anybody can sign")
	}
	return nil
}

func newPublicKey(alg Algorithm, raw []byte) (PublicKey, error) {
	k := PublicKey{alg: alg, raw: string(raw)}
	spki, err := k.SPKI()
	if err != nil {
		return PublicKey{}, err
	}
	sum := sha256.Sum256(spki)
	copy(k.id[:], sum[:])
	return k, nil
}

// ParseSPKI reads a DER SubjectPublicKeyInfo holding an Ed25519 or P-256 key.
func ParseSPKI(der []byte) (PublicKey, error) {
	pub, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return PublicKey{}, fmt.Errorf("parsing public key: %w", err)
	}
	switch p := pub.(type) {
	case ed25519.PublicKey:
		return NewPublicKey(EdDSA, p)
	case *ecdsa.PublicKey:
		raw, err := p.Bytes()
		if err != nil {
			return PublicKey{}, fmt.Errorf("parsing public key: %w", err)
		}
		return NewPublicKey(ES256, raw)
	}
	return PublicKey{}, fmt.Errorf("a public key of type %T is neither Ed25519 nor P-256", pub)
}

// Algorithm returns the one algorithm this key is registered with.
func (k PublicKey) Algorithm() Algorithm { return k.alg }

// Bytes returns a copy of the raw form that NewPublicKey takes.
func (k PublicKey) Bytes() []byte { return []byte(k.raw) }

// ID returns the key's COSE kid.
func (k PublicKey) ID() KeyID { return k.id }

// IsZero reports whether k is no key at all.
func (k PublicKey) IsZero() bool { return k.raw == "" }

// SPKI returns the DER SubjectPublicKeyInfo.
func (k PublicKey) SPKI() ([]byte, error) {
	switch k.alg {
	case EdDSA:
		if len(k.raw) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("an Ed25519 public key has 32 bytes, not %d", len(k.raw))
		}
		return x509.MarshalPKIXPublicKey(ed25519.PublicKey(k.raw))
	case ES256:
		p, err := k.ecdsa()
		if err != nil {
			return nil, err
		}
		return x509.MarshalPKIXPublicKey(p)
	}
	return nil, fmt.Errorf("%v is not an algorithm keys are registered with", k.alg)
}

func (k PublicKey) ecdsa() (*ecdsa.PublicKey, error) {
	p, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), []byte(k.raw))
	if err != nil {
		return nil, fmt.Errorf("a P-256 public key is an uncompressed point of 65 bytes on the curve: %w", err)
	}
	return p, nil
}

// Signer makes raw COSE signatures with one private key: 64 bytes of R and S
// for EdDSA, 64 bytes of r and s with s low for ES256. Implementations are safe
// for concurrent use and sign exactly the bytes given, hashing them where the
// algorithm says so. An error means that no signature was made.
type Signer interface {
	Public() PublicKey
	Sign(message []byte) ([]byte, error)
}

// ErrSignature is what every failed verification wraps.
var ErrSignature = errors.New("signature does not verify")
