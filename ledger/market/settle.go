package market

import (
	"math/big"

	"wattmark/ledger/unit"
)

// Share is what one member's interval came to.
type Share struct {
	// Net is what counts of the meter, export less import.
	Net unit.Energy
	// Unproven is an estimated export, which counts for nothing.
	Unproven unit.Energy
	// Position is what the auction sold less what it bought.
	Position unit.Energy
	// Residual is Net less Position: what is left for pool and supplier.
	Residual unit.Energy
	// Joined says whether the residual took part in the pool.
	Joined bool
	// Sold and Bought are the pool's part of the residual, GridExport and GridImport
	// the supplier's.
	Sold, Bought, GridExport, GridImport unit.Energy
	// Deviation is what of the position was not kept.
	Deviation unit.Energy
	// Charge is what Deviation costs. It is within Amount.
	Charge unit.Money
	// Amount is what the member gets for the interval, apart from the auction.
	Amount unit.Money
	// Grid is the supplier's part of Amount.
	Grid unit.Money
	// Corrected says that the member was settled again, alone, after R1.
	Corrected bool
	// Counterfactual is what the same meter would have come to with the supplier alone.
	Counterfactual unit.Money
}

// Settlement is the result of a pool.
type Settlement struct {
	// Mid is the middle between the supplier's prices, and Open whether the pool was:
	// it is not where the fee eats the gain.
	Mid  unit.Price
	Open bool
	// LocalPrice is the pool's price, seller side. It means nothing where Local is 0.
	LocalPrice unit.Price
	// Fee is what a local purchase pays on top, for a kWh, and LossFee the part of it
	// that is for losses.
	Fee, LossFee unit.Price
	// Surplus and Deficit are the residuals that joined; Local is what was shared.
	Surplus, Deficit, Local unit.Energy
	// GridExport and GridImport are the supplier's part, over all members.
	GridExport, GridImport unit.Energy
	// Members is parallel to the pool's.
	Members []Share
	// Network, Fund, Loss and Supplier are what everybody else gets: the network
	// operator, the community fund, the account for losses, the supplier.
	Network, Fund, Loss, Supplier unit.Money

	pool *Pool
}

// Settle settles an interval: it shares what joins the pool, leaves the rest with the
// supplier and charges deviations. It returns a [*Fault] for a member that is out of
// range, or for sums beyond int64. It takes for granted that members are distinct,
// which [Pool.Check] makes sure of; were they not, ties could depend on the order of
// the input.
func Settle(p *Pool) (*Settlement, error) {
	if err := p.checkTop(); err != nil {
		return nil, err
	}
	for i := range p.Members {
		if err := p.Members[i].check(where{"members", i}); err != nil {
			return nil, err
		}
	}
	s := &Settlement{pool: p, Members: make([]Share, len(p.Members))}
	var err error
	if s.Mid, s.Fee, s.Open, err = p.Tariff.Mid(); err != nil {
		return nil, err
	}
	s.LossFee = s.Fee - p.Tariff.Fee
	for i := range p.Members {
		s.residual(i)
	}
	if err := s.share(); err != nil {
		return nil, err
	}
	if s.LocalPrice, err = s.localPrice(); err != nil {
		return nil, err
	}
	if err := s.pay(); err != nil {
		return nil, err
	}
	if err := s.sums(); err != nil {
		return nil, err
	}
	if err := s.checkInvariants(); err != nil {
		return nil, err
	}
	return s, nil
}

// tariff returns the member's own prices with the supplier.
func (s *Settlement) tariff(m *Meter) (feedIn, retail unit.Price) {
	feedIn, retail = s.pool.Tariff.FeedIn, s.pool.Tariff.Retail
	if m.FeedIn != nil {
		feedIn = *m.FeedIn
	}
	if m.Retail != nil {
		retail = *m.Retail
	}
	return feedIn, retail
}

// limits returns the least that the member sells for in the pool and the most that it
// pays there, fee included.
func (s *Settlement) limits(m *Meter) (minSell, maxBuy unit.Price) {
	minSell, maxBuy = s.tariff(m)
	if m.MinSell != nil {
		minSell = *m.MinSell
	}
	if m.MaxBuy != nil {
		maxBuy = *m.MaxBuy
	}
	return minSell, maxBuy
}

// residual finds what of a member's interval is left for the pool, and whether it
// joins (steps 3 and 4). Energies are bounded by MaxQuantity, so nothing overflows.
func (s *Settlement) residual(i int) {
	m, r := &s.pool.Members[i], &s.Members[i]
	r.Net, r.Unproven = Net(m.Quality, m.Import, m.Export)
	r.Position = m.Sold - m.Bought
	r.Residual = r.Net - r.Position
	if m.Quality != Measured || !s.Open || r.Residual == 0 {
		return
	}
	minSell, maxBuy := s.limits(m)
	// The prices that a member must accept before it knows the pool's.
	selling, buying := s.Mid, s.Mid+s.Fee
	if s.pool.Rule == SupplyDemand {
		// The price may land anywhere between the two.
		selling, buying = s.pool.Tariff.FeedIn, s.pool.Tariff.Retail
	}
	if r.Residual > 0 {
		r.Joined = selling >= minSell
	} else {
		r.Joined = buying <= maxBuy
	}
}

