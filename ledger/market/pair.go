package market

import (
	"slices"

	"wattmark/ledger/unit"
)

// Trades says who traded with whom: the green pass, then the open one, each in the
// order in which pairs were made. It gives provenance to what [Clear] filled, and
// moves money only under PayAsBid. It returns [ErrBroken] if the pairs do not add up
// to the fills. The slice is the clearing's: do not change it.
func (c *Clearing) Trades() ([]Trade, error) {
	if c.paired {
		return c.trades, nil
	}
	for i := range c.passes {
		c.pair(&c.passes[i])
	}
	if err := c.checkTrades(); err != nil {
		return nil, err
	}
	c.paired = true
	return c.trades, nil
}

// queue is the filled orders of one side of a pass, in the order they are paired.
type queue struct {
	index []int         // of the order
	left  []unit.Energy // not paired yet
}

// pair pairs one pass (step 7): each bid with the neighbours it prefers, then what is
// left as it comes.
func (c *Clearing) pair(p *pass) {
	if c.prices(p.green).Volume == 0 {
		return
	}
	a := c.auction
	bids := rank(p.bids, a.Beacon, func(i int) string { return a.Bids[i].ID },
		func(i int) unit.Energy { return c.Bids[i].of(p.green) })
	offers := rank(p.offers, a.Beacon, func(i int) string { return a.Offers[i].ID },
		func(i int) unit.Energy { return c.Offers[i].of(p.green) })
	meet := func(b, o int) {
		t := Trade{Green: p.green, Bid: bids.index[b], Offer: offers.index[o], Quantity: min(bids.left[b], offers.left[o])}
		if t.Price = c.prices(p.green).Price; a.Rule == PayAsBid {
			t.Price = a.value(&a.Bids[t.Bid], p.green)
		}
		bids.left[b] -= t.Quantity
		offers.left[o] -= t.Quantity
		c.trades = append(c.trades, t)
	}
	c.pairPreferred(&bids, &offers, meet)
	for b, o := 0, 0; b < len(bids.index) && o < len(offers.index); {
		switch {
		case bids.left[b] == 0:
			b++
		case offers.left[o] == 0:
			o++
		default:
			meet(b, o)
		}
	}
}

// pairPreferred goes through the ranks of preference.
func (c *Clearing) pairPreferred(bids, offers *queue, meet func(b, o int)) {
	ranks := 0
	for _, i := range bids.index {
		ranks = max(ranks, len(c.auction.Bids[i].Prefer))
	}
	if ranks == 0 {
		return
	}
	// Of each member, the offers that are not used up. They are used from the front,
	// so what is used up is always cut from there and looked at once.
	open := make(map[string][]int)
	for o, i := range offers.index {
		m := c.auction.Offers[i].Member
		open[m] = append(open[m], o)
	}
	for rank := range ranks {
		for b, i := range bids.index {
			prefer := c.auction.Bids[i].Prefer
			if rank >= len(prefer) {
				continue
			}
			mine := open[prefer[rank]]
			for len(mine) > 0 && bids.left[b] > 0 {
				o := mine[0]
				meet(b, o)
				if offers.left[o] == 0 {
					mine = mine[1:]
					open[prefer[rank]] = mine
				}
			}
		}
	}
}

// of returns the part of a fill that belongs to a pass.
func (f *Fill) of(green bool) unit.Energy {
	if green {
		return f.Green
	}
	return f.Quantity - f.Green
}

// rank returns the filled orders of a line by price, then key. Keys are only made
// where several orders of one price are filled.
func rank(line []slot, beacon [32]byte, id func(int) string, filled func(int) unit.Energy) queue {
	q := queue{index: make([]int, 0, len(line)), left: make([]unit.Energy, 0, len(line))}
	type keyed struct {
		index int
		key   unit.Key
	}
	var level []keyed
	for from := 0; from < len(line); {
		level = level[:0]
		to := from
		for ; to < len(line) && line[to].rank() == line[from].rank(); to++ {
			if i := line[to].index(); filled(i) > 0 {
				level = append(level, keyed{index: i})
			}
		}
		if len(level) > 1 {
			for k := range level {
				level[k].key = unit.TieKey(beacon, id(level[k].index))
			}
			slices.SortFunc(level, func(x, y keyed) int { return x.key.Compare(y.key) })
		}
		for _, k := range level {
			q.index = append(q.index, k.index)
			q.left = append(q.left, filled(k.index))
		}
		from = to
	}
	return q
}
