package market

import (
	"fmt"
	"slices"

	"wattmark/ledger/unit"
)

// Prices are what one pass of an auction came to, seller side. They mean nothing
// where Volume is 0: a pass that trades nothing has no price.
type Prices struct {
	Volume unit.Energy
	// Price is what every seller of the pass gets. Under PayAsBid there is none, and
	// it is 0.
	Price unit.Price
	// Low and High are the range of prices that clear the pass, or under PayAsBid the
	// lowest and highest that a seller gets.
	Low, High unit.Price
}

// Fill is what an auction made of one order.
type Fill struct {
	// Quantity is what is filled of it, in both passes.
	Quantity unit.Energy
	// Green is the part of Quantity from the green pass.
	Green unit.Energy
	// Amount is what the member gets, fee included; a buyer's is negative unless
	// prices are.
	Amount unit.Money
	// Fee is the fee within Amount, 0 for an offer.
	Fee unit.Money
}

// Trade says which offer serves which bid.
type Trade struct {
	// Green tells the green pass from the open one.
	Green bool
	// Bid and Offer are indices into the auction's Bids and Offers.
	Bid, Offer int
	Quantity   unit.Energy
	// Price is the seller's.
	Price unit.Price
}

// Clearing is the result of an auction. It has one owner, as [Clearing.Trades] keeps
// what it finds.
type Clearing struct {
	Green, Open Prices
	// Bids and Offers are parallel to those of the auction.
	Bids, Offers []Fill

	auction *Auction
	passes  [2]pass // green, open
	trades  []Trade
	paired  bool
}

// Volume returns the energy traded in both passes.
func (c *Clearing) Volume() unit.Energy { return c.Green.Volume + c.Open.Volume }

// pass is one of the two books of an auction: orders in line, best first.
type pass struct {
	green        bool
	bids, offers []slot
	bm, am       unit.Price // of the last bid and offer that met
}

// slot is an order in line as one number: rank above, index below. The rank is the
// price of an offer, and the negative of a bid's effective price, so that numbers
// sort as orders are served. Orders of one price come as they stood in the input,
// which nothing below depends on.
type slot uint64

const (
	indexBits = 24      // more than MaxOrders needs
	rankBias  = 1 << 32 // effective prices lie within 2^31 of zero
)

func slotOf(rank unit.Price, index int) slot {
	return slot(uint64(rank+rankBias)<<indexBits | uint64(index))
}

func (s slot) rank() unit.Price { return unit.Price(s>>indexBits) - rankBias }
func (s slot) index() int       { return int(s & (1<<indexBits - 1)) }

// Clear clears an auction: the most energy that any one price allows, green first.
// It returns a [*Fault] for an order that is out of range, or for payments beyond
// int64. It takes for granted that ids are distinct, which [Auction.Check] makes sure
// of; were they not, ties could depend on the order of the input.
func Clear(a *Auction) (*Clearing, error) {
	if err := a.checkRanges(); err != nil {
		return nil, err
	}
	c := &Clearing{auction: a, Bids: make([]Fill, len(a.Bids)), Offers: make([]Fill, len(a.Offers))}
	for i, green := range []bool{true, false} {
		p := &c.passes[i]
		p.green = green
		c.lineUp(p)
		prices := c.match(p)
		if prices.Volume > 0 {
			if err := c.fill(p, prices.Volume); err != nil {
				return nil, err
			}
		}
		*c.prices(green) = prices
	}
	pay := c.payUniform
	if a.Rule == PayAsBid {
		pay = c.payAsBid
	}
	if err := pay(); err != nil {
		return nil, err
	}
	if err := c.checkSums(); err != nil {
		return nil, err
	}
	if err := c.checkInvariants(); err != nil {
		return nil, err
	}
	return c, nil
}

// checkRanges holds orders to what the arithmetic below relies on.
func (a *Auction) checkRanges() error {
	if err := a.checkTop(); err != nil {
		return err
	}
	for i := range a.Bids {
		if b := &a.Bids[i]; b.Price.Check() != nil || b.Premium < 0 || b.Premium > MaxFee || b.Quantity < 1 || b.Quantity > unit.MaxQuantity ||
			b.Class > GreenFirst || b.Class == Any && b.Premium != 0 || len(b.Prefer) > MaxPrefer {
			return b.check(where{"bids", i})
		}
	}
	for i := range a.Offers {
		if o := &a.Offers[i]; o.Price.Check() != nil || o.Quantity < 1 || o.Quantity > unit.MaxQuantity || o.Class > Green {
			return o.check(where{"offers", i})
		}
	}
	return nil
}

