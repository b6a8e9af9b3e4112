package market

import (
	"fmt"

	"wattmark/ledger/unit"
)

// Rule is how an auction makes prices.
type Rule uint8

// The rules of an auction.
const (
	// Uniform gives all trades of a pass one price, the middle of those that clear it.
	Uniform Rule = iota + 1
	// PayAsBid has each buyer pay its limit, and its seller get that less the fee.
	PayAsBid
)

var ruleNames = [...]string{Uniform: "uniform", PayAsBid: "pay-as-bid"}

// String returns the rule's name: uniform or pay-as-bid.
func (r Rule) String() string { return nameOf(ruleNames[:], r, "Rule") }

// Class is which energy an order is about.
type Class uint8

// The classes of orders.
const (
	// Any is energy of any kind.
	Any Class = iota
	// Green is energy of a device registered as renewable: such an offer may serve
	// every bid, such a bid takes nothing else.
	Green
	// GreenFirst is a bid for green energy, with its premium, and for any without it
	// for what the green pass left.
	GreenFirst
)

var classNames = [...]string{Any: "any", Green: "green", GreenFirst: "green-first"}

// String returns the class's name: any, green or green-first.
func (c Class) String() string { return nameOf(classNames[:], c, "Class") }

func nameOf[E ~uint8](names []string, e E, kind string) string {
	if int(e) < len(names) && names[e] != "" {
		return names[e]
	}
	return fmt.Sprintf("%s(%d)", kind, uint8(e))
}

// Bid is an order to buy.
type Bid struct {
	// ID names the order: 1 to 80 of 0-9 A-Z a-z . _ : -, one in the auction.
	ID string
	// Member is the buyer: 1 to 64 of the same.
	Member string
	// Price is the most to pay for a kWh, with the fee and without the premium.
	Price unit.Price
	// Quantity is at least 1 Wh and at most [unit.MaxQuantity].
	Quantity unit.Energy
	Class    Class
	// Premium is what green energy may cost above Price: 0 to [MaxFee], and 0 on a
	// bid for any.
	Premium unit.Price
	// Prefer is up to [MaxPrefer] other members to be paired with first.
	Prefer []string
}

// Offer is an order to sell.
type Offer struct {
	// ID names the order, and no bid or offer of the auction has the same.
	ID     string
	Member string
	// Price is the least to get for a kWh.
	Price    unit.Price
	Quantity unit.Energy
	// Class is Any or Green.
	Class Class
}

// Auction is one market: one zone, one interval, one fee. The slices stay the
// caller's; nothing here writes to them.
type Auction struct {
	Rule Rule
	// Beacon breaks ties: the leaf hash of the gate block's header.
	Beacon [32]byte
	// Fee is what a buyer pays on top of the seller's price, for a kWh: 0 to [MaxFee].
	Fee    unit.Price
	Bids   []Bid
	Offers []Offer
}

// Check returns the first [*Fault] of the auction, in the order of its fields and
// then of what concerns all of it: ids that repeat, a member's own orders that cross.
func (a *Auction) Check() error {
	if err := a.checkOrders(); err != nil {
		return err
	}
	return a.checkWhole()
}

// checkOrders looks at each order by itself.
func (a *Auction) checkOrders() error {
	if err := a.checkTop(); err != nil {
		return err
	}
	for i := range a.Bids {
		if err := a.Bids[i].check(where{"bids", i}); err != nil {
			return err
		}
	}
	for i := range a.Offers {
		if err := a.Offers[i].check(where{"offers", i}); err != nil {
			return err
		}
	}
	return nil
}

// checkTop looks at all but the orders.
func (a *Auction) checkTop() error {
	return first(checkRule(a.Rule), within(top, "fee", a.Fee, 0, MaxFee), checkCount("bids", len(a.Bids)), checkCount("offers", len(a.Offers)))
}

func checkCount(name string, n int) error {
	if n > MaxOrders {
		return top.fault(name, "more than %d orders", MaxOrders)
	}
	return nil
}

