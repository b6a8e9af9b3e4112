package market

import (
	"cmp"
	"slices"

	"wattmark/ledger/account"
	"wattmark/ledger/unit"
)

// Owners of what is nobody's of the members. A member's own is "member:" and its id.
const (
	Network  = "dso"      // the network operator
	Fund     = "fund"     // the community's, which deviations are paid to
	Loss     = "loss"     // for losses of the network
	Supplier = "supplier" // of all members
)

// MemberOwner returns the owner's name of a member's accounts.
func MemberOwner(member string) string { return "member:" + member }

// Posting is what one owner gets, or pays if negative.
type Posting struct {
	Owner  string
	Amount unit.Money
}

// Postings returns what everybody gets for the pool: members by id as bytes, then dso,
// fund, loss and supplier, those with nothing too. They add up to zero.
func (s *Settlement) Postings() []Posting {
	order := sorted(len(s.Members), func(i int) string { return s.pool.Members[i].Member })
	postings := make([]Posting, 0, len(order)+4)
	for _, i := range order {
		postings = append(postings, Posting{MemberOwner(s.pool.Members[i].Member), s.Members[i].Amount})
	}
	return append(postings, Posting{Network, s.Network}, Posting{Fund, s.Fund}, Posting{Loss, s.Loss}, Posting{Supplier, s.Supplier})
}

// Postings returns what everybody gets for the auction: members with orders by id as
// bytes, then dso and loss, those with nothing too. Of each kWh's fee the part lossFee
// is for losses. They add up to zero. It returns a [*Fault] if lossFee is more than
// the fee, or if one member's orders come to more than an int64 holds.
func (c *Clearing) Postings(lossFee unit.Price) ([]Posting, error) {
	if err := within(top, "loss_fee", lossFee, 0, c.auction.Fee); err != nil {
		return nil, err
	}
	legs := make([]Posting, 0, len(c.Bids)+len(c.Offers))
	for i := range c.Bids {
		legs = append(legs, Posting{c.auction.Bids[i].Member, c.Bids[i].Amount})
	}
	for i := range c.Offers {
		legs = append(legs, Posting{c.auction.Offers[i].Member, c.Offers[i].Amount})
	}
	postings, err := merge(legs)
	if err != nil {
		return nil, top.fault("bids", "one member's orders come to more than an int64 holds")
	}
	for i := range postings {
		postings[i].Owner = MemberOwner(postings[i].Owner)
	}
	// Both are parts of the sum of fees, which Clear has seen to fit.
	network, err1 := unit.MulPrice(c.auction.Fee-lossFee, c.Volume())
	loss, err2 := unit.MulPrice(lossFee, c.Volume())
	if err := first(err1, err2); err != nil {
		return nil, broken("fees: %v", err)
	}
	return append(postings, Posting{Network, network}, Posting{Loss, loss}), nil
}

// merge adds up the amounts of each owner, and returns the owners in order.
func merge(legs []Posting) ([]Posting, error) {
	slices.SortStableFunc(legs, func(x, y Posting) int { return cmp.Compare(x.Owner, y.Owner) })
	var merged []Posting
	for from := 0; from < len(legs); {
		var sum unit.Tally[unit.Money]
		to := from
		for ; to < len(legs) && legs[to].Owner == legs[from].Owner; to++ {
			sum.Add(legs[to].Amount)
		}
		amount, err := sum.Sum()
		if err != nil {
			return nil, err
		}
		merged = append(merged, Posting{legs[from].Owner, amount})
		from = to
	}
	return merged, nil
}

// Difference returns what postings have to be made so that before becomes after, by
// owner as bytes, without those that change nothing: the ledger edits no posting, it
// posts a later version less the one before it.
func Difference(before, after []Posting) ([]Posting, error) {
	legs := slices.Clone(after)
	for _, p := range before {
		amount, err := unit.Neg(p.Amount)
		if err != nil {
			return nil, err
		}
		legs = append(legs, Posting{p.Owner, amount})
	}
	merged, err := merge(legs)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(merged, func(p Posting) bool { return p.Amount == 0 }), nil
}

// Legs returns postings as legs on running accounts in a currency, for
// [account.Book.Post].
func Legs(currency string, postings []Posting) []account.Leg {
	legs := make([]account.Leg, len(postings))
	for i, p := range postings {
		id := account.ID{Asset: account.Asset{Class: account.Money, Name: currency}, Kind: account.Running, Owner: p.Owner}
		legs[i] = account.Leg{Account: id, Amount: unit.Amount(p.Amount)}
	}
	return legs
}

// Position is what the auction sold and bought for one member.
type Position struct {
	Member       string
	Sold, Bought unit.Energy
}

// Positions returns the members whom the auction filled anything for, by id as bytes:
// what a [Meter] of theirs needs.
func (c *Clearing) Positions() []Position {
	var all []Position
	for i := range c.Bids {
		if q := c.Bids[i].Quantity; q > 0 {
			all = append(all, Position{Member: c.auction.Bids[i].Member, Bought: q})
		}
	}
	for i := range c.Offers {
		if q := c.Offers[i].Quantity; q > 0 {
			all = append(all, Position{Member: c.auction.Offers[i].Member, Sold: q})
		}
	}
	slices.SortStableFunc(all, func(x, y Position) int { return cmp.Compare(x.Member, y.Member) })
	merged := all[:0]
	for _, p := range all {
		if n := len(merged); n > 0 && merged[n-1].Member == p.Member {
			// At most MaxOrders times MaxQuantity: 10^15.
			merged[n-1].Sold += p.Sold
			merged[n-1].Bought += p.Bought
			continue
		}
		merged = append(merged, p)
	}
	return merged
}
