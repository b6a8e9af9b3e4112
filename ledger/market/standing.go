package market

import (
	"fmt"

	"wattmark/ledger/unit"
)

// Standing is what a member wants of every interval from one on, until another one
// takes its place. Its limits act in the pool; premium and neighbours are what a
// gateway or app puts into the orders that it places.
type Standing struct {
	Member string
	// MinSell is the least to sell for, MaxBuy the most to pay, fee included; nil for
	// what the supplier pays and charges.
	MinSell, MaxBuy *unit.Price
	// Premium and Prefer are as in [Bid].
	Premium unit.Price
	Prefer  []string
	From    unit.Interval
}

// Check returns the first [*Fault] of a standing entry in a block of that time, in Unix
// milliseconds. Nobody changes what has begun: From is at or behind the block.
func (s *Standing) Check(blockTime int64) error {
	if err := top.id("member", s.Member, maxMember); err != nil {
		return err
	}
	for _, p := range [...]struct {
		name  string
		value *unit.Price
	}{{"min_sell", s.MinSell}, {"max_buy", s.MaxBuy}} {
		if p.value != nil {
			if err := top.price(p.name, *p.value); err != nil {
				return err
			}
		}
	}
	// A bid that could take any of it: the checks of premium and prefer are a bid's.
	b := Bid{Member: s.Member, Class: Green, Premium: s.Premium, Prefer: s.Prefer}
	if err := first(b.checkPremium(top), b.checkPrefer(top)); err != nil {
		return err
	}
	switch {
	case s.From.Check() != nil:
		return &Fault{"from", fmt.Sprintf("%d is not the start of an interval", int64(s.From))}
	case s.From.StartMilli() < blockTime:
		return &Fault{"from", fmt.Sprintf("%s has begun", s.From)}
	}
	return nil
}

// InForce returns which of one member's standing entries holds in an interval, nil for
// none: the one with the latest From that has begun, of several the last. They are in
// the order of the ledger.
func InForce(entries []Standing, i unit.Interval) *Standing {
	var found *Standing
	for k := range entries {
		if e := &entries[k]; e.From <= i && (found == nil || e.From >= found.From) {
			found = e
		}
	}
	return found
}

// Limit puts the limits of a standing entry into a member's interval. A nil entry
// leaves none.
func (m *Meter) Limit(s *Standing) {
	m.MinSell, m.MaxBuy = nil, nil
	if s != nil {
		m.MinSell, m.MaxBuy = s.MinSell, s.MaxBuy
	}
}
