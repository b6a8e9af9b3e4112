package api

import (
	"cmp"
	"fmt"
	"math/big"
	"slices"
	"sync"

	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// BookItem is the orders that stood at an interval's gate, without names.
type BookItem struct {
	// Bids go from the dearest and Offers from the cheapest, each at the price that the
	// seller sees: of a bid the fee is taken off.
	Bids, Offers []StepItem
	// Rationed is how many orders had a good price and got less than they asked for: those
	// at the price itself, which share what is left.
	Rationed int
	// Far says that orders lie too far back to be looked for: then there are no steps, though
	// there were orders.
	Far bool
}

// StepItem is some orders of a side together, as many as leastOrders, or all of them.
type StepItem struct {
	Price  unit.Price // the mean by energy, rounded half up
	Wh     int64
	Orders int
}

const (
	leastOrders = 5       // that are shown together
	bookLeaves  = 200_000 // that are looked through for orders
	booksAtHand = 256     // of intervals, kept
)

// books are those of cleared intervals, which do not change any more.
type books struct {
	mu   sync.Mutex // guards kept; held while one is made, so that one is at a time
	kept map[string]*BookItem
}

// Book tells of the orders of an interval that Interval has told of.
func (a *API) Book(item *IntervalItem) (*BookItem, error) {
	c := item.ClearedDetail
	if c == nil || c.Orders == 0 || c.Void != "" {
		return new(BookItem), nil
	}
	a.books.mu.Lock()
	defer a.books.mu.Unlock()
	name := item.Zone + " " + item.Interval
	if b := a.books.kept[name]; b != nil {
		return b, nil
	}
	b, err := a.book(item)
	if err != nil {
		return nil, err
	}
	if a.books.kept == nil || len(a.books.kept) >= booksAtHand {
		a.books.kept = make(map[string]*BookItem)
	}
	a.books.kept[name] = b
	return b, nil
}

func (a *API) book(item *IntervalItem) (*BookItem, error) {
	at, err := unit.ParseInterval(item.Interval)
	if err != nil {
		return nil, err
	}
	spots, _, err := a.spots(item.Zone, at, at+intervalSeconds)
	if err != nil || len(spots) == 0 {
		return &BookItem{Far: true}, err
	}
	spot := &spots[0]
	var tariff *entry.Tariff
	a.cfg.Ledger.View(func(s *state.State) {
		for _, z := range s.Zones() {
			for i := range z.Tariffs {
				if z.Zone == item.Zone && z.Tariffs[i].From <= at {
					tariff = &z.Tariffs[i]
				}
			}
		}
	})
	if tariff == nil {
		return &BookItem{Far: true}, nil
	}
	terms := market.TariffOf(tariff)
	loss, err := terms.LossFee()
	if err != nil {
		return nil, err
	}
	book := &market.Book{Zone: item.Zone, Interval: at, Fee: tariff.Fee + loss}
	orders, err := a.ordersOf(item.Zone, at, spot.Cleared)
	if err != nil {
		return nil, err
	}
	for i := range orders {
		book.Restore(state.MarketOrder(&orders[i]))
	}
	auction := book.Auction(market.Rule(item.ClearedDetail.Rule), spot.Beacon)
	if uint64(len(auction.Bids)+len(auction.Offers)) != item.ClearedDetail.Orders {
		return &BookItem{Far: true}, nil
	}
	c, err := market.Clear(auction)
	if err == nil && int64(c.Open.Volume) != item.ClearedDetail.Open.VolumeWh {
		err = fmt.Errorf("the orders of %s make %d Wh, and %d were cleared", item.Interval, c.Open.Volume, item.ClearedDetail.Open.VolumeWh)
	}
	if err != nil { // the page has its other figures all the same
		a.fault("drawing the orders of an interval", err)
		return &BookItem{Far: true}, nil
	}
	return drawn(auction, c), nil
}

// ordersOf reads the last order of each member and side for an interval that was cleared in
// a block.
func (a *API) ordersOf(zone string, at unit.Interval, cleared uint64) ([]entry.Order, error) {
	s := a.cfg.Ledger.Store()
	b, err := s.BlockAt(cleared)
	if err != nil {
		return nil, a.unreadable("a block", err)
	}
	last := make(map[string]entry.Order)
	err = s.Leaves(b.Size-min(b.Size, bookLeaves), b.Size, func(_ uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafStatement {
			return nil
		}
		m, err := signer.Parse(leaf)
		if err != nil {
			return nil
		}
		o, err := entry.OrderIn(m.Type, m.Payload)
		if err == nil && o != nil && o.Zone == zone && o.Interval == at {
			last[fmt.Sprint(o.Member, " ", o.Side)] = *o
		}
		return nil
	})
	if err != nil {
		return nil, a.unreadable("orders", err)
	}
	var out []entry.Order
	for _, o := range last {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b entry.Order) int {
		return cmp.Or(cmp.Compare(a.Member, b.Member), cmp.Compare(a.Side, b.Side))
	})
	return out, nil
}

// drawn puts an auction's orders together in steps.
func drawn(a *market.Auction, c *market.Clearing) *BookItem {
	b := new(BookItem)
	type order struct {
		price unit.Price
		wh    unit.Energy
	}
	var bids, offers []order
	traded := c.Open.Volume > 0 && a.Rule == market.Uniform
	for i := range a.Bids {
		net := a.Bids[i].Price - a.Fee
		bids = append(bids, order{net, a.Bids[i].Quantity})
		if traded && net >= c.Open.Price && c.Bids[i].Quantity < a.Bids[i].Quantity {
			b.Rationed++
		}
	}
	for i := range a.Offers {
		offers = append(offers, order{a.Offers[i].Price, a.Offers[i].Quantity})
		if traded && a.Offers[i].Price <= c.Open.Price && c.Offers[i].Quantity < a.Offers[i].Quantity {
			b.Rationed++
		}
	}
	slices.SortStableFunc(bids, func(a, b order) int { return cmp.Compare(b.price, a.price) })
	slices.SortStableFunc(offers, func(a, b order) int { return cmp.Compare(a.price, b.price) })
	together := func(orders []order) (out []StepItem) {
		for len(orders) > 0 {
			n := leastOrders
			if len(orders) < 2*leastOrders {
				n = len(orders) // the rest would be fewer
			}
			var s StepItem
			sum := new(big.Int)
			for _, o := range orders[:n] {
				s.Wh, s.Orders = s.Wh+int64(o.wh), s.Orders+1
				sum.Add(sum, new(big.Int).Mul(big.NewInt(int64(o.price)), big.NewInt(int64(o.wh))))
			}
			if mean, err := unit.Half.Quo(sum, big.NewInt(s.Wh)); err == nil {
				s.Price = unit.Price(mean.Int64())
			}
			out, orders = append(out, s), orders[n:]
		}
		return out
	}
	b.Bids, b.Offers = together(bids), together(offers)
	return b
}
