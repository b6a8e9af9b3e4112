package api_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/api"
	"wattmark/oracle/finality"
	"wattmark/signer"
)

// reading returns the index of the n-th reading of a gateway, and its number.
func (s *street) reading(t *testing.T, gateway string, n int) (uint64, entry.Sequence) {
	t.Helper()
	id := s.GatewayKey(gateway).Public().ID()
	for i := range s.Size() {
		leaf, _ := s.Leaf(i)
		if entry.KindOf(leaf) != entry.LeafStatement {
			continue
		}
		m, err := signer.Parse(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if m.KeyID != id || m.Type != entry.TypeReading {
			continue
		}
		if n--; n < 0 {
			c, err := entry.ParseClaims(m.Claims)
			if err != nil {
				t.Fatal(err)
			}
			return i, c.Sequence
		}
	}
	t.Fatalf("%s has no such reading", gateway)
	return 0, entry.Sequence{}
}

// verdicts are those of a file that are not as they should be.
func verdicts(r *audit.Report) (wrong []string) {
	for _, a := range r.Verdicts {
		if a.Verdict != audit.Holds && a.Verdict != audit.NotApplicable {
			wrong = append(wrong, fmt.Sprintf("%v %v: %s", a.Check, a.Verdict, a.Detail))
		}
	}
	return wrong
}

// TestFilesVerify takes every kind of file by every way to it, and verifies it with the
// verifier's library and a policy of its own.
func TestFilesVerify(t *testing.T) {
	s := newStreet(t, nil)
	s.publish(t, 5)
	keys := &audit.KeySet{}
	_, jwks := s.get(t, s.url+"/keys.jwks")
	keys, err := audit.ParseKeys(jwks)
	if err != nil {
		t.Fatal(err)
	}
	trust := audit.Trust{Policy: s.Policy, Keys: keys}
	for _, gateway := range []string{"home1", "home2"} {
		for _, n := range []int{0, 150} {
			index, q := s.reading(t, gateway, n)
			leaf, _ := s.Leaf(index)
			hash := block.LeafHash(leaf)
			id := s.GatewayKey(gateway).Public().ID()
			for _, kind := range []string{"cose", "tlog-proof", "evidence"} {
				var first []byte
				for _, way := range []string{fmt.Sprintf("leaf/%d", index), "statement/" + hex.EncodeToString(hash[:]), fmt.Sprintf("key/%v/%v", id, q)} {
					resp, b := s.get(t, s.url+"/api/v1/"+way+"."+kind)
					if resp.StatusCode != http.StatusOK {
						t.Fatalf("%s.%s: %s: %s", way, kind, resp.Status, b)
					}
					if first == nil {
						first = b
					}
					if diff := cmp.Diff(first, b); diff != "" {
						t.Errorf("%s.%s is another file", way, kind)
					}
					if wrong := verdicts(audit.Verify("file."+kind, b, trust)); wrong != nil {
						t.Errorf("%s.%s: %s", way, kind, strings.Join(wrong, "; "))
					}
				}
			}
		}
	}
	// Nothing of a committed pack is in any file.
	index, _ := s.reading(t, "home2", 0)
	_, b := s.get(t, fmt.Sprintf("%s/api/v1/leaf/%d.evidence", s.url, index))
	e, err := audit.ParseEvidence(b)
	if err != nil || len(e.Disclosures) > 0 {
		t.Errorf("evidence of a committed reading: %v, %d disclosures", err, len(e.Disclosures))
	}
	// A header and an outcome have proofs too.
	for _, kind := range []string{"tlog-proof", "evidence"} {
		resp, b := s.get(t, fmt.Sprintf("%s/api/v1/leaf/%d.%s", s.url, s.final.Size-1, kind))
		if wrong := verdicts(audit.Verify("file."+kind, b, trust)); resp.StatusCode != http.StatusOK || wrong != nil {
			t.Errorf("a header's %s: %s, %q", kind, resp.Status, wrong)
		}
	}
}

func problemOf(t *testing.T, resp *http.Response, b []byte) (p struct {
	Type, Title, Detail, Hint string
	Status                    int
}) {
	t.Helper()
	if got := resp.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("%s is of type %q: %s", resp.Request.URL, got, b)
	}
	if err := json.Unmarshal(b, &p); err != nil {
		t.Fatal(err)
	}
	if p.Hint == "" || p.Title == "" || p.Status != resp.StatusCode || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: %+v with %v", resp.Request.URL, p, resp.Header)
	}
	return p
}

