package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// rulesFile is what a tariff is written in. What is not there is as it is in force.
type rulesFile struct {
	Zone      string      `json:"zone"`
	From      string      `json:"from"`
	Currency  string      `json:"currency"`
	FeedIn    *unit.Price `json:"feed_in"`
	Retail    *unit.Price `json:"retail"`
	Fee       *unit.Price `json:"fee"`
	Loss      *unit.PPM   `json:"loss_ppm"`
	Deviation *unit.PPM   `json:"deviation_ppm"`
	Auction   string      `json:"auction"` // uniform, pay-as-bid
	Pool      string      `json:"pool"`    // mid, sdr
}

func readRules(name string) (*rulesFile, error) {
	b, err := readLimited(name, 1<<16)
	if err != nil {
		return nil, failed(err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var r rulesFile
	if err := d.Decode(&r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one object", name)
	}
	return &r, nil
}

// on puts what the file says over a tariff.
func (r *rulesFile) on(t entry.Tariff) (*entry.Tariff, error) {
	if r.Zone != "" {
		t.Zone = r.Zone
	}
	if r.Currency != "" {
		t.Currency = r.Currency
	}
	for _, p := range [...]struct{ to, from *unit.Price }{{&t.FeedIn, r.FeedIn}, {&t.Retail, r.Retail}, {&t.Fee, r.Fee}} {
		if p.from != nil {
			*p.to = *p.from
		}
	}
	for _, p := range [...]struct{ to, from *unit.PPM }{{&t.Loss, r.Loss}, {&t.Deviation, r.Deviation}} {
		if p.from != nil {
			*p.to = *p.from
		}
	}
	var ok bool
	if r.Auction != "" {
		if t.Auction, ok = map[string]int{"uniform": entry.AuctionUniform, "pay-as-bid": entry.AuctionPayAsBid}[r.Auction]; !ok {
			return nil, fmt.Errorf("auction: %q is none of uniform and pay-as-bid", r.Auction)
		}
	}
	if r.Pool != "" {
		if t.Pool, ok = map[string]int{"mid": entry.PoolMid, "sdr": entry.PoolSupplyDemand}[r.Pool]; !ok {
			return nil, fmt.Errorf("pool: %q is none of mid and sdr", r.Pool)
		}
	}
	if r.From != "" {
		at, err := unit.ParseInterval(r.From)
		if err != nil {
			return nil, fmt.Errorf("from: %w", err)
		}
		t.From = at
	}
	_, err := t.Encode()
	return &t, err
}

// whatIf is a member's month as it was and as it would have been.
type whatIf struct {
	Member     string     `json:"member"`
	Was        unit.Money `json:"was_nano"`
	Would      unit.Money `json:"would_nano"`
	Difference unit.Money `json:"difference_nano"`
}

func newMarketReplay() *cobra.Command {
	var f memberFlags
	var rules, month, zone string
	var asJSON bool
	c := &cobra.Command{
		Use:   "replay --rules FILE --month 2026-06 --dir DIR",
		Short: "Run a past month under other rules, and show each member's difference",
		Long: `Replay executes the ledger again with the packs in the oracle's vault, and
settles the intervals of a month once more under the rules of FILE: the same
orders, readings and beacons, another tariff. It prints what each member got,
would have got, and the difference. Nothing is put onto the ledger.

  {"fee":30000,"pool":"sdr"}

FILE may have feed_in, retail, fee, loss_ppm, deviation_ppm, auction (uniform,
pay-as-bid) and pool (mid, sdr); what it leaves out is as it was in force.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rules == "" || month == "" {
				return errors.New("give --rules FILE and --month, as 2026-06")
			}
			r, err := readRules(rules)
			if err != nil {
				return err
			}
			from, to, err := parseMonth(month)
			if err != nil {
				return err
			}
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			st, _, err := replayed(cmd.Context(), m.dir, m.policy)
			if err != nil {
				return failed(err)
			}
			orders, err := m.stoodOrders()
			if err != nil {
				return failed(err)
			}
			list, n, err := proposed(st, orders, zone, r, from, to)
			if err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			e := json.NewEncoder(cmd.OutOrStdout())
			if !asJSON {
				p.line(2, "%s settled again", plural(n, "interval", "intervals"))
			}
			for _, w := range list {
				if asJSON {
					if err := e.Encode(w); err != nil {
						return failed(err)
					}
					continue
				}
				p.line(4, "%-20s was %s, would be %s: %s", w.Member, money(w.Was), money(w.Would), money(w.Difference))
			}
			return failed(p.err)
		},
	}
	f.add(c)
	c.Flags().StringVar(&rules, "rules", "", "`FILE` with the proposed rules, JSON")
	c.Flags().StringVar(&month, "month", "", "the `MONTH`, as 2026-06")
	c.Flags().StringVar(&zone, "zone", "", "only a `ZONE`")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a member")
	return c
}

// spotOrders are the orders that stood at the gates, by zone and interval.
type spotOrders map[string][]entry.Order

func spotName(zone string, at unit.Interval) string { return zone + " " + at.String() }

// stoodOrders are the last orders of every member and side: those that a gate found.
func (m *member) stoodOrders() (spotOrders, error) {
	last := make(map[string]entry.Order)
	var names []string
	err := m.finalLeaves(func(_ uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafStatement {
			return nil
		}
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
		name := fmt.Sprintf("%s %s %d", spotName(o.Zone, o.Interval), o.Member, o.Side)
		if _, ok := last[name]; !ok {
			names = append(names, name)
		}
		last[name] = *o
		return nil
	})
	out := make(spotOrders)
	for _, name := range names {
		o := last[name]
		at := spotName(o.Zone, o.Interval)
		out[at] = append(out[at], o)
	}
	return out, err
}

// proposed settles the intervals of a month again under other rules.
func proposed(st *state.State, orders spotOrders, zone string, r *rulesFile, from, to unit.Interval) ([]whatIf, uint64, error) {
	was, would := make(map[string]unit.Money), make(map[string]unit.Money)
	n := uint64(0)
	for _, z := range st.Zones() {
		if zone != "" && z.Zone != zone {
			continue
		}
		for _, spot := range st.Spots(z.Zone, from, to) {
			if spot.Version == 0 || spot.Closed || spot.Opaque {
				continue
			}
			var in *entry.Tariff
			for i := range z.Tariffs {
				if z.Tariffs[i].From <= spot.Interval {
					in = &z.Tariffs[i]
				}
			}
			t, err := r.on(*in)
			if err != nil {
				return nil, 0, err
			}
			for _, l := range spot.Auction {
				was[l.Member] += l.Amount
			}
			parts := st.Parts(z.Zone, spot.Interval)
			for i := range parts {
				was[parts[i].Member] += parts[i].Amount
			}
			if err := settleAgain(&spot, t, orders[spotName(z.Zone, spot.Interval)], parts, would); err != nil {
				return nil, 0, fmt.Errorf("interval %s under the proposed rules: %w", spot.Interval, err)
			}
			n++
		}
	}
	for m := range would {
		was[m] += 0
	}
	var out []whatIf
	for _, m := range slices.Sorted(maps.Keys(was)) {
		out = append(out, whatIf{m, was[m], would[m], would[m] - was[m]})
	}
	return out, n, nil
}

// settleAgain adds to would what each member gets for an interval by another tariff.
func settleAgain(spot *state.SpotInfo, t *entry.Tariff, orders []entry.Order, parts []entry.Line, would map[string]unit.Money) error {
	tariff := market.TariffOf(t)
	loss, err := tariff.LossFee()
	if err != nil {
		return err
	}
	book := &market.Book{Zone: spot.Zone, Interval: spot.Interval, Fee: t.Fee + loss}
	for i := range orders {
		book.Restore(state.MarketOrder(&orders[i]))
	}
	c, err := market.Clear(book.Auction(market.Rule(t.Auction), spot.Beacon))
	if err != nil {
		return err
	}
	for _, f := range market.Fills(c) {
		would[f.Member] += f.Amount
	}
	s := spot.Settled
	s.Terms = market.TermsOf(t)
	s.AuctionPrice = nil
	if c.Open.Volume > 0 && t.Auction == entry.AuctionUniform {
		s.AuctionPrice = &c.Open.Price
	}
	pool := market.PoolOf(&s)
	positions := c.Positions()
	for i := range parts {
		m := market.MeterOf(&parts[i])
		m.Sold, m.Bought = 0, 0
		for _, p := range positions {
			if p.Member == m.Member {
				m.Sold, m.Bought = p.Sold, p.Bought
			}
		}
		pool.Members = append(pool.Members, m)
	}
	again, err := market.Settle(pool)
	if err != nil {
		return err
	}
	for i := range parts {
		would[parts[i].Member] += again.Members[i].Amount
	}
	return nil
}

func newMarketTariff() *cobra.Command {
	var f memberFlags
	var height uint64
	var asJSON bool
	c := &cobra.Command{
		Use:   "tariff FILE --dir DIR",
		Short: "Put a tariff to the oracles' vote, or agree to one",
		Long: `Tariff states, with the oracle's key, the motion that the terms in FILE hold for a
zone. It takes effect with the block of --height once as many oracles as change a
rule have stated the same; a zone's first one opens its market, a later one must
come a week before its first interval. Give the same FILE and --height at each
oracle.

  {"zone":"street","from":"2026-07-01T00:00:00Z","currency":"EUR","feed_in":80000,
   "retail":300000,"fee":40000,"loss_ppm":0,"deviation_ppm":0,
   "auction":"uniform","pool":"mid"}

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Args: oneFile,
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := readRules(args[0])
			if err != nil {
				return err
			}
			t, err := r.on(entry.Tariff{Currency: "EUR", Auction: entry.AuctionUniform, Pool: entry.PoolMid})
			if err != nil {
				return err
			}
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			body, err := t.Encode()
			if err != nil {
				return err
			}
			motion := entry.Motion{Kind: entry.MotionTariff, Height: height, Body: body}
			payload, err := motion.Encode()
			if err != nil {
				return err
			}
			statement, err := m.sign(entry.TypeMotion, payload)
			if err != nil {
				return failed(err)
			}
			leaf, in, err := m.put(cmd.Context(), statement)
			if err != nil {
				return failed(err)
			}
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{
					"motion": fmt.Sprintf("%x", motion.Hash()), "height": height, "leaf": leaf, "block": in,
				}))
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "leaf %d, final in block %d", leaf, in)
			p.line(2, "It takes effect with block %d if %s have stated the same by then.", height, plural(m.charter.Governance, "oracle", "oracles"))
			return failed(p.err)
		},
	}
	f.add(c)
	c.Flags().Uint64Var(&height, "height", 0, "`HEIGHT` of the block from which it is in force")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}
