package main

import (
	"testing"

	"wattmark/cmd/internal/command/commandtest"
)

// TestNamedCommands: what errors, pages and documents tell people to type is there.
func TestNamedCommands(t *testing.T) { commandtest.Named(t, "../..", newRoot()) }