func TestProblems(t *testing.T) {
	s := newStreet(t, nil)
	id := s.GatewayKey("home1").Public().ID()
	zero := strings.Repeat("00", 32)
	for _, tt := range []struct {
		path, kind string
		status     int
	}{
		{"/checkpoint", "not-final", 503},
		{"/nowhere", "no-such-path", 404},
		{"/api/v1/leaf/7", "bad-request", 400},
		{"/api/v1/leaf/7.pdf", "bad-request", 400},
		{"/api/v1/leaf/07.cose", "bad-request", 400},
		{"/api/v1/leaf/-1.cose", "bad-request", 400},
		{"/api/v1/leaf/9999999.evidence", "no-such-leaf", 404},
		{fmt.Sprintf("/api/v1/leaf/%d.evidence", s.Size()-1), "not-final", 503},
		{fmt.Sprintf("/api/v1/leaf/%d.cose", s.Size()-1), "not-final", 503},
		{fmt.Sprintf("/api/v1/leaf/%d.tlog-proof", s.Size()-1), "not-final", 503},
		{"/api/v1/leaf/0.cose", "no-statement", 404},
		{"/api/v1/statement/" + zero + ".cose", "no-such-leaf", 404},
		{"/api/v1/statement/" + zero + "00.cose", "bad-request", 400},
		{"/api/v1/statement/" + strings.ToUpper(hex.EncodeToString([]byte(strings.Repeat("\xab", 32)))) + ".cose", "bad-request", 400},
		{fmt.Sprintf("/api/v1/key/%v/1-99999.cose", id), "no-such-leaf", 404},
		{fmt.Sprintf("/api/v1/key/%v/1.cose", id), "bad-request", 400},
		{fmt.Sprintf("/api/v1/key/%v/01-1.cose", id), "bad-request", 400},
		{"/api/v1/key/12/1-1.cose", "bad-request", 400},
	} {
		resp, b := s.get(t, s.url+tt.path)
		if p := problemOf(t, resp, b); p.Type != api.DocsPath+"#"+tt.kind || p.Status != tt.status {
			t.Errorf("%s: %+v, want %s and %d", tt.path, p, tt.kind, tt.status)
		}
	}
	resp, err := http.Post(s.url+"/checkpoint", "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("a POST: %s", resp.Status)
	}
}

func TestWhomToTrustIsForLooking(t *testing.T) {
	s := newStreet(t, nil)
	resp, b := s.get(t, s.url+"/policy")
	p, err := block.ParsePolicy(b)
	if err != nil || p.String() != s.Policy.String() {
		t.Errorf("the policy: %v\n%s", err, b)
	}
	keys, _ := s.get(t, s.url+"/keys.jwks")
	for _, h := range []http.Header{resp.Header, keys.Header} {
		if !strings.Contains(h.Get("Wattmark-Trust"), "a verifier keeps its own") {
			t.Errorf("nobody is warned: %v", h)
		}
	}
	if !strings.HasPrefix(string(b), "#") || !strings.Contains(string(b), "A verifier keeps its own") {
		t.Errorf("the file itself does not say so:\n%s", b)
	}
}

