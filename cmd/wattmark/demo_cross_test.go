package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCompileCross compiles the cross-check as the demonstration does, and leaves the source
// tree as it was.
func TestCompileCross(t *testing.T) {
	before, err := os.ReadDir("../../ledger/audit/browser/dist")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	page, policy, err := compileCross(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<script type="text/plain" id="wasm">`, "Run the cross-check", "connect-src 'none'"} {
		if !bytes.Contains(page, []byte(want)) {
			t.Errorf("%q is not in the page of %d bytes", want, len(page))
		}
	}
	if !strings.Contains(policy, "'wasm-unsafe-eval'") || !strings.Contains(policy, "connect-src 'none'") {
		t.Errorf("the policy is %q", policy)
	}
	after, err := os.ReadDir("../../ledger/audit/browser/dist")
	if err != nil || len(after) != len(before) {
		t.Errorf("the tree has %v, had %v, %v", after, before, err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
}

// TestCompileCrossRefuses: without the go command, outside of a tree and when it ends before.
func TestCompileCrossRefuses(t *testing.T) {
	ended, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if _, _, err := compileCross(ended); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("when the demonstration ends: %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, _, err := compileCross(t.Context()); err == nil || !strings.Contains(err.Error(), "install Go") {
		t.Errorf("without a go command: %v", err)
	}
	elsewhere := t.TempDir()
	if err := os.WriteFile(filepath.Join(elsewhere, "go.mod"), []byte("module somebody.example/wattmark\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if root, err := treeAbove(elsewhere); !errors.Is(err, errNoSource) {
		t.Errorf("another module is taken for ours: %q, %v", root, err)
	}
	wd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	if root, err := treeAbove(elsewhere, wd); err != nil || root != filepath.Dir(filepath.Dir(wd)) {
		t.Errorf("the tree above %s is %q, %v", wd, root, err)
	}
}
