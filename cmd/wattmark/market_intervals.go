package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// listedInterval is what market intervals prints of one outcome.
type listedInterval struct {
	Zone     string       `json:"zone"`
	Interval string       `json:"interval"`
	Kind     string       `json:"kind"` // cleared or settled
	Leaf     uint64       `json:"leaf"`
	Beacon   string       `json:"beacon"`
	Orders   *uint64      `json:"orders,omitempty"`
	Volume   *unit.Energy `json:"volume_wh,omitempty"`
	Price    *unit.Price  `json:"price,omitempty"`
	Green    *unit.Energy `json:"green_wh,omitempty"`
	Run      string       `json:"run,omitempty"`
	Version  uint64       `json:"version,omitempty"`
	Members  uint64       `json:"members,omitempty"`
	Totals   *shownTotals `json:"totals,omitempty"`
	Root     string       `json:"root"`
	Void     string       `json:"void,omitempty"`
	// Unaccounted is what the feeder's meter shows and no member's.
	Unaccounted *unit.Energy `json:"unaccounted_wh,omitempty"`
	Alarm       bool         `json:"alarm,omitempty"`
}

type shownTotals struct {
	Surplus    unit.Energy `json:"surplus_wh"`
	Deficit    unit.Energy `json:"deficit_wh"`
	Local      unit.Energy `json:"local_wh"`
	LocalPrice unit.Price  `json:"local_price"`
	GridExport unit.Energy `json:"grid_export_wh"`
	GridImport unit.Energy `json:"grid_import_wh"`
	Network    unit.Money  `json:"network_nano"`
	Fund       unit.Money  `json:"fund_nano"`
	Loss       unit.Money  `json:"loss_nano"`
	Supplier   unit.Money  `json:"supplier_nano"`
	Measured   uint64      `json:"measured"`
	Estimated  uint64      `json:"estimated"`
	Missing    uint64      `json:"missing"`
}

var runNames = [...]string{"R0", "R1", "RF"}

func newMarketIntervals() *cobra.Command {
	var f memberFlags
	var zone, from, to string
	var asJSON bool
	c := &cobra.Command{
		Use:   "intervals --dir DIR",
		Short: "List what the intervals of a zone were cleared and settled to",
		Long: `Intervals reads the outcomes in the ledger's final blocks: of each interval the
auction, and each run of its settlement. It needs nobody's readings. Totals are
published where at least five members have readings.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			first, last, err := parseSpan(from, to)
			if err != nil {
				return err
			}
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			e := json.NewEncoder(cmd.OutOrStdout())
			return failed(m.outcomes(func(leaf uint64, body entry.Body) error {
				l, at := listInterval(leaf, body)
				if l == nil || zone != "" && l.Zone != zone || at < first || at >= last {
					return nil
				}
				if asJSON {
					return e.Encode(l)
				}
				return l.print(p)
			}))
		},
	}
	f.add(c)
	c.Flags().StringVar(&zone, "zone", "", "only those of a `ZONE`")
	c.Flags().StringVar(&from, "from", "", "first interval, as `2026-06-17T10:00:00Z`")
	c.Flags().StringVar(&to, "to", "", "the interval behind the last")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object an outcome")
	return c
}

// outcomes calls fn with the body of each outcome that has one, in the final blocks.
func (m *member) outcomes(fn func(leaf uint64, body entry.Body) error) error {
	return m.finalLeaves(func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafOutcome {
			return nil
		}
		o, err := entry.ParseOutcome(leaf)
		if err != nil || o.Body == nil {
			return nil // another kind, of a later program
		}
		body, err := o.ParseBody()
		if err != nil {
			return err
		}
		return fn(i, body)
	})
}

func (m *member) finalLeaves(fn func(i uint64, leaf []byte) error) error {
	r, _, signed, err := openFinal(m.dir, m.policy)
	if err != nil {
		return err
	}
	defer r.Close()
	return leavesOf(r, signed.Size, fn)
}

func leavesOf(r *store.Reader, size uint64, fn func(i uint64, leaf []byte) error) error {
	return r.Leaves(0, size, fn)
}

func listInterval(leaf uint64, body entry.Body) (*listedInterval, unit.Interval) {
	switch o := body.(type) {
	case *entry.Cleared:
		volume, green := o.Open.Volume+o.Green.Volume, o.Green.Volume
		l := &listedInterval{Zone: o.Zone, Interval: o.Interval.String(), Kind: entry.OutcomeCleared, Leaf: leaf, Beacon: hex.EncodeToString(o.Beacon[:]),
			Orders: &o.Orders, Volume: &volume, Green: &green, Root: hex.EncodeToString(o.Root[:]), Void: o.Void}
		if o.Open.Volume > 0 && o.Auction == entry.AuctionUniform {
			l.Price = &o.Open.Price
		}
		return l, o.Interval
	case *entry.Settled:
		l := &listedInterval{Zone: o.Zone, Interval: o.Interval.String(), Kind: entry.OutcomeSettled, Leaf: leaf, Beacon: hex.EncodeToString(o.Beacon[:]),
			Run: runNames[o.Run], Version: o.Version, Members: o.Members, Root: hex.EncodeToString(o.Root[:]), Void: o.Void, Unaccounted: o.Unaccounted, Alarm: o.Alarm}
		if t := o.Totals; t != nil {
			l.Totals = &shownTotals{t.Surplus, t.Deficit, t.Local, t.LocalPrice, t.GridExport, t.GridImport, t.Network, t.Fund, t.Loss, t.Supplier, t.Measured, t.Estimated, t.Missing}
		}
		return l, o.Interval
	}
	return nil, 0
}

func (l *listedInterval) print(p *page) error {
	switch {
	case l.Void != "":
		p.line(4, "%s  %s  %s is void: %s", l.Interval, l.Zone, l.Kind, l.Void)
	case l.Kind == entry.OutcomeCleared && *l.Volume == 0:
		p.line(4, "%s  %s  cleared: no trades, %s", l.Interval, l.Zone, plural(*l.Orders, "order", "orders"))
	case l.Kind == entry.OutcomeCleared:
		at := ""
		if l.Price != nil {
			at = fmt.Sprintf(" at %d", int64(*l.Price))
		}
		p.line(4, "%s  %s  cleared: %d Wh%s, %d of them green, %s", l.Interval, l.Zone, *l.Volume, at, *l.Green, plural(*l.Orders, "order", "orders"))
	case l.Totals == nil:
		p.line(4, "%s  %s  %s: %s; totals of fewer than five are not published", l.Interval, l.Zone, l.Run, plural(l.Members, "member", "members"))
	default:
		t := l.Totals
		p.line(4, "%s  %s  %s: %d Wh shared at %d, %d Wh from and %d Wh to the grid; %d measured, %d estimated, %d missing",
			l.Interval, l.Zone, l.Run, t.Local, int64(t.LocalPrice), t.GridImport, t.GridExport, t.Measured, t.Estimated, t.Missing)
	}
	if l.Alarm {
		p.line(4, "  ALARM: %d Wh are unaccounted for: the feeder's meter and the members' do not agree", int64(*l.Unaccounted))
	}
	return p.err
}

// listedOrder is what market orders prints of one.
type listedOrder struct {
	ID       string      `json:"id"`
	Zone     string      `json:"zone"`
	Interval string      `json:"interval"`
	Member   string      `json:"member"`
	Side     string      `json:"side"`
	Nonce    uint64      `json:"nonce"`
	Steps    []shownStep `json:"steps"`
	Leaf     uint64      `json:"leaf"`
	Cleared  bool        `json:"cleared"`
}

type shownStep struct {
	Price    unit.Price  `json:"price"`
	Quantity unit.Energy `json:"quantity"`
	Class    string      `json:"class"`
	Premium  unit.Price  `json:"premium"`
	Prefer   []string    `json:"prefer"`
}

var (
	sideNames  = map[int]string{entry.SideBuy: "buy", entry.SideSell: "sell"}
	classNames = map[int]string{entry.ClassAny: "any", entry.ClassGreen: "green", entry.ClassGreenFirst: "green-first"}
)

func newMarketOrders() *cobra.Command {
	var f memberFlags
	var zone, who string
	var all, asJSON bool
	c := &cobra.Command{
		Use:   "orders --dir DIR",
		Short: "List the orders that stand",
		Long: `Orders reads the orders in the ledger's final blocks, each the last of its member,
side and interval: those whose interval is not cleared yet, or with --all every one.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			list, err := m.orders()
			if err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			e := json.NewEncoder(cmd.OutOrStdout())
			for _, o := range list {
				if zone != "" && o.Zone != zone || who != "" && o.Member != who || !all && o.Cleared {
					continue
				}
				if asJSON {
					err = e.Encode(o)
				} else {
					err = o.print(p)
				}
				if err != nil {
					return failed(err)
				}
			}
			return failed(p.err)
		},
	}
	f.add(c)
	c.Flags().StringVar(&zone, "zone", "", "only those of a `ZONE`")
	c.Flags().StringVar(&who, "member", "", "only those of a `MEMBER`")
	c.Flags().BoolVar(&all, "all", false, "those of cleared intervals too")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object an order")
	return c
}

