package market

import (
	"cmp"
	"slices"

	"wattmark/ledger/unit"
)

// Saving is a period under bill sharing: each member is first billed what the supplier
// alone would have come to, and at the close what all have saved together is split by
// the energy of each one's intervals in the pool, not only by that of lucky hours. The
// zero Saving is a period in which nothing has happened. It has one owner.
type Saving struct {
	saved   unit.Money
	members []saver // by id as bytes
	// What everybody else gets over the period.
	network, fund, loss, supplier unit.Money
}

// saver is one member's part of a period.
type saver struct {
	member string
	billed unit.Money  // for what the pool and the supplier settled, as if alone
	weight unit.Energy // of the intervals that joined
}

// Add adds an interval as R1 settled it. It returns a [*Fault], and changes nothing,
// for a member with supplier's prices of its own, since what is saved is then not the
// same for all, or one corrected since; and [unit.ErrOverflow] for sums beyond int64.
func (v *Saving) Add(s *Settlement) error {
	t := &s.pool.Tariff
	next := Saving{members: slices.Clone(v.members)}
	var errs []error
	keep := func(sum unit.Money, err error) unit.Money {
		errs = append(errs, err)
		return sum
	}
	saved := keep(unit.MulPrice(t.Retail-t.FeedIn-s.Fee, s.Local))
	next.saved = keep(unit.Add(v.saved, saved))
	next.network, next.fund = keep(unit.Add(v.network, s.Network)), keep(unit.Add(v.fund, s.Fund))
	next.loss, next.supplier = keep(unit.Add(v.loss, s.Loss)), keep(unit.Add(v.supplier, s.Supplier))
	for i := range s.Members {
		m, r := &s.pool.Members[i], &s.Members[i]
		if feedIn, retail := s.tariff(m); feedIn != t.FeedIn || retail != t.Retail {
			return where{"members", i}.fault("feed_in", "bill sharing needs equal prices of the supplier for all")
		}
		if r.Corrected {
			return where{"members", i}.fault("member", "%q was corrected: a period is closed with what R1 made", m.Member)
		}
		price := t.FeedIn
		if r.Residual < 0 {
			price = t.Retail
		}
		alone := keep(unit.Sub(keep(unit.MulPrice(price, r.Residual)), r.Charge))
		at, there := slices.BinarySearchFunc(next.members, m.Member, func(p saver, id string) int { return cmp.Compare(p.member, id) })
		if !there {
			next.members = slices.Insert(next.members, at, saver{member: m.Member})
		}
		p := &next.members[at]
		p.billed = keep(unit.Add(p.billed, alone))
		if r.Joined {
			weight, err := unit.Add(p.weight, max(r.Residual, -r.Residual))
			p.weight, errs = weight, append(errs, err)
		}
	}
	if err := first(errs...); err != nil {
		return err
	}
	*v = next
	return nil
}

// Close splits what was saved and returns what everybody gets for the period, in the
// order of [Settlement.Postings]; it takes their place. Equal remainders go by the
// beacon of the period's last interval.
func (v *Saving) Close(beacon [32]byte) ([]Posting, error) {
	weights := make([]unit.Energy, len(v.members))
	for i := range v.members {
		weights[i] = v.members[i].weight
	}
	shares, err := unit.LargestRemainder(v.saved, weights, func(i int) unit.Key { return unit.TieKey(beacon, v.members[i].member) })
	if err != nil {
		return nil, err
	}
	var all unit.Tally[unit.Money]
	var postings []Posting
	post := func(owner string, amount unit.Money) {
		postings = append(postings, Posting{owner, amount})
		all.Add(amount)
	}
	for i := range v.members {
		amount, err := unit.Add(v.members[i].billed, shares[i])
		if err != nil {
			return nil, err
		}
		post(MemberOwner(v.members[i].member), amount)
	}
	post(Network, v.network)
	post(Fund, v.fund)
	post(Loss, v.loss)
	post(Supplier, v.supplier)
	if sum, err := all.Sum(); err != nil || sum != 0 {
		return nil, broken("the postings of a period add up to %d n¤", sum)
	}
	return postings, nil
}