func checkRule(r Rule) error {
	if r != Uniform && r != PayAsBid {
		return top.fault("rule", "%s is no rule, want uniform or pay-as-bid", r)
	}
	return nil
}

func (b *Bid) check(w where) error {
	if err := w.id("id", b.ID, maxOrder); err != nil {
		return err
	}
	if err := w.id("member", b.Member, maxMember); err != nil {
		return err
	}
	if err := w.price("price", b.Price); err != nil {
		return err
	}
	if err := within(w, "quantity", b.Quantity, 1, unit.MaxQuantity); err != nil {
		return err
	}
	if b.Class > GreenFirst {
		return w.fault("class", "%s is no class of a bid, want any, green or green-first", b.Class)
	}
	if err := b.checkPremium(w); err != nil {
		return err
	}
	return b.checkPrefer(w)
}

func (b *Bid) checkPremium(w where) error {
	if err := within(w, "premium", b.Premium, 0, MaxFee); err != nil {
		return err
	}
	if b.Premium != 0 && b.Class == Any {
		return w.fault("premium", "%d on a bid of class any: only green bids have a premium", int64(b.Premium))
	}
	return nil
}

func (b *Bid) checkPrefer(w where) error {
	if len(b.Prefer) > MaxPrefer {
		return w.fault("prefer", "more than %d members", MaxPrefer)
	}
	for i, m := range b.Prefer {
		if err := w.id(preferred(i), m, maxMember); err != nil {
			return err
		}
		if m == b.Member {
			return w.fault("prefer", "%q is the bidder", m)
		}
		for _, earlier := range b.Prefer[:i] {
			if m == earlier {
				return w.fault("prefer", "%q stands there twice", m)
			}
		}
	}
	return nil
}

// preferred names an element of the field prefer.
func preferred(i int) string { return where{"prefer", i}.String() }

func (o *Offer) check(w where) error {
	if err := w.id("id", o.ID, maxOrder); err != nil {
		return err
	}
	if err := w.id("member", o.Member, maxMember); err != nil {
		return err
	}
	if err := w.price("price", o.Price); err != nil {
		return err
	}
	if err := within(w, "quantity", o.Quantity, 1, unit.MaxQuantity); err != nil {
		return err
	}
	if o.Class != Any && o.Class != Green {
		return w.fault("class", "%s is no class of an offer, want any or green", o.Class)
	}
	return nil
}

// checkWhole looks at what no order shows by itself.
func (a *Auction) checkWhole() error {
	seen := make(map[string]struct{}, len(a.Bids)+len(a.Offers))
	repeated := func(w where, id string) error {
		if _, again := seen[id]; again {
			return w.fault("id", "%q is the id of an earlier order", id)
		}
		seen[id] = struct{}{}
		return nil
	}
	for i := range a.Bids {
		if err := repeated(where{"bids", i}, a.Bids[i].ID); err != nil {
			return err
		}
	}
	for i := range a.Offers {
		if err := repeated(where{"offers", i}, a.Offers[i].ID); err != nil {
			return err
		}
	}
	least := make(map[string]unit.Price, len(a.Offers)) // each member's cheapest offer
	for i := range a.Offers {
		o := &a.Offers[i]
		if p, ok := least[o.Member]; !ok || o.Price < p {
			least[o.Member] = o.Price
		}
	}
	for i := range a.Bids {
		b := &a.Bids[i]
		if own, ok := least[b.Member]; ok && b.crosses(own, a.Fee) {
			return where{"bids", i}.fault("price", "it would trade with the member's own offer at %d", int64(own))
		}
	}
	return nil
}

// crosses reports whether the bid would trade with an offer at that price. Its
// operands are bounded by MaxPrice and MaxFee, so nothing overflows.
func (b *Bid) crosses(offer, fee unit.Price) bool { return b.Price+b.Premium-fee >= offer }
