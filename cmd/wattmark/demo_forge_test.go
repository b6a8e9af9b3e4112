package main

import (
	"crypto/sha256"
	"testing"

	"wattmark/gateway"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// TestForge: what is forged reads as what it was, with more in its register, and the
// signature does not match it.
func TestForge(t *testing.T) {
	key, err := signer.Generate(signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	register := entry.Record{Name: "mp-1/active_energy_import", Unit: "Wh", Time: 1_781_690_400_000, Value: entry.Decimal{Mantissa: 123_456_789, Exponent: -1}}
	power := entry.Record{Name: "mp-1/active_power", Unit: "W", Time: register.Time, Value: entry.Int(412)}
	remark := entry.Record{Name: "mp-1/flag", Time: register.Time, Text: "out of range"}
	claims := entry.Claims{Issuer: "urn:wattmark:gateway:home-01", Subject: "mp-1", Audience: "example/street", IssuedAt: 1_781_690_400, Sequence: entry.Sequence{Boot: 1, Count: 1}}
	encoded, err := claims.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		records []entry.Record
		what    string
		want    entry.Decimal // of the record that changed
	}{
		{"register", []entry.Record{power, register}, "5 kWh more in its register", entry.Decimal{Mantissa: 123_506_789, Exponent: -1}},
		{"no register", []entry.Record{remark, power}, "one bit of its reading changed", entry.Int(413)},
		{"no number", []entry.Record{remark}, "", entry.Decimal{}},
	} {
		for _, committed := range []bool{false, true} {
			pack := entry.Pack{Records: c.records}
			payload, err := pack.Encode()
			if err != nil {
				t.Fatal(err)
			}
			s, header := gateway.Signed{}, signer.Header{Type: entry.TypeReading, ContentType: entry.ContentSenML, Claims: encoded}
			if committed {
				hidden := entry.Committed{Salt: make([]byte, 16), Pack: payload}
				if s.Pack, err = hidden.Encode(); err != nil {
					t.Fatal(err)
				}
				sum := sha256.Sum256(s.Pack)
				payload, header.ContentType, header.PreimageType = sum[:], "", entry.ContentSalted
			}
			if s.Statement, err = signer.Sign(key, header, payload); err != nil {
				t.Fatal(err)
			}
			f, what, ok := forge(s)
			if ok != (c.what != "") || what != c.what {
				t.Errorf("%s, committed %v: forged %q, %v", c.name, committed, what, ok)
			}
			if !ok {
				continue
			}
			m, err := signer.Parse(f.Statement)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if _, err := signer.Verify(m, key.Public()); err == nil {
				t.Errorf("%s, committed %v: the signature matches", c.name, committed)
			}
			records := m.Payload
			if committed {
				hidden, err := entry.ParseCommitted(f.Pack, m.Payload)
				if err != nil {
					t.Fatalf("%s: %v", c.name, err)
				}
				records = hidden.Pack
			}
			got, err := entry.ParsePack(records)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			if last := got.Records[len(got.Records)-1].Value; last != c.want {
				t.Errorf("%s, committed %v: %v, want %v", c.name, committed, last, c.want)
			}
		}
	}
	if _, _, ok := forge(gateway.Signed{}); ok {
		t.Error("no statement is forged")
	}
}
