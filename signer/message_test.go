package signer_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/signer"
)

var algorithms = []signer.Algorithm{signer.EdDSA, signer.ES256}

// key returns the nth of an endless supply of reproducible keys.
func key(tb testing.TB, alg signer.Algorithm, n int) *signer.PrivateKey {
	tb.Helper()
	k, err := signer.FromSeed(alg, sha256.Sum256(fmt.Appendf(nil, "signer test key %d", n)))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// claims is {1: "urn:a", 267: 2, -65537: 7}.
var claims = []byte("\xa3\x01\x65urn:a\x19\x01\x0b\x02\x3a\x00\x01\x00\x00\x07")

var plain = signer.Header{Type: "application/vnd.example+cose", ContentType: "application/senml+cbor", Claims: claims}

var hidden = signer.Header{Type: "application/vnd.example+cose", PreimageType: "application/senml+cbor", Claims: claims}

func sign(tb testing.TB, s signer.Signer, h signer.Header, payload []byte) []byte {
	tb.Helper()
	b, err := signer.Sign(s, h, payload)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestSignedMessagesParseAndVerify(t *testing.T) {
	digest := sha256.Sum256([]byte("pack"))
	for _, alg := range algorithms {
		k := key(t, alg, 1)
		for _, test := range []struct {
			name    string
			header  signer.Header
			payload []byte
		}{
			{"plain", plain, []byte("pack")},
			{"empty payload", plain, nil},
			{"no claims", signer.Header{Type: "a/b", ContentType: "c/d"}, []byte("pack")},
			{"empty claims", signer.Header{Type: "a/b", ContentType: "c/d", Claims: []byte{0xa0}}, []byte("pack")},
			{"hidden", hidden, digest[:]},
			{"large", plain, make([]byte, 60000)},
		} {
			b := sign(t, k, test.header, test.payload)
			m, err := signer.Parse(b)
			if err != nil {
				t.Errorf("%v %s: %v", alg, test.name, err)
				continue
			}
			if diff := cmp.Diff(test.header, m.Header); diff != "" {
				t.Errorf("%v %s: header (-want +got):\n%s", alg, test.name, diff)
			}
			if m.Algorithm != alg || m.KeyID != k.Public().ID() || !bytes.Equal(m.Payload, test.payload) || !bytes.Equal(m.Bytes(), b) {
				t.Errorf("%v %s: parsed as %v, key %v, %d bytes of payload", alg, test.name, m.Algorithm, m.KeyID, len(m.Payload))
			}
			if m.Hidden() != (test.header.PreimageType != "") {
				t.Errorf("%v %s: hidden is %v", alg, test.name, m.Hidden())
			}
			o, err := signer.Verify(m, k.Public())
			if err != nil {
				t.Errorf("%v %s: %v", alg, test.name, err)
			}
			if o.IsZero() || o.Message() != m || o.Key() != k.Public() {
				t.Errorf("%v %s: what was opened is not what was verified", alg, test.name)
			}
		}
	}
}

func TestSigningIsDeterministic(t *testing.T) {
	for _, alg := range algorithms {
		k := key(t, alg, 1)
		if a, b := sign(t, k, plain, []byte("pack")), sign(t, k, plain, []byte("pack")); !bytes.Equal(a, b) {
			t.Errorf("%v: two signatures of one message differ:\n%x\n%x", alg, a, b)
		}
	}
}

func TestHashIsOfWhatWasSigned(t *testing.T) {
	k := key(t, signer.EdDSA, 1)
	m, err := signer.Parse(sign(t, k, plain, []byte("pack")))
	if err != nil {
		t.Fatal(err)
	}
	b := bytes.Clone(m.Bytes())
	b[len(b)-1] ^= 1 // of the signature, which the identity leaves out
	forged, err := signer.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if forged.Hash() != m.Hash() {
		t.Error("the hash depends on the signature")
	}
	other, err := signer.Parse(sign(t, k, plain, []byte("pick")))
	if err != nil {
		t.Fatal(err)
	}
	if other.Hash() == m.Hash() {
		t.Error("two payloads have one hash")
	}
}

func TestSignRefuses(t *testing.T) {
	k := key(t, signer.EdDSA, 1)
	long := strings.Repeat("x", 128)
	for _, test := range []struct {
		name    string
		header  signer.Header
		payload []byte
		want    string
	}{
		{"no type", signer.Header{ContentType: "a/b"}, nil, "type: a media type of 0 bytes"},
		{"long type", signer.Header{Type: long, ContentType: "a/b"}, nil, "type: a media type of 128 bytes"},
		{"type with a line feed", signer.Header{Type: "a\nb", ContentType: "a/b"}, nil, "not printable ASCII"},
		{"no content type", signer.Header{Type: "a/b"}, nil, "either a content type or a preimage type"},
		{"both content types", signer.Header{Type: "a/b", ContentType: "a/b", PreimageType: "a/b"}, make([]byte, 32), "either a content type or a preimage type"},
		{"long content type", signer.Header{Type: "a/b", ContentType: long}, nil, "content type: a media type of 128"},
		{"content type of another script", signer.Header{Type: "a/b", ContentType: "приклад"}, nil, "not printable ASCII"},
		{"short digest", hidden, []byte("pack"), "SHA-256 of 32 bytes"},
		{"claims that are no map", signer.Header{Type: "a/b", ContentType: "a/b", Claims: []byte{0x80}}, nil, "not a CBOR map"},
		{"claims out of order", signer.Header{Type: "a/b", ContentType: "a/b", Claims: []byte{0xa2, 2, 0, 1, 0}}, nil, "out of order"},
		{"claims cut off", signer.Header{Type: "a/b", ContentType: "a/b", Claims: []byte{0xa1, 2}}, nil, "truncated"},
		{"claims with a float", signer.Header{Type: "a/b", ContentType: "a/b", Claims: []byte{0xa1, 2, 0xf9, 0x3e, 0}}, nil, "floats"},
		{"claims with half a letter", signer.Header{Type: "a/b", ContentType: "a/b", Claims: []byte{0xa1, 2, 0x61, 0xc3}}, nil, "UTF-8"},
		{"too much", plain, make([]byte, 65535), "over the limit of 65535"},
	} {
		_, err := signer.Sign(k, test.header, test.payload)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", test.name, err, test.want)
		}
	}
}

// message puts a COSE_Sign1 together by hand.
func message(tag, array, protected, unprotected, payload, signature string) []byte {
	return []byte(tag + array + protected + unprotected + payload + signature)
}

func TestParseRefuses(t *testing.T) {
	kid := "\x04\x50" + strings.Repeat("k", 16)
	sig := "\x58\x40" + strings.Repeat("s", 64)
	head := func(pairs ...string) string {
		s := string([]byte{0xa0 | byte(len(pairs))}) + strings.Join(pairs, "")
		if len(s) < 24 {
			return string([]byte{0x40 | byte(len(s))}) + s
		}
		return string([]byte{0x58, byte(len(s))}) + s
	}
	alg, content, typ := "\x01\x27", "\x03\x63a/b", "\x10\x63c/d"
	digest := "\x58\x20" + strings.Repeat("d", 32)
	hash, preimage := "\x19\x01\x02\x2f", "\x19\x01\x03\x63a/b"
	good := head(alg, content, kid, typ)
	if _, err := signer.Parse(message("\xd2", "\x84", good, "\xa0", "\x41p", sig)); err != nil {
		t.Fatalf("the message that all others are derived from: %v", err)
	}
	if _, err := signer.Parse(message("\xd2", "\x84", head(alg, kid, typ, hash, preimage), "\xa0", digest, sig)); err != nil {
		t.Fatalf("the hash envelope that others are derived from: %v", err)
	}
	for _, test := range []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "truncated"},
		{"too much", make([]byte, 65536), "over the limit"},
		{"no tag", message("", "\x84", good, "\xa0", "\x41p", sig), "wrong CBOR type"},
		{"another tag", message("\xd1", "\x84", good, "\xa0", "\x41p", sig), "tag 17 instead of 18"},
		{"long tag", message("\xd8\x12", "\x84", good, "\xa0", "\x41p", sig), "not the shortest"},
		{"two tags", message("\xd2\xd2", "\x84", good, "\xa0", "\x41p", sig), "COSE_Sign1 array: wrong CBOR type"},
		{"five elements", message("\xd2", "\x85", good, "\xa0", "\x41p", sig+"\x00"), "5 elements"},
		{"indefinite array", message("\xd2", "\x9f", good, "\xa0", "\x41p", sig+"\xff"), "indefinite length"},
		{"unprotected header", message("\xd2", "\x84", good, "\xa1\x04\x41k", "\x41p", sig), "unprotected header is not empty"},
		{"indefinite unprotected header", message("\xd2", "\x84", good, "\xbf\xff", "\x41p", sig), "indefinite length"},
		{"detached payload", message("\xd2", "\x84", good, "\xa0", "\xf6", sig), "payload: wrong CBOR type"},
		{"payload as text", message("\xd2", "\x84", good, "\xa0", "\x61p", sig), "payload: wrong CBOR type"},
		{"long length of payload", message("\xd2", "\x84", good, "\xa0", "\x58\x01p", sig), "not the shortest"},
		{"payload in pieces", message("\xd2", "\x84", good, "\xa0", "\x5f\x41p\xff", sig), "indefinite length"},
		{"short signature", message("\xd2", "\x84", good, "\xa0", "\x41p", "\x41s"), "signature of 1 bytes"},
		{"something after the end", message("\xd2", "\x84", good, "\xa0", "\x41p", sig+"\x00"), "1 bytes after the end"},
		{"empty protected header", message("\xd2", "\x84", "\x40", "\xa0", "\x41p", sig), "truncated"},
		{"something in the protected header", message("\xd2", "\x84", string([]byte{0x58, byte(len(good) - 1)})+good[2:]+"\x00", "\xa0", "\x41p", sig), "1 bytes after the protected header"},
		{"no algorithm", message("\xd2", "\x84", head(content, kid, typ), "\xa0", "\x41p", sig), "algorithm 0"},
		{"ES384", message("\xd2", "\x84", head("\x01\x38\x22", content, kid, typ), "\xa0", "\x41p", sig), "algorithm -35"},
		{"algorithm as text", message("\xd2", "\x84", head("\x01\x65ES256", content, kid, typ), "\xa0", "\x41p", sig), "not an integer"},
		{"critical header", message("\xd2", "\x84", head(alg, "\x02\x81\x10", content, kid, typ), "\xa0", "\x41p", sig), "label 2 is not used"},
		{"content type as number", message("\xd2", "\x84", head(alg, "\x03\x18\x70", kid, typ), "\xa0", "\x41p", sig), "content type: wrong CBOR type"},
		{"repeated label", message("\xd2", "\x84", head(alg, alg, content, kid, typ), "\xa0", "\x41p", sig), "label 1 repeated"},
		{"labels out of order", message("\xd2", "\x84", head(content, alg, kid, typ), "\xa0", "\x41p", sig), "label 1 repeated or out of order"},
		{"negative label", message("\xd2", "\x84", head("\x20\x00", alg, content, kid, typ), "\xa0", "\x41p", sig), "label -1 repeated"},
		{"text label", message("\xd2", "\x84", head(alg, content, kid, typ, "\x61a\x00"), "\xa0", "\x41p", sig), "not an integer"},
		{"short key id", message("\xd2", "\x84", head(alg, content, "\x04\x41k", typ), "\xa0", "\x41p", sig), "key id of 1 bytes"},
		{"no key id", message("\xd2", "\x84", head(alg, content, typ), "\xa0", "\x41p", sig), "key id of 0 bytes"},
		{"no type", message("\xd2", "\x84", head(alg, content, kid), "\xa0", "\x41p", sig), "type (label 16) is missing"},
		{"empty type", message("\xd2", "\x84", head(alg, content, kid, "\x10\x60"), "\xa0", "\x41p", sig), "type: a media type of 0 bytes"},
		{"no content type", message("\xd2", "\x84", head(alg, kid, typ), "\xa0", "\x41p", sig), "neither a content type"},
		{"claims that are no map", message("\xd2", "\x84", head(alg, content, kid, "\x0f\x00", typ), "\xa0", "\x41p", sig), "claims are not a map"},
		{"tagged claims", message("\xd2", "\x84", head(alg, content, kid, "\x0f\xd8\x3d\xa0", typ), "\xa0", "\x41p", sig), "claims are not a map"},
		{"claims too deep", message("\xd2", "\x84", head(alg, content, kid, "\x0f\xa1\x01\x81\x81\x81\x81\x81\x81\x81\x00", typ), "\xa0", "\x41p", sig), "nested too deeply"},
		{"content type and hash envelope", message("\xd2", "\x84", head(alg, content, kid, typ, hash, preimage), "\xa0", digest, sig), "neither a content type"},
		{"content type and hash algorithm 0", message("\xd2", "\x84", head(alg, content, kid, typ, "\x19\x01\x02\x00"), "\xa0", digest, sig), "hash algorithm 0"},
		{"hash algorithm alone", message("\xd2", "\x84", head(alg, content, kid, typ, hash), "\xa0", digest, sig), "neither a content type"},
		{"preimage type alone", message("\xd2", "\x84", head(alg, kid, typ, preimage), "\xa0", digest, sig), "neither a content type"},
		{"SHA-512", message("\xd2", "\x84", head(alg, kid, typ, "\x19\x01\x02\x38\x2b", preimage), "\xa0", digest, sig), "hash algorithm -44"},
		{"payload that is no digest", message("\xd2", "\x84", head(alg, kid, typ, hash, preimage), "\xa0", "\x41p", sig), "payload of 1 bytes instead of 32"},
		{"preimage location", message("\xd2", "\x84", head(alg, kid, typ, hash, preimage, "\x19\x01\x04\x61u"), "\xa0", digest, sig), "label 260 is not used"},
	} {
		_, err := signer.Parse(test.b)
		if !errors.Is(err, signer.ErrForm) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want ErrForm with %q", test.name, err, test.want)
		}
	}
}

