package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/audit"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

func TestKeySet(t *testing.T) {
	ed := ledgertest.Key(t, signer.EdDSA, "a").Public()
	es := ledgertest.Key(t, signer.ES256, "b").Public()
	list := []audit.KnownKey{
		{Public: ed, Name: "home1", Role: audit.RoleGateway, Enrolled: 7, Revoked: 9},
		{Public: es, Name: "oracle1", Role: audit.RoleCosigner},
	}
	b, err := audit.EncodeKeys(list)
	if err != nil {
		t.Fatal(err)
	}
	set, err := audit.ParseKeys(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range list {
		got, ok := set.Find(want.Public.ID())
		if !ok || got != want {
			t.Errorf("got %+v %v, want %+v", got, ok, want)
		}
	}
	if _, ok := set.Find(ledgertest.Key(t, signer.EdDSA, "c").Public().ID()); ok {
		t.Error("a key that is not in the set was found")
	}
	var none *audit.KeySet
	if _, ok := none.Find(ed.ID()); ok {
		t.Error("no set holds a key")
	}
	if _, err := audit.EncodeKeys([]audit.KnownKey{{}}); err == nil {
		t.Error("no key was encoded")
	}
	if _, err := audit.EncodeKeys([]audit.KnownKey{{Public: ed, Role: "king"}}); err == nil {
		t.Error("a role that is none was encoded")
	}
}

// TestKeySetIsRFC7517 reads what EncodeKeys writes as any JWK library would.
func TestKeySetIsRFC7517(t *testing.T) {
	ed := ledgertest.Key(t, signer.EdDSA, "a").Public()
	es := ledgertest.Key(t, signer.ES256, "b").Public()
	b, err := audit.EncodeKeys([]audit.KnownKey{{Public: ed}, {Public: es}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ Keys []map[string]string }
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	want := []map[string]string{
		{"kty": "OKP", "crv": "Ed25519", "x": b64(ed.Bytes()), "kid": ed.ID().String(), "alg": "EdDSA", "use": "sig"},
		{"kty": "EC", "crv": "P-256", "x": b64(es.Bytes()[1:33]), "y": b64(es.Bytes()[33:]), "kid": es.ID().String(), "alg": "ES256", "use": "sig"},
	}
	if diff := cmp.Diff(want, got.Keys); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestKeySetRefuses(t *testing.T) {
	ed := ledgertest.Key(t, signer.EdDSA, "a").Public()
	x := base64.RawURLEncoding.EncodeToString(ed.Bytes())
	x1 := `"` + x + `"`
	jwk := fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q}`, x)
	for _, tt := range []struct{ name, set, want string }{
		{"not JSON", `keys`, "invalid character"},
		{"no keys", `{}`, `no member "keys"`},
		{"a list", `[]`, "is no object"},
		{"a short key", `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAA"}]}`, "32 bytes"},
		{"no base64url", `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"+/="}]}`, "x: illegal base64"},
		{"a point off the curve", `{"keys":[{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + x + `"}]}`, "on the curve"},
		{"half a point", `{"keys":[{"kty":"EC","crv":"P-256","x":"` + x + `"}]}`, "32 bytes each"},
		{"another's kid", strings.Replace(`{"keys":[`+jwk+`]}`, `"kty"`, `"kid":"00","kty"`, 1), "does not belong"},
		{"a member twice", `{"keys":[{"kty":"OKP","crv":"Ed25519","x":` + x1 + `,"wattmark_role":"cosigner","wattmark_role":"gateway"}]}`, "stands twice"},
		{"a member twice in other letters", `{"keys":[{"kty":"OKP","crv":"Ed25519","x":` + x1 + `,"wattmark_revoked_leaf":5,"WATTMARK_REVOKED_LEAF":0}]}`, "stands twice"},
		{"the same with a letter of another alphabet", `{"keys":[{"kty":"OKP","crv":"Ed25519","x":` + x1 + `,"wattmark_revoked_leaf":5,"wattmark_revo\u212aed_leaf":0}]}`, "stands twice"},
		{"a member in other letters", `{"keys":[{"kty":"OKP","crv":"Ed25519","x":` + x1 + `,"Wattmark_revoked_leaf":5}]}`, "is to be written"},
		{"the set's own member twice", `{"keys":[],"KEYS":[` + jwk + `]}`, "stands twice"},
		{"the set's own member in other letters", `{"KEYS":[` + jwk + `]}`, "is to be written"},
		{"something behind", `{"keys":[` + jwk + `]} {}`, "follows"},
		{"a number for a key", `{"keys":[7]}`, "is no object"},
		{"another algorithm", strings.Replace(`{"keys":[`+jwk+`]}`, `"kty"`, `"alg":"ES256","kty"`, 1), "alg"},
		{"a key to encrypt with", strings.Replace(`{"keys":[`+jwk+`]}`, `"kty"`, `"use":"enc","kty"`, 1), "use"},
		{"a role that is none", strings.Replace(`{"keys":[`+jwk+`]}`, `"kty"`, `"wattmark_role":"Gateway","kty"`, 1), "role"},
		{"a private key", strings.Replace(`{"keys":[`+jwk+`]}`, `"kty"`, `"d":`+x1+`,"kty"`, 1), "private key"},
		{"a private key of another type", `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","d":"AQAB"}]}`, "private key"},
		{"a key for which anybody can sign", `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`, "small order"},
		{"a key twice", `{"keys":[` + jwk + `,` + jwk + `]}`, "stands twice"},
	} {
		if _, err := audit.ParseKeys([]byte(tt.set)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	set, err := audit.ParseKeys([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},` + jwk + `],"more":1}`))
	if err != nil {
		t.Fatalf("a set with keys of other types: %v", err)
	}
	if _, ok := set.Find(ed.ID()); !ok {
		t.Error("the key beside one of another type is not found")
	}
	if _, err := audit.ParseKeys(bytes.Repeat([]byte(" "), 16<<20+1)); err == nil {
		t.Error("17 MB of nothing are a key set")
	}
}

func FuzzParseKeys(f *testing.F) {
	for _, k := range []*signer.PrivateKey{ledgertest.Key(f, signer.EdDSA, "a"), ledgertest.Key(f, signer.ES256, "b")} {
		b, err := audit.EncodeKeys([]audit.KnownKey{{Public: k.Public(), Name: "n", Role: audit.RoleGateway, Enrolled: 3, Revoked: 4}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		set, err := audit.ParseKeys(b)
		if err != nil {
			return
		}
		list := set.All()
		again, err := audit.EncodeKeys(list)
		if err != nil {
			t.Fatal(err)
		}
		set, err = audit.ParseKeys(again)
		if err != nil {
			t.Fatal(err)
		}
		if got := set.All(); !cmp.Equal(list, got, cmp.Comparer(func(a, b signer.PublicKey) bool { return a == b })) {
			t.Errorf("%s reads as %+v and then as %+v", b, list, got)
		}
	})
}
