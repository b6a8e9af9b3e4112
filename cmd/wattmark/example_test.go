package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/cmd/internal/command"
)

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, f := range command.ExampleFaults(newRoot(), examples) {
		t.Error(f)
	}
}

// TestMan writes the manual twice: a page for each command, and the same bytes.
func TestMan(t *testing.T) {
	read := func() map[string]string {
		t.Helper()
		dir := filepath.Join(t.TempDir(), "man")
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"man", dir}, &stdout, &stderr); code != 0 {
			t.Fatalf("status %d: %s", code, &stderr)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.1"))
		if err != nil {
			t.Fatal(err)
		}
		pages := make(map[string]string)
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			pages[filepath.Base(name)] = string(b)
		}
		return pages
	}
	pages := read()
	if diff := cmp.Diff(pages, read()); diff != "" {
		t.Errorf("the second manual is another (-first +second):\n%s", diff)
	}
	for _, name := range []string{"wattmark.1", "wattmark-verify.1", "wattmark-ledger-propose-oracles.1", "wattmark-carbon-commit.1"} {
		if page := pages[name]; !strings.Contains(page, ".SH SYNOPSIS") || name != "wattmark.1" && !strings.Contains(page, ".SH EXAMPLE") {
			t.Errorf("%s is %.300q", name, page)
		}
	}
	if len(pages) < 70 {
		t.Errorf("only %d pages", len(pages))
	}
}