// TestClientsAreLimited: who asks too much is told when to come again, and others go on.
func TestClientsAreLimited(t *testing.T) {
	now := time.UnixMilli(ledgertest.Start)
	s := newStreet(t, func(c *api.Config) {
		c.Rates = api.Rates{Reads: 1, ReadBurst: 3, Proofs: 1, ProofBurst: 2}
		c.Now = func() time.Time { return now }
		c.Client = func(r *http.Request) netip.Prefix {
			p, _ := netip.MustParseAddr(r.Header.Get("Client")).Prefix(32)
			return p
		}
	})
	s.publish(t, s.final.Height)
	ask := func(client, path string) int {
		resp, b := s.get(t, s.url+path, "Client", client)
		if resp.StatusCode == http.StatusTooManyRequests {
			if problemOf(t, resp, b).Type != api.DocsPath+"#too-many-requests" || resp.Header.Get("Retry-After") != "1" {
				t.Errorf("%v: %s", resp.Header, b)
			}
		}
		return resp.StatusCode
	}
	var got []int
	for range 4 {
		got = append(got, ask("192.0.2.1", "/checkpoint"))
	}
	got = append(got, ask("192.0.2.2", "/checkpoint"), ask("192.0.2.1", "/api/v1/leaf/5.tlog-proof"), ask("192.0.2.1", "/api/v1/leaf/5.evidence"), ask("192.0.2.1", "/api/v1/leaf/5.cose"))
	now = now.Add(time.Second)
	got = append(got, ask("192.0.2.1", "/checkpoint"), ask("192.0.2.1", "/checkpoint"))
	want := []int{200, 200, 200, 429, 200, 200, 200, 429, 200, 429}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got)\n%s", diff)
	}
}

func TestReadiness(t *testing.T) {
	reasons := []api.Reason{}
	s := newStreet(t, func(c *api.Config) { c.Ready = func() []api.Reason { return reasons } })
	if resp, b := s.get(t, s.admin+"/readyz"); resp.StatusCode != http.StatusOK || string(b) != `{"ready":true,"reasons":[]}`+"\n" {
		t.Errorf("%s: %s", resp.Status, b)
	}
	reasons = append(reasons, api.Reason{Reason: "halted", Detail: "the order was rewound", Remedy: "compare"})
	resp, b := s.get(t, s.admin+"/readyz")
	want := `{"ready":false,"reasons":[{"reason":"halted","detail":"the order was rewound","remedy":"compare"}]}` + "\n"
	if resp.StatusCode != http.StatusServiceUnavailable || string(b) != want {
		t.Errorf("%s: %s", resp.Status, b)
	}
	if resp, _ := s.get(t, s.admin+"/healthz"); resp.StatusCode != http.StatusOK {
		t.Errorf("healthz: %s", resp.Status)
	}
	if resp, _ := s.get(t, s.url+"/readyz"); resp.StatusCode != http.StatusNotFound {
		t.Errorf("the public side tells of readiness: %s", resp.Status)
	}
}

// TestWithoutFinalOfThisRun: what the oracle knew before it was started again goes on
// being served; receipts wait for the votes of this run.
func TestWithoutFinalOfThisRun(t *testing.T) {
	s := newStreet(t, func(c *api.Config) { c.Final = func() *finality.Final { return nil } })
	index, _ := s.reading(t, "home1", 3)
	for kind, want := range map[string]int{"cose": 503, "tlog-proof": 200, "evidence": 200} {
		if resp, b := s.get(t, fmt.Sprintf("%s/api/v1/leaf/%d.%s", s.url, index, kind)); resp.StatusCode != want {
			t.Errorf("%s: %s: %s", kind, resp.Status, b)
		}
	}
}

// TestProblemsAreExplained: what every problem in the sources is has a place where people read of it.
func TestProblemsAreExplained(t *testing.T) {
	source, err := os.ReadFile("problem.go")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, p := range api.Problems() {
		if known[p.Kind] || p.Title == "" || p.About == "" {
			t.Errorf("%+v", p)
		}
		known[p.Kind] = true
	}
	kinds := regexp.MustCompile(`(?m)^\tproblem\w+ += "([a-z-]+)"$`).FindAllSubmatch(source, -1)
	for _, k := range kinds {
		if !known[string(k[1])] {
			t.Errorf("nobody says what %s is", k[1])
		}
	}
	if len(kinds) != len(known) || len(kinds) < 10 {
		t.Errorf("%d kinds, %d explained", len(kinds), len(known))
	}
}