// share splits what both sides have over those who joined, and leaves the rest with
// the supplier (steps 5 and 7).
func (s *Settlement) share() error {
	surplus, deficit := make([]unit.Energy, len(s.Members)), make([]unit.Energy, len(s.Members))
	for i := range s.Members {
		switch r := &s.Members[i]; {
		case !r.Joined:
		case r.Residual > 0:
			surplus[i] = r.Residual
			s.Surplus += r.Residual
		default:
			deficit[i] = -r.Residual
			s.Deficit -= r.Residual
		}
	}
	s.Local = min(s.Surplus, s.Deficit)
	key := func(i int) unit.Key { return unit.TieKey(s.pool.Beacon, s.pool.Members[i].Member) }
	sold, err := unit.LargestRemainder(s.Local, surplus, key)
	if err != nil {
		return top.fault("members", "sharing the surplus: %v", err)
	}
	bought, err := unit.LargestRemainder(s.Local, deficit, key)
	if err != nil {
		return top.fault("members", "sharing the deficit: %v", err)
	}
	for i := range s.Members {
		r := &s.Members[i]
		r.Sold, r.Bought = sold[i], bought[i]
		r.toGrid()
	}
	return nil
}

// toGrid leaves with the supplier what the pool did not take.
func (r *Share) toGrid() {
	rest := r.Residual - r.Sold + r.Bought
	r.GridExport, r.GridImport = max(rest, 0), max(-rest, 0)
}

// localPrice returns the pool's price (step 6, or that of rule sdr).
func (s *Settlement) localPrice() (unit.Price, error) {
	t := &s.pool.Tariff
	if s.pool.Rule == MidMarket || !s.Open {
		return s.Mid, nil
	}
	if s.Surplus >= s.Deficit {
		return t.FeedIn, nil
	}
	wide := func(q int64) *big.Int { return big.NewInt(q) }
	most, least := wide(int64(t.Retail-s.Fee)), wide(int64(t.FeedIn))
	surplus, deficit := wide(int64(s.Surplus)), wide(int64(s.Deficit))
	weighted := new(big.Int).Mul(least, deficit)
	divisor := new(big.Int).Sub(most, least)
	divisor.Mul(divisor, surplus).Add(divisor, weighted)
	if divisor.Sign() == 0 {
		return t.FeedIn, nil
	}
	p, err := unit.Down.Quo(weighted.Mul(weighted, most), divisor)
	if err != nil {
		return 0, err
	}
	return unit.Price(p.Int64()), nil
}

// pay charges deviations and adds up what each member gets (steps 8 to 10).
func (s *Settlement) pay() error {
	for i := range s.Members {
		if err := s.payMember(i); err != nil {
			return err
		}
	}
	return nil
}

func (s *Settlement) payMember(i int) error {
	p, m, r := s.pool, &s.pool.Members[i], &s.Members[i]
	penalty, err := unit.Share(max(p.Tariff.Retail, 0), p.Deviation, unit.Down)
	if err != nil {
		return err
	}
	feedIn, retail := s.tariff(m)
	r.Deviation = 0
	switch {
	case r.Position > 0 && r.Residual < 0: // sold more than delivered
		r.Deviation = min(r.Position, -r.Residual)
		penalty += gainOver(p.AuctionPrice, s.Mid, 1)
	case r.Position < 0 && r.Residual > 0: // bought more than used
		r.Deviation = min(-r.Position, r.Residual)
		penalty += gainOver(p.AuctionPrice, s.Mid, -1)
	}
	var sum money
	sum.add(penalty, r.Deviation)
	r.Charge = sum.take()
	sum.add(feedIn, r.GridExport)
	sum.sub(retail, r.GridImport)
	r.Grid = sum.take()
	sum.add(s.LocalPrice, r.Sold)
	sum.sub(s.LocalPrice+s.Fee, r.Bought)
	sum.plus(r.Grid)
	sum.plus(-r.Charge)
	r.Amount = sum.take()
	if r.Net > 0 {
		sum.add(feedIn, r.Net)
	} else {
		sum.sub(retail, -r.Net)
	}
	r.Counterfactual = sum.take()
	if sum.err != nil {
		return top.fault("members", "%q settles at more than an int64 holds", m.Member)
	}
	return nil
}