func (c *Clearing) prices(green bool) *Prices {
	if green {
		return &c.Green
	}
	return &c.Open
}

// value is a bid's effective price in a pass: what a seller can get from it.
func (a *Auction) value(b *Bid, green bool) unit.Price {
	if green {
		return b.Price + b.Premium - a.Fee
	}
	return b.Price - a.Fee
}

// bidLeft is what a bid brings to a pass, 0 where it does not take part.
func (c *Clearing) bidLeft(i int, green bool) unit.Energy {
	switch b := &c.auction.Bids[i]; {
	case green && b.Class == Any, !green && b.Class == Green:
		return 0
	case green:
		return b.Quantity
	default:
		return b.Quantity - c.Bids[i].Green
	}
}

// offerLeft is what an offer brings to a pass, 0 where it does not take part.
func (c *Clearing) offerLeft(i int, green bool) unit.Energy {
	switch o := &c.auction.Offers[i]; {
	case green && o.Class != Green:
		return 0
	case green:
		return o.Quantity
	default:
		return o.Quantity - c.Offers[i].Green
	}
}

// lineUp sorts the orders of a pass by price (step 1).
func (c *Clearing) lineUp(p *pass) {
	a := c.auction
	if !p.green { // nearly all orders are in the open pass, and often none in the green one
		p.bids, p.offers = make([]slot, 0, len(a.Bids)), make([]slot, 0, len(a.Offers))
	}
	for i := range a.Bids {
		if c.bidLeft(i, p.green) > 0 {
			p.bids = append(p.bids, slotOf(-a.value(&a.Bids[i], p.green), i))
		}
	}
	for i := range a.Offers {
		if c.offerLeft(i, p.green) > 0 {
			p.offers = append(p.offers, slotOf(a.Offers[i].Price, i))
		}
	}
	slices.Sort(p.bids)
	slices.Sort(p.offers)
}

// match walks both lines while the first bid is worth the first offer, and finds the
// volume and the prices that clear it (steps 2 to 5).
func (c *Clearing) match(p *pass) Prices {
	var result Prices
	var i, j int // first in line
	var bidUsed, offerUsed unit.Energy
	for i < len(p.bids) && j < len(p.offers) && -p.bids[i].rank() >= p.offers[j].rank() {
		bid := c.bidLeft(p.bids[i].index(), p.green) - bidUsed
		offer := c.offerLeft(p.offers[j].index(), p.green) - offerUsed
		t := min(bid, offer)
		// At most MaxOrders times MaxQuantity: 10^15.
		result.Volume += t
		p.bm, p.am = -p.bids[i].rank(), p.offers[j].rank()
		bidUsed, offerUsed = bidUsed+t, offerUsed+t
		if t == bid {
			i, bidUsed = i+1, 0
		}
		if t == offer {
			j, offerUsed = j+1, 0
		}
	}
	if result.Volume == 0 {
		return result
	}
	result.Low, result.High = p.am, p.bm
	if i < len(p.bids) {
		result.Low = max(result.Low, -p.bids[i].rank())
	}
	if j < len(p.offers) {
		result.High = min(result.High, p.offers[j].rank())
	}
	// Low is at most High, so half the distance is a floor however signed they are.
	result.Price = result.Low + (result.High-result.Low)/2
	return result
}

// fill shares the volume on each side: all of what is better than the last level,
// and the rest of the volume over the level (step 6).
func (c *Clearing) fill(p *pass, volume unit.Energy) error {
	a := c.auction
	err := share(&p.bids, -p.bm, volume, a.Beacon,
		func(i int) unit.Energy { return c.bidLeft(i, p.green) },
		func(i int) string { return a.Bids[i].ID },
		func(i int, q unit.Energy) { c.Bids[i].add(q, p.green) })
	if err != nil {
		return err
	}
	return share(&p.offers, p.am, volume, a.Beacon,
		func(i int) unit.Energy { return c.offerLeft(i, p.green) },
		func(i int) string { return a.Offers[i].ID },
		func(i int, q unit.Energy) { c.Offers[i].add(q, p.green) })
}

func (f *Fill) add(q unit.Energy, green bool) {
	f.Quantity += q
	if green {
		f.Green += q
	}
}

