package browser_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"wattmark/ledger/audit"
	"wattmark/ledger/audit/browser"
)

// TestWeight: all of the page has less than 60 kB compressed.
func TestWeight(t *testing.T) {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(browser.Page())
	z.Close()
	t.Logf("%d bytes, %d compressed", len(browser.Page()), b.Len())
	if b.Len() > 60_000 {
		t.Errorf("the page has %d bytes compressed, over its budget of 60,000", b.Len())
	}
	for tag, want := range map[string]int{"<script": 1, "</script": 1, "<style": 1, "</style": 1, "{{": 0, " style=": 0, "onclick": 0} {
		if got := strings.Count(string(browser.Page()), tag); got != want {
			t.Errorf("%q stands in the page %d times, want %d", tag, got, want)
		}
	}
}

// until waits for an expression to be true.
func until(t *testing.T, ctx context.Context, expression string) {
	t.Helper()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression, chromedp.WithPollingTimeout(20*time.Second))); err != nil {
		t.Fatalf("%s: %v\nthe page says %q", expression, err, eval[string](t, ctx, "document.body.innerText"))
	}
}

func upload(t *testing.T, ctx context.Context, id string, files ...string) {
	t.Helper()
	for i := range files {
		abs, err := filepath.Abs(files[i])
		if err != nil {
			t.Fatal(err)
		}
		files[i] = abs
	}
	if err := chromedp.Do(ctx, chromedp.SetUploadFiles(chromedp.CSS("#"+id), files)); err != nil {
		t.Fatal(err)
	}
}

// TestPage does with verify.html, opened from a disk, what a visitor does.
func TestPage(t *testing.T) {
	b := chromium(t)
	dir := t.TempDir()
	at := filepath.Join(dir, "verify.html")
	write := func(name string, b []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	write("verify.html", browser.Page())
	page := (&url.URL{Scheme: "file", Path: at}).String()

	ctx := tab(t, b, "about:blank")
	messages := chromedp.Console(ctx)
	if err := chromedp.Do(ctx, chromedp.Navigate(page)); err != nil {
		t.Fatal(err)
	}
	text := func(id string) string {
		return eval[string](t, ctx, fmt.Sprintf("document.getElementById(%q).innerText", id))
	}

	// Without a policy it is not known who signed for the ledger.
	upload(t, ctx, "files", filepath.Join(street, "open.evidence"))
	until(t, ctx, `!document.getElementById("results").hidden`)
	if got := eval[int](t, ctx, `[...document.querySelectorAll(".verdicts li")].filter((e) => /oracles\s+not checked/.test(e.innerText)).length`); got != 1 {
		t.Errorf("without a policy: %q", text("reports"))
	}
	// With one every answer is asked again.
	upload(t, ctx, "policy-file", filepath.Join(street, "policy"))
	until(t, ctx, `document.getElementById("summary").textContent.startsWith("1 file: 7 hold, 0 not checked, 0 false")`)
	if got := text("policy-state"); !strings.HasPrefix(got, "✓ Ledger ") {
		t.Errorf("the policy: %q", got)
	}

	// Three sorts of damage are three messages.
	good := testdata(t, "open.evidence")
	later := bytes.Clone(good)
	later[2] = 9 // the version, behind the map's head and the key 1
	forged := testdata(t, "open.cose")
	forged[len(forged)-1] ^= 1
	upload(t, ctx, "keys-file", filepath.Join(street, "keys.jwks"))
	until(t, ctx, `document.getElementById("said").textContent.startsWith("keys.jwks is in use")`)
	upload(t, ctx, "files", write("cut.evidence", good[:len(good)/2]), write("later.evidence", later), write("forged.cose", forged))
	until(t, ctx, `document.querySelectorAll("article").length === 4`)
	for name, want := range map[string]string{"cut.evidence": "ends too early", "later.evidence": "later version", "forged.cose": "signature does not verify"} {
		if got := eval[string](t, ctx, fmt.Sprintf("document.querySelector('article[aria-label=%q]').innerText", name)); !strings.Contains(got, want) {
			t.Errorf("%s is told as %q, want %q in it", name, got, want)
		}
	}
	shoot(t, ctx, "damaged")

	// A link brings its file along; the policy is remembered.
	if err := chromedp.Do(ctx, chromedp.Navigate(page+"#open.evidence:"+base64.RawURLEncoding.EncodeToString(good))); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `document.querySelectorAll("article").length === 5`)
	if err := chromedp.Do(ctx, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	until(t, ctx, `document.getElementById("summary").textContent.startsWith("1 file: 7 hold, 0 not checked, 0 false")`)
	if got := text("policy-state"); !strings.HasSuffix(got, "15 keys of your own") {
		t.Errorf("remembered: %q", got)
	}
	shoot(t, ctx, "good")

	// A policy among the files is not used.
	eval[any](t, ctx, `document.getElementById("forget").click()`)
	until(t, ctx, `document.getElementById("said").textContent.includes("forgotten")`)
	upload(t, ctx, "files", filepath.Join(street, "policy"), filepath.Join(street, "open.cose"))
	until(t, ctx, `document.getElementById("said").textContent.includes("was not used")`)
	if got := text("policy-state"); !strings.HasPrefix(got, "? No policy yet") {
		t.Errorf("after a policy came with the files: %q", got)
	}

	const end = "the test ends here"
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[any](`console.log("`+end+`")`)); err != nil {
		t.Fatal(err)
	}
	for m, err := range messages {
		if err != nil || m.Text == end {
			break
		}
		t.Errorf("on the console: %v", m)
	}
	// The browser itself refuses to connect.
	if got := eval[string](t, ctx, `fetch("https://wattmark.test/").then(() => "connected", (e) => e.name)`); got != "TypeError" {
		t.Errorf("a connection: %s", got)
	}
}

