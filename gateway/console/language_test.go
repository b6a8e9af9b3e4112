package console_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"wattmark/gateway/console"
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

// parsed are the files of the folders, without tests.
func parsed(t *testing.T, folders ...string) (files []*ast.File) {
	t.Helper()
	set := token.NewFileSet()
	for _, dir := range folders {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
			files = append(files, f)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// literal returns the format that an expression makes a text of: "…", "…" + x, x + "…" or
// Sprintf("…", x).
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && s != ""
	case *ast.BinaryExpr:
		if s, ok := literal(e.X); ok {
			return s + "%s", true
		}
		if s, ok := literal(e.Y); ok {
			return "%s" + s, true
		}
	case *ast.CallExpr:
		switch name := called(e); {
		case name == "Sprintf":
			return literal(e.Args[0])
		case name == "Or" && len(e.Args) == 2:
			return literal(e.Args[1])
		}
	}
	return "", false
}

// called is the name of a function or method without its package or receiver.
func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}

// said returns what the sources say to the reader of the page: own texts, and texts of
// warnings, of verdicts and of what to do about a failure.
func said(t *testing.T) (own, others map[string]bool) {
	t.Helper()
	own, others = make(map[string]bool), make(map[string]bool)
	add := func(to map[string]bool, args ...ast.Expr) {
		for _, a := range args {
			if s, ok := literal(a); ok && regexp.MustCompile(`[a-z]{2}`).MatchString(s) {
				to[s] = true
			}
		}
	}
	for _, f := range parsed(t, ".") {
		ast.Inspect(f, func(n ast.Node) bool {
			if c, ok := n.(*ast.CallExpr); ok {
				switch called(c) {
				case "say", "word", "fact":
					add(own, c.Args[0])
				case "count":
					add(own, c.Args[1:]...)
				}
			}
			return true
		})
	}
	for _, state := range []string{console.StateGood, console.StateSilent, console.StateFailing, console.StateWaiting, console.StateDisabled, "unsynced", "holdover", "simulated"} {
		own[state] = true
	}
	for _, f := range parsed(t, "../status.go", "../verdict", "../../hardware") {
		if strings.HasSuffix(f.Name.Name, "test") || f.Name.Name == "emulated" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				return n.Name.Name != "Expect" // which the page does not ask
			case *ast.KeyValueExpr:
				if k, ok := n.Key.(*ast.Ident); ok && (k.Name == "Remedy" || k.Name == "Text") && f.Name.Name != "board" {
					add(others, n.Value)
				}
			case *ast.CallExpr:
				switch called(n) {
				case "warn":
					if len(n.Args) < 4 {
						return true
					}
					add(others, n.Args[2:]...)
				case "openError":
					add(others, n.Args[len(n.Args)-1])
				case "count":
					if f.Name.Name == "gateway" && len(n.Args) == 3 {
						add(others, n.Args[1:]...)
					}
				case "append":
					if id, ok := n.Args[0].(*ast.Ident); ok && id.Name == "not" {
						add(others, n.Args[1:]...)
					}
				}
			}
			return true
		})
	}
	return own, others
}

// TestLanguageFile: each text is in de.json, and each there is one of the sources'.
func TestLanguageFile(t *testing.T) {
	words := german(t)
	own, others := said(t)
	if len(own) < 50 || len(others) < 80 {
		t.Fatalf("%d own texts and %d of others: that is no test", len(own), len(others))
	}
	for _, key := range slices.Sorted(maps.Keys(own)) {
		if words[key] == "" {
			t.Errorf("the page says %q, which de.json does not have", key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(others)) {
		if words[key] == "" {
			t.Errorf("somebody says %q, which de.json does not have", key)
		}
	}
	written := make(map[string]bool)
	for _, f := range parsed(t, ".", "..", "../../hardware") {
		ast.Inspect(f, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				if s, ok := literal(e); ok {
					written[s], written["%s: "+s] = true, true
				}
			}
			return true
		})
	}
	verb := regexp.MustCompile(`%(?:\[[0-9]\])?#?[.0-9]*([dsvfqx])`)
	for _, key := range slices.Sorted(maps.Keys(words)) {
		if !written[key] {
			t.Errorf("nothing says %q", key)
		}
		// An own text is a format of the same arguments; one that is heard takes texts.
		var args []any
		for _, v := range verb.FindAllStringSubmatch(key, -1) {
			if v[1] == "d" && own[key] {
				args = append(args, 7)
			} else {
				args = append(args, "text")
			}
		}
		text := words[key]
		if !own[key] {
			text = verb.ReplaceAllString(strings.ReplaceAll(text, "1 %", "1 %%"), "%s")
		}
		if got := fmt.Sprintf(text, args...); strings.Contains(got, "%!") {
			t.Errorf("%q is %q in German", key, got)
		}
	}
}

