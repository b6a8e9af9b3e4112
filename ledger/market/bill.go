package market

import (
	"cmp"
	"slices"
	"strconv"

	"wattmark/ledger/unit"
)

// LineKind is what a line of a bill is for.
type LineKind uint8

// The kinds of lines.
const (
	GreenBuy LineKind = iota + 1
	GreenSell
	AuctionBuy
	AuctionSell
	PoolBuy
	PoolSell
	GridImport
	GridExport
	FeeLine
	DeviationLine
	CorrectionLine
)

var lineKindNames = [...]string{GreenBuy: "green-buy", GreenSell: "green-sell", AuctionBuy: "auction-buy", AuctionSell: "auction-sell",
	PoolBuy: "pool-buy", PoolSell: "pool-sell", GridImport: "grid-import", GridExport: "grid-export",
	FeeLine: "fee", DeviationLine: "deviation", CorrectionLine: "correction"}

// String returns the kind's name, such as pool-buy.
func (k LineKind) String() string { return nameOf(lineKindNames[:], k, "LineKind") }

// buys reports whether the kind is energy bought.
func (k LineKind) buys() bool {
	return k == GreenBuy || k == AuctionBuy || k == PoolBuy || k == GridImport
}

// Line is one line of a member's bill for one interval. Purchases stand at the
// seller's price, and their fee in a line of its own, so the lines of a member add up
// to what was posted for it.
type Line struct {
	Member   string
	Interval unit.Interval
	Run      Run
	Kind     LineKind
	// Energy is never negative, but for a correction.
	Energy unit.Energy
	// Price is Amount for a kWh. A correction has none, and it is 0.
	Price unit.Price
	// Amount is what the member gets; it pays what is negative.
	Amount  unit.Money
	Quality Quality
	// Block is the height of the block that the figure comes from, for the caller to
	// fill in.
	Block uint64
}

// compare orders lines as a statement has them: by interval, kind and run, the kind by
// its name.
func (l *Line) compare(o *Line) int {
	return cmp.Or(cmp.Compare(l.Interval, o.Interval), cmp.Compare(l.Kind.String(), o.Kind.String()), cmp.Compare(l.Run, o.Run),
		cmp.Compare(l.Member, o.Member), cmp.Compare(l.Price, o.Price), cmp.Compare(l.Block, o.Block), cmp.Compare(l.Energy, o.Energy), cmp.Compare(l.Amount, o.Amount))
}

// SortLines puts lines into the order of a statement: by interval, kind and run.
func SortLines(lines []Line) {
	slices.SortFunc(lines, func(x, y Line) int { return x.compare(&y) })
}

// priced makes a line of energy at a price, of a sign.
func (l Line) priced(kind LineKind, e unit.Energy, price unit.Price, sign int64) (Line, error) {
	amount, err := unit.MulPrice(price, e)
	l.Kind, l.Energy, l.Price, l.Amount = kind, e, price, amount*unit.Money(sign)
	return l, err
}

// Lines returns the lines of all members for the auction of an interval, by member and
// then as a statement has them.
func (c *Clearing) Lines(i unit.Interval, run Run) ([]Line, error) {
	trades, err := c.Trades()
	if err != nil {
		return nil, err
	}
	var lines []Line
	add := func(member string, kind LineKind, t *Trade, price unit.Price) {
		lines = append(lines, Line{Member: member, Interval: i, Run: run, Kind: kind, Energy: t.Quantity, Price: price})
	}
	for k := range trades {
		t := &trades[k]
		buy, sell := AuctionBuy, AuctionSell
		if t.Green {
			buy, sell = GreenBuy, GreenSell
		}
		buyer := c.auction.Bids[t.Bid].Member
		add(buyer, buy, t, t.Price)
		add(c.auction.Offers[t.Offer].Member, sell, t, t.Price)
		if c.auction.Fee != 0 {
			add(buyer, FeeLine, t, c.auction.Fee)
		}
	}
	byMember(lines)
	// What a member trades at one price in one pass is one line, whoever with.
	merged := lines[:0]
	for _, l := range lines {
		if n := len(merged); n > 0 {
			if last := &merged[n-1]; last.Member == l.Member && last.Kind == l.Kind && last.Price == l.Price {
				last.Energy += l.Energy
				continue
			}
		}
		merged = append(merged, l)
	}
	for k := range merged {
		l := &merged[k]
		sign := int64(1)
		if l.Kind.buys() || l.Kind == FeeLine {
			sign = -1
		}
		if *l, err = l.priced(l.Kind, l.Energy, l.Price, sign); err != nil {
			return nil, err
		}
	}
	return merged, nil
}

func byMember(lines []Line) {
	slices.SortFunc(lines, func(x, y Line) int { return cmp.Or(cmp.Compare(x.Member, y.Member), x.compare(&y)) })
}

