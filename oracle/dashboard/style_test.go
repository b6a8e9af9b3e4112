package dashboard_test

import (
	"maps"
	"math"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var (
	definition = regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6});`)
	use        = regexp.MustCompile(`([a-z-]+): [^;{}]*var\(--([a-z]+)\)`)
	comment    = regexp.MustCompile(`(?s)/\*.*?\*/`)
)

// TestContrast: text has 4.5:1 and graphics 3:1 (WCAG 2.2, 1.4.3 and 1.4.11), in
// both themes, on whatever they stand.
func TestContrast(t *testing.T) {
	sheet, err := os.ReadFile("static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	css := comment.ReplaceAllString(string(sheet), "")
	light, dark, ok := strings.Cut(css, "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("the stylesheet has no dark theme")
	}
	themes := map[string]map[string]string{"light": colours(light), "dark": colours(dark)}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(themes["light"])), slices.Sorted(maps.Keys(themes["dark"]))); diff != "" {
		t.Errorf("colours of the themes (-light +dark)\n%s", diff)
	}
	text := []string{"ink", "muted", "good", "warn", "bad"}
	graphics := []string{"solar", "using", "grid", "sold", "good", "warn", "muted"}
	behind := []string{"ground", "card", "wash"}
	for name, theme := range themes {
		for _, on := range []string{"ground", "card"} {
			for _, c := range text {
				atLeast(t, name, theme, c, on, 4.5)
			}
			for _, c := range graphics {
				atLeast(t, name, theme, c, on, 3)
			}
		}
		atLeast(t, name, theme, "ink", "wash", 4.5)
		atLeast(t, name, theme, "warn", "wash", 3)
	}
	// What the test calls text is all that is text, and so on.
	for _, u := range use.FindAllStringSubmatch(css, -1) {
		property, colour := u[1], u[2]
		allowed := map[string][]string{
			"color": text, "fill": append([]string{"muted"}, graphics...), "stroke": append([]string{"line"}, graphics...), "background": behind, "background-color": behind,
			// Lines between rows and around cards carry no meaning.
			"border": {"line", "muted", "warn"}, "border-top": {"line"}, "border-bottom-color": graphics, "outline": graphics,
		}[property]
		if !slices.Contains(allowed, colour) {
			t.Errorf("%s is %s, which this test does not check", property, colour)
		}
		if _, ok := themes["light"][colour]; !ok {
			t.Errorf("%s is %s, which is not defined", property, colour)
		}
	}
	if hex := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b`).FindAllString(definition.ReplaceAllString(css, ""), -1); hex != nil {
		t.Errorf("colours without a name: %v", hex)
	}
}

func colours(css string) map[string]string {
	out := make(map[string]string)
	for _, m := range definition.FindAllStringSubmatch(css, -1) {
		out[m[1]] = m[2]
	}
	return out
}

func atLeast(t *testing.T, name string, theme map[string]string, fore, back string, want float64) {
	t.Helper()
	a, b := luminance(t, theme[fore]), luminance(t, theme[back])
	if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < want {
		t.Errorf("%s: %s on %s has a contrast of %.2f:1, want %.1f:1", name, fore, back, ratio, want)
	}
}

// luminance is the relative luminance of WCAG 2.2.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	n, err := strconv.ParseUint(hex, 16, 24)
	if err != nil {
		t.Fatal(err)
	}
	linear := func(c uint64) float64 {
		v := float64(c&0xff) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(n>>16) + 0.7152*linear(n>>8) + 0.0722*linear(n)
}

// TestClasses: every class that a page uses is styled, and every class that is
// styled is used.
func TestClasses(t *testing.T) {
	css, err := os.ReadFile("static/style.css")
	if err != nil {
		t.Fatal(err)
	}
	styled := make(map[string]bool)
	for _, m := range regexp.MustCompile(`\.([a-z][a-z-]*)`).FindAllStringSubmatch(comment.ReplaceAllString(string(css), ""), -1) {
		styled[m[1]] = true
	}
	// Tones come from Go, and what says how old a page is from the script.
	used := map[string]bool{"good": true, "warn": true, "bad": true, "muted": true, "live": true, "old": true, "stale": true, "new": true}
	for _, name := range []string{"templates/now.html", "templates/ledger.html", "templates/page.html", "templates/market.html", "templates/carbon.html", "templates/member.html", "templates/docs.html", "templates/gateways.html", "templates/control.html", "templates/cross.html", "chart/markup.go", "chart/energy.go"} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`class="([^"]*)"`).FindAllStringSubmatch(string(b), -1) {
			for _, c := range strings.Fields(regexp.MustCompile(`\{\{.*?\}\}`).ReplaceAllString(m[1], "")) {
				used[c] = true
			}
		}
	}
	delete(used, "plot") // names of two of a figure's three parts; the third is styled
	delete(used, "y")
	if diff := cmp.Diff(styled, used); diff != "" {
		t.Errorf("classes (-styled +used)\n%s", diff)
	}
}
