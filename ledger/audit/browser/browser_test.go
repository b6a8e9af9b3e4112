package browser_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"wattmark/ledger/audit"
	"wattmark/ledger/audit/browser"
	"wattmark/ledger/block"
)

var every = flag.Int("every", 31, "damage every how many-th byte of each vector; 1 damages each and takes minutes")

// chromium starts a browser, or skips the test where there is none. The name
// wattmark.test leads to this machine, and is no secure context: a page from there has
// no WebCrypto.
func chromium(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("WATTMARK_REQUIRE_ALL") == "1" {
			t.Fatal("chromium is not installed, and WATTMARK_REQUIRE_ALL=1 asks for every test")
		}
		t.Skip("chromium is not installed: the verifier is not tested in a browser")
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.Flag("lang", "en-US"), chromedp.Flag("host-resolver-rules", "MAP wattmark.test 127.0.0.1"))...)
	t.Cleanup(stop)
	b, stop := chromedp.NewContext(alloc)
	t.Cleanup(stop)
	if err := chromedp.Do(b); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return b
}

// tab opens a page.
func tab(t *testing.T, b context.Context, url string) context.Context {
	t.Helper()
	ctx, done := chromedp.NewContext(b)
	t.Cleanup(done)
	ctx, stop := context.WithTimeout(ctx, 10*time.Minute)
	t.Cleanup(stop)
	if err := chromedp.Do(ctx, chromedp.Navigate(url)); err != nil {
		t.Fatal(err)
	}
	return ctx
}