// Lines returns the lines of all members for the pool of an interval, by member and
// then as a statement has them.
func (s *Settlement) Lines(i unit.Interval, run Run) ([]Line, error) {
	var lines []Line
	for k := range s.Members {
		m, r := &s.pool.Members[k], &s.Members[k]
		feedIn, retail := s.tariff(m)
		mine := Line{Member: m.Member, Interval: i, Run: run, Quality: m.Quality}
		for _, part := range [...]struct {
			kind  LineKind
			e     unit.Energy
			price unit.Price
			sign  int64
		}{
			{PoolBuy, r.Bought, s.LocalPrice, -1}, {PoolSell, r.Sold, s.LocalPrice, 1}, {FeeLine, r.Bought, s.Fee, -1},
			{GridImport, r.GridImport, retail, -1}, {GridExport, r.GridExport, feedIn, 1},
		} {
			if part.e == 0 || part.kind == FeeLine && part.price == 0 {
				continue
			}
			l, err := mine.priced(part.kind, part.e, part.price, part.sign)
			if err != nil {
				return nil, err
			}
			lines = append(lines, l)
		}
		if r.Charge != 0 {
			mine.Kind, mine.Energy, mine.Amount = DeviationLine, r.Deviation, -r.Charge
			mine.Price = unit.Price(int64(r.Charge) / int64(r.Deviation)) // exact: Charge is a product of it
			lines = append(lines, mine)
		}
	}
	byMember(lines)
	return lines, nil
}

// CorrectionOf returns the line of what a correction changes for one member: the Wh and
// the money by which the later version differs. It is false where nothing does.
func CorrectionOf(before, after *Settlement, member string, i unit.Interval, run Run) (Line, bool, error) {
	k := slices.IndexFunc(before.pool.Members, func(m Meter) bool { return m.Member == member })
	if k < 0 || k >= len(after.Members) || after.pool.Members[k].Member != member {
		return Line{}, false, top.fault("member", "%q has no part in both versions", member)
	}
	was, is := &before.Members[k], &after.Members[k]
	amount, err := unit.Sub(is.Amount, was.Amount)
	l := Line{Member: member, Interval: i, Run: run, Kind: CorrectionLine, Energy: is.Net - was.Net, Amount: amount, Quality: after.pool.Members[k].Quality}
	return l, l.Energy != 0 || l.Amount != 0, err
}

// Invoice is the sum of a member's lines over a period. It is the one place where
// money is rounded, and nothing is lost by it: Carried less CarriedOut more Total is
// Cents, to the n¤.
type Invoice struct {
	// Total is what the lines add up to; who pays has a negative one.
	Total unit.Money
	// Carried is what the rounding of the invoice before left, CarriedOut what that of
	// this one leaves to the next.
	Carried, CarriedOut unit.Money
	// Cents is Total with Carried, rounded half to even.
	Cents unit.Cents
	// Counterfactual is what the same meter would have come to with the supplier
	// alone, and Saving how much better Total is.
	Counterfactual, Saving unit.Money
	// Local is the share of what was bought that came from neighbours, Green the share
	// that was bought as green. Both round down.
	Local, Green unit.PPM
}

// Bill adds up a member's lines. It returns [unit.ErrOverflow] if they do not fit.
func Bill(lines []Line, counterfactual, carried unit.Money) (Invoice, error) {
	v := Invoice{Carried: carried, Counterfactual: counterfactual}
	var total unit.Tally[unit.Money]
	var bought, local, green unit.Tally[unit.Energy]
	for k := range lines {
		l := &lines[k]
		total.Add(l.Amount)
		if !l.Kind.buys() {
			continue
		}
		bought.Add(l.Energy)
		if l.Kind != GridImport {
			local.Add(l.Energy)
		}
		if l.Kind == GreenBuy {
			green.Add(l.Energy)
		}
	}
	var errs [7]error
	var all unit.Energy
	v.Total, errs[0] = total.Sum()
	all, errs[1] = bought.Sum()
	due, err := unit.Add(v.Total, carried)
	errs[2] = err
	v.Cents, v.CarriedOut = due.Cents()
	v.Saving, errs[3] = unit.Sub(v.Total, counterfactual)
	if all > 0 {
		v.Local, errs[4] = shareOf(&local, all)
		v.Green, errs[5] = shareOf(&green, all)
	}
	if err := first(errs[:]...); err != nil {
		return Invoice{}, err
	}
	return v, nil
}

func shareOf(part *unit.Tally[unit.Energy], all unit.Energy) (unit.PPM, error) {
	e, err := part.Sum()
	if err != nil {
		return 0, err
	}
	return unit.MulDiv(unit.Million, e, all, unit.Down)
}

// AppendCSV appends lines as comma-separated values under their header, in the order of
// a statement: integers and names only, LF at the end of each line. The lines are put
// into that order.
func AppendCSV(b []byte, lines []Line) []byte {
	SortLines(lines)
	b = append(b, "interval,run,kind,wh,price_micro_per_kwh,amount_nano,quality,block\n"...)
	for k := range lines {
		l := &lines[k]
		b = append(append(b, l.Interval.String()...), ',')
		b = append(append(b, l.Run.String()...), ',')
		b = append(append(b, l.Kind.String()...), ',')
		b = append(appendNumber(b, l.Energy), ',')
		b = append(appendNumber(b, l.Price), ',')
		b = append(appendNumber(b, l.Amount), ',')
		b = append(append(b, l.Quality.String()...), ',')
		b = append(strconv.AppendUint(b, l.Block, 10), '\n')
	}
	return b
}
