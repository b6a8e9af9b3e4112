package main

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/entry"
	"wattmark/ledger/market"
)

// shownSeal is what is printed of a sealed order.
type shownSeal struct {
	Zone     string `json:"zone"`
	Interval string `json:"interval"`
	Member   string `json:"member"`
	Side     string `json:"side"`
	Nonce    uint64 `json:"nonce"`
	Seal     string `json:"seal"`
	Opening  string `json:"opening_file"`
	Opens    string `json:"opens_from"`
	Closes   string `json:"opens_until"`
	Leaf     uint64 `json:"leaf"`
	Block    uint64 `json:"block"`
}

// seal places an order that nobody can read before its gate. What opens it is on disk
// before the seal is on its way: a seal without it is worth nothing.
func (o *ordering) seal(cmd *cobra.Command, t *trader, order *entry.Order, c *market.Calendar) error {
	for _, had := range t.state.Seals(order.Zone, order.Interval) {
		if had.Member == order.Member && had.Side == order.Side {
			order.Nonce = max(order.Nonce, had.Nonce+1)
		}
	}
	salt := make([]byte, entry.SealSalt)
	rand.Read(salt) // never fails
	sealed, err := order.Seal(salt)
	if err != nil {
		return err
	}
	opened, err := order.Open(salt)
	if err != nil {
		return err
	}
	secret, err := opened.Encode()
	if err != nil {
		return err
	}
	payload, err := sealed.Encode()
	if err != nil {
		return err
	}
	file := o.opening
	if file == "" {
		file = fmt.Sprintf("%s-%s-%d.opening", strings.ReplaceAll(order.Interval.String(), ":", ""), o.side, order.Nonce)
	}
	if err := writeSecret(file, secret); err != nil {
		return err
	}
	leaf, height, err := t.put(cmd.Context(), entry.TypeSealedOrder, payload)
	if err != nil {
		return err
	}
	s := &shownSeal{Zone: order.Zone, Interval: order.Interval.String(), Member: order.Member, Side: o.side, Nonce: order.Nonce, Seal: hex.EncodeToString(sealed.Seal),
		Opening: file, Opens: milli(c.Gate(order.Interval)), Closes: milli(c.Beacon(order.Interval)), Leaf: leaf, Block: height}
	if o.asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
	}
	p := newPage(cmd.OutOrStdout())
	p.line(2, "Sealed the order of %s to %s in %s: leaf %d, final in block %d", s.Member, s.Side, s.Interval, leaf, height)
	p.line(2, "  nobody can read it. Open it from %s and before %s:", s.Opens, s.Closes)
	p.line(2, "  wattmark market order open %s --dir %s --key %s", file, o.dir, o.key)
	return p.err
}

// milli writes a time of the ledger.
func milli(t int64) string { return time.UnixMilli(t).UTC().Format(time.RFC3339) }

func newOrderOpen() *cobra.Command {
	var f traderFlags
	var wait, asJSON bool
	c := &cobra.Command{
		Use:   "open FILE --dir DIR --key FILE",
		Short: "Open a sealed order when its gate has closed",
		Long: `Open shows the order behind a seal, from the file that 'order place' has written,
so that it counts in the auction. It is taken from the gate on, until the time
that 'order place' has named. With --wait it waits for the gate.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Example: "  wattmark market order open 2026-06-17T100000Z-buy-1.opening --dir DIR --key anna.pem --wait",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readLimited(args[0], 1<<16)
			if err != nil {
				return failed(err)
			}
			_, order, err := entry.ParseOpenedOrder(b)
			if err != nil {
				return failed(fmt.Errorf("%s opens no sealed order: %w: take the file that 'wattmark market order place' has written", args[0], err))
			}
			t, err := f.open(cmd.Context())
			if err != nil {
				return failed(err)
			}
			if wait {
				c := t.state.Calendar()
				if err := t.until(cmd, c.Gate(order.Interval)); err != nil {
					return failed(err)
				}
			}
			leaf, height, err := t.put(cmd.Context(), entry.TypeOpenedOrder, b)
			if err != nil {
				return failed(err)
			}
			l := listOrder(order, leaf)
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(l))
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "Opened the order of %s to %s in %s: leaf %d, final in block %d", l.Member, l.Side, l.Interval, leaf, height)
			return failed(p.err)
		},
	}
	f.add(c)
	c.Flags().BoolVar(&wait, "wait", false, "wait until the gate has closed")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// until waits until the ledger's time is at or behind one, both in Unix milliseconds.
func (t *trader) until(cmd *cobra.Command, when int64) error {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	said := false
	for {
		now, err := t.blockTime()
		if err != nil || now >= when {
			return err
		}
		if !said {
			fmt.Fprintf(cmd.ErrOrStderr(), "waiting for the gate at %s\n", milli(when))
			said = true
		}
		select {
		case <-cmd.Context().Done():
			return cmd.Context().Err()
		case <-tick.C:
		}
	}
}

// listOrder is an order as the commands show it.
func listOrder(o *entry.Order, leaf uint64) *listedOrder {
	l := &listedOrder{ID: o.ID(), Zone: o.Zone, Interval: o.Interval.String(), Member: o.Member, Side: sideNames[o.Side], Nonce: o.Nonce, Steps: []shownStep{}, Leaf: leaf}
	for _, st := range o.Steps {
		l.Steps = append(l.Steps, shownStep{st.Price, st.Quantity, classNames[st.Class], st.Premium, append([]string{}, st.Prefer...)})
	}
	return l
}
