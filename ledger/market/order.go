package market

import (
	"cmp"
	"slices"
	"strconv"

	"wattmark/ledger/unit"
)

// MaxSteps is the most steps of one order.
const MaxSteps = 10

// Side is whether an order buys or sells.
type Side uint8

// The sides of a market.
const (
	Buy Side = iota + 1
	Sell
)

var sideNames = [...]string{Buy: "buy", Sell: "sell"}

// String returns the side's name: buy or sell.
func (s Side) String() string { return nameOf(sideNames[:], s, "Side") }

// Step is one price of an order with what is wanted at it. Premium and Prefer are for
// buyers.
type Step struct {
	Price    unit.Price
	Quantity unit.Energy
	Class    Class
	Premium  unit.Price
	Prefer   []string
}

// Order is what a member states: up to [MaxSteps] steps on one side of one interval.
// One without steps takes back the one before.
type Order struct {
	// ID names the order: the SHA-256 of its canonical bytes, in lowercase hexadecimal.
	ID       string
	Zone     string
	Member   string
	Interval unit.Interval
	Side     Side
	Steps    []Step
	// Nonce is above that of the member's last order for the same side and interval.
	Nonce uint64
}

// Party is what the ledger knows of a member who places an order.
type Party struct {
	Zone string
	// Power is the registered power of the connection, in W.
	Power int64
	// Renewable says that the device behind the connection may sell green.
	Renewable bool
}

// Limit returns the most energy that the connection carries in an interval.
func (p *Party) Limit() unit.Energy {
	const perHour = 3600 / unit.IntervalSeconds
	return unit.Energy(max(p.Power, 0) / perHour)
}

// check looks at the order by itself and at who places it.
func (o *Order) check(p *Party) error {
	if err := first(top.id("id", o.ID, maxOrder-len(":9")), top.id("member", o.Member, maxMember)); err != nil {
		return err
	}
	if o.Zone != p.Zone {
		return top.fault("zone", "%q is not the member's, %q", o.Zone, p.Zone)
	}
	if o.Side != Buy && o.Side != Sell {
		return top.fault("side", "%s is no side, want buy or sell", o.Side)
	}
	if len(o.Steps) > MaxSteps {
		return top.fault("steps", "%d steps, want at most %d", len(o.Steps), MaxSteps)
	}
	var sum unit.Energy
	for i := range o.Steps {
		if err := o.checkStep(where{"steps", i}, i, p); err != nil {
			return err
		}
		sum += o.Steps[i].Quantity
	}
	if limit := p.Limit(); sum > limit {
		return top.fault("steps", "%d Wh, and the connection carries %d in an interval", int64(sum), int64(limit))
	}
	return nil
}

func (o *Order) checkStep(w where, i int, p *Party) error {
	if o.Side == Buy {
		return o.bid(i).check(w)
	}
	s := &o.Steps[i]
	if err := o.offer(i).check(w); err != nil {
		return err
	}
	switch {
	case s.Class == Green && !p.Renewable:
		return w.fault("class", "green, and no device of the member is registered as renewable")
	case s.Premium != 0:
		return w.fault("premium", "%d on an offer: only bids have a premium", int64(s.Premium))
	case len(s.Prefer) > 0:
		return w.fault("prefer", "an offer prefers nobody")
	}
	return nil
}

// stepID is what a step is called in the auction.
func (o *Order) stepID(i int) string { return o.ID + ":" + strconv.Itoa(i) }

func (o *Order) bid(i int) *Bid {
	s := &o.Steps[i]
	return &Bid{ID: o.stepID(i), Member: o.Member, Price: s.Price, Quantity: s.Quantity, Class: s.Class, Premium: s.Premium, Prefer: s.Prefer}
}

func (o *Order) offer(i int) *Offer {
	s := &o.Steps[i]
	return &Offer{ID: o.stepID(i), Member: o.Member, Price: s.Price, Quantity: s.Quantity, Class: s.Class}
}

