package browser_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"wattmark/ledger/audit/browser"
)

func german(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile("de.json")
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]string
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(b), "\n"); lines != len(m)+2 {
		t.Errorf("de.json has %d lines for %d texts: one stands twice", lines, len(m))
	}
	return m
}

// scripted returns the keys of the templates tell`…` and t`…` in a script.
func scripted(script string) (keys []string) {
	script = regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(script, "")
	for _, at := range regexp.MustCompile("\\b(?:tell|t)`").FindAllStringIndex(script, -1) {
		key, _ := template(script[at[1]:])
		keys = append(keys, key)
	}
	return keys
}

// template reads a template literal behind its first backtick, and returns how long it is.
func template(s string) (key string, n int) {
	args := 0
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '`':
			return key, i
		case s[i] == '\\':
			i++
			key += s[i : i+1]
		case strings.HasPrefix(s[i:], "${"):
			i += 2
			for depth := 1; ; i++ {
				switch s[i] {
				case '{':
					depth++
				case '}':
					depth--
				case '`':
					_, n := template(s[i+1:])
					i += n + 1
				case '"':
					i += 1 + strings.IndexByte(s[i+1:], '"')
				}
				if depth == 0 {
					break
				}
			}
			key += fmt.Sprintf("{%d}", args)
			args++
		default:
			key += s[i : i+1]
		}
	}
	return key, len(s)
}

// marked returns the keys of a page's elements with data-t, and of its labels with
// data-t-label, and texts that are in neither.
func marked(t *testing.T, page string) (keys, loose []string) {
	t.Helper()
	for _, tag := range []string{"script", "style"} {
		page = regexp.MustCompile(`(?s)<`+tag+`\b.*?</`+tag+`>`).ReplaceAllString(page, "")
	}
	type element struct {
		name     string
		key      string
		children int
		marked   bool
		silent   bool // code, or a figure
	}
	d := xml.NewDecoder(strings.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	open := []element{{}}
	for {
		x, err := d.Token()
		if errors.Is(err, io.EOF) {
			return keys, loose
		}
		if err != nil {
			t.Fatal(err)
		}
		top := &open[len(open)-1]
		switch x := x.(type) {
		case xml.StartElement:
			top.key += fmt.Sprintf("{%d}", top.children)
			top.children++
			e := element{name: x.Name.Local, silent: top.silent || slices.Contains([]string{"code", "data"}, x.Name.Local)}
			attributes := make(map[string]string)
			for _, a := range x.Attr {
				attributes[a.Name.Local] = a.Value
			}
			_, e.marked = attributes["data-t"]
			e.silent = e.silent || attributes["lang"] != "" && e.name != "html" || strings.Contains(attributes["class"], "hash")
			if _, ok := attributes["data-t-label"]; ok {
				keys = append(keys, attributes["aria-label"])
			} else if attributes["aria-label"] != "" {
				loose = append(loose, attributes["aria-label"])
			}
			open = append(open, e)
		case xml.CharData:
			top.key += string(x)
			if s := strings.TrimSpace(string(x)); s != "" && !top.marked && !top.silent && s != "Wattmark" && !regexp.MustCompile(`^[0-9.]+$`).MatchString(s) {
				loose = append(loose, s)
			}
		case xml.EndElement:
			if top.marked {
				keys = append(keys, top.key)
			}
			open = open[:len(open)-1]
		}
	}
}

// inGo returns the texts in the sources of ledger/audit as keys.
func inGo(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("../*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sources of ledger/audit: %v", err)
	}
	verb := regexp.MustCompile(`%[a-z]`)
	said := make(map[string]bool)
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var s scanner.Scanner
		set := token.NewFileSet()
		s.Init(set.AddFile(f, set.Base(), len(b)), b, nil, 0)
		for {
			_, kind, lit := s.Scan()
			if kind == token.EOF {
				break
			}
			if kind != token.STRING {
				continue
			}
			text, err := strconv.Unquote(lit)
			if err != nil {
				t.Fatal(err)
			}
			n := -1
			key := verb.ReplaceAllStringFunc(text, func(string) string { n++; return fmt.Sprintf("{%d}", n) })
			said[key] = true
			said["{0} "+key], said["{0}"+key], said[fmt.Sprintf("%s{%d}", key, n+1)] = true, true, true // a count, or put together
		}
	}
	return said
}