// orders are the last order of each member, side and interval, in the order of the
// ledger.
func (m *member) orders() ([]*listedOrder, error) {
	type place struct {
		zone, interval, member, side string
	}
	type spot struct{ zone, interval string }
	var list []*listedOrder
	last := make(map[place]int)
	cleared := make(map[spot]bool)
	err := m.finalLeaves(func(i uint64, leaf []byte) error {
		switch entry.KindOf(leaf) {
		case entry.LeafOutcome:
			if o, err := entry.ParseOutcome(leaf); err == nil && o.Kind == entry.OutcomeCleared {
				if body, err := o.ParseBody(); err == nil {
					c := body.(*entry.Cleared)
					cleared[spot{c.Zone, c.Interval.String()}] = true
				}
			}
		case entry.LeafStatement:
			s, err := signer.Parse(leaf)
			if err != nil {
				return nil
			}
			o, err := entry.OrderIn(s.Type, s.Payload)
			if o == nil && err == nil {
				return nil // it places none
			}
			if err != nil {
				return err
			}
			l := listOrder(o, i)
			at := place{l.Zone, l.Interval, l.Member, l.Side}
			if k, ok := last[at]; ok {
				list[k] = nil
			}
			last[at] = len(list)
			list = append(list, l)
		}
		return nil
	})
	var out []*listedOrder
	for _, l := range list {
		if l != nil && len(l.Steps) > 0 {
			l.Cleared = cleared[spot{l.Zone, l.Interval}]
			out = append(out, l)
		}
	}
	return out, err
}

func (l *listedOrder) print(p *page) error {
	for _, s := range l.Steps {
		green := ""
		if s.Class != "any" {
			green = ", " + s.Class
		}
		p.line(4, "%s  %s  %s %s %d Wh at %d%s; nonce %d, leaf %d", l.Interval, l.Zone, l.Member, l.Side+"s", s.Quantity, int64(s.Price), green, l.Nonce, l.Leaf)
	}
	return p.err
}
