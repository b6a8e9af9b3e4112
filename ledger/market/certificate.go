package market

import (
	"slices"

	"wattmark/ledger/unit"
)

// Transfer is the certificates that go with a sale of green energy: they are of the
// seller's device and interval, and one Wh of them backs one claim.
type Transfer struct {
	Seller, Buyer string
	// Pool tells the pool from the auction.
	Pool     bool
	Quantity unit.Energy
	// Claimed is the part that backs the buyer's own use in the interval. What is
	// bought beyond that stays unclaimed with the buyer.
	Claimed unit.Energy
}

// Certificates is what an interval issues and where it goes.
type Certificates struct {
	// Issued is parallel to the pool's members: the whole metered export of those with
	// a renewable device, 0 for all others.
	Issued    []unit.Energy
	Transfers []Transfer
}

// Certify issues the certificates of an interval at R1, and passes them on: with the
// trades of the green pass in the order in which they were made, then from the pool's
// green sellers to its buyers. Nobody passes on more than was issued to it, so a
// green sale that was not delivered carries no certificates; nobody claims more than
// it imported. renewable says which members have a renewable device, in the order of
// the pool's.
func Certify(c *Clearing, s *Settlement, renewable []bool) (*Certificates, error) {
	if len(renewable) != len(s.Members) {
		return nil, top.fault("renewable", "%d, want one for each of the %d members", len(renewable), len(s.Members))
	}
	trades, err := c.Trades()
	if err != nil {
		return nil, err
	}
	members := s.pool.Members
	place := make(map[string]int, len(members))
	out := &Certificates{Issued: make([]unit.Energy, len(members))}
	left, unused := make([]unit.Energy, len(members)), make([]unit.Energy, len(members))
	for i := range members {
		place[members[i].Member] = i
		if renewable[i] && members[i].Quality == Measured {
			out.Issued[i] = members[i].Export
		}
		left[i], unused[i] = out.Issued[i], members[i].Import
	}
	pass := func(seller, buyer int, pool bool, most unit.Energy) {
		q := min(most, left[seller])
		if q == 0 {
			return
		}
		claimed := min(q, unused[buyer])
		left[seller] -= q
		unused[buyer] -= claimed
		out.Transfers = append(out.Transfers, Transfer{members[seller].Member, members[buyer].Member, pool, q, claimed})
	}
	for _, t := range trades {
		seller, ok := place[c.auction.Offers[t.Offer].Member]
		buyer, too := place[c.auction.Bids[t.Bid].Member]
		if t.Green && ok && too {
			pass(seller, buyer, false, t.Quantity)
		}
	}
	if err := s.certifyPool(left, pass); err != nil {
		return nil, err
	}
	return out, out.check(members)
}

// certifyPool shares the pool's green energy over its buyers by largest remainder, and
// pairs both sides in the order of their ids.
func (s *Settlement) certifyPool(left []unit.Energy, pass func(seller, buyer int, pool bool, most unit.Energy)) error {
	members := s.pool.Members
	var green unit.Energy
	selling, weights := make([]unit.Energy, len(members)), make([]unit.Energy, len(members))
	for i := range members {
		selling[i], weights[i] = min(s.Members[i].Sold, left[i]), s.Members[i].Bought
		green += selling[i]
	}
	buying, err := unit.LargestRemainder(green, weights, func(i int) unit.Key { return unit.TieKey(s.pool.Beacon, members[i].Member) })
	if err != nil {
		return err
	}
	order := sorted(len(members), func(i int) string { return members[i].Member })
	buyer := 0
	for _, i := range order {
		for selling[i] > 0 {
			for buying[order[buyer]] == 0 {
				buyer++
			}
			j := order[buyer]
			q := min(selling[i], buying[j])
			pass(i, j, true, q)
			selling[i] -= q
			buying[j] -= q
		}
	}
	return nil
}

// check adds up what was passed on and claimed: invariant I6.
func (c *Certificates) check(members []Meter) error {
	for i := range members {
		var passed, claimed unit.Energy
		for _, t := range c.Transfers {
			if t.Seller == members[i].Member {
				passed += t.Quantity
			}
			if t.Buyer == members[i].Member {
				claimed += t.Claimed
			}
			if t.Claimed < 0 || t.Claimed > t.Quantity {
				return broken("of %d Wh of certificates %d are claimed", t.Quantity, t.Claimed)
			}
		}
		if c.Issued[i] > members[i].Export || passed > c.Issued[i] || claimed > members[i].Import {
			return broken("certificates of %s: issued %d, passed on %d, claimed %d", members[i].Member, c.Issued[i], passed, claimed)
		}
	}
	return nil
}

// IsRenewable returns which of the pool's members are in a sorted list, for [Certify].
func (p *Pool) IsRenewable(sortedMembers []string) []bool {
	in := make([]bool, len(p.Members))
	for i := range p.Members {
		_, in[i] = slices.BinarySearch(sortedMembers, p.Members[i].Member)
	}
	return in
}
