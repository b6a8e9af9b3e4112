package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// clear holds the auction of an interval whose gate has closed, by the hash of the last
// block's header. A zone without members has none.
func (s *State) clear(z *zone, at unit.Interval) ([]made, error) {
	id := spotID{z.Zone, at}
	book := s.books[id]
	members := s.partners(z.Zone, at)
	t := z.tariff(at)
	if t == nil || len(members) == 0 && book == nil {
		return nil, nil
	}
	if book == nil {
		book = s.newBook(z, at)
	}
	tariff := market.TariffOf(t)
	lossFee, err := tariff.LossFee()
	if err != nil {
		return nil, err
	}
	a := book.Auction(market.Rule(t.Auction), s.prev)
	c, postings, void, err := clearOrVoid(a, lossFee)
	if err != nil {
		return nil, fmt.Errorf("clearing %s of zone %q: %w", at, z.Zone, err)
	}
	v := &interval{Zone: z.Zone, At: at, Beacon: s.prev, Cleared: s.meta.Height}
	if c.Open.Volume > 0 && c.Auction().Rule == market.Uniform {
		price := c.Open.Price
		v.Price = &price
	}
	lines, err := c.Lines(at, market.R0)
	if err != nil {
		return nil, err
	}
	for i := range lines {
		l := &lines[i]
		v.Auction = append(v.Auction, auctionLine{Member: l.Member, Kind: int(l.Kind), Energy: l.Energy, Price: l.Price, Amount: l.Amount})
	}
	v.setRows(startRows(members, c.Positions()))
	if err := s.postMoney(t.Currency, postings, z); err != nil {
		return nil, err
	}
	s.dropBook(id)
	s.dropSeals(id)
	s.intervals[id] = v
	s.touch(v)
	return []made{{leaf: must(entry.Bodied(clearedOf(z.Zone, at, c, void))).Encode()}}, nil
}

// clearOrVoid clears an auction, or one without orders where what they come to could not
// be counted: nobody can stop a ledger with a bid.
func clearOrVoid(a *market.Auction, lossFee unit.Price) (c *market.Clearing, postings []market.Posting, void string, err error) {
	for {
		c, err = market.Clear(a)
		if err == nil {
			postings, err = c.Postings(lossFee)
		}
		var fault *market.Fault
		if err == nil || void != "" || !errors.As(err, &fault) {
			return c, postings, void, err
		}
		void = clip(fault.Error())
		a = &market.Auction{Rule: a.Rule, Beacon: a.Beacon, Fee: a.Fee}
	}
}

// clip shortens a fault to what a body holds.
func clip(s string) string { return s[:min(len(s), 200)] }

// startRows are the parts of members before anything is settled: those who take part, and
// those whom the auction filled something for.
func startRows(members []*member, positions []market.Position) []row {
	var rows []row
	for _, m := range members {
		rows = append(rows, row{Line: entry.Line{Member: m.Member, Quality: int(market.Missing)}})
	}
	for _, p := range positions {
		i, ok := findRow(rows, p.Member)
		if !ok {
			rows = slices.Insert(rows, i, row{Line: entry.Line{Member: p.Member, Quality: int(market.Missing)}})
		}
		rows[i].Line.AuctionSold, rows[i].Line.AuctionBought = p.Sold, p.Bought
	}
	return rows
}

func findRow(rows []row, member string) (int, bool) {
	return slices.BinarySearchFunc(rows, member, func(r row, id string) int { return strings.Compare(r.Line.Member, id) })
}

// clearedOf is what the outcome says of a clearing.
func clearedOf(zone string, at unit.Interval, c *market.Clearing, void string) *entry.Cleared {
	a := c.Auction()
	out := &entry.Cleared{
		Zone: zone, Interval: at, Beacon: a.Beacon, Auction: int(a.Rule), Fee: a.Fee,
		Orders: uint64(len(a.Bids) + len(a.Offers)), Open: passed(a, &c.Open), Green: passed(a, &c.Green), Void: void,
	}
	out.Root = rootOf(FillHashes(c))
	return out
}

func passed(a *market.Auction, p *market.Prices) entry.Passed {
	if p.Volume == 0 {
		return entry.Passed{}
	}
	out := entry.Passed{Volume: p.Volume, Low: p.Low, High: p.High}
	if a.Rule == market.Uniform {
		out.Price = p.Price
	}
	return out
}

// settle makes the next version of an interval from the readings in the blocks so far.
func (s *State) settle(z *zone, v *interval, run market.Run) ([]made, error) {
	rows := v.rows()
	opaque := v.Opaque
	for i := range rows {
		l := &rows[i].Line
		r := reading{quality: market.Missing}
		if m := s.members[l.Member]; m != nil {
			r = s.read(m, v.At)
		}
		opaque = opaque || r.opaque
		l.Quality, l.Import, l.Export = int(r.quality), r.imported, r.export
		if v.Version == 0 { // nobody changes what has begun
			l.MinSell, l.MaxBuy = nil, nil
			if e := s.standingAt(l.Member, v.At); e != nil {
				l.MinSell, l.MaxBuy = e.MinSell, e.MaxBuy
			}
		}
	}
	before := v.postings()
	v.Version++
	v.Run, v.Height = int(run), s.meta.Height
	if run == market.R1 {
		v.Invoiced = s.meta.Time
	}
	out := s.settled(v, len(rows))
	if opaque {
		v.Opaque, z.Opaque = true, true
		s.touch(z)
		s.touch(v)
		out.Totals = nil
		return []made{{leaf: must(entry.Bodied(out)).Encode(), like: likeSettled(out)}}, nil
	}
	st, err := s.settleOrVoid(v, rows)
	if err != nil {
		return nil, fmt.Errorf("settling %s of zone %q: %w", v.At, z.Zone, err)
	}
	return s.take(z, v, rows, st, before)
}

