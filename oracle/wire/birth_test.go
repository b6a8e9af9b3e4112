package wire_test

import (
	"testing"

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
