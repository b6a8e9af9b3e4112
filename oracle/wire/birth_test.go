package wire_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// FuzzOpenBirth wants what reads to be signed by the key, and to be of a bounded size.
func FuzzOpenBirth(f *testing.F) {
	key, err := signer.Generate(signer.EdDSA)
	if err != nil {
		f.Fatal(err)
	}
	claims, err := (&entry.Claims{Issuer: "urn:wattmark:gateway:home1", Audience: "a.example", IssuedAt: 1}).Encode()
	if err != nil {
		f.Fatal(err)
	}
	good, err := signer.Sign(key, signer.Header{Type: wire.TypeBirth, ContentType: wire.ContentBirth, Claims: claims}, []byte(`{"gateway":"home1","boot_count":3}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(wire.Offline))
	f.Fuzz(func(t *testing.T, b []byte) {
		about, at, err := wire.OpenBirth(b, key.Public())
		if err != nil {
			return
		}
		if len(b) > wire.MaxBirth || about.Gateway != "home1" || about.Boot != 3 || at != 1 {
			t.Errorf("%d bytes that the key has not signed read as %+v of %d", len(b), about, at)
		}
	})
}

// TestBirthVector reads and makes a birth of a gateway that followed its oracles, with the
// end of its client certificate.
func TestBirthVector(t *testing.T) {
	key, err := signer.FromSeed(signer.EdDSA, [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	said := wire.Birth{
		Gateway: "home-01", Version: "1.4.0", Catalog: strings.Repeat("a1", 32), Config: strings.Repeat("b2", 32), Boot: 3, Last: "3-1021",
		Trusts:      &wire.Trusts{Policy: strings.Repeat("c3", 32), Height: 29},
		Certificate: &wire.Certificate{Ends: time.Date(2027, 12, 29, 21, 4, 46, 0, time.UTC), Key: append([]byte{0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0}, bytes.Repeat([]byte{9}, 32)...)},
	}
	const when = 1_798_000_000
	text, err := os.ReadFile(filepath.Join("testdata", "birth-1.hex"))
	if err != nil {
		t.Fatal(err)
	}
	stored, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil {
		t.Fatal(err)
	}
	about, at, err := wire.OpenBirth(stored, key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&said, about); diff != "" || at != when {
		t.Errorf("said at %d (-want +got):\n%s", at, diff)
	}
	payload, err := json.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := (&entry.Claims{Issuer: "urn:wattmark:gateway:home-01", Audience: "a.example", IssuedAt: when}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	made, err := signer.Sign(key, signer.Header{Type: wire.TypeBirth, ContentType: wire.ContentBirth, Claims: claims}, payload)
	if err != nil || !bytes.Equal(made, stored) {
		t.Errorf("it is made otherwise (%v):\n%x", err, made)
	}
}