// gainOver returns what the auction's price was better than mid, for a seller with
// sign 1 and for a buyer with -1.
func gainOver(auction *unit.Price, mid, sign unit.Price) unit.Price {
	if auction == nil {
		return 0
	}
	return max(0, sign*(*auction-mid))
}

// money is a sum that remembers whether anything in it overflowed.
type money struct {
	total unit.Money
	err   error
}

func (m *money) plus(v unit.Money) {
	sum, err := unit.Add(m.total, v)
	m.total, m.err = sum, first(m.err, err)
}

func (m *money) add(p unit.Price, e unit.Energy) {
	v, err := unit.MulPrice(p, e)
	m.err = first(m.err, err)
	m.plus(v)
}

func (m *money) sub(p unit.Price, e unit.Energy) { m.add(-p, e) }

// take returns the sum and begins another one.
func (m *money) take() unit.Money {
	v := m.total
	m.total = 0
	return v
}

// sums adds up the supplier's energy and what everybody but the members gets (step 9).
func (s *Settlement) sums() error {
	var fund, grid unit.Tally[unit.Money]
	s.GridExport, s.GridImport = 0, 0
	for i := range s.Members {
		// Of a member at most 3 times MaxQuantity.
		s.GridExport += s.Members[i].GridExport
		s.GridImport += s.Members[i].GridImport
		fund.Add(s.Members[i].Charge)
		grid.Add(-s.Members[i].Grid)
	}
	var errs [4]error
	s.Network, errs[0] = unit.MulPrice(s.pool.Tariff.Fee, s.Local)
	s.Loss, errs[1] = unit.MulPrice(s.LossFee, s.Local)
	s.Fund, errs[2] = fund.Sum()
	s.Supplier, errs[3] = grid.Sum()
	if err := first(errs[:]...); err != nil {
		return top.fault("members", "what they pay adds up to more than an int64 holds")
	}
	return nil
}

// checkInvariants looks at a settlement as somebody who did not make it: each
// member's energy is accounted for, both sides of the pool agree, money adds up to
// nothing, and a residual is never settled worse than the supplier alone would have,
// unless the member wants to sell for less or pay more than the supplier, or was
// corrected with its part in the pool frozen.
func (s *Settlement) checkInvariants() error {
	var sold, bought unit.Energy
	var all unit.Tally[unit.Money]
	for i := range s.Members {
		m, r := &s.pool.Members[i], &s.Members[i]
		if min(r.Sold, r.Bought, r.GridExport, r.GridImport, r.Deviation) < 0 || r.Charge < 0 ||
			r.Net != m.Sold-m.Bought+r.Sold-r.Bought+r.GridExport-r.GridImport {
			return broken("the energy of %s: net %d, sold %d, bought %d, to grid %d, from grid %d", m.Member, r.Net, r.Sold, r.Bought, r.GridExport, r.GridImport)
		}
		minSell, maxBuy := s.limits(m)
		if r.Sold > 0 && s.LocalPrice < minSell || r.Bought > 0 && s.LocalPrice+s.Fee > maxBuy {
			return broken("%s trades at %d, outside its limits %d and %d", m.Member, s.LocalPrice, minSell, maxBuy)
		}
		feedIn, retail := s.tariff(m)
		alone, err := unit.MulPrice(feedIn, r.Residual)
		if r.Residual < 0 {
			alone, err = unit.MulPrice(retail, r.Residual)
		}
		if err != nil {
			return err
		}
		if !r.Corrected && r.Amount+r.Charge < alone && minSell >= feedIn && maxBuy <= retail {
			return broken("%s gets %d n¤ for a residual that the supplier pays %d for", m.Member, r.Amount+r.Charge, alone)
		}
		sold, bought = sold+r.Sold, bought+r.Bought
		all.Add(r.Amount)
	}
	if sold != s.Local || bought != s.Local {
		return broken("the pool sells %d Wh, buys %d and shares %d", sold, bought, s.Local)
	}
	for _, v := range [...]unit.Money{s.Network, s.Fund, s.Loss, s.Supplier} {
		all.Add(v)
	}
	if sum, err := all.Sum(); err != nil || sum != 0 {
		return broken("the postings add up to %d n¤", sum)
	}
	return nil
}

// Unaccounted returns the energy that the feeder's meter says went into the zone, less
// losses, and that no member's meter shows: theft, a faulty meter, or a stolen key. It
// is negative where members' meters show more than went in. The feeder's is import less
// export, as a member's; estimated exports count, as they flowed whether or not they
// earn anything. Beyond a tolerance it is an alarm, and stops nothing.
func (s *Settlement) Unaccounted(feeder, losses unit.Energy) (unit.Energy, error) {
	var sum unit.Tally[unit.Energy]
	sum.Add(feeder)
	sum.Add(-losses)
	for i := range s.pool.Members {
		m := &s.pool.Members[i]
		sum.Add(m.Export - m.Import)
	}
	return sum.Sum()
}