// TestGermanPage: the page says in German what it says in English.
func TestGermanPage(t *testing.T) {
	ask := func(facts func() console.Facts) string {
		a := get(t, console.Page(facts), "/", func(r *http.Request) { r.Header.Set("Accept-Language", "de-CH, en;q=0.5") })
		return strings.ReplaceAll(body(t, a), "\u00a0", " ")
	}
	text := ask(busy)
	from := 0
	for _, want := range []string{
		`<html lang="de">`, "home-01 · Wattmark-Gateway", "Werte von 12:00:00 UTC", `href="/?lang=en" lang="en" hreflang="en">In English<`,
		"2 von 4 Sensoren in Ordnung, 1 stumm, 1 wartet; sendet nicht; 1042 Meldungen warten; Uhr NTP ±8 ms",
		"stumm", "seit 11:43:00 UTC, 17 min", `<p lang="en">No answer from 0x61`, "Abhilfe: Versorgung, SDA, SCL und die Adresse prüfen.",
		"1234,5", "vor 2 s", "Netzbezug 1,2 kW.", "Der Wandler an L2 scheint verkehrt herum", "Wirkleistung L2", "−600,5 W", "Wirkleistung ist kalibriert.", "Einspeisung 3,1 kW.",
		"Keine Verbindung zum Broker: lookup broker.example.org", "Eine Meldung wartet auf ihren Beleg seit 3,0 h.", "3669 hier geprüft, der letzte vor 3,0 h",
		"auf der Platte: 1042 Meldungen warten (612,0 kB), die älteste seit 3,0 h. Ohne Verbindung ist Platz für etwa 52 d",
		"Nicht bereit: 1 Gerät ist stumm; 1 Gerät wurde noch nicht gelesen; es gibt keine Verbindung.",
	} {
		i := strings.Index(text[from:], want)
		if i < 0 {
			t.Fatalf("the page does not say %q after %q:\n%s", want, text[max(0, from-60):from], text)
		}
		from += i
	}
	if text := ask(quiet); strings.Count(text, ` lang="en"`) != 1 || !strings.Contains(text, "Bereit: Messwerte sind unterschrieben, gesendet und belegt.") {
		t.Errorf("of a gateway that is ready the page says:\n%s", text)
	}
	// What a driver says of a failure is put together of parts that are known.
	failing := ask(func() console.Facts {
		f := busy()
		f.Devices[0].Error = "rs485-1: grid: reading input registers 0x0000-0x001f of unit 1: timeout: no answer within 1s (check power, wires A and B, speed, parity and the unit's address)"
		return f
	})
	if want := "Rs485-1: grid: Lesen der input-Register 0x0000 bis 0x001f von Gerät 1: Zeit abgelaufen: keine Antwort innerhalb von 1s (Versorgung, Leitungen A und B, Geschwindigkeit, Parität und die Geräteadresse prüfen)."; !strings.Contains(failing, "<p>"+want) {
		t.Errorf("a failure: the page does not say %q:\n%s", want, failing)
	}
}

// TestLanguageAsked: the language that was chosen counts, else what the browser prefers.
func TestLanguageAsked(t *testing.T) {
	h := console.Page(quiet)
	for _, c := range []struct{ accept, cookie, want string }{
		{"", "", "en"}, {"de", "", "de"}, {"de-AT,de;q=0.9,en;q=0.8", "", "de"}, {"en-GB,de;q=0.9", "", "en"}, {"en;q=0.7, DE;q=0.8", "", "de"},
		{"fr,de;q=0.1", "", "de"}, {"de;q=0", "", "en"}, {"*", "", "en"}, {"de;q=x,en;q=0.1", "", "en"}, {"de;q=2", "", "en"}, {"de;q=NaN", "", "en"}, {"de;level=1", "", "en"},
		{strings.Repeat("x,", 16) + "de", "", "en"}, {strings.Repeat("x", 300) + ",de", "", "en"}, {"dee", "", "en"},
		{"de", "en", "en"}, {"en", "de", "de"}, {"de", "fr", "de"},
	} {
		a := get(t, h, "/", func(r *http.Request) {
			if c.accept != "" {
				r.Header.Set("Accept-Language", c.accept)
			}
			if c.cookie != "" {
				r.AddCookie(&http.Cookie{Name: "wattmark_language", Value: c.cookie})
			}
		})
		if got := body(t, a); !strings.Contains(got, fmt.Sprintf("<html lang=%q>", c.want)) {
			t.Errorf("Accept-Language %q, cookie %q: the page is not in %q", c.accept, c.cookie, c.want)
		}
	}
	a := get(t, h, "/?lang=de")
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != "/" || len(a.Cookies()) != 1 || a.Cookies()[0].Value != "de" || !a.Cookies()[0].HttpOnly {
		t.Errorf("a choice: %s, %v", a.Status, a.Header)
	}
	if a := get(t, h, "/?lang=fr"); a.StatusCode != http.StatusOK || len(a.Cookies()) != 0 {
		t.Errorf("a language that there is not: %s, %v", a.Status, a.Cookies())
	}
}
