// Package signertest is the suite that every key store passes: [Run] holds a
// signer.Signer against what the interface promises, and its signatures against
// the standard library, which knows nothing of this project.
package signertest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"sync"
	"testing"

	"wattmark/signer"
)

// Run holds s against the contract of signer.Signer. It makes about n signatures,
// and at least a few dozen.
func Run(t *testing.T, s signer.Signer, n int) {
	t.Run("public", func(t *testing.T) { public(t, s) })
	t.Run("sizes", func(t *testing.T) {
		for _, size := range []int{0, 1, 31, 32, 33, 1023, 1024, 1025, signer.MaxMessage} {
			Check(t, s, bytes.Repeat([]byte{0xa5}, size))
		}
	})
	t.Run("many", func(t *testing.T) {
		for i := range n / 2 {
			Check(t, s, binary.BigEndian.AppendUint64(nil, uint64(i)))
		}
	})
	t.Run("concurrent", func(t *testing.T) {
		const callers = 8
		var wg sync.WaitGroup
		for c := range callers {
			wg.Go(func() {
				for i := range max(n/2/callers, 2) {
					Check(t, s, binary.BigEndian.AppendUint64([]byte{byte(c)}, uint64(i)))
				}
			})
		}
		wg.Wait()
	})
	t.Run("statement", func(t *testing.T) { statement(t, s) })
}

// public checks that the public key is whole, and the same each time.
func public(t *testing.T, s signer.Signer) {
	pub := s.Public()
	if pub.IsZero() {
		t.Fatal("there is no public key")
	}
	again, err := signer.NewPublicKey(pub.Algorithm(), pub.Bytes())
	if err != nil || again != pub {
		t.Errorf("the public key from its bytes: %v, %v", again.ID(), err)
	}
	if s.Public() != pub {
		t.Error("the public key is another the second time")
	}
}

// Check signs message with s and verifies the signature with the standard library
// and with package signer. It may be called from several goroutines.
func Check(t *testing.T, s signer.Signer, message []byte) {
	t.Helper()
	given := bytes.Clone(message)
	sig, err := s.Sign(message)
	if err != nil {
		t.Errorf("signing %d bytes: %v", len(message), err)
		return
	}
	if !bytes.Equal(message, given) {
		t.Error("signing changed the message")
	}
	if len(sig) != 64 {
		t.Errorf("a signature of %d bytes, want 64", len(sig))
		return
	}
	if !standard(t, s.Public(), given, sig) {
		t.Errorf("the signature %x of %d bytes does not verify by the standard library", sig, len(given))
	}
	if !signer.VerifyRaw(s.Public(), given, sig) {
		t.Errorf("the signature %x of %d bytes does not verify", sig, len(given))
	}
	if signer.VerifyRaw(s.Public(), append(given, 0), sig) {
		t.Error("the signature verifies for another message")
	}
}

// standard verifies a signature without package signer, and that s is low.
func standard(t *testing.T, pub signer.PublicKey, message, sig []byte) bool {
	t.Helper()
	der, err := pub.SPKI()
	if err != nil {
		t.Error(err)
		return false
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		t.Error(err)
		return false
	}
	switch k := key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(k, message, sig)
	case *ecdsa.PublicKey:
		r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
		if new(big.Int).Lsh(s, 1).Cmp(elliptic.P256().Params().N) > 0 {
			t.Errorf("s of %x is above half the order", sig)
		}
		digest := sha256.Sum256(message)
		return ecdsa.Verify(k, digest[:], r, s)
	}
	t.Errorf("a public key of type %T", key)
	return false
}

// statement checks that what s signs is a statement that its public key opens.
func statement(t *testing.T, s signer.Signer) {
	h := signer.Header{Type: "application/vnd.example.note+cose", ContentType: "text/plain"}
	b, err := signer.Sign(s, h, []byte("the meter was read"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := signer.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if m.Algorithm != s.Public().Algorithm() || m.KeyID != s.Public().ID() {
		t.Errorf("the statement names %v and key %v", m.Algorithm, m.KeyID)
	}
	opened, err := signer.Verify(m, s.Public())
	if err != nil || string(opened.Message().Payload) != "the meter was read" {
		t.Errorf("the statement does not open: %v", err)
	}
}
