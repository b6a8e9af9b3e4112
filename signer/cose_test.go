package signer_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"

	"wattmark/signer"
)

// coseVerifier returns go-cose's verifier for one of our keys.
func coseVerifier(t *testing.T, k signer.PublicKey) cose.Verifier {
	t.Helper()
	v, err := cose.NewVerifier(cose.Algorithm(k.Algorithm()), public(t, k))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGoCOSEVerifiesOurMessages(t *testing.T) {
	digest := sha256.Sum256([]byte("pack"))
	for _, alg := range algorithms {
		k := key(t, alg, 1)
		for _, test := range []struct {
			header  signer.Header
			payload []byte
		}{{plain, []byte("pack")}, {plain, []byte{}}, {hidden, digest[:]}, {signer.Header{Type: "a/b", ContentType: "c/d"}, []byte("pack")}} {
			b := sign(t, k, test.header, test.payload)
			var m cose.Sign1Message
			if err := m.UnmarshalCBOR(b); err != nil {
				t.Errorf("%v: go-cose does not read our message: %v", alg, err)
				continue
			}
			if err := m.Verify(nil, coseVerifier(t, k.Public())); err != nil {
				t.Errorf("%v: go-cose does not verify our message: %v", alg, err)
			}
			if !bytes.Equal(m.Payload, test.payload) {
				t.Errorf("%v: go-cose reads the payload %x, want %x", alg, m.Payload, test.payload)
			}
			if got := m.Headers.Protected[cose.HeaderLabelType]; got != test.header.Type {
				t.Errorf("%v: go-cose reads the type %v, want %q", alg, got, test.header.Type)
			}
			if test.header.ContentType != "" {
				if got := m.Headers.Protected[cose.HeaderLabelContentType]; got != test.header.ContentType {
					t.Errorf("%v: go-cose reads the content type %v, want %q", alg, got, test.header.ContentType)
				}
			}
			m.Payload = append(m.Payload, 'x')
			if err := m.Verify(nil, coseVerifier(t, k.Public())); err == nil {
				t.Errorf("%v: go-cose verifies a changed payload", alg)
			}
		}
	}
}

func TestWeVerifyGoCOSEMessages(t *testing.T) {
	for _, alg := range algorithms {
		k := key(t, alg, 1)
		s, err := cose.NewSigner(cose.Algorithm(alg), private(t, k))
		if err != nil {
			t.Fatal(err)
		}
		id := k.Public().ID()
		low := 0
		for range 8 { // go-cose's ES256 is random: its s is high every second time
			m := cose.Sign1Message{Payload: []byte("pack")}
			m.Headers.Protected = cose.ProtectedHeader{
				cose.HeaderLabelAlgorithm:   cose.Algorithm(alg),
				cose.HeaderLabelContentType: plain.ContentType,
				cose.HeaderLabelKeyID:       id[:],
				cose.HeaderLabelCWTClaims:   cose.CWTClaims{int64(1): "urn:a", int64(267): 2, int64(-65537): 7},
				cose.HeaderLabelType:        plain.Type,
			}
			if err := m.Sign(rand.Reader, nil, s); err != nil {
				t.Fatal(err)
			}
			b, err := m.MarshalCBOR()
			if err != nil {
				t.Fatal(err)
			}
			p, err := signer.Parse(b)
			if err != nil {
				t.Fatalf("%v: %v: %x", alg, err, b)
			}
			if p.ContentType != plain.ContentType || p.Type != plain.Type || !bytes.Equal(p.Claims, claims) {
				t.Errorf("%v: read %+v, want %+v", alg, p.Header, plain)
			}
			if _, err := signer.Verify(p, k.Public()); err == nil {
				low++
			}
		}
		if want := 8; alg == signer.EdDSA && low != want {
			t.Errorf("%v: %d of %d messages of go-cose verify", alg, low, want)
		}
		if low == 0 { // once in 256 runs by chance, were the seed not what go-cose ignores
			t.Logf("%v: none of 8 random signatures had a low s", alg)
		}
	}
}

// public returns a key in the form of crypto/ed25519 or crypto/ecdsa.
func public(t *testing.T, k signer.PublicKey) crypto.PublicKey {
	t.Helper()
	der, err := k.SPKI()
	if err != nil {
		t.Fatal(err)
	}
	return parsePKIX(t, der)
}

func TestParseTakesWhatAStrictDecoderTakes(t *testing.T) {
	// The claims are opaque here: a general decoder has to find them well formed too.
	k := key(t, signer.EdDSA, 1)
	m, err := signer.Parse(sign(t, k, plain, []byte("pack")))
	if err != nil {
		t.Fatal(err)
	}
	var v map[int64]any
	if err := cbor.Unmarshal(m.Claims, &v); err != nil {
		t.Error(err)
	}
}
