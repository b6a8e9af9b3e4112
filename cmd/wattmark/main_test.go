package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this binary the command wattmark, in a process of its own, where a
// test runs it by that name.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"wattmark": main})
}

// builtDir is the variable that names where tests build the program as people have it.
const builtDir = "WATTMARK_TEST_BUILT"

// tests are those of the package, with a directory for what they build once.
type tests struct{ *testing.M }

// Run runs them.
func (m tests) Run() int {
	dir, err := os.MkdirTemp("", "wattmark-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	os.Setenv(builtDir, dir)
	return m.M.Run()
}