// eval returns what an expression, or the promise that it is, comes to.
func eval[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// vector is a good file, and with whose keys it is asked.
type vector struct {
	Name   string `json:"name"`
	Bytes  []byte `json:"bytes"`
	Policy bool   `json:"policy"`
	Keys   bool   `json:"keys"`
}

// damage is what happens to a vector: one byte is changed, or it ends early.
type damage struct {
	Vector int  `json:"v"`
	At     int  `json:"at"`
	Mask   byte `json:"mask"` // 0 cuts the file there
}

func (d damage) of(b []byte) []byte {
	b = append([]byte(nil), b...)
	if d.Mask == 0 {
		return b[:d.At]
	}
	b[d.At] ^= d.Mask
	return b
}

const street = "../testdata/street"

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(street, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// corpus is the good files of testdata, and those with damage.
func corpus(t *testing.T) (vectors []vector, cases []damage) {
	t.Helper()
	for _, pattern := range []string{"*.cose", "*.tlog-proof", "*.evidence"} {
		found, err := filepath.Glob(filepath.Join(street, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no vectors %s: %v", pattern, err)
		}
		for _, f := range found {
			name := filepath.Base(f)
			v := vector{name, testdata(t, name), true, !strings.HasSuffix(name, ".evidence")}
			vectors = append(vectors, v)
			vectors = append(vectors, vector{name, v.Bytes, false, true}, vector{name, v.Bytes, true, !v.Keys})
		}
	}
	for i, v := range vectors {
		cases = append(cases, damage{i, len(v.Bytes), 0})
		if i%3 != 0 {
			continue // with another trust whole alone
		}
		for at := i % *every; at < len(v.Bytes); at += *every {
			cases = append(cases, damage{i, at, 1 << (at % 8)})
			if at%4 == 0 {
				cases = append(cases, damage{i, at, 0})
			}
		}
	}
	return vectors, cases
}

// trusted is the policy and the keys of testdata.
func trusted(t *testing.T) (*block.Policy, *audit.KeySet) {
	t.Helper()
	policy, err := block.ParsePolicy(testdata(t, "policy"))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := audit.ParseKeys(testdata(t, "keys.jwks"))
	if err != nil {
		t.Fatal(err)
	}
	return policy, keys
}

// codes writes a report's answers.
func codes(r *audit.Report) string {
	var s []string
	for _, v := range r.Verdicts {
		s = append(s, string(v.Check)+":"+string(v.Verdict))
	}
	return r.Kind + " " + strings.Join(s, " ")
}

// serve serves the verifier's script on a page, and a corpus beside it. It returns the
// page's addresses by what a page has there.
func serve(t *testing.T, corpus any) map[string]string {
	m := http.NewServeMux()
	m.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<!doctype html><title>corpus</title><script src="/verify.js"></script>`)
	})
	m.HandleFunc("GET /verify.js", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		fmt.Fprint(w, browser.Script())
	})
	m.HandleFunc("GET /corpus", func(w http.ResponseWriter, _ *http.Request) { json.NewEncoder(w).Encode(corpus) })
	s := httptest.NewServer(m)
	t.Cleanup(s.Close)
	_, port, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"with WebCrypto":    "http://" + net.JoinHostPort("127.0.0.1", port) + "/",
		"without WebCrypto": "http://" + net.JoinHostPort("wattmark.test", port) + "/",
	}
}

// run is the page's side of TestSameCodes: the codes of each case, in order.
const run = `(async () => {
	const { vectors, cases, policy, keys } = await (await fetch("/corpus")).json();
	const raw = vectors.map((v) => Uint8Array.from(atob(v.bytes), (c) => c.charCodeAt(0)));
	const own = { policy: Wattmark.parsePolicy(policy), keys: Wattmark.parseKeys(keys) };
	const out = [];
	for (const c of cases) {
		const v = vectors[c.v], b = c.mask ? raw[c.v].slice() : raw[c.v].slice(0, c.at);
		if (c.mask) b[c.at] ^= c.mask;
		const r = await Wattmark.verify(v.name, b, { policy: v.policy ? own.policy : null, keys: v.keys ? own.keys : null });
		out.push(r.kind + " " + JSON.parse(JSON.stringify(r)).verdicts.map((v) => v.check + ":" + v.verdict).join(" "));
	}
	return out;
})()`

// TestSameCodes is the promise: the page answers each question about good and damaged
// files as ledger/audit does, with the browser's cryptography and without it.
func TestSameCodes(t *testing.T) {
	b := chromium(t)
	policy, keys := trusted(t)
	vectors, cases := corpus(t)
	want := make([]string, len(cases))
	held, false_ := 0, 0
	for i, c := range cases {
		v := vectors[c.Vector]
		var trust audit.Trust
		if v.Policy {
			trust.Policy = policy
		}
		if v.Keys {
			trust.Keys = keys
		}
		r := audit.Verify(v.Name, c.of(v.Bytes), trust)
		want[i] = codes(r)
		switch r.Exit() {
		case audit.ExitHolds:
			held++
		case audit.ExitFalse:
			false_++
		}
	}
	if held < 9 || false_ < len(cases)/2 {
		t.Fatalf("of %d cases %d hold and %d are false: that is no corpus", len(cases), held, false_)
	}

	hosts := serve(t, map[string]any{
		"vectors": vectors, "cases": cases, "policy": string(testdata(t, "policy")), "keys": string(testdata(t, "keys.jwks")),
	})
	for _, page := range []struct {
		what   string
		subtle bool
	}{{"with WebCrypto", true}, {"without WebCrypto", false}} {
		t.Run(page.what, func(t *testing.T) {
			ctx := tab(t, b, hosts[page.what])
			if got := eval[bool](t, ctx, "!!(globalThis.crypto && crypto.subtle)"); got != page.subtle {
				t.Fatalf("the page has WebCrypto: %v, want %v", got, page.subtle)
			}
			start := time.Now()
			got := eval[[]string](t, ctx, run)
			t.Logf("%d files in %v", len(got), time.Since(start).Round(time.Millisecond))
			bad := 0
			for i := range want {
				if got[i] != want[i] {
					if bad++; bad <= 5 {
						t.Errorf("%s, %+v:\n page %s\n  go  %s", vectors[cases[i].Vector].Name, cases[i], got[i], want[i])
					}
				}
			}
			if bad > 5 {
				t.Errorf("and %d more", bad-5)
			}
		})
	}
}

// TestNamesNoNetwork reads the verifier: nothing in it can reach beyond the page.
func TestNamesNoNetwork(t *testing.T) {
	bad := regexp.MustCompile(`\b(fetch|XMLHttpRequest|WebSocket|EventSource|WebTransport|RTCPeerConnection|sendBeacon|importScripts|serviceWorker|Worker|eval|Function)\b|\bimport\s*\(`)
	if found := bad.FindString(browser.Script()); found != "" {
		t.Errorf("the verifier names %q", found)
	}
}
