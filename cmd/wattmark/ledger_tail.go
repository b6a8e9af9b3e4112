package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/block"
	"wattmark/ledger/store"
)

// tailedBlock is what ledger tail prints of one block.
type tailedBlock struct {
	Height uint64      `json:"height"`
	Time   string      `json:"time"`
	First  uint64      `json:"first_leaf"`
	Last   uint64      `json:"last_leaf"`
	Root   string      `json:"root_sha256"`
	Leaves []shownLeaf `json:"leaves,omitempty"`
}

// tailEvery is how often tail looks for a new block. Blocks take a second at most.
const tailEvery = 500 * time.Millisecond

func newLedgerTail() *cobra.Command {
	var from, count uint64
	var leaves, asJSON bool
	c := &cobra.Command{
		Use:   "tail DIR [--from H] [--count N] [--leaves]",
		Short: "Print blocks as they come",
		Long: `Tail prints the ledger's newest block, and then each one as soon as it is durable,
until it is interrupted or has printed --count of them; with --leaves what each leaf
says, too. Nothing is verified, and a block that is printed may not be final yet.
Of a demonstration's directory it is the ledger of oracle 1.

Exit status: 0 done, 1 it could not be read, 2 wrong usage, 3 it is damaged.`,
		Example: "  wattmark ledger tail DIR --leaves",
		Args:    oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			dirs, err := storesOf(args[0])
			if err != nil {
				return failed(askInstead(err))
			}
			t := tail{dir: dirs[0], next: from, newest: !cmd.Flags().Changed("from"), left: count, endless: count == 0, leaves: leaves, asJSON: asJSON}
			return checkedFalse(askInstead(t.run(cmd.Context(), cmd.OutOrStdout())))
		},
	}
	c.Flags().Uint64Var(&from, "from", 0, "begin with the block at height `H`")
	c.Flags().Uint64Var(&count, "count", 0, "end after `N` blocks")
	c.Flags().BoolVar(&leaves, "leaves", false, "what each leaf says, too")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, an object a block")
	return c
}

type tail struct {
	dir            string
	next           uint64 // height
	newest         bool   // begin with the newest
	left           uint64
	endless        bool
	leaves, asJSON bool
}

func (t *tail) run(ctx context.Context, w io.Writer) error {
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for {
		if done, err := t.look(w); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil // who interrupts has seen enough
		case <-tick.C:
		}
	}
}

// look prints what has come since.
func (t *tail) look(w io.Writer) (done bool, err error) {
	r, _, err := store.OpenReader(t.dir)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	last, ok := r.Last()
	if !ok {
		return false, nil // founded, and not begun
	}
	if t.newest {
		t.next, t.newest = last.Height, false
	}
	for ; t.next <= last.Height; t.next++ {
		if err := t.print(w, r, t.next); err != nil {
			return false, err
		}
		if t.left--; t.left == 0 && !t.endless {
			return true, nil
		}
	}
	return false, nil
}

func (t *tail) print(w io.Writer, r *store.Reader, height uint64) error {
	b, err := r.BlockAt(height)
	if err != nil {
		return err
	}
	leaf, err := r.Leaf(b.Size - 1)
	if err != nil {
		return err
	}
	h, err := block.ParseHeader(leaf)
	if err != nil {
		return err
	}
	out := tailedBlock{Height: height, Time: time.UnixMilli(h.Time).UTC().Format("2006-01-02T15:04:05.000Z"), First: b.First, Last: b.Size - 1, Root: fmt.Sprintf("%x", h.Root[:])}
	if t.leaves {
		if err := r.Leaves(b.First, b.Size, func(i uint64, leaf []byte) error {
			out.Leaves = append(out.Leaves, describe(i, leaf))
			return nil
		}); err != nil {
			return err
		}
	}
	if t.asJSON {
		return json.NewEncoder(w).Encode(out)
	}
	p := newPage(w)
	p.line(2, "block %d  %s  %s, leaves %d to %d", out.Height, out.Time, plural(int(b.Size-b.First), "leaf", "leaves"), out.First, out.Last)
	for _, l := range out.Leaves {
		p.line(6, "  %d  %s", l.Index, l.Summary)
	}
	return p.err
}
