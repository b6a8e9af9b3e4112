package main

import (
	"crypto/sha256"
	"fmt"

	"github.com/spf13/cobra"

	"wattmark/ledger/audit/browser"
)

func newVerifyPage() *cobra.Command {
	var cross bool
	c := &cobra.Command{
		Use:   "page [--cross] > verify.html",
		Short: "Write the verifier as one web page, to be used without a network",
		Long: `Page writes verify.html to stdout: the verifier for a browser, in one file that
connects to nothing and works from a disk. The oracle serves the same bytes at
/verify.html, and nobody needs its copy. What it came to as SHA-256 goes to
stderr, to be compared with what others have.

With --cross the ledger's own verifier is inside too, compiled to WebAssembly:
it answers every question again, and has the rules for bills and carbon claims.`,
		Example: "  wattmark verify page > verify.html\n  wattmark verify page --cross > verify-cross.html",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			name, page := "verify.html", browser.Page()
			if cross {
				var err error
				name = "verify-cross.html"
				if page, _, err = browser.CrossPage(); err != nil {
					return failed(fmt.Errorf("%w: compile it where the source is with 'go generate ./ledger/audit/browser', and build again", err))
				}
			}
			if _, err := cmd.OutOrStdout().Write(page); err != nil {
				return failed(fmt.Errorf("writing the page: %w", err))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d bytes, SHA-256 %x\n", name, len(page), sha256.Sum256(page))
			return nil
		},
	}
	c.Flags().BoolVar(&cross, "cross", false, "with the cross-check inside, about 3 MB")
	return c
}
