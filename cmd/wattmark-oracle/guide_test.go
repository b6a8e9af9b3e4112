package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestGuide holds the operator's guide to the program: each command in it has a verb and
// flags that there are, and each file it names is there.
func TestGuide(t *testing.T) {
	text := readSample(t, "../../deploy/OPERATOR.md")
	found := 0
	for _, m := range regexp.MustCompile("wattmark-oracle ([a-z]+)([^`\n]*)").FindAllStringSubmatch(text, -1) {
		if !regexp.MustCompile(`^(init|run|status|permissions|certificate|version|witness|backup)$`).MatchString(m[1]) {
			continue // a sentence about the program
		}
		found++
		cmd, _, err := newRoot().Find([]string{m[1]})
		if err != nil || cmd.Name() != m[1] {
			t.Errorf("%q: there is no verb %q", m[0], m[1])
			continue
		}
		var flags []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, "--"+f.Name) })
		for word := range strings.FieldsSeq(m[2]) {
			if strings.HasPrefix(word, "--") && !slices.Contains(flags, word) {
				t.Errorf("%q: there is no flag %s", m[0], word)
			}
		}
	}
	if found < 12 {
		t.Errorf("the guide has %d commands", found)
	}
	for _, m := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		readSample(t, "../../deploy/"+m[1])
	}
	verbs := newRoot().Commands()
	for _, v := range verbs {
		if v.IsAvailableCommand() && v.Name() != "version" && v.Name() != "witness" && !strings.Contains(text, "wattmark-oracle "+v.Name()) {
			t.Errorf("the guide does not name the verb %q", v.Name())
		}
	}
}
