package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestFold(t *testing.T) {
	const line = "  ok   quorum       holds: checkpoint of 28 leaves signed by 1 log"
	for _, test := range []struct {
		name  string
		width int
		want  string
	}{
		{"no terminal", 0, line},
		{"it fits", 80, line},
		{"it goes on below its beginning", 50, "  ok   quorum       holds: checkpoint of 28 leaves\n                    signed by 1 log"},
		{"hardly anything fits beside the hang", 40, line},
	} {
		// A terminal's last column stays free: some go on to the next line from there.
		got := fold(line, test.width+1, 20)
		if test.width == 0 {
			got = fold(line, 0, 20)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

// TestFoldLosesNothing folds lines of any words: no word is lost or torn, and no line
// is wider than the terminal unless one word is.
func TestFoldLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-zäµ₂:/.]{1,40}`), 1, 30).Draw(t, "words")
		hang := rapid.IntRange(0, 24).Draw(t, "hang")
		width := rapid.IntRange(hang+24, 120).Draw(t, "width")
		indent := rapid.IntRange(0, hang).Draw(t, "indent")
		line := strings.Repeat(" ", indent) + strings.Join(words, " ")
		got := fold(line, width, hang)
		if diff := cmp.Diff(words, strings.Fields(got)); diff != "" {
			t.Fatalf("%q is folded to %q (-want +got):\n%s", line, got, diff)
		}
		for i, l := range strings.Split(got, "\n") {
			if utf8.RuneCountInString(l) >= width && len(strings.Fields(l)) > 1 {
				t.Errorf("line %d of %q has %d columns of %d", i, got, utf8.RuneCountInString(l), width)
			}
			if i > 0 && (len(l) <= hang || l[:hang] != strings.Repeat(" ", hang) || l[hang] == ' ') {
				t.Errorf("line %d of %q does not begin in column %d", i, got, hang)
			}
		}
	})
}

// TestNoBarWithoutTerminal lets a bar run where nobody looks.
func TestNoBarWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	b := newBar(&out, "auditing", 100)
	b.start = b.start.AddDate(-1, 0, 0)
	b.at(50)
	b.end()
	if out.Len() > 0 {
		t.Errorf("a bar wrote %q where there is no terminal", &out)
	}
}

// TestBarFits draws the bar of a path that is longer than the terminal is wide.
func TestBarFits(t *testing.T) {
	var out bytes.Buffer
	b := newBar(&out, "auditing /home/somebody/a/rather/deep/directory/with/streets/in/it/oracles/1", 1000)
	b.width = 80
	b.start = b.start.AddDate(-1, 0, 0)
	b.at(500)
	got := strings.TrimPrefix(out.String(), "\r\x1b[K")
	if n := utf8.RuneCountInString(got); n >= b.width || !strings.Contains(got, "oracles/1 [##########..........]  50%") {
		t.Errorf("the bar has %d columns: %q", n, got)
	}
	out.Reset()
	if b.end(); out.String() != "\r\x1b[K" {
		t.Errorf("the bar is removed with %q", &out)
	}
}
