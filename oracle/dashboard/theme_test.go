package dashboard_test

import (
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/oracle/dashboard"
)

// TestTheme: what is chosen is kept by the browser alone, the page is drawn in it at once, and
// the way back leads to no other host.
func TestTheme(t *testing.T) {
	_, l := drawn(t)
	d := dashboard.New(lively(), dashboard.Options{Ledger: l, Log: logged(t)})
	get(d, "/").has(t, `data-theme="auto"`, `value="auto" aria-pressed="true"`)
	for _, name := range []string{"dark", "light"} {
		r, _ := post(d, "/theme", url.Values{"theme": {name}, "back": {"/ledger?from=2"}}, "Origin", "null")
		if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/ledger?from=2" || len(r.Cookies()) != 1 || !r.Cookies()[0].HttpOnly {
			t.Fatalf("%s: %d %v", name, r.StatusCode, r.Header)
		}
		page := get(d, "/ledger?from=2", "Cookie", r.Cookies()[0].Name+"="+r.Cookies()[0].Value)
		checkHTML(t, "/ledger", page.body)
		page.has(t, `data-theme="`+name+`"`, `value="`+name+`" aria-pressed="true"`, `name="back" value="/ledger?from=2"`)
	}
	if r, _ := post(d, "/theme", url.Values{"theme": {"auto"}, "back": {"/"}}); len(r.Cookies()) != 1 || r.Cookies()[0].MaxAge >= 0 {
		t.Errorf("going by the device: %v", r.Header)
	}
	for _, back := range []string{"", "//other.example/", `/\other.example`, "https://other.example/", "/\r\nX: y"} {
		if r, _ := post(d, "/theme", url.Values{"theme": {"dark"}, "back": {back}}); r.Header.Get("Location") != "/ledger" {
			t.Errorf("%q leads to %q", back, r.Header.Get("Location"))
		}
	}
	if r, _ := post(d, "/theme", url.Values{"theme": {"<b>"}}); r.StatusCode != http.StatusUnprocessableEntity || len(r.Cookies()) > 0 {
		t.Errorf("no theme: %d", r.StatusCode)
	}
	get(d, "/", "Cookie", "wattmark-theme=<b>").has(t, `data-theme="auto"`)
}

// TestDarkTwice: dark by the device and dark by choice are the same colours.
func TestDarkTwice(t *testing.T) {
	css, err := os.ReadFile("static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	block := func(begin string) string {
		_, rest, ok := strings.Cut(string(css), begin)
		if !ok {
			t.Fatalf("the stylesheet has no %s", begin)
		}
		in, _, _ := strings.Cut(rest, "}")
		return strings.Join(regexp.MustCompile(`--[a-z]+: #[0-9a-f]{6};`).FindAllString(in, -1), "\n")
	}
	device, chosen := block(`:root:not([data-theme="light"]) {`), block(`:root[data-theme="dark"] {`)
	if diff := cmp.Diff(device, chosen); diff != "" || !strings.Contains(device, "--ground") {
		t.Errorf("dark by the device and by choice (-device +chosen)\n%s", diff)
	}
}
