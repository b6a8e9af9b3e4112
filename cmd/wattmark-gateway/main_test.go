package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes this binary the command wattmark-gateway, in a process of its own,
// where a test runs it by that name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"wattmark-gateway": main})
}
