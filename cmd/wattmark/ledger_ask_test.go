package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/ledger"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/oracle/api"
)

// answering serves a drawn ledger as an oracle does, all of it final, and returns the address.
func answering(t *testing.T, c *ledgertest.Chain) string {
	t.Helper()
	dir := t.TempDir()
	c.Save(dir)
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	tiles := filepath.Join(dir, "tiles")
	if err := l.Store().PublishTiles(tiles, c.Last().Checkpoint.Size, c.Note()); err != nil {
		t.Fatal(err)
	}
	a := api.New(api.Config{Ledger: l, Tiles: tiles, Rates: api.Rates{Reads: 1000, ReadBurst: 1000, Proofs: 1000, ProofBurst: 1000}})
	server := httptest.NewServer(a.Handler())
	t.Cleanup(server.Close)
	return server.URL
}

// TestALongBlock asks for a block of more leaves than one answer has.
func TestALongBlock(t *testing.T) {
	c := ledgertest.New(t, 4)
	c.KeepExports(false)
	c.Draw("+home1")
	var b strings.Builder
	for n := range askedLeaves + 20 {
		fmt.Fprintf(&b, "home1=%d ", 1000+n)
	}
	c.Draw(b.String())
	var stdout, stderr bytes.Buffer
	last := c.Last().Header
	if code := run(t.Context(), []string{"ledger", "show", "--json", "--from", answering(t, c), "--block", fmt.Sprint(last.Height)}, &stdout, &stderr); code != 0 {
		t.Fatalf("status %d: %s", code, &stderr)
	}
	if got, want := strings.Count(stdout.String(), "\n"), int(last.Size-last.First+1); got != want {
		t.Errorf("%d leaves, want %d", got, want)
	}
}

// TestNoOracle asks what is no oracle, or one that lies: it says so, whatever comes, and
// nothing that came moves a terminal's cursor.
func TestNoOracle(t *testing.T) {
	hash, root := strings.Repeat("0", 64), strings.Repeat("A", 43)+"="
	leaf := func(index int, more string) string {
		return fmt.Sprintf(`{"index":%d,"type":"statement","leaf_sha256":"%s","summary":"s","fields":[]%s}`, index, hash, more)
	}
	const blockSeven = `{"height":7,"time":"2026-01-01T00:00:00.000Z","first_leaf":3,"last_leaf":5}`
	text := func(kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			fmt.Fprint(w, body)
		}
	}
	paths := func(by map[string]string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, by[r.URL.Path]) }
	}
	for name, tt := range map[string]struct {
		what   string // of show
		answer http.HandlerFunc
		want   string
	}{
		"a page":          {"", text("text/html", "<html>hello</html>"), "answers what no oracle does: it is not the JSON"},
		"other JSON":      {"", text("application/json", `{"hello":1}`), "it tells of no ledger"},
		"nothing there":   {"", http.NotFound, `answers "404 Not Found": is that an oracle's address?`},
		"a redirect":      {"", http.RedirectHandler("https://elsewhere.example/", http.StatusMovedPermanently).ServeHTTP, `give the address that it leads to, "https://elsewhere.example/"`},
		"too much":        {"", text("application/json", `{"kind":"`+strings.Repeat("x", maxAnswer)+`"}`), "more than 8388608 bytes"},
		"no blocks":       {"", paths(map[string]string{"/api/v1/ledger": `{"kind":"ledger","ledger":"l","size":9}`, "/checkpoint": "l\n9\n" + root + "\n\n— l AAAAAAAA\n", "/api/v1/blocks": `{"items":[]}`}), "limit=10 answers what no oracle does: 0 blocks"},
		"another ledger":  {"", paths(map[string]string{"/api/v1/ledger": `{"kind":"ledger","ledger":"l","size":9}`, "/checkpoint": "other\n9\n" + root + "\n\n— other AAAAAAAA\n"}), `/checkpoint answers what no oracle does: it is no checkpoint of "l"`},
		"another leaf":    {"--leaf=4", paths(map[string]string{"/api/v1/leaves/4": leaf(5, "")}), "it is not that leaf"},
		"another block":   {"--block=8", paths(map[string]string{"/api/v1/blocks/8": blockSeven}), "it is not that block"},
		"a leaf too few":  {"--block=7", paths(map[string]string{"/api/v1/blocks/7": blockSeven, "/api/v1/blocks/7/leaves": `{"items":[` + leaf(3, "") + `]}`}), "leaf 4 of the block is missing"},
		"leaves for ever": {"--block=7", paths(map[string]string{"/api/v1/blocks/7": blockSeven, "/api/v1/blocks/7/leaves": `{"next":"x","items":[` + leaf(3, "") + `]}`}), "leaf 3 does not come next"},
		"a problem": {"", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json; charset=utf-8")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"detail":"It \u001b[31mstops.","hint":"Ask another.","errors":[{"location":"path.x","message":"is odd"}]}`)
		}, ": It \\x1b[31mstops; path.x: is odd\nhint: Ask another.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			var stdout, stderr bytes.Buffer
			args := []string{"ledger", "show", "--from", server.URL}
			if tt.what != "" {
				args = append(args, tt.what)
			}
			if code := run(t.Context(), args, &stdout, &stderr); code != exitFailed || !strings.Contains(stderr.String(), tt.want) {
				t.Errorf("status %d, %q, want %d and %q", code, &stderr, exitFailed, tt.want)
			}
			if strings.Contains(stdout.String()+stderr.String(), "\x1b") {
				t.Errorf("a terminal is written to: %q %q", &stdout, &stderr)
			}
		})
	}
	server := httptest.NewServer(paths(map[string]string{"/api/v1/leaves/4": leaf(4, `,"readings":[{"name":"\u001b[2J","time":"now","value":"1"}]`)}))
	defer server.Close()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"ledger", "show", "--from", server.URL, "--leaf", "4"}, &stdout, &stderr); code != 0 || !strings.Contains(stdout.String(), `\x1b[2J = 1`) {
		t.Errorf("status %d, %q, %q", code, &stdout, &stderr)
	}
}