// share gives volume to the slots up to the level of that rank, and cuts the line
// behind them: who stands there gets nothing.
func share(line *[]slot, level unit.Price, volume unit.Energy, beacon [32]byte,
	left func(int) unit.Energy, id func(int) string, give func(int, unit.Energy)) error {
	slots, n := *line, 0
	for ; n < len(slots) && slots[n].rank() < level; n++ {
		i := slots[n].index()
		q := left(i)
		give(i, q)
		volume -= q
	}
	from := n
	var weights []unit.Energy
	for ; n < len(slots) && slots[n].rank() == level; n++ {
		weights = append(weights, left(slots[n].index()))
	}
	parts, err := unit.LargestRemainder(volume, weights, func(k int) unit.Key {
		return unit.TieKey(beacon, id(slots[from+k].index()))
	})
	if err != nil {
		return fmt.Errorf("market: sharing %d Wh over a level: %w", int64(volume), err)
	}
	for k, q := range parts {
		give(slots[from+k].index(), q)
	}
	*line = slots[:n]
	return nil
}

// payUniform fills in the money where each pass has one price.
func (c *Clearing) payUniform() error {
	for i := range c.Bids {
		if err := c.Bids[i].pay(&c.Green, &c.Open, c.auction.Fee); err != nil {
			return where{"bids", i}.fault("quantity", "%v", err)
		}
	}
	for i := range c.Offers {
		if err := c.Offers[i].pay(&c.Green, &c.Open, 0); err != nil {
			return where{"offers", i}.fault("quantity", "%v", err)
		}
		c.Offers[i].Amount = -c.Offers[i].Amount
	}
	return nil
}

// pay charges what is filled at the price of its pass and the fee on top.
func (f *Fill) pay(green, open *Prices, fee unit.Price) error {
	if f.Quantity == 0 {
		return nil
	}
	if err := f.charge(green.Price, fee, f.Green); err != nil {
		return err
	}
	return f.charge(open.Price, fee, f.Quantity-f.Green)
}

// charge takes a quantity at a seller's price, with the fee on top.
func (f *Fill) charge(price, fee unit.Price, q unit.Energy) error {
	cost, err := unit.MulPrice(price+fee, q)
	if err != nil {
		return err
	}
	part, err := unit.MulPrice(fee, q)
	if err != nil {
		return err
	}
	if f.Amount, err = unit.Sub(f.Amount, cost); err != nil {
		return err
	}
	f.Fee, err = unit.Add(f.Fee, part)
	return err
}

// payAsBid fills in the money where each pair has a price of its own, and with it
// the range of prices of each pass.
func (c *Clearing) payAsBid() error {
	trades, err := c.Trades()
	if err != nil {
		return err
	}
	for _, p := range []*Prices{&c.Green, &c.Open} {
		p.Price, p.Low, p.High = 0, unit.MaxPrice+MaxFee, -unit.MaxPrice-MaxFee
		if p.Volume == 0 {
			p.Low, p.High = 0, 0
		}
	}
	for _, t := range trades {
		p := c.prices(t.Green)
		p.Low, p.High = min(p.Low, t.Price), max(p.High, t.Price)
		if err := c.Bids[t.Bid].charge(t.Price, c.auction.Fee, t.Quantity); err != nil {
			return where{"bids", t.Bid}.fault("quantity", "%v", err)
		}
		// The seller gets what is the negative of a charge without a fee.
		if err := c.Offers[t.Offer].charge(-t.Price, 0, t.Quantity); err != nil {
			return where{"offers", t.Offer}.fault("quantity", "%v", err)
		}
	}
	return nil
}

// checkSums returns a fault for money that does not add up within int64.
func (c *Clearing) checkSums() error {
	var paid, fees, received unit.Tally[unit.Money]
	for i := range c.Bids {
		paid.Add(c.Bids[i].Amount)
		fees.Add(c.Bids[i].Fee)
	}
	for i := range c.Offers {
		received.Add(c.Offers[i].Amount)
	}
	if _, err := paid.Sum(); err != nil {
		return top.fault("bids", "what they pay adds up to more than an int64 holds")
	}
	if _, err := fees.Sum(); err != nil {
		return top.fault("bids", "their fees add up to more than an int64 holds")
	}
	if _, err := received.Sum(); err != nil {
		return top.fault("offers", "what they get adds up to more than an int64 holds")
	}
	return nil
}
