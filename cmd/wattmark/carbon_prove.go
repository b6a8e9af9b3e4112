package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger"
	"wattmark/ledger/audit"
)

func newCarbonProve() *cobra.Command {
	var f memberFlags
	var kind, out string
	c := &cobra.Command{
		Use:   "prove ID --dir DIR --out FILE.evidence",
		Short: "Make the evidence for units, a period or certificates",
		Long: `Prove writes what 'wattmark verify' needs to go from a block of units, an
issuance, a period of an inventory or a bundle of certificates down to the
readings, without this ledger: each outcome and entry on the way, factors with
the oracles' statements of them, who was admitted to sign, the readings that
tell registers at the edges of intervals, calibrations, keys and the final
checkpoint. What rests on a home's readings shows these to whoever gets the
file.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("give one ID: of a block, an issuance, a period or a bundle")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if !strings.HasSuffix(out, evidenceSuffix) {
				return fmt.Errorf("give --out FILE, ending in %s", evidenceSuffix)
			}
			if kinds := []string{"", ledger.CarbonUnits, ledger.CarbonPeriod, ledger.CarbonCertificate}; !slices.Contains(kinds, kind) {
				return fmt.Errorf("--kind %q is none of %s", kind, strings.Join(kinds[1:], ", "))
			}
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			return failed(m.proveCarbon(cmd, args[0], kind, out))
		},
	}
	f.add(c)
	c.Flags().StringVar(&kind, "kind", "", "which, where the id is of several: units, period or certificate")
	c.Flags().StringVar(&out, "out", "", "`FILE` to write, ending in .evidence")
	return c
}

func (m *member) proveCarbon(cmd *cobra.Command, id, kind, out string) error {
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
	found, err := ledger.CarbonOutcomes(r, signed.Size, id)
	if err != nil {
		return err
	}
	claim, ok := found[kind]
	switch {
	case kind == "" && len(found) == 1:
		for _, claim = range found {
		}
	case len(found) == 0 || kind != "" && !ok:
		return fmt.Errorf("nothing on the ledger is called %q: 'wattmark carbon units', 'inventory' and 'certificates' list what is", id)
	case kind == "":
		return fmt.Errorf("%q is several things: give --kind %s", id, strings.Join(slices.Sorted(maps.Keys(found)), " or --kind "))
	}
	e, err := ledger.CarbonEvidence(r, note, signed.Checkpoint, claim, packs)
	if err != nil {
		return err
	}
	content := e.Encode()
	if err := writeFile(out, content); err != nil {
		return err
	}
	p := newPage(cmd.OutOrStdout())
	p.line(2, "wrote %s: %s under the checkpoint of %s, %d bytes", out, plural(len(e.Leaves), "leaf", "leaves"), plural(signed.Size, "leaf", "leaves"), len(content))
	return p.err
}

// mostBranches bounds what is printed of one level of a tree; --json has all of it.
const mostBranches = 24

// printTree prints what a claim of carbon accounting rests on.
func printTree(p *page, n *audit.Node, depth int) {
	var about []string
	if n.Leaf != nil {
		about = append(about, fmt.Sprintf("leaf %d", *n.Leaf))
	}
	for _, s := range []string{n.Signer, n.Quality, n.Uncertainty} {
		if s != "" {
			about = append(about, s)
		}
	}
	text := n.What
	if len(about) > 0 {
		text += " [" + strings.Join(about, ", ") + "]"
	}
	indent := strings.Repeat("  ", depth+1)
	p.line(len(indent)+2, "%s%s", indent, text)
	for i, k := range n.Rests {
		if i == mostBranches {
			p.line(len(indent)+4, "%s  and %d more: --json has them", indent, len(n.Rests)-i)
			return
		}
		printTree(p, k, depth+1)
	}
}
