package market_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"math/big"
	"slices"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// This file computes auctions and pools again, from the text of the market's design
// alone: one Wh at a time, in big integers, with no thought of speed. It shares no
// code with the package but the types.

// reference is what an auction comes to.
type reference struct {
	open, green  market.Prices
	bids, offers []market.Fill
	trades       []market.Trade
}

// wh is one Wh in line.
type wh struct {
	price unit.Price
	order int
}

func referKey(beacon [32]byte, id string) []byte {
	h := sha256.Sum256(append(beacon[:], id...))
	return h[:]
}

// referShare is the largest remainder method as the page words it.
func referShare(total int64, weights []int64, key func(int) []byte) []int64 {
	sum := new(big.Int)
	for _, w := range weights {
		sum.Add(sum, big.NewInt(w))
	}
	out := make([]int64, len(weights))
	if sum.Sign() == 0 {
		return out
	}
	rests, order, left := make([]*big.Int, len(weights)), make([]int, len(weights)), total
	for i, w := range weights {
		order[i] = i
		q, r := new(big.Int).DivMod(new(big.Int).Mul(big.NewInt(total), big.NewInt(w)), sum, new(big.Int))
		out[i], rests[i] = q.Int64(), r
		left -= out[i]
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Or(rests[b].Cmp(rests[a]), bytes.Compare(key(a), key(b))) })
	for _, i := range order[:left] {
		out[i]++
	}
	return out
}

func refer(a *market.Auction) *reference {
	r := &reference{bids: make([]market.Fill, len(a.Bids)), offers: make([]market.Fill, len(a.Offers))}
	for _, green := range []bool{true, false} {
		r.pass(a, green)
	}
	return r
}

func (r *reference) pass(a *market.Auction, green bool) {
	var bids, offers []wh
	bidIn, offerIn := make([]int64, len(a.Bids)), make([]int64, len(a.Offers))
	value := make([]unit.Price, len(a.Bids))
	for i, b := range a.Bids {
		value[i] = b.Price - a.Fee
		if green {
			value[i] += b.Premium
		}
		if green && b.Class != market.Any || !green && b.Class != market.Green {
			bidIn[i] = int64(b.Quantity - r.bids[i].Quantity)
		}
		for range bidIn[i] {
			bids = append(bids, wh{value[i], i})
		}
	}
	for i, o := range a.Offers {
		if !green || o.Class == market.Green {
			offerIn[i] = int64(o.Quantity - r.offers[i].Quantity)
		}
		for range offerIn[i] {
			offers = append(offers, wh{o.Price, i})
		}
	}
	slices.SortFunc(bids, func(x, y wh) int { return cmp.Compare(y.price, x.price) })
	slices.SortFunc(offers, func(x, y wh) int { return cmp.Compare(x.price, y.price) })
	n := 0
	for n < len(bids) && n < len(offers) && bids[n].price >= offers[n].price {
		n++
	}
	if n == 0 {
		return
	}
	p := &r.open
	if green {
		p = &r.green
	}
	bm, am := bids[n-1].price, offers[n-1].price
	p.Volume, p.Low, p.High = unit.Energy(n), am, bm
	if n < len(bids) {
		p.Low = max(p.Low, bids[n].price)
	}
	if n < len(offers) {
		p.High = min(p.High, offers[n].price)
	}
	floor := new(big.Int).Div(new(big.Int).Sub(big.NewInt(int64(p.High)), big.NewInt(int64(p.Low))), big.NewInt(2))
	p.Price = p.Low + unit.Price(floor.Int64())

	bidGot := level(int64(n), bidIn, func(i int) int { return cmp.Compare(bm, value[i]) }, func(i int) []byte { return referKey(a.Beacon, a.Bids[i].ID) })
	offerGot := level(int64(n), offerIn, func(i int) int { return cmp.Compare(a.Offers[i].Price, am) }, func(i int) []byte { return referKey(a.Beacon, a.Offers[i].ID) })
	add := func(fills []market.Fill, got []int64) {
		for i, q := range got {
			fills[i].Quantity += unit.Energy(q)
			if green {
				fills[i].Green += unit.Energy(q)
			}
		}
	}
	add(r.bids, bidGot)
	add(r.offers, offerGot)
	r.pairs(a, p, green, value, bidGot, offerGot)
}

