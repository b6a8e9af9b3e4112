package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

func newMarketOrder() *cobra.Command {
	return noun("order", "Place an order, or take one back", newOrderPlace(), newOrderOpen(), newOrderCancel())
}

// ordering is the command line of an order.
type ordering struct {
	traderFlags
	interval, side, class string
	price, premium        int64
	quantity              int64
	prefer                []string
	opening               string
	asJSON                bool
}

func (o *ordering) add(c *cobra.Command) {
	o.traderFlags.add(c)
	c.Flags().StringVar(&o.interval, "interval", "", "the interval's start, as `2026-06-17T10:00:00Z`")
	c.Flags().StringVar(&o.side, "side", "", "`buy or sell`")
	c.Flags().BoolVar(&o.asJSON, "json", false, "print one JSON object")
}

func newOrderPlace() *cobra.Command {
	var o ordering
	c := &cobra.Command{
		Use:   "place --dir DIR --key FILE --side S --interval T --price P --quantity WH",
		Short: "Place an order for an interval whose gate is open",
		Long: `Place signs an order with the member's key, puts it onto the ledger over the
oracle's broker, and waits until it is final. It takes the place of the member's
order before for the same side and interval. Price is the least to get, or the
most to pay with the fee, in millionths of the currency unit per kWh.

Where the market seals its orders, what is placed is a seal, which says neither
price nor quantity, and --opening the file that opens it: give that to
'wattmark market order open' when the gate has closed. Without it the order is
lost.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Example: "  wattmark market order place --dir DIR --key anna.pem --side buy --interval 2026-06-17T10:00:00Z --price 250000 --quantity 300",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			class, ok := map[string]int{"any": entry.ClassAny, "green": entry.ClassGreen, "green-first": entry.ClassGreenFirst}[o.class]
			if !ok {
				return fmt.Errorf("--class %q is none of any, green and green-first", o.class)
			}
			step := entry.OrderStep{Price: unit.Price(o.price), Quantity: unit.Energy(o.quantity), Class: class, Premium: unit.Price(o.premium), Prefer: o.prefer}
			return o.run(cmd, []entry.OrderStep{step})
		},
	}
	o.add(c)
	c.Flags().Int64Var(&o.price, "price", 0, "limit, millionths of the currency unit per kWh")
	c.Flags().Int64Var(&o.quantity, "quantity", 0, "energy, in `WH`")
	c.Flags().StringVar(&o.class, "class", "any", "`any, green` or for buyers green-first")
	c.Flags().Int64Var(&o.premium, "premium", 0, "what green energy may cost above the price")
	c.Flags().StringSliceVar(&o.prefer, "prefer", nil, "`MEMBERS` to trade with first")
	c.Flags().StringVar(&o.opening, "opening", "", "`FILE` that opens a sealed order, to write (default: <interval>-<side>-<nonce>.opening)")
	return c
}

func newOrderCancel() *cobra.Command {
	var o ordering
	c := &cobra.Command{
		Use:   "cancel --dir DIR --key FILE --side S --interval T",
		Short: "Take an order back while its gate is open",
		Long: `Cancel puts an order without steps onto the ledger, which takes the place of the
member's order for that side and interval. A sealed order is taken back by not
opening it.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd, nil) },
	}
	o.add(c)
	return c
}

// run states an order and prints where it is for good.
func (o *ordering) run(cmd *cobra.Command, steps []entry.OrderStep) error {
	side, ok := map[string]int{"buy": entry.SideBuy, "sell": entry.SideSell}[o.side]
	if !ok {
		return fmt.Errorf("--side %q is neither buy nor sell", o.side)
	}
	if o.interval == "" {
		return errors.New("give --interval, as 2026-06-17T10:00:00Z")
	}
	at, err := unit.ParseInterval(o.interval)
	if err != nil {
		return err
	}
	t, err := o.open(cmd.Context())
	if err != nil {
		return failed(err)
	}
	order := &entry.Order{Zone: t.about.Zone, Interval: at, Member: t.about.Member, Side: side, Steps: steps, Nonce: 1}
	for _, had := range t.state.Orders(order.Zone, at) {
		if had.Member == order.Member && had.Side == side {
			order.Nonce = had.Nonce + 1
		}
	}
	if c := t.state.Calendar(); c.Sealed {
		if len(steps) == 0 {
			return failed(errors.New("this market seals its orders: one is taken back by not opening it"))
		}
		return failed(o.seal(cmd, t, order, &c))
	}
	if len(steps) == 0 && order.Nonce == 1 {
		return failed(fmt.Errorf("there is no order of %s to %s in %s to take back", order.Member, o.side, at))
	}
	payload, err := order.Encode()
	if err != nil {
		return err
	}
	leaf, height, err := t.put(cmd.Context(), entry.TypeOrder, payload)
	if err != nil {
		return failed(err)
	}
	l := listOrder(order, leaf)
	if o.asJSON {
		return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(l))
	}
	p := newPage(cmd.OutOrStdout())
	verb := "Placed"
	if len(steps) == 0 {
		verb = "Took back"
	}
	p.line(2, "%s the order of %s to %s in %s: leaf %d, final in block %d", verb, l.Member, l.Side, l.Interval, leaf, height)
	p.line(2, "  %s", strings.TrimSpace(l.ID))
	return failed(p.err)
}