// stating signs a message by hand that states an algorithm of any number.
func stating(t *testing.T, k *signer.PrivateKey, number byte) []byte {
	t.Helper()
	id := k.Public().ID()
	protected := []byte{0xa4, 1, number}
	protected = append(protected, "\x03\x63a/b\x04\x50"...)
	protected = append(append(protected, id[:]...), "\x10\x63c/d"...)
	sig, err := k.Sign(signer.SigStructure(nil, protected, []byte("p")))
	if err != nil {
		t.Fatal(err)
	}
	return message("\xd2", "\x84", "\x58"+string([]byte{byte(len(protected))})+string(protected), "\xa0", "\x41p", "\x58\x40"+string(sig))
}

func TestFullySpecifiedAlgorithmsAreRead(t *testing.T) {
	// RFC 9864: -19 is Ed25519 and -9 is ESP256.
	for _, test := range []struct {
		alg    signer.Algorithm
		number byte // the CBOR negative integer
	}{{signer.EdDSA, 0x32}, {signer.ES256, 0x28}} {
		k := key(t, test.alg, 1)
		m, err := signer.Parse(stating(t, k, test.number))
		if err != nil {
			t.Fatalf("%v: %v", test.alg, err)
		}
		if m.Algorithm != test.alg {
			t.Errorf("read as %v, want %v", m.Algorithm, test.alg)
		}
		if _, err := signer.Verify(m, k.Public()); err != nil {
			t.Error(err)
		}
	}
}

