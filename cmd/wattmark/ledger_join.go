package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/store"
	"wattmark/oracle"
)

func newLedgerJoin() *cobra.Command {
	var from, policy, snapshot, vault string
	c := &cobra.Command{
		Use:   "join DIR --from URL --policy FILE",
		Short: "Make the ledger of an oracle that joins, or was away for too long",
		Long: `Join takes another oracle's static tiles, from any file server or a directory,
holds every leaf against a checkpoint that the oracles in force have signed,
and makes in DIR a ledger as of the newest snapshot that the log states. Whom
to trust comes from your policy, of the charter's oracles or later ones, which
is followed through every change of oracles. The oracle takes the rest from
the order.

--snapshot is that snapshot, from another oracle's directory:
snapshots/HEIGHT. Its digest is in the log. Without it all blocks are executed
again, for which --vault names a copy of another oracle's vault. With both,
the vault is filled, too. What is interrupted leaves no ledger.

Exit status: 0 done, 1 failed, 2 wrong usage,
3 something was checked and is false.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			if from == "" || policy == "" {
				return errors.New("give --from URL and --policy FILE")
			}
			p, _, err := policyFor(policy, args[0])
			if err != nil {
				return failed(err)
			}
			var given func(uint64) ([]byte, error)
			if snapshot != "" {
				given = func(height uint64) ([]byte, error) {
					b, err := os.ReadFile(snapshot)
					if err != nil {
						return nil, fmt.Errorf("reading the snapshot before block %d: %w", height, err)
					}
					return b, nil
				}
			}
			var packs func([]byte) []byte
			if vault != "" {
				v, _, err := store.OpenVaultReader(vault)
				if err != nil {
					return failed(err)
				}
				defer v.Close()
				packs = func(digest []byte) []byte { return ledger.PackOf(v, digest) }
			}
			height, err := oracle.Join(cmd.Context(), filepath.Clean(args[0]), &oracle.Tiles{From: from}, p, given, packs)
			switch {
			case errors.Is(err, ledger.ErrOtherLedger):
				return checkedFalse(err)
			case errors.Is(err, ledger.ErrNoSnapshot):
				return failed(fmt.Errorf("%w: found the oracle's ledger from the charter while the order has its first message, or have the oracles vote: wattmark ledger propose parameter snapshot_blocks 1000", err))
			case err != nil:
				return checkedFalse(askInstead(err))
			}
			out := newPage(cmd.OutOrStdout())
			out.line(2, "%s holds the ledger up to block %d. The oracle takes the rest from the order when it runs.", args[0], height)
			return failed(out.err)
		},
	}
	c.Flags().StringVar(&from, "from", "", "`URL` or directory of another oracle's tiles")
	c.Flags().StringVar(&policy, "policy", "", "C2SP policy `FILE` of oracles you trust")
	c.Flags().StringVar(&snapshot, "snapshot", "", "`FILE` with the newest snapshot, from another oracle's directory")
	c.Flags().StringVar(&vault, "vault", "", "`DIR` with a copy of another oracle's vault")
	return c
}
