package api

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dunglas/httpsfv"

	"wattmark/signer"
)

// TestRFC9421 verifies the RFC's own example of Ed25519 (B.2.6, with the key of B.1.4).
func TestRFC9421(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "https://example.com/foo?param=Value&Pet=dog", strings.NewReader(`{"hello": "world"}`))
	for name, value := range map[string]string{
		"Date": "Tue, 20 Apr 2021 02:07:55 GMT", "Content-Type": "application/json", "Content-Length": "18",
		"Signature-Input": `sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
		"Signature":       `sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:`,
	} {
		r.Header.Set(name, value)
	}
	raw, err := base64.RawURLEncoding.DecodeString("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs")
	if err != nil {
		t.Fatal(err)
	}
	key, err := signer.NewPublicKey(signer.EdDSA, raw)
	if err != nil {
		t.Fatal(err)
	}
	inputs, err := httpsfv.UnmarshalDictionary(r.Header.Values("Signature-Input"))
	if err != nil {
		t.Fatal(err)
	}
	values, err := httpsfv.UnmarshalDictionary(r.Header.Values("Signature"))
	if err != nil {
		t.Fatal(err)
	}
	input, _ := inputs.Get("sig-b26")
	value, _ := values.Get("sig-b26")
	base, err := signatureBase(r, "", input.(httpsfv.InnerList))
	if err != nil {
		t.Fatal(err)
	}
	want := `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`
	if string(base) != want {
		t.Errorf("the base is\n%s\nwant\n%s", base, want)
	}
	if !signer.VerifyRaw(key, base, value.(httpsfv.Item).Value.([]byte)) {
		t.Error("the RFC's signature does not match")
	}
	// It is no member's: it covers no nonce and has not our tag.
	if _, err := parseSignature(r); err == nil {
		t.Error("a signature without our tag is taken")
	}
}

// TestRequestSignature: what was signed passes, and anything else is told what is wrong.
func TestRequestSignature(t *testing.T) {
	now := time.Unix(1_780_000_000, 0)
	key, err := signer.FromSeed(signer.EdDSA, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	es, err := signer.FromSeed(signer.ES256, [32]byte{2})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key    *signer.PrivateKey
		change func(r *http.Request)
		late   time.Duration
		want   string // of the error, "" for none
	}{
		"as signed":                 {key, func(*http.Request) {}, 0, ""},
		"by the other algorithm":    {es, func(*http.Request) {}, 0, ""},
		"TLS ended in front":        {key, func(r *http.Request) { r.TLS = nil }, 0, ""},
		"a minute late":             {key, func(*http.Request) {}, time.Minute, ""},
		"later":                     {key, func(*http.Request) {}, 61 * time.Second, "clock"},
		"from the future":           {key, func(*http.Request) {}, -61 * time.Second, "clock"},
		"another method":            {key, func(r *http.Request) { r.Method = http.MethodDelete }, 0, "does not match"},
		"another path":              {key, func(r *http.Request) { r.URL.Path = "/api/v1/entries" }, 0, "does not match"},
		"another query":             {key, func(r *http.Request) { r.URL.RawQuery = "x=2" }, 0, "does not match"},
		"another host":              {key, func(r *http.Request) { r.Host = "elsewhere.example" }, 0, "does not match"},
		"another body":              {key, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("order 2")) }, 0, "content-digest"},
		"no body":                   {key, func(r *http.Request) { r.Body = http.NoBody }, 0, "content-digest"},
		"no digest":                 {key, func(r *http.Request) { r.Header.Del("Content-Digest") }, 0, "content-digest"},
		"a digest of something":     {key, func(r *http.Request) { r.Header.Set("Content-Digest", contentDigest([]byte("order 2"))) }, 0, "content-digest"},
		"a body beyond the limit":   {key, func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader(strings.Repeat("x", maxSigned+1))) }, 0, "longer"},
		"no signature":              {key, func(r *http.Request) { r.Header.Del("Signature") }, 0, "no bytes"},
		"another label":             {key, func(r *http.Request) { r.Header.Set("Signature", "other=:AAAA:") }, 0, "no bytes"},
		"a signature that is text":  {key, func(r *http.Request) { r.Header.Set("Signature", `sig="AAAA"`) }, 0, "no bytes"},
		"another tag":               {key, edit(`"wattmark-member"`, `"other"`), 0, "tag"},
		"no nonce":                  {key, edit("nonce=", "n="), 0, "nonce"},
		"no time":                   {key, edit("created=", "c="), 0, "created"},
		"no key":                    {key, edit("keyid=", "k="), 0, "keyid"},
		"the target is not covered": {key, edit(` "@target-uri"`, ""), 0, "must cover"},
		"the body is not covered":   {key, edit(` "content-digest"`, ""), 0, "content-digest"},
		"a component twice":         {key, edit(`"@method"`, `"@method" "@method"`), 0, "twice"},
		"a component with a bent":   {key, edit(`"@method"`, `"@method";req`), 0, "parameters"},
		"an unknown component":      {key, edit(`"@method"`, `"@method" "@query-param"`), 0, "no component"},
		"no fields":                 {key, func(r *http.Request) { r.Header.Set("Signature-Input", "=;=") }, 0, "Signature-Input"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "https://oracle.example/api/v1/session?x=1", strings.NewReader("order 1"))
			if err := SignRequest(r, test.key, now); err != nil {
				t.Fatal(err)
			}
			test.change(r)
			s, err := parseSignature(r)
			if err == nil {
				if s.id != test.key.Public().ID() {
					t.Errorf("signed by %v", s.id)
				}
				err = s.check(r, test.key.Public(), now.Add(test.late))
			}
			switch {
			case test.want == "" && err != nil, test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("%v, want %q", err, test.want)
			case err == nil:
				if b, _ := io.ReadAll(r.Body); string(b) != "order 1" {
					t.Errorf("the body is %q afterwards", b)
				}
			}
		})
	}
}

// edit changes what the signature says it covers.
func edit(from, to string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Set("Signature-Input", strings.Replace(r.Header.Get("Signature-Input"), from, to, 1))
	}
}

// TestNonces: a nonce counts once for a key while its signature is good, and a flood is held.
func TestNonces(t *testing.T) {
	var n nonces
	now := time.Unix(1_780_000_000, 0)
	a, b := signer.KeyID{1}, signer.KeyID{2}
	for _, step := range []struct {
		id    signer.KeyID
		nonce string
		after time.Duration
		want  bool
	}{
		{a, "x", 0, true}, {a, "x", 0, false}, {b, "x", 0, true}, {a, "y", 0, true}, {a, "x", 2 * signedWithin, false}, {a, "x", 2*signedWithin + 2*time.Second, true},
	} {
		if got := n.take(step.id, step.nonce, now.Add(step.after)); got != step.want {
			t.Errorf("%v %s after %v: %v", step.id, step.nonce, step.after, got)
		}
	}
	for i := range maxNonces + 10 {
		n.take(a, strings.Repeat("z", i%60)+time.Duration(i).String(), now)
	}
	if len(n.used) > maxNonces {
		t.Errorf("%d nonces are kept", len(n.used))
	}
	if !n.take(a, "later", now.Add(time.Hour)) {
		t.Error("no nonce is free when the old ones have lapsed")
	}
}

// FuzzSignature: whatever a request's headers are, reading them ends, and what is not signed
// is not taken.
func FuzzSignature(f *testing.F) {
	key, err := signer.FromSeed(signer.EdDSA, [32]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	now := time.Unix(1_780_000_000, 0)
	r := httptest.NewRequest(http.MethodGet, "https://oracle.example/api/v1/member", nil)
	if err := SignRequest(r, key, now); err != nil {
		f.Fatal(err)
	}
	good, sig := r.Header.Get("Signature-Input"), r.Header.Get("Signature")
	f.Add(good, sig)
	f.Add(`sig=("@method";req "date");created=1;tag="wattmark-member"`, "sig=?1")
	f.Add("a,b;c=(1 2)", "=:")
	f.Fuzz(func(t *testing.T, input, value string) {
		r := httptest.NewRequest(http.MethodGet, "https://oracle.example/api/v1/member", nil)
		r.Header.Set("Signature-Input", input)
		r.Header.Set("Signature", value)
		s, err := parseSignature(r)
		if err != nil {
			return
		}
		if err := s.check(r, key.Public(), now); err == nil && !strings.Contains(input, "@target-uri") {
			t.Fatalf("taken: %s %s", input, value)
		}
	})
}

// FuzzInvitation: whatever a link says, only what an oracle has signed for this ledger, and
// not too long ago, is an invitation.
func FuzzInvitation(f *testing.F) {
	key, err := signer.FromSeed(signer.EdDSA, [32]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	i := &Invitation{Ledger: "ledger.example", Member: "anna", Zone: "street", PowerW: 1000, Points: []InvitationPoint{{Subject: "mp-1", Import: "in"}}, Expires: 2000}
	good, err := SignInvitation(key, "oracle", i, 1000)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:40])
	f.Add("0oQ")
	oracle := func(id signer.KeyID) (signer.PublicKey, bool) { return key.Public(), id == key.Public().ID() }
	f.Fuzz(func(t *testing.T, text string) {
		got, err := openInvitation(text, "ledger.example", oracle, 1500)
		if err == nil && (got.Ledger != "ledger.example" || got.Expires < 1500 || got.Member != "anna") {
			t.Fatalf("%s is taken as %+v", text, got)
		}
		if _, err := openInvitation(text, "ledger.example", oracle, 2001); err == nil {
			t.Fatalf("%s is taken when it is over", text)
		}
	})
}