// TestLanguageFile: each text of scripts and pages is in de.json, each text there is one of
// theirs or of the verifier in Go, and speaks of the same things.
func TestLanguageFile(t *testing.T) {
	words, used := german(t), make(map[string]bool)
	scripts, err := filepath.Glob("*.js")
	if err != nil || len(scripts) < 8 {
		t.Fatalf("%d scripts: %v", len(scripts), err)
	}
	use := func(where string, keys []string) {
		for _, k := range keys {
			used[k] = true
			if words[k] == "" {
				t.Errorf("%s says %q, which de.json does not have", where, k)
			}
		}
	}
	for _, f := range scripts {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		use(f, scripted(string(b)))
	}
	cross, _, err := browser.CrossPageFrom(fstest.MapFS{"verify.wasm.gz": {}, "wasm_exec.js": {}})
	if err != nil {
		t.Fatal(err)
	}
	for name, page := range map[string][]byte{"verify.html": browser.Page(), "verify-cross.html": cross} {
		keys, loose := marked(t, string(page))
		use(name, keys)
		if len(keys) < 30 {
			t.Errorf("%s has %d texts: that is no test", name, len(keys))
		}
		for _, s := range loose {
			t.Errorf("%s has the text %q in one language only", name, s)
		}
	}
	said := inGo(t)
	place := regexp.MustCompile(`\{[0-9]+\}`)
	for _, key := range slices.Sorted(maps.Keys(words)) {
		if !used[key] && !said[key] {
			t.Errorf("nothing says %q", key)
		}
		want, got := place.FindAllString(key, -1), place.FindAllString(words[key], -1)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("%q speaks of %v, in German of %v", key, want, got)
		}
		if strings.Contains(words[key], "<") {
			t.Errorf("%q has markup in German", key)
		}
	}
}

// speaking makes a tab's browser one of somebody who reads these languages.
func speaking(t *testing.T, ctx context.Context, languages string) {
	t.Helper()
	agent := eval[string](t, ctx, "navigator.userAgent")
	if _, err := chromedp.Call(ctx, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: languages}); err != nil {
		t.Fatal(err)
	}
}

