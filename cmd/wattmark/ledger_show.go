package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/store"
)

// shownLeaf is a leaf as show prints it.
type shownLeaf struct {
	Index   uint64   `json:"index"`
	Kind    string   `json:"kind"`
	Hash    string   `json:"leaf_hash"`
	Bytes   int      `json:"bytes"`
	Summary string   `json:"summary"`
	Lines   []string `json:"lines,omitempty"`
}

// shownLedger is a ledger's summary.
type shownLedger struct {
	Dir        string      `json:"dir"`
	Origin     string      `json:"origin"`
	Simulated  bool        `json:"simulated"`
	Oracles    []string    `json:"oracles"`
	Quorum     uint64      `json:"quorum"`
	Height     uint64      `json:"height"`
	Leaves     uint64      `json:"leaves"`
	Root       string      `json:"root"`
	Final      uint64      `json:"final_size"`
	LastBlocks []shownLeaf `json:"last_headers"`
}

func newLedgerShow() *cobra.Command {
	var leaf, height uint64
	var asJSON bool
	c := &cobra.Command{
		Use:   "show DIR [--leaf N | --block H]",
		Short: "Show a ledger, one block or one leaf in words",
		Long: `Show puts a ledger into words: who keeps it, how far it has got, its newest
blocks; with --block or --leaf what stands there. Nothing is verified:
'wattmark ledger audit' does that. Of a demonstration's directory it is the
ledger of oracle 1.

Exit status: 0 done, 1 it could not be read, 2 wrong usage, 3 it is damaged.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			one, all := cmd.Flags().Changed("leaf"), cmd.Flags().Changed("block")
			if one && all {
				return errors.New("give --leaf or --block, not both")
			}
			dirs, err := storesOf(args[0])
			if err != nil {
				return failed(err)
			}
			r, _, err := store.OpenReader(dirs[0])
			if err != nil {
				return checkedFalse(err)
			}
			defer r.Close()
			w := cmd.OutOrStdout()
			switch {
			case one:
				err = showLeaves(w, r, leaf, leaf+1, asJSON)
			case all:
				var b store.Block
				if b, err = r.BlockAt(height); errors.Is(err, store.ErrNotFound) {
					last, _ := r.Last()
					err = fmt.Errorf("the ledger ends before block %d: its last is block %d", height, last.Height)
				}
				if err == nil {
					err = showLeaves(w, r, b.First, b.Size, asJSON)
				}
			default:
				err = showLedger(w, r, asJSON)
			}
			return checkedFalse(err)
		},
	}
	c.Flags().Uint64Var(&leaf, "leaf", 0, "show the leaf with index `N`")
	c.Flags().Uint64Var(&height, "block", 0, "show the leaves of the block at height `H`")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func showLeaves(w io.Writer, r *store.Reader, from, to uint64, asJSON bool) error {
	if from >= r.Size() {
		return fmt.Errorf("the ledger ends before leaf %d: it has %d leaves", from, r.Size())
	}
	return r.Leaves(from, to, func(i uint64, leaf []byte) error {
		s := describe(i, leaf)
		if asJSON {
			return json.NewEncoder(w).Encode(s)
		}
		p := newPage(w)
		what := s.Summary
		if !strings.HasPrefix(what, s.Kind) {
			what = s.Kind + ", " + what
		}
		p.line(4, "leaf %d: %s", s.Index, what)
		for _, l := range s.Lines {
			p.line(6, "    %s", l)
		}
		p.line(6, "    %d bytes, leaf hash", s.Bytes)
		p.line(6, "      %s", s.Hash)
		return p.err
	})
}

func showLedger(w io.Writer, r *store.Reader, asJSON bool) error {
	last, ok := r.Last()
	if !ok {
		return errors.New("the ledger holds no block yet")
	}
	c, err := charterOf(r)
	if err != nil {
		return err
	}
	s := shownLedger{Dir: r.Dir(), Origin: c.Origin, Simulated: c.Simulated, Quorum: c.Quorum, Height: last.Height, Leaves: last.Size, Root: hex.EncodeToString(last.Root[:])}
	for _, o := range c.Oracles {
		s.Oracles = append(s.Oracles, o.Name)
	}
	if note, _, ok, err := r.Final(); err == nil && ok {
		if cp, err := block.CheckpointOf(note); err == nil {
			s.Final = cp.Size
		}
	}
	for h := last.Height - min(last.Height, 9); h <= last.Height; h++ {
		b, err := r.BlockAt(h)
		if err != nil {
			return err
		}
		leaf, err := r.Leaf(b.Size - 1)
		if err != nil {
			return err
		}
		header, err := block.ParseHeader(leaf)
		if err != nil {
			return err
		}
		shown := describe(b.Size-1, leaf)
		shown.Summary = fmt.Sprintf("block %d at %s, leaves %d to %d", header.Height, utc(header.Time), header.First, header.Size)
		s.LastBlocks = append(s.LastBlocks, shown)
	}
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	p := newPage(w)
	p.line(2, "%s", s.Origin)
	p.line(2, "  as %s has it", s.Dir)
	if s.Simulated {
		p.line(2, "  a demonstration: its clock and sensors are simulated")
	}
	p.line(2, "  %s, %d of them make a block final", plural(len(s.Oracles), "oracle", "oracles"), s.Quorum)
	p.line(2, "  %s, %s, %d of them final", plural(s.Height+1, "block", "blocks"), plural(s.Leaves, "leaf", "leaves"), s.Final)
	for _, l := range s.LastBlocks {
		p.line(4, "  %s", l.Summary)
	}
	p.line(2, "  root %s", s.Root)
	return p.err
}

// describe puts a leaf into words.
func describe(index uint64, leaf []byte) shownLeaf {
	d := audit.Describe(index, leaf)
	s := shownLeaf{Index: index, Kind: d.Kind.String(), Hash: hex.EncodeToString(d.Hash[:]), Bytes: d.Bytes, Summary: d.Summary}
	for _, f := range d.Fields {
		if line := f.Name + ": " + f.Value; len(line) < 74 {
			s.Lines = append(s.Lines, line)
		} else { // a hash fits a terminal on a line of its own
			s.Lines = append(s.Lines, f.Name, "  "+f.Value)
		}
	}
	if d.Hidden != nil {
		s.Lines = append(s.Lines, "committed pack, its SHA-256", fmt.Sprintf("  %x", d.Hidden))
	}
	for i, r := range d.Records {
		if i == 0 || r.Time != d.Records[i-1].Time {
			s.Lines = append(s.Lines, "at "+utc(r.Time))
		}
		value := r.Text
		if value == "" {
			value = strings.TrimSpace(r.Value.String() + " " + r.Unit)
		}
		s.Lines = append(s.Lines, fmt.Sprintf("  %s = %s", r.Name, value))
	}
	return s
}

func utc(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
