package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"wattmark/ledger/audit/browser"
)

func newVerifyPage() *cobra.Command {
	return &cobra.Command{
		Use:   "page > verify.html",
		Short: "Write the verifier as one web page, to be used without a network",
		Long: `Page writes verify.html to stdout: the verifier for a browser, in one file that
connects to nothing and works from a disk. The oracle serves the same bytes at
/verify.html, and nobody needs its copy. What it came to as SHA-256 goes to
stderr, to be compared with what others have.`,
		Example: "  wattmark verify page > verify.html",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			page := browser.Page()
			if _, err := cmd.OutOrStdout().Write(page); err != nil {
				return failed(fmt.Errorf("writing the page: %w", err))
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "verify.html: %d bytes, SHA-256 %s\n", len(page), browser.Digest())
			return nil
		},
	}
}
