package market

import (
	"wattmark/ledger/unit"
)

// checkInvariants looks at a clearing as somebody who did not make it: energy and
// money add up, nobody trades outside the limit, and no order that could have traded
// at a better price was left out. It reads orders and fills alone.
func (c *Clearing) checkInvariants() error {
	a := c.auction
	var money unit.Tally[unit.Money]
	for i := range a.Bids {
		b, f := &a.Bids[i], &c.Bids[i]
		if f.Green < 0 || f.Quantity < f.Green || f.Quantity > b.Quantity || f.Green > 0 && b.Class == Any || f.Quantity > f.Green && b.Class == Green {
			return broken("bid %s of %d Wh is filled with %d, %d of it green", b.ID, b.Quantity, f.Quantity, f.Green)
		}
		// What is filled never costs more than the limit, whatever the rule.
		limit, err := worth(b.Price, b.Premium, f)
		if err != nil {
			return err
		}
		if -f.Amount > limit {
			return broken("bid %s pays %d n¤ and would pay at most %d", b.ID, -f.Amount, limit)
		}
		money.Add(f.Amount)
		money.Add(f.Fee)
	}
	for i := range a.Offers {
		o, f := &a.Offers[i], &c.Offers[i]
		if f.Green < 0 || f.Quantity < f.Green || f.Quantity > o.Quantity || f.Green > 0 && o.Class != Green {
			return broken("offer %s of %d Wh is filled with %d, %d of it green", o.ID, o.Quantity, f.Quantity, f.Green)
		}
		limit, err := worth(o.Price, 0, f)
		if err != nil {
			return err
		}
		if f.Amount < limit {
			return broken("offer %s gets %d n¤ and wants at least %d", o.ID, f.Amount, limit)
		}
		money.Add(f.Amount)
	}
	if sum, err := money.Sum(); err != nil || sum != 0 {
		return broken("payments, receipts and fees add up to %d n¤", sum)
	}
	for i := range c.passes {
		if err := c.checkPass(c.passes[i].green); err != nil {
			return err
		}
	}
	return nil
}

// worth returns what a fill comes to at a price, with a premium on its green part.
func worth(price, premium unit.Price, f *Fill) (unit.Money, error) {
	whole, err := unit.MulPrice(price, f.Quantity)
	if err != nil {
		return 0, err
	}
	extra, err := unit.MulPrice(premium, f.Green)
	if err != nil {
		return 0, err
	}
	return unit.Add(whole, extra)
}

// checkPass holds one pass to its volume and, under Uniform, to its prices: each of
// Low, Price and High serves everybody who would trade at a better one.
func (c *Clearing) checkPass(green bool) error {
	a, p := c.auction, c.prices(green)
	if p.Volume < 0 || p.Low > p.Price && a.Rule == Uniform || p.High < p.Price && a.Rule == Uniform || p.Low > p.High {
		return broken("prices of a pass: %d within %d to %d", p.Price, p.Low, p.High)
	}
	var bought, sold unit.Energy
	best := -unit.MaxPrice - MaxFee - 1 // of the bids that were not served whole
	for i := range a.Bids {
		in, got := c.bidLeft(i, green), c.Bids[i].of(green)
		v := a.value(&a.Bids[i], green)
		bought += got
		if got < in {
			best = max(best, v)
		}
		if a.Rule == Uniform && (got > 0 && v < p.High || got < in && p.Volume > 0 && v > p.Low) {
			return broken("bid %s, worth %d, gets %d of %d Wh at %d to %d", a.Bids[i].ID, v, got, in, p.Low, p.High)
		}
	}
	for i := range a.Offers {
		in, got := c.offerLeft(i, green), c.Offers[i].of(green)
		price := a.Offers[i].Price
		sold += got
		if got < in && price <= best {
			return broken("offer %s, at %d, sells %d of %d Wh and a bid worth %d is left", a.Offers[i].ID, price, got, in, best)
		}
		if a.Rule == Uniform && (got > 0 && price > p.Low || got < in && p.Volume > 0 && price < p.High) {
			return broken("offer %s, at %d, sells %d of %d Wh at %d to %d", a.Offers[i].ID, price, got, in, p.Low, p.High)
		}
	}
	if bought != p.Volume || sold != p.Volume {
		return broken("bids take %d Wh, offers give %d, the volume is %d", bought, sold, p.Volume)
	}
	return nil
}

// checkTrades holds the pairs against the fills.
func (c *Clearing) checkTrades() error {
	bids, offers := make([]Fill, len(c.Bids)), make([]Fill, len(c.Offers))
	for _, t := range c.trades {
		if t.Quantity <= 0 {
			return broken("a trade of %d Wh", t.Quantity)
		}
		bids[t.Bid].add(t.Quantity, t.Green)
		offers[t.Offer].add(t.Quantity, t.Green)
	}
	for i := range bids {
		if bids[i].Quantity != c.Bids[i].Quantity || bids[i].Green != c.Bids[i].Green {
			return broken("the trades of bid %s are not what it was filled with", c.auction.Bids[i].ID)
		}
	}
	for i := range offers {
		if offers[i].Quantity != c.Offers[i].Quantity || offers[i].Green != c.Offers[i].Green {
			return broken("the trades of offer %s are not what it was filled with", c.auction.Offers[i].ID)
		}
	}
	return nil
}
