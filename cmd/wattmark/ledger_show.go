package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/block"
	"wattmark/ledger/store"
	"wattmark/oracle/api"
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
	Dir        string      `json:"dir,omitempty"`  // that was read,
	From       string      `json:"from,omitempty"` // or the oracle that was asked
	Origin     string      `json:"origin"`
	Simulated  bool        `json:"simulated"`
	Oracles    []string    `json:"oracles"`
	Quorum     uint64      `json:"quorum"`
	Height     uint64      `json:"height"`
	Leaves     uint64      `json:"leaves"`
	Root       string      `json:"root,omitempty"` // of all leaves; an oracle tells it where they are final
	Final      uint64      `json:"final_size"`
	FinalRoot  string      `json:"final_root,omitempty"`
	LastBlocks []shownLeaf `json:"last_headers"`
}

func newLedgerShow() *cobra.Command {
	var leaf, height uint64
	var from, ca string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show (DIR | --from URL) [--leaf N | --block H]",
		Short: "Show a ledger, one block or one leaf in words",
		Long: `Show puts a ledger into words: who keeps it, how far it has got, its newest
blocks; with --block or --leaf what stands there. Nothing is verified:
'wattmark ledger audit' does that. Of a demonstration's directory it is the
ledger of oracle 1.

With --from a running oracle is asked over HTTP instead, which needs no right
to read its files. It tells the oracles in force, where a directory has those
of the charter, and the readings of an open pack with --leaf alone.

Exit status: 0 done, 1 it could not be read, 2 wrong usage, 3 it is damaged.`,
		Example: "  wattmark ledger show DIR --leaf 42\n  wattmark ledger show --from http://localhost:8080 --block 7",
		Args: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("from") {
				return oneDir(cmd, args)
			}
			if len(args) > 0 {
				return errors.New("give a DIR with a ledger or --from URL, not both")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			one, all := cmd.Flags().Changed("leaf"), cmd.Flags().Changed("block")
			if one && all {
				return errors.New("give --leaf or --block, not both")
			}
			if len(args) == 0 {
				base, err := oracleURL("from", from)
				if err != nil {
					return err
				}
				o, err := newOracleClient(base, ca)
				if err != nil {
					return failed(err)
				}
				defer o.client.CloseIdleConnections()
				a := askedLedger{o, cmd.OutOrStdout(), asJSON}
				switch {
				case one:
					err = a.showLeaf(cmd.Context(), leaf)
				case all:
					err = a.showBlock(cmd.Context(), height)
				default:
					err = a.show(cmd.Context())
				}
				return failed(err)
			}
			if ca != "" {
				return errors.New("--ca is for asking an oracle: give --from URL instead of DIR")
			}
			dirs, err := storesOf(args[0])
			if err != nil {
				return failed(askInstead(err))
			}
			r, _, err := store.OpenReader(dirs[0])
			if err != nil {
				return checkedFalse(askInstead(err))
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
			return checkedFalse(askInstead(err))
		},
	}
	c.Flags().Uint64Var(&leaf, "leaf", 0, "show the leaf with index `N`")
	c.Flags().Uint64Var(&height, "block", 0, "show the leaves of the block at height `H`")
	c.Flags().StringVar(&from, "from", "", "`URL` of a running oracle's pages, to ask instead of reading a directory")
	c.Flags().StringVar(&ca, "ca", "", "`FILE` with the authority of its certificate, where it is the ledger's own")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// askInstead adds to the error of a ledger that a running oracle has for itself how to look
// at it nevertheless.
func askInstead(err error) error {
	if errors.Is(err, store.ErrLocked) || errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("%w\nhint: ask the running oracle instead: wattmark ledger show --from http://localhost:8080", err)
	}
	return err
}

func showLeaves(w io.Writer, r *store.Reader, from, to uint64, asJSON bool) error {
	if from >= r.Size() {
		return fmt.Errorf("the ledger ends before leaf %d: it has %d leaves", from, r.Size())
	}
	return r.Leaves(from, to, func(i uint64, leaf []byte) error {
		return printLeaf(w, describe(i, leaf), asJSON)
	})
}

func printLeaf(w io.Writer, s shownLeaf, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	p := newPage(w)
	what := s.Summary
	if !strings.HasPrefix(what, s.Kind) {
		what = s.Kind + ", " + what
	}
	p.line(4, "leaf %d: %s", s.Index, printable(what))
	for _, l := range s.Lines {
		p.line(6, "    %s", printable(l))
	}
	p.line(6, "    %d bytes, leaf hash", s.Bytes)
	p.line(6, "      %s", printable(s.Hash))
	return p.err
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
			s.Final, s.FinalRoot = cp.Size, hex.EncodeToString(cp.Root[:])
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
		shown.Summary = blockLine(header.Height, utc(header.Time), header.First, header.Size)
		s.LastBlocks = append(s.LastBlocks, shown)
	}
	return printLedger(w, &s, asJSON)
}

// blockLine is a block in one line.
func blockLine(height uint64, at string, first, last uint64) string {
	return fmt.Sprintf("block %d at %s, leaves %d to %d", height, at, first, last)
}

func printLedger(w io.Writer, s *shownLedger, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	p := newPage(w)
	p.line(2, "%s", printable(s.Origin))
	p.line(2, "  as %s has it", s.Dir+s.From)
	if s.Simulated {
		p.line(2, "  a demonstration: its clock and sensors are simulated")
	}
	p.line(2, "  %s, %d of them make a block final", plural(len(s.Oracles), "oracle", "oracles"), s.Quorum)
	p.line(2, "  %s, %s, %d of them final", plural(s.Height+1, "block", "blocks"), plural(s.Leaves, "leaf", "leaves"), s.Final)
	for _, l := range s.LastBlocks {
		p.line(4, "  %s", printable(l.Summary))
	}
	switch {
	case s.Root != "":
		p.line(2, "  root %s", s.Root)
	case s.FinalRoot != "":
		p.line(2, "  root of the final leaves %s", s.FinalRoot)
	}
	return p.err
}

// describe puts a leaf into words.
func describe(index uint64, leaf []byte) shownLeaf { return inWords(api.Describe(index, leaf)) }

// inWords lays out a leaf that is in words already.
func inWords(l *api.LeafItem) shownLeaf {
	s := shownLeaf{Index: l.Index, Kind: l.Type, Hash: l.Hash, Bytes: l.Bytes, Summary: l.Summary}
	for _, f := range l.Fields {
		if line := f.Name + ": " + f.Value; len(line) < 74 {
			s.Lines = append(s.Lines, line)
		} else { // a hash fits a terminal on a line of its own
			s.Lines = append(s.Lines, f.Name, "  "+f.Value)
		}
	}
	if l.Hidden != "" {
		s.Lines = append(s.Lines, "committed pack, its SHA-256", "  "+l.Hidden)
	}
	for i, r := range l.Readings {
		if i == 0 || r.Time != l.Readings[i-1].Time {
			s.Lines = append(s.Lines, "at "+r.Time)
		}
		s.Lines = append(s.Lines, fmt.Sprintf("  %s = %s", r.Name, strings.TrimSpace(r.Value+" "+r.Unit)))
	}
	return s
}

func utc(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
