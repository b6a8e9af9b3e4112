package console_test

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

// TestContrast: whatever is text has 4.5:1 on card and on ground, and the mark of the
// focus 3:1 (WCAG 2.2, 1.4.3 and 1.4.11), in both themes. The colours are the oracle's
// pages' own.
func TestContrast(t *testing.T) {
	css, err := os.ReadFile("static/page.css")
	if err != nil {
		t.Fatal(err)
	}
	colours := func(s string) map[string]string {
		out := make(map[string]string)
		for _, m := range regexp.MustCompile(`--([a-z]+): #([0-9a-f]{6});`).FindAllStringSubmatch(s, -1) {
			out[m[1]] = m[2]
		}
		return out
	}
	light, dark, _ := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	themes := map[string]map[string]string{"light": colours(light), "dark": colours(dark)}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(themes["light"])), slices.Sorted(maps.Keys(themes["dark"]))); diff != "" || len(themes["light"]) == 0 {
		t.Errorf("colours of the themes (-light +dark)\n%s", diff)
	}
	luminance := func(hex string) float64 {
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
	for name, theme := range themes {
		for colour, want := range map[string]float64{"ink": 4.5, "muted": 4.5, "good": 4.5, "warn": 4.5, "bad": 4.5, "focus": 3} {
			for _, on := range []string{"ground", "card"} {
				a, b := luminance(theme[colour]), luminance(theme[on])
				if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < want {
					t.Errorf("%s: %s on %s has a contrast of %.2f:1, want %.1f:1", name, colour, on, ratio, want)
				}
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)[; {](color): var\(--([a-z]+)\)`).FindAllStringSubmatch(string(css), -1) {
		if !slices.Contains([]string{"ink", "muted", "good", "warn", "bad"}, m[2]) {
			t.Errorf("text is %s, which this test does not check", m[2])
		}
	}
}