// Book is the orders for one interval of one zone that stand at the moment. It has one
// owner. Orders given to it are its own from then on.
type Book struct {
	Zone     string
	Interval unit.Interval
	// Fee is that of the auction the book will become.
	Fee unit.Price

	// The last order of each member and side, by member and side: those without steps
	// too, for their nonce.
	orders []Order
	steps  [Sell + 1]int // that stand, by side
}

// Place puts an order into the book, in place of the member's last one for the same
// side, or returns a [*Fault] and changes nothing. Whether the calendar takes it is
// asked of [Calendar.Takes] or [Calendar.TakesOpened] before.
func (b *Book) Place(o Order, p *Party) error {
	if err := b.Check(&o, p); err != nil {
		return err
	}
	b.Restore(o)
	return nil
}

// Check returns the [*Fault] for which Place would refuse the order, and changes
// nothing.
func (b *Book) Check(o *Order, p *Party) error {
	switch {
	case o.Zone != b.Zone:
		return top.fault("zone", "%q is not the book's, %q", o.Zone, b.Zone)
	case o.Interval != b.Interval:
		return top.fault("interval", "%s is not the book's, %s", o.Interval, b.Interval)
	}
	at, there := b.find(o.Member, o.Side)
	replaced := 0
	if there {
		last := &b.orders[at]
		if o.Nonce <= last.Nonce {
			return top.fault("nonce", "%d is not above %d, that of the last order", o.Nonce, last.Nonce)
		}
		replaced = len(last.Steps)
	}
	if err := o.check(p); err != nil {
		return err
	}
	if err := b.checkCrossing(o); err != nil {
		return err
	}
	if n := b.steps[o.Side] - replaced + len(o.Steps); n > MaxOrders {
		return top.fault("steps", "the book holds %d on this side, and takes at most %d", b.steps[o.Side]-replaced, MaxOrders)
	}
	return nil
}

// Restore puts an order into the book that was checked before: one of [Book.Orders] of
// the same book, in any order of them.
func (b *Book) Restore(o Order) {
	at, there := b.find(o.Member, o.Side)
	b.steps[o.Side] += len(o.Steps)
	if there {
		b.steps[o.Side] -= len(b.orders[at].Steps)
		b.orders[at] = o
		return
	}
	b.orders = slices.Insert(b.orders, at, o)
}

func (b *Book) find(member string, side Side) (int, bool) {
	return slices.BinarySearchFunc(b.orders, side, func(o Order, side Side) int {
		return cmp.Or(cmp.Compare(o.Member, member), cmp.Compare(o.Side, side))
	})
}

// checkCrossing refuses an order that would trade with the member's own on the other
// side: it would move no energy.
func (b *Book) checkCrossing(o *Order) error {
	at, there := b.find(o.Member, Buy+Sell-o.Side)
	if !there {
		return nil
	}
	other := &b.orders[at]
	for i := range o.Steps {
		for j := range other.Steps {
			var crosses bool
			if o.Side == Buy {
				crosses = o.bid(i).crosses(other.Steps[j].Price, b.Fee)
			} else {
				crosses = other.bid(j).crosses(o.Steps[i].Price, b.Fee)
			}
			if crosses {
				return where{"steps", i}.fault("price", "it would trade with the member's own order to %s at %d", other.Side, int64(other.Steps[j].Price))
			}
		}
	}
	return nil
}

// Orders returns the last order of each member and side, those without steps too, by
// member as bytes, buyers before sellers: what a book is stored as. Placed into an
// empty book in that order they make the same one.
func (b *Book) Orders() []Order { return slices.Clone(b.orders) }

// Auction returns the auction of the orders that stand, each step an order of its own
// with the id "<id>:<n>", n from 0.
func (b *Book) Auction(rule Rule, beacon [32]byte) *Auction {
	a := &Auction{Rule: rule, Beacon: beacon, Fee: b.Fee, Bids: make([]Bid, 0, b.steps[Buy]), Offers: make([]Offer, 0, b.steps[Sell])}
	for k := range b.orders {
		o := &b.orders[k]
		for i := range o.Steps {
			if o.Side == Buy {
				a.Bids = append(a.Bids, *o.bid(i))
			} else {
				a.Offers = append(a.Offers, *o.offer(i))
			}
		}
	}
	return a
}
