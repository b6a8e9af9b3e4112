package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
)

// PrivateKey is a Signer whose key is in this process's memory.
type PrivateKey struct {
	key    crypto.Signer
	public PublicKey
}

// Generate makes a new private key from the machine's randomness.
func Generate(alg Algorithm) (*PrivateKey, error) {
	switch alg {
	case EdDSA:
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		return NewPrivateKey(k)
	case ES256:
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		return NewPrivateKey(k)
	}
	return nil, fmt.Errorf("no keys are made for %v", alg)
}

// FromSeed makes a private key from 32 secret bytes, the same key each time: for
// reproducible vectors and demonstrations, never for a key that guards anything.
func FromSeed(alg Algorithm, seed [32]byte) (*PrivateKey, error) {
	switch alg {
	case EdDSA:
		return NewPrivateKey(ed25519.NewKeyFromSeed(seed[:]))
	case ES256:
		for {
			if k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:]); err == nil {
				return NewPrivateKey(k)
			}
			seed = sha256.Sum256(seed[:]) // the seed was no scalar of the curve, about once in 2^32
		}
	}
	return nil, fmt.Errorf("no keys are made for %v", alg)
}

// NewPrivateKey wraps an ed25519.PrivateKey or an *ecdsa.PrivateKey on P-256.
func NewPrivateKey(k crypto.Signer) (*PrivateKey, error) {
	switch p := k.(type) {
	case ed25519.PrivateKey, *ecdsa.PrivateKey:
	default:
		return nil, fmt.Errorf("a private key of type %T is neither Ed25519 nor P-256", p)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return nil, fmt.Errorf("reading public half: %w", err)
	}
	pub, err := ParseSPKI(der)
	if err != nil {
		return nil, err
	}
	return &PrivateKey{key: k, public: pub}, nil
}

// Public returns the public half.
func (k *PrivateKey) Public() PublicKey { return k.public }

// PKCS8 returns the private key's PKCS #8 DER form (RFC 5958), which is secret.
func (k *PrivateKey) PKCS8() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(k.key) }

// Sign signs message. Both algorithms are deterministic here: Ed25519 by
// definition, ECDSA by RFC 6979.
func (k *PrivateKey) Sign(message []byte) ([]byte, error) {
	if p, ok := k.key.(ed25519.PrivateKey); ok {
		return ed25519.Sign(p, message), nil
	}
	digest := sha256.Sum256(message)
	der, err := k.key.Sign(io.Reader(nil), digest[:], crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return RawECDSA(der)
}

var (
	p256Order     = elliptic.P256().Params().N
	p256HalfOrder = new(big.Int).Rsh(p256Order, 1)
)

// RawECDSA turns an ASN.1 P-256 signature into the 64 bytes that COSE carries
// (RFC 9053 section 2.1), with s replaced by n-s where that is smaller. Key
// stores that sign with ECDSA call it on what their device returns.
func RawECDSA(der []byte) ([]byte, error) {
	var sig struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("an ECDSA signature of %d bytes is not ASN.1", len(der))
	}
	if sig.R.Sign() <= 0 || sig.S.Sign() <= 0 || sig.R.Cmp(p256Order) >= 0 || sig.S.Cmp(p256Order) >= 0 {
		return nil, fmt.Errorf("an ECDSA signature has r or s outside the order of P-256")
	}
	if sig.S.Cmp(p256HalfOrder) > 0 {
		sig.S.Sub(p256Order, sig.S)
	}
	raw := make([]byte, 64)
	sig.R.FillBytes(raw[:32])
	sig.S.FillBytes(raw[32:])
	return raw, nil
}