// shoot takes pictures of a page in both themes and two widths, into the folder of the
// test's artefacts, and sees that nothing is wider than the screen.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	for _, width := range []int64{320, 390, 1440} {
		if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, 844)); err != nil {
			t.Fatal(err)
		}
		if w := eval[[]int](t, ctx, "[document.documentElement.scrollWidth, innerWidth]"); w[0] > w[1] {
			t.Errorf("%s is %d px wide on a screen of %d px", name, w[0], w[1])
		}
		for _, theme := range []string{"light", "dark"} {
			if width == 320 || testing.Short() {
				continue
			}
			if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}); err != nil {
				t.Fatal(err)
			}
			png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(t.ArtifactDir(), fmt.Sprintf("%s-%d-%s.png", name, width, theme)), png, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// compiled runs go generate into a folder of its own: about half a minute the first time,
// two seconds from the build cache.
func compiled(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("short: compiling the cross-check takes half a minute without a build cache")
	}
	dir := t.TempDir()
	c := exec.Command("go", "run", "./_generate", dir)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// TestCrossCheck: the three verifiers agree, and the rules of a tonne are run in the page.
func TestCrossCheck(t *testing.T) {
	b := chromium(t)
	html, _, err := browser.CrossPageFrom(os.DirFS(compiled(t)))
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(t.TempDir(), "verify-cross.html")
	if err := os.WriteFile(at, html, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx := tab(t, b, (&url.URL{Scheme: "file", Path: at}).String())
	text := func(id string) string {
		return eval[string](t, ctx, fmt.Sprintf("document.getElementById(%q).innerText", id))
	}

	const tonne = "../testdata/tonne"
	upload(t, ctx, "policy-file", filepath.Join(tonne, "policy"))
	upload(t, ctx, "files", filepath.Join(tonne, "tonne.evidence"))
	until(t, ctx, `document.getElementById("summary").textContent.startsWith("1 file: 2 hold, 7 not checked, 0 false")`)
	eval[any](t, ctx, `document.getElementById("cross-run").click()`)
	until(t, ctx, `/[✓✕]/.test(document.getElementById("cross-state").textContent)`)
	if got := text("cross-state"); got != "✓ 1 file: both verifiers agree." {
		t.Error(got)
	}
	if got, want := text("summary"), "1 file: 8 hold, 0 not checked, 0 false, 1 do not apply"; got != want {
		t.Errorf("a tonne: %q, want %q", got, want)
	}
	eval[any](t, ctx, `document.querySelectorAll("article > details")[0].open = true`)
	shoot(t, ctx, "tonne")

	// What the verifier in Go said is said in German too, where de.json has it.
	eval[any](t, ctx, `document.querySelector("[data-language=de]").click()`)
	if got := text("cross-state"); got != "✓ 1 Datei: beide Prüfprogramme sind sich einig." {
		t.Error(got)
	}
	if got := eval[string](t, ctx, `document.getElementById("cross-run").innerText`); !regexp.MustCompile(`^Gegenprüfung starten \([0-9]+,[0-9] MB, schon`).MatchString(got) {
		t.Errorf("the button: %q", got)
	}
	if got := eval[[]string](t, ctx, `[...document.querySelectorAll(".verdicts [lang=en]")].map((e) => e.textContent)`); len(got) > 0 {
		t.Errorf("in English: %q", got)
	}
	eval[any](t, ctx, `document.querySelectorAll("article > details")[0].open = true`)
	shoot(t, ctx, "tonne-german")

	// All vectors, whole and damaged, through the Go verifier in the page.
	vectors, cases := corpus(t)
	files := make([]map[string]any, len(cases))
	for i, c := range cases {
		v := vectors[c.Vector]
		files[i] = map[string]any{"name": v.Name, "bytes": c.of(v.Bytes), "policy": "", "keys": ""}
		if v.Policy {
			files[i]["policy"] = string(testdata(t, "policy"))
		}
		if v.Keys {
			files[i]["keys"] = string(testdata(t, "keys.jwks"))
		}
	}
	policy, keys := trusted(t)
	list, err := json.Marshal(files)
	if err != nil {
		t.Fatal(err)
	}
	got := eval[[]string](t, ctx, `(`+string(list)+`).map((f) => {
		const r = JSON.parse(wattmarkAudit(f.name, Uint8Array.from(atob(f.bytes), (c) => c.charCodeAt(0)), f.policy, f.keys));
		return r.kind + " " + r.verdicts.map((v) => v.check + ":" + v.verdict).join(" ");
	})`)
	for i, c := range cases {
		v := vectors[c.Vector]
		var trust audit.Trust
		if v.Policy {
			trust.Policy = policy
		}
		if v.Keys {
			trust.Keys = keys
		}
		if want := codes(audit.Verify(v.Name, c.of(v.Bytes), trust)); got[i] != want {
			t.Fatalf("%s, %+v:\n wasm %s\n go   %s", v.Name, c, got[i], want)
		}
	}
}
