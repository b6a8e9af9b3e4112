package commandtest

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestWrong: what is not there is found, and what is there is not.
func TestWrong(t *testing.T) {
	root := &cobra.Command{Use: "x"}
	ledger := &cobra.Command{Use: "ledger", RunE: func(*cobra.Command, []string) error { return nil }}
	show := &cobra.Command{Use: "show", Run: func(*cobra.Command, []string) {}}
	show.Flags().String("leaf", "", "")
	root.PersistentFlags().String("config", "", "")
	ledger.AddCommand(show)
	root.AddCommand(ledger)
	for text, want := range map[string]string{
		"see x ledger show --leaf 4":       "",
		"run x ledger show --config c.t":   "",
		"'x ledger show DIR --leaf=4'":     "",
		"'x show'":                         "there is no such verb",
		"'x ledger show --leaves'":         "there is no flag --leaves",
		"<code>x ledger --leaf 4</code>":   "there is no flag --leaf",
		"the name of the ledger x is told": "-",
	} {
		got := "-"
		for _, m := range mention("x").FindAllStringSubmatch(text, -1) {
			got = wrong(root, strings.Fields(m[1]))
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