// TestAskedForTooMuch waits as long as an oracle says, and asks again.
func TestAskedForTooMuch(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"detail":"Too much."}`)
			return
		}
		fmt.Fprintf(w, `{"index":4,"type":"header","leaf_sha256":"%064d","summary":"header of block 1"}`, 0)
	}))
	defer server.Close()
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"ledger", "show", "--from", server.URL, "--leaf", "4"}, &stdout, &stderr); code != 0 || asked != 2 {
		t.Errorf("status %d after %d questions: %s", code, asked, &stderr)
	}
}

// TestAskInstead: who may not read or write a ledger that an oracle has is told whom to ask.
func TestAskInstead(t *testing.T) {
	const hint = "\nhint: ask the running oracle instead: wattmark ledger show --from http://localhost:8080"
	dir := t.TempDir()
	s, _, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, _, err = store.Open(dir, store.Options{})
	if got := askInstead(err); !errors.Is(got, store.ErrLocked) || !strings.HasSuffix(got.Error(), hint) {
		t.Errorf("of a locked store: %v", got)
	}
	if got := askInstead(os.ErrNotExist); got != os.ErrNotExist {
		t.Errorf("of a ledger that is not there: %v", got)
	}
	err = &os.PathError{Op: "stat", Path: dir, Err: os.ErrPermission} // root may read everything
	if os.Getuid() != 0 {
		if err := os.Chmod(dir, 0); err != nil {
			t.Fatal(err)
		}
		_, err = storesOf(dir)
		os.Chmod(dir, 0o700)
	}
	if got := askInstead(err); !errors.Is(got, os.ErrPermission) || !strings.HasSuffix(got.Error(), hint) {
		t.Errorf("of a ledger that is another's: %v", got)
	}
}