// settleOrVoid settles the members' parts, or as without readings and promises where what
// they come to could not be counted.
func (s *State) settleOrVoid(v *interval, rows []row) (*market.Settlement, error) {
	v.Void = ""
	for {
		pool := market.PoolOf(s.settled(v, len(rows)))
		for i := range rows {
			pool.Members = append(pool.Members, market.MeterOf(&rows[i].Line))
		}
		st, err := market.Settle(pool)
		var fault *market.Fault
		if err == nil || v.Void != "" || !errors.As(err, &fault) {
			return st, err
		}
		v.Void = clip(fault.Error())
		for i := range rows {
			rows[i].Line = entry.Line{Member: rows[i].Line.Member, Quality: int(market.Missing)}
		}
	}
}

// take makes a settlement the interval's newest version, posts the difference from the
// one before and returns its outcome.
func (s *State) take(z *zone, v *interval, rows []row, st *market.Settlement, before []market.Posting) ([]made, error) {
	for i := range rows {
		rows[i].Line = st.Line(i)
	}
	totals := st.Totals()
	v.Totals = &totals
	if err := s.auditFeeder(z, v, st); err != nil {
		return nil, err
	}
	s.saltLines(v, rows)
	v.setRows(rows)
	s.touch(v)
	legs, err := market.Difference(before, st.Postings())
	if err != nil {
		return nil, err
	}
	if err := s.postMoney(z.Tariffs[0].Currency, legs, z); err != nil {
		return nil, err
	}
	out := s.settled(v, len(rows))
	out.Root = rootOf(v.tree(rows))
	return []made{{leaf: must(entry.Bodied(out)).Encode()}}, nil
}

// auditFeeder holds the members' meters against the one that all of the zone hangs on.
func (s *State) auditFeeder(z *zone, v *interval, st *market.Settlement) error {
	v.Unaccounted = nil
	f := z.tariff(v.At).Feeder
	if f == nil || v.Totals.Missing > 0 { // who has no reading is not accounted for
		return nil
	}
	in, q1 := s.energy(f.Subject, v.At, false)
	out, q2 := s.energy(f.Subject, v.At, true)
	if max(q1, q2) != market.Measured {
		return nil
	}
	u, err := st.Unaccounted(in-out, 0)
	if err == nil {
		v.Unaccounted = &u
	}
	return err
}

// postings are those of the interval's newest version, none before the first.
func (v *interval) postings() []market.Posting {
	if v.Version == 0 || v.Totals == nil {
		return nil
	}
	rows := v.rows()
	lines := make([]entry.Line, len(rows))
	for i := range rows {
		lines[i] = rows[i].Line
	}
	return market.PostingsOf(lines, v.Totals)
}

// postMoney posts what everybody gets. Where something was settled that cannot be told,
// balances cannot be told either, and nothing is posted.
func (s *State) postMoney(currency string, postings []market.Posting, z *zone) error {
	if z.Opaque || len(postings) == 0 {
		return nil
	}
	s.posted = true
	err := s.post(market.Legs(currency, postings)...)
	if errors.Is(err, unit.ErrOverflow) { // nobody owes 9 x 10^18: it is no honest ledger any more
		return fmt.Errorf("internal error: a balance of zone %q leaves its range: %w", z.Zone, err)
	}
	return err
}

// correct settles again, each alone, the members whose readings changed after the
// invoice, and those of whom the oracles decided.
func (s *State) correct(z *zone, v *interval) ([]made, error) {
	if v.Closed || v.Version == 0 || v.Void != "" {
		return nil, nil
	}
	rows := v.rows()
	before := v.postings()
	var st *market.Settlement
	opaque := v.Opaque
	changed := false
	for i := range rows {
		l := rows[i].Line
		m := s.members[l.Member]
		if m == nil {
			continue
		}
		r := s.read(m, v.At)
		opaque = opaque || r.opaque
		if e := s.decided(l.Member, v.At); e != nil {
			r = reading{quality: market.Measured, imported: e.Import, export: e.Export}
		}
		if opaque || int(r.quality) == l.Quality && r.imported == l.Import && r.export == l.Export || r.quality > market.Quality(l.Quality) {
			continue
		}
		if st == nil {
			var err error
			if st, err = s.settleOrVoid(v, rows); err != nil {
				return nil, err
			}
		}
		next, err := st.Correct(l.Member, r.quality, r.imported, r.export)
		var fault *market.Fault
		switch {
		case errors.As(err, &fault): // what cannot be counted is no correction
			continue
		case err != nil:
			return nil, fmt.Errorf("correcting %s of %q: %w", v.At, l.Member, err)
		}
		st, changed = next, true
	}
	if !changed && !opaque {
		return nil, nil
	}
	v.Version++
	v.Run, v.Height = int(market.RF), s.meta.Height
	if opaque {
		z.Opaque = true
		s.touch(z)
		out := s.settled(v, len(rows))
		out.Totals = nil
		return []made{{leaf: must(entry.Bodied(out)).Encode(), like: likeSettled(out), maybe: true}}, nil
	}
	return s.take(z, v, rows, st, before)
}
