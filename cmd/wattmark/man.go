package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan writes the manual out of the help, for who packages the program.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages of every command into DIR",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return failed(err)
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			at := time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC) // the same program gives the same bytes
			if err := doc.GenManTree(root, &doc.GenManHeader{Title: "WATTMARK", Section: "1", Source: "Wattmark", Manual: "Wattmark", Date: &at}, args[0]); err != nil {
				return failed(err)
			}
			pages, err := os.ReadDir(args[0])
			if err != nil {
				return failed(err)
			}
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%d pages are in %s\n", len(pages), args[0])
			return failed(err)
		},
	}
}
