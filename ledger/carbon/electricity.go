package carbon

import (
	"cmp"
	"math/big"
	"slices"
	"strconv"

	"wattmark/ledger/unit"
)

// Load is electricity that was used in one interval [From, To), in Unix seconds.
type Load struct {
	From, To int64
	Energy   unit.Energy
	// Grid is the grid's factor of this interval, or nil for that of the period.
	Grid *big.Rat
}

// Instrument is electricity bought with its attributes, such as a certificate: it
// gives its own factor to as much load as it covers.
type Instrument struct {
	ID       string
	Boundary string
	Energy   unit.Energy
	// From is when its interval starts, nil where it has none and only the market-based
	// figure can use it.
	From   *int64
	Factor *big.Rat
}

// Electricity is one consumer's electricity over a period. Factors are kg of one gas
// per J ([PerJoule]).
type Electricity struct {
	Boundary string
	// Load is in order of time, its intervals disjoint.
	Load []Load
	// Grid is the grid's average factor, Residual that of what nobody has claimed, or
	// nil where none is published.
	Grid, Residual *big.Rat
	// Instruments come in any order; their ids differ.
	Instruments []Instrument
}

// PerJoule returns a factor in kg per J, or a [Fault] unless it is a mass per energy,
// 0 or more.
func (f Factor) PerJoule() (*big.Rat, error) {
	switch {
	case !f.Unit.is(mass, energy):
		return nil, faultf("unit", "%s is no mass per energy", f.Unit)
	case f.Value.Sign() < 0:
		return nil, faultf("value", "below zero")
	}
	return f.base(), nil
}

// Use is how much of an instrument each figure used.
type Use struct {
	ID             string
	Market, Hourly unit.Energy
}

// Scope2 is the three figures of purchased electricity. They answer three questions:
// none is added to another, nor to emissions of one's own.
type Scope2 struct {
	Load             unit.Energy
	Location, Market unit.Mass
	MarketMatched    unit.Energy
	// HasHourly reports that every interval is at most an hour, without which there is
	// no hourly figure.
	HasHourly     bool
	Hourly        unit.Mass
	HourlyMatched unit.Energy
	// Used is in order of id, without instruments that neither figure used.
	Used []Use
	// Flags are sorted.
	Flags []string
}

// Flags of [Scope2]. The id of an instrument follows FlagBoundary.
const (
	FlagResidualMissing = "residual-missing"
	FlagBoundary        = "boundary:"
)

const hour = 3600

// Scope2 computes the three figures, each rounded half to mg once. Its errors are a
// [Fault] or [unit.ErrOverflow].
func (e Electricity) Scope2() (Scope2, error) {
	s := Scope2{HasHourly: true, Used: []Use{}, Flags: []string{}}
	location := new(big.Rat) // Wh x kg/J, as all sums here
	for i, l := range e.Load {
		switch {
		case l.To <= l.From:
			return s, faultf("load"+indexText(i)+".to", "not after t")
		case i > 0 && l.From < e.Load[i-1].To:
			return s, faultf("load"+indexText(i)+".t", "before the end of the interval before")
		}
		s.HasHourly = s.HasHourly && l.To-l.From <= hour
		var err error
		if s.Load, err = unit.Add(s.Load, l.Energy); err != nil {
			return s, faultf("load", "%v", err)
		}
		location.Add(location, product(l.Energy, e.gridAt(l)))
	}
	own := make([]Instrument, 0, len(e.Instruments))
	for _, in := range e.Instruments {
		if in.Boundary == e.Boundary {
			own = append(own, in)
		} else {
			s.Flags = append(s.Flags, FlagBoundary+in.ID)
		}
	}
	slices.SortFunc(own, func(a, b Instrument) int { return cmp.Compare(a.ID, b.ID) })
	uses := make([]Use, len(own))

	market, left := new(big.Rat), s.Load
	for i, in := range own {
		n := min(in.Energy, left)
		left -= n
		uses[i] = Use{ID: in.ID, Market: n}
		s.MarketMatched += n
		market.Add(market, product(n, in.Factor))
	}
	if left > 0 {
		rest := e.Residual
		if rest == nil {
			s.Flags = append(s.Flags, FlagResidualMissing)
			rest = div(location, new(big.Rat).SetInt64(int64(s.Load)))
		}
		market.Add(market, product(left, rest))
	}

	var err error
	if s.Location, err = bookWh(location); err != nil {
		return s, err
	}
	if s.Market, err = bookWh(market); err != nil {
		return s, err
	}
	if s.HasHourly {
		if s.Hourly, err = bookWh(e.hourly(own, uses, &s.HourlyMatched)); err != nil {
			return s, err
		}
	}
	for _, u := range uses {
		if u.Market > 0 || u.Hourly > 0 {
			s.Used = append(s.Used, u)
		}
	}
	slices.Sort(s.Flags)
	return s, nil
}

// hourly matches load and instruments of the same hour, and writes down what each
// instrument gave. An instrument matches where both start at the same time.
func (e Electricity) hourly(own []Instrument, uses []Use, matched *unit.Energy) *big.Rat {
	var timed []int // indices into own, by time, and within one by id
	for i, in := range own {
		if in.From != nil {
			timed = append(timed, i)
		}
	}
	slices.SortStableFunc(timed, func(a, b int) int { return cmp.Compare(*own[a].From, *own[b].From) })
	sum := new(big.Rat)
	for _, l := range e.Load {
		for len(timed) > 0 && *own[timed[0]].From < l.From {
			timed = timed[1:]
		}
		left := l.Energy
		for len(timed) > 0 && *own[timed[0]].From == l.From {
			i := timed[0]
			timed = timed[1:]
			n := min(own[i].Energy, left)
			left -= n
			uses[i].Hourly = n
			*matched += n
			sum.Add(sum, product(n, own[i].Factor))
		}
		rest := e.Residual
		if rest == nil {
			rest = e.gridAt(l)
		}
		sum.Add(sum, product(left, rest))
	}
	return sum
}

// Score returns the share of the load that was matched hour by hour, rounded down to
// six places, or nil without load.
func (s Scope2) Score() *string {
	if s.Load == 0 {
		return nil
	}
	score := unit.FormatRat(big.NewRat(int64(s.HourlyMatched), int64(s.Load)), 6, unit.Down)
	return &score
}

func (e Electricity) gridAt(l Load) *big.Rat {
	if l.Grid != nil {
		return l.Grid
	}
	return e.Grid
}

func product(e unit.Energy, factor *big.Rat) *big.Rat {
	p := new(big.Rat).SetInt64(int64(e))
	return p.Mul(p, factor)
}

// bookWh rounds a sum of Wh x kg/J to a mass.
func bookWh(sum *big.Rat) (unit.Mass, error) { return bookMass(mul(sum, joulePerWh)) }

// indexText is an index as paths write it.
func indexText(i int) string { return "[" + strconv.Itoa(i) + "]" }
