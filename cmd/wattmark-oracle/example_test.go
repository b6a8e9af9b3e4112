package main

import (
	"testing"

	"wattmark/cmd/internal/command"
)

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, f := range command.ExampleFaults(newRoot(), examples) {
		t.Error(f)
	}
}
