package market

import (
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// TariffOf returns the tariff that an entry states.
func TariffOf(t *entry.Tariff) Tariff {
	return Tariff{FeedIn: t.FeedIn, Retail: t.Retail, Fee: t.Fee, Loss: t.Loss}
}

// TermsOf returns what a settlement by a tariff says of it.
func TermsOf(t *entry.Tariff) entry.Terms {
	return entry.Terms{Currency: t.Currency, Pool: t.Pool, FeedIn: t.FeedIn, Retail: t.Retail, Fee: t.Fee, Loss: t.Loss, Deviation: t.Deviation}
}

// PoolOf returns an empty pool of a settled interval: its terms, beacon and the auction's
// price.
func PoolOf(s *entry.Settled) *Pool {
	t := &s.Terms
	return &Pool{
		Rule: PoolRule(t.Pool), Beacon: s.Beacon, Deviation: t.Deviation, AuctionPrice: s.AuctionPrice,
		Tariff: Tariff{FeedIn: t.FeedIn, Retail: t.Retail, Fee: t.Fee, Loss: t.Loss},
	}
}

// MeterOf returns what a line says went in.
func MeterOf(l *entry.Line) Meter {
	return Meter{
		Member: l.Member, Quality: Quality(l.Quality), Import: l.Import, Export: l.Export,
		Sold: l.AuctionSold, Bought: l.AuctionBought, MinSell: l.MinSell, MaxBuy: l.MaxBuy,
	}
}

// Line returns the line of a member's part of the settlement, by its place in the pool.
func (s *Settlement) Line(i int) entry.Line {
	m, r := &s.pool.Members[i], &s.Members[i]
	return entry.Line{
		Member: m.Member, Quality: int(m.Quality), Import: m.Import, Export: m.Export,
		AuctionSold: m.Sold, AuctionBought: m.Bought, MinSell: m.MinSell, MaxBuy: m.MaxBuy,
		Joined: r.Joined, Sold: r.Sold, Bought: r.Bought, GridExport: r.GridExport, GridImport: r.GridImport,
		Deviation: r.Deviation, Charge: r.Charge, Amount: r.Amount, Counterfactual: r.Counterfactual, Corrected: r.Corrected,
	}
}

// Totals returns the sums over the pool's members.
func (s *Settlement) Totals() entry.Totals {
	t := entry.Totals{
		Surplus: s.Surplus, Deficit: s.Deficit, Local: s.Local, LocalPrice: s.LocalPrice, GridExport: s.GridExport, GridImport: s.GridImport,
		Network: s.Network, Fund: s.Fund, Loss: s.Loss, Supplier: s.Supplier,
	}
	for i := range s.pool.Members {
		switch s.pool.Members[i].Quality {
		case Measured:
			t.Measured++
		case Estimated:
			t.Estimated++
		default:
			t.Missing++
		}
	}
	return t
}

// PostingsOf returns what everybody got by a settlement whose lines and totals are
// known: those of [Settlement.Postings].
func PostingsOf(lines []entry.Line, t *entry.Totals) []Posting {
	out := make([]Posting, 0, len(lines)+4)
	for i := range lines {
		out = append(out, Posting{MemberOwner(lines[i].Member), lines[i].Amount})
	}
	return append(out, Posting{Network, t.Network}, Posting{Fund, t.Fund}, Posting{Loss, t.Loss}, Posting{Supplier, t.Supplier})
}

// BillLines returns the lines of a member's bill for what an interval was settled to,
// those of [Settlement.Lines] for that member. It needs nobody else's part.
func BillLines(s *entry.Settled, t *entry.Totals, l *entry.Line) ([]Line, error) {
	pool := PoolOf(s)
	_, fee, _, err := pool.Tariff.Mid()
	if err != nil {
		return nil, err
	}
	mine := Line{Member: l.Member, Interval: s.Interval, Run: Run(s.Run), Quality: Quality(l.Quality)}
	var out []Line
	for _, part := range [...]struct {
		kind  LineKind
		e     unit.Energy
		price unit.Price
		sign  int64
	}{
		{PoolBuy, l.Bought, t.LocalPrice, -1}, {PoolSell, l.Sold, t.LocalPrice, 1}, {FeeLine, l.Bought, fee, -1},
		{GridImport, l.GridImport, s.Terms.Retail, -1}, {GridExport, l.GridExport, s.Terms.FeedIn, 1},
	} {
		if part.e == 0 || part.kind == FeeLine && part.price == 0 {
			continue
		}
		line, err := mine.priced(part.kind, part.e, part.price, part.sign)
		if err != nil {
			return nil, err
		}
		out = append(out, line)
	}
	if l.Charge != 0 && l.Deviation != 0 {
		mine.Kind, mine.Energy, mine.Amount = DeviationLine, l.Deviation, -l.Charge
		mine.Price = unit.Price(int64(l.Charge) / int64(l.Deviation))
		out = append(out, mine)
	}
	SortLines(out)
	return out, nil
}

// ErrLine is wrapped where a member's part does not follow from what went in.
var ErrLine = fmt.Errorf("market: the line does not follow from the rules")

// CheckLine settles one member's part again, from what that member's meter says and
// from the totals of the zone alone: nobody else's energy is needed. All of it must
// follow to the Wh and the n¤, but for one thing: which members got the last Wh that
// the division of the shared energy leaves depends on the others' remainders, so a
// share may be one Wh above its whole part. What a corrected member got of the pool is
// what R1 gave it, which only R1's own line shows.
func CheckLine(s *entry.Settled, t *entry.Totals, l *entry.Line) error {
	wrong := func(what string, got, want any) error {
		return fmt.Errorf("%w: %s is %v, want %v", ErrLine, what, got, want)
	}
	pool := PoolOf(s)
	pool.Members = []Meter{MeterOf(l)}
	if err := pool.Check(); err != nil {
		return err
	}
	alone, err := Settle(pool)
	if err != nil {
		return err
	}
	if t.Local != min(t.Surplus, t.Deficit) || t.Surplus < 0 || t.Deficit < 0 {
		return wrong("local energy", int64(t.Local), int64(min(t.Surplus, t.Deficit)))
	}
	alone.Surplus, alone.Deficit, alone.Local = t.Surplus, t.Deficit, t.Local
	price, err := alone.localPrice()
	if err != nil {
		return err
	}
	if t.Local > 0 && price != t.LocalPrice {
		return wrong("the local price", int64(t.LocalPrice), int64(price))
	}
	alone.LocalPrice = t.LocalPrice
	r := &alone.Members[0]
	if !l.Corrected {
		if l.Joined != r.Joined {
			return wrong("joined", l.Joined, r.Joined)
		}
		var sold, bought unit.Energy
		if r.Joined {
			if err := checkShare("sold", l.Sold, max(r.Residual, 0), t.Surplus, t.Local); err != nil {
				return err
			}
			if err := checkShare("bought", l.Bought, max(-r.Residual, 0), t.Deficit, t.Local); err != nil {
				return err
			}
			sold, bought = l.Sold, l.Bought
		}
		if l.Sold != sold || l.Bought != bought {
			return wrong("energy of the pool", [2]int64{int64(l.Sold), int64(l.Bought)}, [2]int64{int64(sold), int64(bought)})
		}
	}
	if min(l.Sold, l.Bought) < 0 || max(l.Sold, l.Bought) > t.Local || l.Sold > 0 && l.Bought > 0 {
		return wrong("energy of the pool", [2]int64{int64(l.Sold), int64(l.Bought)}, "within what was shared, on one side")
	}
	r.Sold, r.Bought = l.Sold, l.Bought
	r.toGrid()
	if err := alone.payMember(0); err != nil {
		return err
	}
	again := alone.Line(0)
	for _, c := range [...]struct {
		what      string
		got, want int64
	}{
		{"export to the grid", int64(l.GridExport), int64(again.GridExport)},
		{"import from the grid", int64(l.GridImport), int64(again.GridImport)},
		{"the deviation", int64(l.Deviation), int64(again.Deviation)},
		{"the charge for it", int64(l.Charge), int64(again.Charge)},
		{"the amount", int64(l.Amount), int64(again.Amount)},
		{"the bill without the market", int64(l.Counterfactual), int64(again.Counterfactual)},
	} {
		if c.got != c.want {
			return wrong(c.what, c.got, c.want)
		}
	}
	return nil
}

// checkShare checks a member's share of the energy that the pool shared.
func checkShare(what string, got, weight, sum, local unit.Energy) error {
	var least unit.Energy
	if sum > 0 {
		var err error
		if least, err = unit.MulDiv(local, weight, sum, unit.Down); err != nil {
			return err
		}
	}
	if got < least || got > least+1 || got > weight {
		return fmt.Errorf("%w: %s is %d Wh of %d, want %d or one more", ErrLine, what, int64(got), int64(local), int64(least))
	}
	return nil
}

// Auction returns what was cleared. It must not be changed.
func (c *Clearing) Auction() *Auction { return c.auction }

// Fills returns what became of every order of a clearing, bids before offers and each
// by id as bytes.
func Fills(c *Clearing) []entry.Filled {
	a := c.auction
	out := make([]entry.Filled, 0, len(a.Bids)+len(a.Offers))
	for _, i := range sorted(len(a.Bids), func(i int) string { return a.Bids[i].ID }) {
		f := &c.Bids[i]
		out = append(out, entry.Filled{Side: entry.SideBuy, ID: a.Bids[i].ID, Member: a.Bids[i].Member,
			Quantity: f.Quantity, Green: f.Green, Amount: f.Amount, Fee: f.Fee})
	}
	for _, i := range sorted(len(a.Offers), func(i int) string { return a.Offers[i].ID }) {
		f := &c.Offers[i]
		out = append(out, entry.Filled{Side: entry.SideSell, ID: a.Offers[i].ID, Member: a.Offers[i].Member,
			Quantity: f.Quantity, Green: f.Green, Amount: f.Amount, Fee: f.Fee})
	}
	return out
}
