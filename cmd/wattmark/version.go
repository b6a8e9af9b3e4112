package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"wattmark/cmd/internal/command"
)

// version is set by the linker in a package: -X main.version=0.1.0.
var version string

// programVersion is what was built: a package's version, or the commit.
func programVersion() string { return cmp.Or(version, command.Commit()) }

func newVersion() *cobra.Command { return command.NewVersion("wattmark", programVersion, failed) }
