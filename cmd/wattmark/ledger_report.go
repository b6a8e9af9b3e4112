package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/handover"
	"wattmark/ledger/store"
	"wattmark/oracle/orderer/jetstream"
	"wattmark/oracle/wire"
)

// reported is what an oracle tells the others when one has halted.
type reported struct {
	Dir         string `json:"dir"`
	Origin      string `json:"origin"`
	Height      uint64 `json:"height"`
	Size        uint64 `json:"size"`
	Root        string `json:"root"`
	Order       uint64 `json:"order_message"`
	OrderDigest string `json:"order_digest"`
	FinalSize   uint64 `json:"final_size"`
	FinalRoot   string `json:"final_root,omitempty"`
	OraclesFrom uint64 `json:"oracles_from_block"`
	Oracles     int    `json:"oracles"`
}

func newLedgerReport() *cobra.Command {
	var policy string
	var asJSON bool
	c := &cobra.Command{
		Use:   "report DIR",
		Short: "Say where an oracle's ledger ends, for the others to compare",
		Long: `Report prints an oracle's last block, the message of the order that it rests
on, and the newest final checkpoint: what all oracles send one another when
one has halted. A running oracle is not disturbed.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			dirs, err := storesOf(args[0])
			if err != nil {
				return failed(err)
			}
			p, _, err := policyFor(policy, args[0])
			if err != nil {
				return failed(err)
			}
			for _, d := range dirs {
				o, err := reportOf(d)
				if err != nil {
					return failed(err)
				}
				r, _, signed, err := openFinal(d, p)
				switch {
				case err == nil:
					o.FinalSize, o.FinalRoot = signed.Size, hex.EncodeToString(signed.Root[:])
					r.Close()
				case !errors.Is(err, errNoFinal):
					return checkedFalse(err)
				}
				if err := o.print(cmd.OutOrStdout(), asJSON); err != nil {
					return failed(err)
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&policy, "policy", "", "the C2SP policy `FILE` (default: the one beside the ledger)")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a ledger")
	return c
}

func reportOf(dir string) (*reported, error) {
	r, _, err := store.OpenReader(dir)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	charter, err := charterOf(r)
	if err != nil {
		return nil, err
	}
	set, err := oraclesOf(r, charter)
	if err != nil {
		return nil, err
	}
	last, _ := r.Last()
	o := &reported{
		Dir: dir, Origin: charter.Origin, Height: last.Height, Size: last.Size, Root: hex.EncodeToString(last.Root[:]),
		Order: last.Order, OrderDigest: hex.EncodeToString(last.Digest[:]), Oracles: len(set.Oracles),
	}
	heights, err := r.Handovers()
	if len(heights) > 0 {
		o.OraclesFrom = heights[len(heights)-1]
	}
	return o, err
}

func (o *reported) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(o)
	}
	p := newPage(w)
	p.line(2, "%s: %s", o.Dir, o.Origin)
	p.line(4, "  last block %d, %s, root %s", o.Height, plural(o.Size, "leaf", "leaves"), o.Root)
	p.line(4, "  rests on message %d of the order, %s", o.Order, o.OrderDigest)
	if o.FinalSize > 0 {
		p.line(4, "  final up to %s, root %s", plural(o.FinalSize, "leaf", "leaves"), o.FinalRoot)
	} else {
		p.line(4, "  nothing final is kept here")
	}
	p.line(4, "  %s in force from block %d on", plural(o.Oracles, "oracle", "oracles"), o.OraclesFrom)
	return p.err
}

func newLedgerRenewOrder() *cobra.Command {
	var f memberFlags
	var yes bool
	c := &cobra.Command{
		Use:   "renew-order --dir DIR",
		Short: "Begin a new order behind the last block, after all oracles agreed",
		Long: `Renew-order deletes the order on the broker, whatever is in it, and begins one
whose first message comes after the one that the last block of DIR rests on.
It is the last step of the ceremony after an order was rewound:
oracle/RECOVERY.md. All oracles stand at that block, and none runs. It is not
undone.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			o, err := reportOf(m.dir)
			if err != nil {
				return failed(err)
			}
			if !yes {
				if err := sure(cmd, o); err != nil {
					return err
				}
			}
			l, err := m.connect(cmd.Context())
			if err != nil {
				return failed(err)
			}
			defer l.conn.Close()
			if _, err := jetstream.Renew(cmd.Context(), l.conn, jetstream.Config{Ledger: wire.ShortName(m.charter.Origin)}, o.Order+1); err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "The order of %s begins at message %d. Start all oracles.", o.Origin, o.Order+1)
			return failed(p.err)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&yes, "yes", false, "all oracles stand at this block, and all operators agreed")
	return c
}

// sure asks whoever deletes an order to type the ledger's name.
func sure(cmd *cobra.Command, o *reported) error {
	in, ok := cmd.InOrStdin().(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return &exitError{exitUsage, errors.New("nobody is there to ask: give --yes once all oracles stand at this block and all operators agreed")}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "All oracles of %s stand at block %d, and none runs? Type the ledger's name to delete its order: ", o.Origin, o.Height)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && line == "" {
		return failed(fmt.Errorf("reading the answer: %w", err))
	}
	if strings.TrimSpace(line) != o.Origin {
		return failed(errors.New("nothing was deleted"))
	}
	return nil
}

func newLedgerPolicy() *cobra.Command {
	var policy, history string
	c := &cobra.Command{
		Use:   "policy DIR --policy FILE [--history FILE]",
		Short: "Follow the oracles from a policy you trust to those in force",
		Long: `Policy starts from the oracles of FILE, which you trust, and accepts each
later oracle set by the one before it alone: a checkpoint that those signed,
with the agreement of as many as must. It prints the policy in force.
--history writes what it followed to a file, with which 'wattmark verify
--history' does the same offline.

Exit status: 0 done, 1 failed, 2 wrong usage,
3 something was checked and is false.`,
		Args: oneDir,
		RunE: func(cmd *cobra.Command, args []string) error {
			dirs, err := storesOf(args[0])
			if err != nil {
				return failed(err)
			}
			p, from, err := policyFor(policy, args[0])
			if err != nil {
				return failed(err)
			}
			if p == nil {
				return errors.New("give --policy FILE: oracles that you trust")
			}
			r, _, err := store.OpenReader(dirs[0])
			if err != nil {
				return failed(err)
			}
			defer r.Close()
			list, err := ledger.HistoryOf(r)
			if err != nil {
				return failed(err)
			}
			spans, err := handover.Follow(p, list)
			if err != nil {
				return &exitError{audit.ExitFalse, err}
			}
			if history != "" {
				if err := writeFile(history, handover.EncodeHistory(list)); err != nil {
					return failed(err)
				}
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "# followed from %s through %d changes of oracles, in force from block %d on\n%s",
				from, len(spans)-1, spans[len(spans)-1].Height, spans[len(spans)-1].Policy)
			return failed(err)
		},
	}
	c.Flags().StringVar(&policy, "policy", "", "C2SP policy `FILE` of oracles you trust (default: DIR/policy)")
	c.Flags().StringVar(&history, "history", "", "write what was followed to `FILE`")
	return c
}
