package market

import (
	"wattmark/ledger/unit"
)

// PoolRule is how the pool makes its price.
type PoolRule uint8

// The rules of a pool.
const (
	// MidMarket is the middle between the supplier's two prices, less the fee.
	MidMarket PoolRule = iota + 1
	// SupplyDemand moves the price from the supplier's purchase price, where the
	// street has more than it needs, to what the supplier's sale price leaves after
	// the fee, where it has nothing.
	SupplyDemand
)

var poolRuleNames = [...]string{MidMarket: "mid", SupplyDemand: "sdr"}

// String returns the rule's name: mid or sdr.
func (r PoolRule) String() string { return nameOf(poolRuleNames[:], r, "PoolRule") }

// Tariff is what a zone pays for energy, in µ¤ per kWh.
type Tariff struct {
	// FeedIn is what the supplier pays for an export, Retail what it charges for an
	// import.
	FeedIn, Retail unit.Price
	// Fee is the network operator's part of what a local purchase pays: 0 to [MaxFee].
	Fee unit.Price
	// Loss is the share of Retail that a local purchase pays for losses on top.
	Loss unit.PPM
}

// LossFee returns what a local purchase pays for losses: a share of the retail price.
func (t *Tariff) LossFee() (unit.Price, error) {
	return unit.Share(max(t.Retail, 0), t.Loss, unit.Down)
}

// Mid returns the price halfway between the supplier's two after a local purchase's
// whole fee, which it returns too, and whether there is a gain to share at all.
func (t *Tariff) Mid() (mid, fee unit.Price, open bool, err error) {
	loss, err := t.LossFee()
	if err != nil {
		return 0, 0, false, err
	}
	// Each of these is bounded by MaxPrice, so nothing overflows.
	fee = t.Fee + loss
	mid, err = unit.Div(t.FeedIn+t.Retail-fee, 2, unit.Down)
	return mid, fee, t.Retail-fee >= t.FeedIn, err
}

// Meter is one member's interval: what the meter says and what the auction made of
// the member's orders.
type Meter struct {
	// Member is 1 to 64 of 0-9 A-Z a-z . _ : -, one in the pool.
	Member  string
	Quality Quality
	// Import and Export are 0 to [unit.MaxQuantity], and 0 where Quality is Missing.
	Import, Export unit.Energy
	// Sold and Bought are what the auction filled, 0 to [unit.MaxQuantity].
	Sold, Bought unit.Energy
	// MinSell and MaxBuy are the limits of the member's standing entry, nil for none:
	// then what the supplier pays and charges is the limit.
	MinSell, MaxBuy *unit.Price
	// FeedIn and Retail are the member's own prices with the supplier, nil for those
	// of the zone.
	FeedIn, Retail *unit.Price
}

// Pool is all members of a zone in one interval. The slice and what it points to stay
// the caller's; nothing here writes to them.
type Pool struct {
	Rule PoolRule
	// Beacon breaks ties, as in [Auction].
	Beacon [32]byte
	Tariff Tariff
	// Deviation is the share of the retail price that a kWh promised in the auction
	// and not kept costs.
	Deviation unit.PPM
	// AuctionPrice is the price of the auction's open pass, nil if it had none.
	AuctionPrice *unit.Price
	Members      []Meter
}

// Check returns the first [*Fault] of the pool, in the order of its fields and then of
// what concerns all of it: members that repeat.
func (p *Pool) Check() error {
	if err := p.checkTop(); err != nil {
		return err
	}
	for i := range p.Members {
		if err := p.Members[i].check(where{"members", i}); err != nil {
			return err
		}
	}
	return p.checkWhole()
}

// checkTop looks at all but the members.
func (p *Pool) checkTop() error {
	if err := first(checkPoolRule(p.Rule), p.Tariff.check(), p.checkSupplyDemand(), within(top, "deviation_ppm", p.Deviation, 0, unit.Million)); err != nil {
		return err
	}
	if p.AuctionPrice != nil {
		if err := top.price("auction_price", *p.AuctionPrice); err != nil {
			return err
		}
	}
	return checkMembers(len(p.Members))
}

func checkMembers(n int) error {
	if n > MaxMembers {
		return top.fault("members", "more than %d members", MaxMembers)
	}
	return nil
}

func checkPoolRule(r PoolRule) error {
	if r != MidMarket && r != SupplyDemand {
		return top.fault("rule", "%s is no rule, want mid or sdr", r)
	}
	return nil
}

// inTariff is the place of the tariff's fields.
var inTariff = where{"tariff", -1}

func (t *Tariff) check() error {
	return first(
		inTariff.price("feed_in", t.FeedIn),
		inTariff.price("retail", t.Retail),
		within(inTariff, "fee", t.Fee, 0, MaxFee),
		within(inTariff, "loss_ppm", t.Loss, 0, unit.Million),
	)
}

// checkSupplyDemand refuses what that rule cannot make a price of.
func (p *Pool) checkSupplyDemand() error {
	if p.Rule == SupplyDemand && p.Tariff.FeedIn < 0 {
		return inTariff.fault("feed_in", "%d is below 0, which rule sdr cannot settle", int64(p.Tariff.FeedIn))
	}
	return nil
}

func (m *Meter) check(w where) error {
	if err := w.id("member", m.Member, maxMember); err != nil {
		return err
	}
	if m.Quality > Missing {
		return w.fault("quality", "%s is no quality, want M, E or X", m.Quality)
	}
	for _, e := range [...]struct {
		name  string
		value unit.Energy
	}{{"import", m.Import}, {"export", m.Export}, {"sold", m.Sold}, {"bought", m.Bought}} {
		if err := within(w, e.name, e.value, 0, unit.MaxQuantity); err != nil {
			return err
		}
	}
	if err := first(checkReading(w, "import", m.Quality, m.Import), checkReading(w, "export", m.Quality, m.Export)); err != nil {
		return err
	}
	for _, p := range [...]struct {
		name  string
		value *unit.Price
	}{{"min_sell", m.MinSell}, {"max_buy", m.MaxBuy}, {"feed_in", m.FeedIn}, {"retail", m.Retail}} {
		if p.value != nil {
			if err := w.price(p.name, *p.value); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkReading refuses energy of an interval without a reading.
func checkReading(w where, name string, q Quality, e unit.Energy) error {
	if q == Missing && e != 0 {
		return w.fault(name, "%d Wh with quality X, which is no reading", int64(e))
	}
	return nil
}

// checkWhole looks at what no member shows by itself.
func (p *Pool) checkWhole() error {
	seen := make(map[string]struct{}, len(p.Members))
	for i := range p.Members {
		m := p.Members[i].Member
		if _, again := seen[m]; again {
			return where{"members", i}.fault("member", "%q stands there twice", m)
		}
		seen[m] = struct{}{}
	}
	return nil
}