// level fills what compares below 0 whole, shares the rest over what compares 0.
func level(volume int64, in []int64, side func(int) int, key func(int) []byte) []int64 {
	got := make([]int64, len(in))
	weights := make([]int64, len(in))
	for i, q := range in {
		switch c := side(i); {
		case c < 0:
			got[i] = q
			volume -= q
		case c == 0:
			weights[i] = q
		}
	}
	for i, q := range referShare(volume, weights, key) {
		got[i] += q
	}
	return got
}

func (r *reference) pairs(a *market.Auction, p *market.Prices, green bool, value []unit.Price, bidLeft, offerLeft []int64) {
	byPrice := func(n int, price func(int) unit.Price, id func(int) string) []int {
		order := make([]int, n)
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(x, y int) int {
			return cmp.Or(cmp.Compare(price(x), price(y)), bytes.Compare(referKey(a.Beacon, id(x)), referKey(a.Beacon, id(y))))
		})
		return order
	}
	bids := byPrice(len(a.Bids), func(i int) unit.Price { return -value[i] }, func(i int) string { return a.Bids[i].ID })
	offers := byPrice(len(a.Offers), func(i int) unit.Price { return a.Offers[i].Price }, func(i int) string { return a.Offers[i].ID })
	if a.Rule == market.PayAsBid {
		p.Price, p.Low, p.High = 0, unit.MaxPrice*3, -unit.MaxPrice*3
	}
	meet := func(b, o int) {
		q := min(bidLeft[b], offerLeft[o])
		if q == 0 {
			return
		}
		bidLeft[b] -= q
		offerLeft[o] -= q
		price := p.Price
		if a.Rule == market.PayAsBid {
			price = value[b]
			p.Low, p.High = min(p.Low, price), max(p.High, price)
		}
		r.trades = append(r.trades, market.Trade{Green: green, Bid: b, Offer: o, Quantity: unit.Energy(q), Price: price})
		r.bids[b].Amount -= unit.Money(int64(price+a.Fee) * q)
		r.bids[b].Fee += unit.Money(int64(a.Fee) * q)
		r.offers[o].Amount += unit.Money(int64(price) * q)
	}
	for rank := range 10 {
		for _, b := range bids {
			if rank < len(a.Bids[b].Prefer) {
				for _, o := range offers {
					if a.Offers[o].Member == a.Bids[b].Prefer[rank] {
						meet(b, o)
					}
				}
			}
		}
	}
	for _, b := range bids {
		for _, o := range offers {
			meet(b, o)
		}
	}
}

// times returns p times e.
func times(p unit.Price, e unit.Energy) *big.Int {
	return new(big.Int).Mul(big.NewInt(int64(p)), big.NewInt(int64(e)))
}

func floorDiv(a, b *big.Int) *big.Int { return new(big.Int).Div(a, b) } // Euclidean: floor for b > 0

// referPool is what a pool comes to, and what everybody else gets.
type referPool struct {
	mid, price, fee               unit.Price
	open                          bool
	surplus, deficit, local       unit.Energy
	shares                        []market.Share
	network, fund, loss, supplier *big.Int
}

