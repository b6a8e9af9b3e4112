package signer_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"wattmark/signer"
)

var strict = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, MaxArrayElements: 1 << 16, MaxMapPairs: 1 << 16,
		UTF8: cbor.UTF8RejectInvalid, IntDec: cbor.IntDecConvertNone,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

var deterministic = func() cbor.EncMode {
	m, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// FuzzParse checks that whatever Parse takes is deterministic CBOR to a general
// decoder too, that its parts put together again give the same bytes, and that
// no key verifies it unless somebody signed it.
func FuzzParse(f *testing.F) {
	digest := sha256.Sum256([]byte("pack"))
	var keys []signer.PublicKey
	made := make(map[string]bool)
	for _, alg := range algorithms {
		k := key(f, alg, 1)
		keys = append(keys, k.Public())
		for _, b := range [][]byte{
			sign(f, k, plain, []byte("pack")),
			sign(f, k, hidden, digest[:]),
			sign(f, k, signer.Header{Type: "a/b", ContentType: "c/d", Claims: []byte{0xa1, 1, 0x82, 0xf5, 0xc4, 0x82, 0x20, 1}}, nil),
		} {
			made[string(b)] = true
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := signer.Parse(b)
		if err != nil {
			return
		}
		var v struct {
			_           struct{} `cbor:",toarray"`
			Protected   []byte
			Unprotected map[int64]any
			Payload     []byte
			Signature   []byte
		}
		if err := strict.Unmarshal(b[1:], &v); err != nil {
			t.Fatalf("a strict decoder refuses it: %v", err)
		}
		var protected map[int64]cbor.RawMessage
		if err := strict.Unmarshal(v.Protected, &protected); err != nil {
			t.Fatalf("a strict decoder refuses its protected header: %v", err)
		}
		again, err := deterministic.Marshal(protected)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again, v.Protected) {
			t.Fatalf("protected header is not deterministic: %x, want %x", v.Protected, again)
		}
		whole, err := deterministic.Marshal(cbor.Tag{Number: 18, Content: v})
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(whole, b) {
			t.Fatalf("encoded again it is %x, want %x", whole, b)
		}
		if claims, ok := protected[15]; ok {
			if err := strict.Wellformed(claims); err != nil { // any other check minds what sort of thing a key is
				t.Fatalf("a strict decoder refuses its claims: %v", err)
			}
		}
		if made[string(b)] {
			return
		}
		for _, k := range keys {
			if _, err := signer.Verify(m, k); err == nil {
				t.Fatalf("nobody signed this, and it verifies under %v", k.ID())
			}
		}
	})
}

// FuzzRawECDSA checks that whatever a key store returns becomes a low signature
// of the same number r, or an error.
func FuzzRawECDSA(f *testing.F) {
	f.Add([]byte{0x30, 6, 2, 1, 1, 2, 1, 1})
	f.Fuzz(func(t *testing.T, der []byte) {
		raw, err := signer.RawECDSA(der)
		if err == nil && len(raw) != 64 {
			t.Fatalf("%d bytes", len(raw))
		}
	})
}

// FuzzParseSPKI checks that a key that is read is written alike.
func FuzzParseSPKI(f *testing.F) {
	for _, alg := range algorithms {
		der, err := key(f, alg, 1).Public().SPKI()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(der)
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		k, err := signer.ParseSPKI(der)
		if err != nil {
			return
		}
		again, err := k.SPKI()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := signer.ParseSPKI(again); err != nil || back != k {
			t.Fatalf("read again it is %v, %v", back, err)
		}
	})
}
