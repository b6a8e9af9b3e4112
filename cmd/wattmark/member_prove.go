package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/unit"
)

func newMemberProve() *cobra.Command {
	var f memberFlags
	var interval, out string
	c := &cobra.Command{
		Use:   "prove MEMBER --interval T --dir DIR --out FILE.evidence",
		Short: "Make the evidence for a line of a member's bill",
		Long: `Prove writes what 'wattmark verify' needs to go from a line of a bill down to the
gateway's signature, without this ledger: the settlement's outcome and the line
with its proof, the packs with the registers at both ends, the auction with its
orders, keys and the final checkpoint. It shows the member's own energy in that
interval to whoever gets the file, and nobody else's.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("give one MEMBER")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.HasSuffix(out, evidenceSuffix) {
				return fmt.Errorf("give --out FILE, ending in %s", evidenceSuffix)
			}
			at, err := unit.ParseInterval(interval)
			if err != nil {
				return fmt.Errorf("--interval: %w", err)
			}
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			return failed(m.proveLine(cmd, args[0], at, out))
		},
	}
	f.add(c)
	c.Flags().StringVar(&interval, "interval", "", "the interval's start, as `2026-06-17T10:00:00Z`")
	c.Flags().StringVar(&out, "out", "", "`FILE` to write, ending in .evidence")
	return c
}

func (m *member) proveLine(cmd *cobra.Command, id string, at unit.Interval, out string) error {
	r, note, signed, err := openFinal(m.dir, m.policy)
	if err != nil {
		return err
	}
	defer r.Close()
	packs, closeVault, err := packsOf(m.dir)
	if err != nil {
		return err
	}
	defer closeVault()
	st, err := executed(cmd.Context(), r, signed, packs)
	if err != nil {
		return err
	}
	e, err := ledger.BillEvidence(r, note, signed.Checkpoint, st, id, at, packs)
	if err != nil {
		return err
	}
	content := e.Encode()
	if err := writeFile(out, content); err != nil {
		return err
	}
	p := newPage(cmd.OutOrStdout())
	p.line(2, "wrote %s: %s of %s under the checkpoint of %s, %d bytes", out, at, id, plural(signed.Size, "leaf", "leaves"), len(content))
	return p.err
}
