package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestHelpFits holds the help of every verb to a terminal of 80 columns, as it is met over
// ssh and on a screen that somebody brought.
func TestHelpFits(t *testing.T) {
	verbs := [][]string{nil}
	for _, c := range newRoot().Commands() {
		verbs = append(verbs, []string{c.Name()})
	}
	if len(verbs) < 10 {
		t.Fatalf("only %d verbs: %q", len(verbs), verbs)
	}
	for _, verb := range verbs {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), append(verb, "--help"), strings.NewReader(""), &stdout, &stderr); code != 0 || stderr.Len() > 0 {
			t.Errorf("%q --help ended with %d:\n%s", verb, code, &stderr)
		}
		for line := range strings.Lines(stdout.String()) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > screenWidth {
				t.Errorf("%q --help has a line of %d characters:\n%s", verb, n, line)
			}
		}
	}
}

// TestMissingArgument says what is missing.
func TestMissingArgument(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"calibrate"}, "wattmark-gateway: calibrate takes the DEVICE to calibrate, and here are 0 arguments\n"},
		{[]string{"support-bundle", "a", "b"}, "wattmark-gateway: support-bundle takes a FILE to write, or - for standard output, and here are 2 arguments\n"},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), c.args, strings.NewReader(""), &stdout, &stderr); code != exitUsage || !strings.HasPrefix(stderr.String(), c.want) || stdout.Len() > 0 {
			t.Errorf("%q ended with %d, want %q:\n%s", c.args, code, c.want, &stderr)
		}
	}
}