func TestAKeyIsGoodForOneAlgorithm(t *testing.T) {
	// Rightly signed in every way, but for the algorithm that it states.
	for _, test := range []struct {
		alg    signer.Algorithm
		number byte
	}{{signer.EdDSA, 0x26}, {signer.ES256, 0x27}} {
		k := key(t, test.alg, 1)
		m, err := signer.Parse(stating(t, k, test.number))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signer.Verify(m, k.Public()); !errors.Is(err, signer.ErrSignature) || !strings.Contains(err.Error(), "is registered for "+test.alg.String()) {
			t.Errorf("a key for %v verifies a message of %v: %v", test.alg, m.Algorithm, err)
		}
		list := []signer.Job{{Message: m, Key: k.Public()}}
		if signer.NewVerifier().VerifyBatch(list); !errors.Is(list[0].Err, signer.ErrSignature) {
			t.Errorf("a key for %v verifies a message of %v in a batch: %v", test.alg, m.Algorithm, list[0].Err)
		}
	}
}

// check parses b and verifies it under k.
func check(b []byte, k signer.PublicKey) error {
	m, err := signer.Parse(b)
	if err != nil {
		return err
	}
	_, err = signer.Verify(m, k)
	return err
}

func TestEveryTruncationIsRefused(t *testing.T) {
	for _, alg := range algorithms {
		k := key(t, alg, 1)
		b := sign(t, k, plain, []byte("a payload of some length"))
		for n := range b {
			if _, err := signer.Parse(b[:n]); !errors.Is(err, signer.ErrForm) {
				t.Errorf("%v: the first %d of %d bytes: %v", alg, n, len(b), err)
			}
		}
	}
}

func TestEveryFlippedBitIsRefused(t *testing.T) {
	digest := sha256.Sum256([]byte("pack"))
	for _, alg := range algorithms {
		k := key(t, alg, 1)
		for _, b := range [][]byte{sign(t, k, plain, []byte("payload")), sign(t, k, hidden, digest[:])} {
			for bit := range 8 * len(b) {
				c := bytes.Clone(b)
				c[bit/8] ^= 1 << (bit % 8)
				if err := check(c, k.Public()); !errors.Is(err, signer.ErrForm) && !errors.Is(err, signer.ErrSignature) {
					t.Errorf("%v: bit %d of byte %d (%#02x) flipped: %v", alg, bit%8, bit/8, b[bit/8], err)
				}
			}
		}
	}
}