// TestGerman does with verify.html what a visitor does whose browser asks for German.
func TestGerman(t *testing.T) {
	b := chromium(t)
	at := filepath.Join(t.TempDir(), "verify.html")
	if err := os.WriteFile(at, browser.Page(), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx := tab(t, b, "about:blank")
	speaking(t, ctx, "fr,de-AT,en")
	if err := chromedp.Do(ctx, chromedp.Navigate((&url.URL{Scheme: "file", Path: at}).String())); err != nil {
		t.Fatal(err)
	}
	text := func(id string) string {
		return eval[string](t, ctx, fmt.Sprintf("document.getElementById(%q).innerText", id))
	}
	shoot(t, ctx, "german")
	if got := eval[string](t, ctx, `document.documentElement.lang + " " + document.title + " " + document.querySelector("h1").innerText`); got != "de Prüfen · Wattmark Prüfen Sie selbst" {
		t.Errorf("the page says %q", got)
	}
	upload(t, ctx, "policy-file", filepath.Join(street, "policy"))
	until(t, ctx, `document.getElementById("policy-state").textContent.startsWith("✓")`)
	upload(t, ctx, "files", filepath.Join(street, "open.evidence"), filepath.Join(street, "flag.evidence"))
	until(t, ctx, `document.querySelectorAll("article").length === 2`)
	if got := text("summary"); !strings.HasPrefix(got, "2 Dateien: ") || !strings.Contains(got, "0× falsch") {
		t.Errorf("the summary: %q", got)
	}
	if got := text("said"); !regexp.MustCompile(`^2 Dateien in [0-9]+,[0-9] s\.$`).MatchString(got) {
		t.Errorf("what was done: %q", got)
	}
	if got := text("reports"); !strings.Contains(got, "Im Ledger stimmt") || !strings.Contains(got, "eines Baums von") || eval[int](t, ctx, `document.querySelectorAll("#reports [lang]").length`) != 0 {
		t.Errorf("the verdicts: %q", got)
	}
	if got := saved(t, ctx, "csv"); !strings.Contains(got, `"inclusion","holds","leaf `) {
		t.Errorf("the CSV: %q", got)
	}
	shoot(t, ctx, "german-verdicts")
	// On paper the report says in which language it is.
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Media: "print"}); err != nil {
		t.Fatal(err)
	}
	if got := eval[string](t, ctx, `document.querySelector(".report").innerText`); !strings.HasPrefix(got, "Dieser Bericht ist auf Deutsch.") || eval[bool](t, ctx, `document.getElementById("tools").getClientRects().length > 0`) {
		t.Errorf("on paper: %q", got)
	}
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(t.ArtifactDir(), "german-paper.png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{}); err != nil {
		t.Fatal(err)
	}

	// What somebody chooses counts more, at once and the next time.
	eval[any](t, ctx, `document.querySelector("[data-language=en]").click()`)
	if got := text("summary"); !strings.HasPrefix(got, "2 files: ") {
		t.Errorf("the summary in English: %q", got)
	}
	if got := text("said"); !strings.HasPrefix(got, "2 files in ") {
		t.Errorf("what was done in English: %q", got)
	}
	if err := chromedp.Do(ctx, chromedp.Reload()); err != nil {
		t.Fatal(err)
	}
	if got := eval[string](t, ctx, `document.documentElement.lang + " " + document.querySelector("[data-language=en]").getAttribute("aria-pressed") + " " + document.querySelector(".lead").innerText`); got != "en true Nothing you drop leaves this page." {
		t.Errorf("the page says %q", got)
	}
}

// TestEveryVerdictInGerman: whatever is said of the corpus has a text in de.json, down to
// what its sentences are about.
func TestEveryVerdictInGerman(t *testing.T) {
	b := chromium(t)
	vectors, cases := corpus(t)
	ctx := tab(t, b, serve(t, map[string]any{
		"vectors": vectors, "cases": cases, "policy": string(testdata(t, "policy")), "keys": string(testdata(t, "keys.jwks")), "german": german(t),
	})["with WebCrypto"])
	missing := eval[[]string](t, ctx, `(async () => {
		const { vectors, cases, policy, keys, german } = await (await fetch("/corpus")).json();
		const raw = vectors.map((v) => Uint8Array.from(atob(v.bytes), (c) => c.charCodeAt(0)));
		const own = { policy: Wattmark.parsePolicy(policy), keys: Wattmark.parseKeys(keys) }, out = new Set();
		const look = (x) => {
			if (Array.isArray(x)) x.forEach(look);
			else if (!(x instanceof Wattmark.Sentence)) return;
			else if (german[x.key] === undefined) out.add(x.key);
			else x.about.forEach(look);
		};
		for (const c of cases) {
			const v = vectors[c.v], b = c.mask ? raw[c.v].slice() : raw[c.v].slice(0, c.at);
			if (c.mask) b[c.at] ^= c.mask;
			const r = await Wattmark.verify(v.name, b, { policy: v.policy ? own.policy : null, keys: v.keys ? own.keys : null });
			for (const said of [r.subject, ...r.verdicts.map((v) => v.detail)]) if (typeof said === "string" && said) out.add(said); else look(said);
		}
		return [...out];
	})()`)
	for _, s := range missing {
		t.Errorf("it says %q, which is not in de.json", s)
	}
}
