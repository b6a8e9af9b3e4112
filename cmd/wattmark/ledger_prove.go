package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/block"
)

func newLedgerProve() *cobra.Command {
	var leaf uint64
	var hash, out, policy string
	var disclose bool
	c := &cobra.Command{
		Use:   "prove DIR (--leaf N | --hash H) --out FILE",
		Short: "Make a proof that a verifier can check without this ledger",
		Long: `Prove writes a file about one leaf: *.evidence with the leaf, the header of its
block, the life of the key that signed it and the final checkpoint; or, where
FILE ends in .tlog-proof, a C2SP proof. --hash takes the leaf hash in
hexadecimal. --disclose shows a committed pack to whoever gets the file.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("leaf") == cmd.Flags().Changed("hash") {
				return errors.New("give either --leaf N or --hash H")
			}
			if hash != "" {
				if b, err := hex.DecodeString(hash); err != nil || len(b) != 32 {
					return fmt.Errorf("--hash %q is not 64 hexadecimal digits", hash)
				}
			}
			if !strings.HasSuffix(out, evidenceSuffix) && !strings.HasSuffix(out, proofSuffix) {
				return fmt.Errorf("give --out FILE, ending in %s or %s", evidenceSuffix, proofSuffix)
			}
			return checkedFalse(prove(cmd.Context(), cmd.OutOrStdout(), args[0], leaf, hash, out, policy, disclose))
		},
	}
	c.Flags().Uint64Var(&leaf, "leaf", 0, "index `N` of the leaf")
	c.Flags().StringVar(&hash, "hash", "", "leaf hash `H` of the leaf, 64 hexadecimal digits")
	c.Flags().StringVar(&out, "out", "", "`FILE` to write, ending in .evidence or .tlog-proof")
	c.Flags().StringVar(&policy, "policy", "", "the C2SP policy `FILE` (default: the one beside the ledger)")
	c.Flags().BoolVar(&disclose, "disclose", false, "put a committed pack and its salt into the file")
	return c
}

// evidenceSuffix ends the names of evidence files.
const evidenceSuffix = ".evidence"

func prove(ctx context.Context, w io.Writer, dir string, index uint64, hash, out, policy string, disclose bool) error {
	dirs, err := storesOf(dir)
	if err != nil {
		return err
	}
	p, _, err := policyFor(policy, dir)
	if err != nil {
		return err
	}
	r, note, signed, err := openFinal(dirs[0], p)
	if err != nil {
		return err
	}
	defer r.Close()
	if hash != "" {
		b, err := hex.DecodeString(hash)
		if err != nil || len(b) != len(block.Hash{}) {
			return fmt.Errorf("--hash %q is not 64 hexadecimal digits", hash)
		}
		if index, err = ledger.Find(ctx, r, block.Hash(b)); err != nil {
			return err
		}
	}
	var content []byte
	if strings.HasSuffix(out, proofSuffix) {
		lp, err := ledger.LogProof(r, note, signed.Checkpoint, index)
		if err != nil {
			return err
		}
		content = lp.Encode()
	} else {
		var packs func([]byte) []byte
		if disclose {
			var closeVault func() error
			if packs, closeVault, err = packsOf(dirs[0]); err != nil {
				return err
			}
			defer closeVault()
		}
		e, err := ledger.Evidence(r, note, signed.Checkpoint, index, packs)
		if err != nil {
			return err
		}
		content = e.Encode()
	}
	if err := writeFile(out, content); err != nil {
		return err
	}
	lines := newPage(w)
	lines.line(2, "wrote %s: leaf %d under the checkpoint of %s, %d bytes", out, index, plural(signed.Size, "leaf", "leaves"), len(content))
	return lines.err
}
