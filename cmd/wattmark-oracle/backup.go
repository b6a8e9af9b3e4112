package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/oracle"
)

func newBackup() *cobra.Command {
	var asJSON bool
	kinds := oracle.BackupKinds()
	c := &cobra.Command{
		Use:   "backup [ledger|vault|check]…",
		Short: "Note that a copy was made or checked, or say when",
		Long: `Backup notes in the state directory that a copy of the ledger or of the vault
was just made, or that a copy was checked. It copies nothing: the program that
does calls it when it has. The operator's page and the metrics show how old the
copies are. Without words it says what was noted.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: `  wattmark-oracle backup ledger vault
  wattmark ledger check /mnt/copy && wattmark-oracle backup check`,
		ValidArgs: kinds,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, word := range args {
				if !slices.Contains(kinds, word) {
					return fmt.Errorf("%q is none of %s", word, strings.Join(kinds, ", "))
				}
			}
			f, err := configured(cmd)
			if err != nil {
				return err
			}
			noted, err := f.state().noteBackup(args, time.Now())
			if err != nil {
				return failed(err)
			}
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(noted))
			}
			for _, kind := range kinds {
				text := "never noted"
				if at, ok := noted[kind]; ok {
					text = at.Format(time.RFC3339)
				}
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-7s %s\n", kind, text); err != nil {
					return failed(err)
				}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// noteBackup notes that something was copied or checked, and returns all that is noted.
func (s stateDir) noteBackup(kinds []string, at time.Time) (oracle.Backups, error) {
	noted, err := oracle.ReadBackups(string(s))
	if err != nil || len(kinds) == 0 {
		return noted, err
	}
	for _, kind := range kinds {
		noted[kind] = at.UTC().Truncate(time.Second)
	}
	b, err := noted.Encode()
	if err != nil {
		return nil, err
	}
	return noted, writeFile(s.file(oracle.BackupsFile), b, 0o600)
}
