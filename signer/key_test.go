package signer_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"wattmark/signer"
)

func parsePKIX(t *testing.T, der []byte) crypto.PublicKey {
	t.Helper()
	k, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func private(t *testing.T, k *signer.PrivateKey) crypto.Signer {
	t.Helper()
	der, err := k.PKCS8()
	if err != nil {
		t.Fatal(err)
	}
	p, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		t.Fatal(err)
	}
	return p.(crypto.Signer)
}

func TestKeysRoundTrip(t *testing.T) {
	for _, alg := range algorithms {
		k, err := signer.Generate(alg)
		if err != nil {
			t.Fatal(err)
		}
		pub := k.Public()
		if pub.Algorithm() != alg || pub.IsZero() {
			t.Errorf("%v: generated a key for %v", alg, pub.Algorithm())
		}
		raw, err := signer.NewPublicKey(alg, pub.Bytes())
		if err != nil || raw != pub {
			t.Errorf("%v: from its bytes: %v, %v", alg, raw, err)
		}
		der, err := pub.SPKI()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := signer.ParseSPKI(der); err != nil || back != pub {
			t.Errorf("%v: from its SubjectPublicKeyInfo: %v, %v", alg, back, err)
		}
		sum := sha256.Sum256(der)
		if id := pub.ID(); !bytes.Equal(id[:], sum[:16]) {
			t.Errorf("%v: id %v, want the start of %x", alg, id, sum)
		}
		if id, err := signer.ParseKeyID(pub.ID().String()); err != nil || id != pub.ID() {
			t.Errorf("%v: id from its text: %v, %v", alg, id, err)
		}
		if a, err := signer.ParseAlgorithm(alg.String()); err != nil || a != alg {
			t.Errorf("%v: algorithm from its text: %v, %v", alg, a, err)
		}
		if again, err := signer.NewPrivateKey(private(t, k)); err != nil || again.Public() != pub {
			t.Errorf("%v: from PKCS #8: %v", alg, err)
		}
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	p256 := key(t, signer.ES256, 1).Public().Bytes()
	off := bytes.Clone(p256)
	off[64] ^= 1
	for name, fn := range map[string]func() error{
		"short Ed25519":  func() error { _, err := signer.NewPublicKey(signer.EdDSA, make([]byte, 31)); return err },
		"P-256 as EdDSA": func() error { _, err := signer.NewPublicKey(signer.EdDSA, p256); return err },
		"compressed":     func() error { _, err := signer.NewPublicKey(signer.ES256, p256[:33]); return err },
		"off the curve":  func() error { _, err := signer.NewPublicKey(signer.ES256, off); return err },
		"infinity":       func() error { _, err := signer.NewPublicKey(signer.ES256, []byte{0}); return err },
		"no algorithm":   func() error { _, err := signer.NewPublicKey(0, p256); return err },
		"ES384":          func() error { _, err := signer.NewPublicKey(-35, p256); return err },
		"SPKI":           func() error { _, err := signer.ParseSPKI([]byte("no key")); return err },
		"generating":     func() error { _, err := signer.Generate(-35); return err },
		"from a seed":    func() error { _, err := signer.FromSeed(-35, [32]byte{}); return err },
		"id":             func() error { _, err := signer.ParseKeyID("00"); return err },
		"id of letters":  func() error { _, err := signer.ParseKeyID("zz000000000000000000000000000000"); return err },
		"algorithm":      func() error { _, err := signer.ParseAlgorithm("RS256"); return err },
		"RSA": func() error {
			k, err := rsa.GenerateKey(rand.Reader, 1024)
			if err != nil {
				t.Fatal(err)
			}
			_, err = signer.NewPrivateKey(k)
			return err
		},
		"P-384": func() error {
			k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			_, err = signer.NewPrivateKey(k)
			return err
		},
		"P-384 SPKI": func() error {
			k, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.MarshalPKIXPublicKey(k.Public())
			if err != nil {
				t.Fatal(err)
			}
			_, err = signer.ParseSPKI(der)
			return err
		},
	} {
		if fn() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestSeedsGiveTheSameKey(t *testing.T) {
	var zero [32]byte // no scalar of P-256: the next candidate is taken
	for _, seed := range [][32]byte{zero, sha256.Sum256([]byte("seed"))} {
		for _, alg := range algorithms {
			a, err := signer.FromSeed(alg, seed)
			if err != nil {
				t.Fatal(err)
			}
			b, err := signer.FromSeed(alg, seed)
			if err != nil {
				t.Fatal(err)
			}
			if a.Public() != b.Public() {
				t.Errorf("%v: one seed gives two keys", alg)
			}
		}
	}
}

func TestEd25519OfRFC8032(t *testing.T) {
	// RFC 8032 section 7.1, test 2.
	seed := unhex(t, "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
	k, err := signer.FromSeed(signer.EdDSA, [32]byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Public().Bytes(); !bytes.Equal(got, unhex(t, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")) {
		t.Errorf("public key %x", got)
	}
	sig, err := k.Sign([]byte{0x72})
	if err != nil {
		t.Fatal(err)
	}
	want := unhex(t, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")
	if !bytes.Equal(sig, want) {
		t.Errorf("signature %x, want %x", sig, want)
	}
}

func TestES256OfRFC6979(t *testing.T) {
	// RFC 6979 section A.2.5, SHA-256, message "sample": deterministic, then s made low.
	seed := unhex(t, "C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
	k, err := signer.FromSeed(signer.ES256, [32]byte(seed))
	if err != nil {
		t.Fatal(err)
	}
	sig, err := k.Sign([]byte("sample"))
	if err != nil {
		t.Fatal(err)
	}
	r := unhex(t, "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716")
	s := new(big.Int).SetBytes(unhex(t, "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"))
	low := new(big.Int).Sub(elliptic.P256().Params().N, s).FillBytes(make([]byte, 32))
	if want := append(r, low...); !bytes.Equal(sig, want) {
		t.Errorf("signature %x, want %x", sig, want)
	}
}

func TestRawECDSA(t *testing.T) {
	n := elliptic.P256().Params().N
	der := func(r, s *big.Int) []byte {
		b, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one := big.NewInt(1)
	raw, err := signer.RawECDSA(der(big.NewInt(5), new(big.Int).Sub(n, one)))
	want := make([]byte, 64)
	want[31], want[63] = 5, 1
	if err != nil || !bytes.Equal(raw, want) {
		t.Errorf("a high s: %x, %v, want %x", raw, err, want)
	}
	for name, b := range map[string][]byte{
		"nothing":        nil,
		"trailing bytes": append(der(one, one), 0),
		"r of 0":         der(new(big.Int), one),
		"s of 0":         der(one, new(big.Int)),
		"negative":       der(one, big.NewInt(-1)),
		"r of n":         der(n, one),
		"s of n":         der(one, n),
	} {
		if raw, err := signer.RawECDSA(b); err == nil {
			t.Errorf("%s: %x", name, raw)
		}
	}
}

func TestNoAlgorithmVerifiesAnothersKey(t *testing.T) {
	// An Ed25519 key is 32 bytes of no P-256 point, and the other way round: what a
	// key is registered with decides, never what a message says.
	ed, ec := key(t, signer.EdDSA, 1), key(t, signer.ES256, 1)
	b := sign(t, crafted{ec.Public(), func(m []byte) []byte {
		s, err := ed.Sign(m)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}}, plain, []byte("pack"))
	if err := check(b, ec.Public()); err == nil {
		t.Error("an Ed25519 signature verifies under a P-256 key")
	}
}
