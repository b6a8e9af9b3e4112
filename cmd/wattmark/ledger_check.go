package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger/audit"
	"wattmark/ledger/store"
)

func newLedgerCheck() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "check DIR",
		Short: "Check a ledger's files: lengths, checksums, tree, indexes, tiles",
		Long: `Check reads every file of a store and compares each with the others. It trusts
the signatures; 'wattmark ledger audit' verifies those too.

Exit status: 0 all is well, 1 it could not be checked, 2 wrong usage,
3 a fault.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			dirs, err := storesOf(args[0])
			if err != nil {
				return failed(err)
			}
			faults, worst := 0, 0
			for _, d := range dirs {
				bar := newBar(cmd.ErrOrStderr(), "checking "+d, 0)
				r, err := store.Check(d, func(done, total uint64) { bar.total = total; bar.at(done) })
				bar.end()
				c := newChecked(d, &r, err)
				faults += len(c.Faults)
				worst = worse(worst, exitOf(c.Verdict))
				if err := printChecked(cmd.OutOrStdout(), c, asJSON); err != nil {
					return failed(err)
				}
			}
			switch {
			case faults > 0:
				return &exitError{audit.ExitFalse, fmt.Errorf("found %s", plural(faults, "fault", "faults"))}
			case worst != 0:
				return &exitError{code: worst}
			}
			return nil
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a store")
	return c
}

// checked is what a check prints of a store.
type checked struct {
	Dir       string       `json:"dir"`
	OK        bool         `json:"ok"`
	Verdict   audit.Answer `json:"verdict"`
	Detail    string       `json:"detail,omitempty"` // why it could not be checked
	Leaves    uint64       `json:"leaves"`
	Blocks    uint64       `json:"blocks"`
	Sequences uint64       `json:"sequences"`
	Packs     uint64       `json:"packs"`
	Checked   []string     `json:"checked"`
	Unchecked []string     `json:"unchecked"`
	Torn      []string     `json:"torn"`
	Faults    []string     `json:"faults"`

	faults []store.Fault
}

func newChecked(dir string, r *store.CheckReport, err error) *checked {
	c := &checked{
		Dir: dir, OK: r.OK() && err == nil, Verdict: verdictOf(err), Leaves: r.Leaves, Blocks: r.Blocks, Sequences: r.Sequences, Packs: r.Packs,
		Checked: r.Checked, Unchecked: r.Unchecked, faults: r.Faults,
	}
	if err != nil {
		c.Detail = err.Error()
	}
	if !r.OK() {
		c.Verdict = audit.False
	}
	for _, t := range r.Torn {
		c.Torn = append(c.Torn, fmt.Sprintf("%s has an unfinished write at byte %d: it is cut off when the oracle starts", t.File, t.Offset))
	}
	for i := range r.Faults {
		c.Faults = append(c.Faults, r.Faults[i].Error())
	}
	return c
}

// checkHang is where a check's lines go on that do not fit.
const checkHang = 7

func printChecked(w io.Writer, c *checked, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(c)
	}
	p := newPage(w)
	if c.Detail != "" {
		p.line(2, "%s could not be checked:", c.Dir)
		p.line(2, "  %s", c.Detail)
		return p.err
	}
	word := "is whole"
	if !c.OK {
		word = "is DAMAGED"
	}
	p.line(2, "%s %s:", c.Dir, word)
	p.line(2, "  %s, %s, %s, %s", plural(c.Blocks, "block", "blocks"), plural(c.Leaves, "leaf", "leaves"),
		plural(c.Sequences, "sequence number", "sequence numbers"), plural(c.Packs, "pack", "packs"))
	for _, l := range c.Checked {
		p.line(checkHang, "  ok   %s", l)
	}
	for _, l := range c.Unchecked {
		p.line(checkHang, "  ?    %s", l)
	}
	for _, l := range c.Torn {
		p.line(checkHang, "  -    %s", l)
	}
	for _, f := range c.faults {
		remedy := f.Remedy
		f.Remedy = ""
		p.line(checkHang, "  NO   %s", strings.TrimSuffix(f.Error(), "; "))
		p.line(checkHang, "       what to do: %s", remedy)
	}
	return p.err
}