func referSettle(p *market.Pool) *referPool {
	t := p.Tariff
	million := big.NewInt(1_000_000)
	retail := big.NewInt(int64(max(t.Retail, 0)))
	lf := unit.Price(floorDiv(new(big.Int).Mul(retail, big.NewInt(int64(t.Loss))), million).Int64())
	pi := unit.Price(floorDiv(new(big.Int).Mul(retail, big.NewInt(int64(p.Deviation))), million).Int64())
	f := t.Fee + lf
	r := &referPool{fee: f, open: t.Retail-f >= t.FeedIn}
	r.mid = unit.Price(floorDiv(big.NewInt(int64(t.FeedIn+t.Retail-f)), big.NewInt(2)).Int64())
	r.shares = make([]market.Share, len(p.Members))
	or := func(v *unit.Price, other unit.Price) unit.Price {
		if v != nil {
			return *v
		}
		return other
	}
	surplus, deficit := make([]int64, len(p.Members)), make([]int64, len(p.Members))
	for i, m := range p.Members {
		s := &r.shares[i]
		switch x := m.Export - m.Import; m.Quality {
		case market.Measured:
			s.Net = x
		case market.Estimated:
			s.Net, s.Unproven = min(x, 0), max(x, 0)
		}
		s.Position = m.Sold - m.Bought
		s.Residual = s.Net - s.Position
		ownFIT, ownRET := or(m.FeedIn, t.FeedIn), or(m.Retail, t.Retail)
		minSell, maxBuy := or(m.MinSell, ownFIT), or(m.MaxBuy, ownRET)
		if m.Quality == market.Measured && r.open {
			if p.Rule == market.MidMarket {
				s.Joined = s.Residual > 0 && r.mid >= minSell || s.Residual < 0 && r.mid+f <= maxBuy
			} else {
				s.Joined = s.Residual > 0 && minSell <= t.FeedIn || s.Residual < 0 && maxBuy >= t.Retail
			}
		}
		if s.Joined {
			surplus[i], deficit[i] = int64(max(s.Residual, 0)), int64(max(-s.Residual, 0))
			r.surplus += max(s.Residual, 0)
			r.deficit += max(-s.Residual, 0)
		}
	}
	r.local = min(r.surplus, r.deficit)
	key := func(i int) []byte { return referKey(p.Beacon, p.Members[i].Member) }
	sold, bought := referShare(int64(r.local), surplus, key), referShare(int64(r.local), deficit, key)
	r.price = r.mid
	if p.Rule == market.SupplyDemand {
		r.price = t.FeedIn
		if r.surplus < r.deficit {
			most := t.Retail - f
			divisor := new(big.Int).Add(times(most-t.FeedIn, r.surplus), times(t.FeedIn, r.deficit))
			if divisor.Sign() != 0 {
				r.price = unit.Price(floorDiv(new(big.Int).Mul(big.NewInt(int64(most)), times(t.FeedIn, r.deficit)), divisor).Int64())
			}
		}
	}
	r.network, r.loss = times(t.Fee, r.local), times(lf, r.local)
	r.fund, r.supplier = new(big.Int), new(big.Int)
	for i, m := range p.Members {
		s := &r.shares[i]
		ownFIT, ownRET := or(m.FeedIn, t.FeedIn), or(m.Retail, t.Retail)
		s.Sold, s.Bought = unit.Energy(sold[i]), unit.Energy(bought[i])
		e := s.Residual - s.Sold + s.Bought
		s.GridExport, s.GridImport = max(e, 0), max(-e, 0)
		gain := unit.Price(0)
		if s.Position > 0 && s.Residual < 0 {
			s.Deviation = min(s.Position, -s.Residual)
			gain = max(0, or(p.AuctionPrice, r.mid)-r.mid)
		}
		if s.Position < 0 && s.Residual > 0 {
			s.Deviation = min(-s.Position, s.Residual)
			gain = max(0, r.mid-or(p.AuctionPrice, r.mid))
		}
		charge := times(pi+gain, s.Deviation)
		grid := new(big.Int).Sub(times(ownFIT, s.GridExport), times(ownRET, s.GridImport))
		amount := new(big.Int).Sub(times(r.price, s.Sold), times(r.price+f, s.Bought))
		amount.Add(amount, grid).Sub(amount, charge)
		r.fund.Add(r.fund, charge)
		r.supplier.Sub(r.supplier, grid)
		s.Charge, s.Grid, s.Amount = unit.Money(charge.Int64()), unit.Money(grid.Int64()), unit.Money(amount.Int64())
		s.Counterfactual = unit.Money(times(ownRET, s.Net).Int64())
		if s.Net > 0 {
			s.Counterfactual = unit.Money(times(ownFIT, s.Net).Int64())
		}
	}
	return r
}
