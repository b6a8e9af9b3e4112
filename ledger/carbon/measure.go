package carbon

import (
	"fmt"
	"math/big"
	"strings"

	"wattmark/ledger/unit"
)

// dimension is what a unit of measure measures.
type dimension uint8

const (
	none   dimension = iota
	mass             // counted in kg
	energy           // in J
	volume           // in m3
	scf              // in standard cubic feet, of a state that the context gives
)

// measure is a unit of measure: how many of its dimension's own unit it is.
type measure struct {
	name string
	dimension
	size *big.Rat
}

// Exact by definition: the international pound and foot, the U.S. gallon of 231
// cubic inches, and the Btu of the International Table (ISO 31-4), as NIST SP 811
// appendix B has them.
var measures = []measure{
	{"mg", mass, rat("0.000001")}, {"g", mass, rat("0.001")}, {"kg", mass, rat("1")}, {"t", mass, rat("1000")},
	{"lb", mass, rat("0.45359237")}, {"short_ton", mass, rat("907.18474")},
	{"J", energy, rat("1")}, {"kJ", energy, rat("1000")}, {"MJ", energy, rat("1000000")}, {"GJ", energy, rat("1000000000")},
	{"Wh", energy, rat("3600")}, {"kWh", energy, rat("3600000")}, {"MWh", energy, rat("3600000000")}, {"GWh", energy, rat("3600000000000")},
	{"Btu", energy, rat("1055.05585262")}, {"mmBtu", energy, rat("1055055852.62")}, {"therm", energy, rat("105505585.262")},
	{"mL", volume, rat("0.000001")}, {"L", volume, rat("0.001")}, {"m3", volume, rat("1")},
	{"gal", volume, rat("0.003785411784")}, {"bbl", volume, rat("0.158987294928")},
	{"scf", scf, rat("1")},
}

// Sizes that formulas name.
var (
	joulePerMMBtu = rat("1055055852.62")
	joulePerWh    = rat("3600")
	m3PerSCF      = rat("0.028316846592") // at the state of both
	kgPerLb       = rat("0.45359237")
	kgPerShortTon = rat("907.18474")
)

// Measure is a unit that a quantity or a factor is given in: one of
//
//	mg g kg t lb short_ton   J kJ MJ GJ Wh kWh MWh GWh Btu mmBtu therm
//	mL L m3 gal bbl          scf
//
// or A/B of any two.
type Measure struct {
	of, per measure // per is none for a plain unit
}

// ParseMeasure reads the name of a unit.
func ParseMeasure(s string) (Measure, error) {
	over, under, quotient := strings.Cut(s, "/")
	of, ok := measureNamed(over)
	if !ok {
		return Measure{}, fmt.Errorf("unknown unit %s", quote(s))
	}
	m := Measure{of: of}
	if quotient {
		if m.per, ok = measureNamed(under); !ok {
			return Measure{}, fmt.Errorf("unknown unit %s", quote(s))
		}
	}
	return m, nil
}

func measureNamed(name string) (measure, bool) {
	for _, m := range measures {
		if m.name == name {
			return m, true
		}
	}
	return measure{}, false
}

// String returns the unit's name.
func (m Measure) String() string {
	if m.per.dimension == none {
		return m.of.name
	}
	return m.of.name + "/" + m.per.name
}

// is reports whether m measures of, or of a per.
func (m Measure) is(of, per dimension) bool {
	return m.of.dimension == of && m.per.dimension == per
}

// size returns how many of its dimensions' own units m is.
func (m Measure) size() *big.Rat {
	if m.per.dimension == none {
		return m.of.size
	}
	return div(m.of.size, m.per.size)
}

// Amount is a number of some unit.
type Amount struct {
	Value *big.Rat
	Unit  Measure
}

// base returns the amount in its dimensions' own units.
func (a Amount) base() *big.Rat { return mul(a.Value, a.Unit.size()) }

// ConvertMeasure returns v of one unit in another of the same dimensions.
func ConvertMeasure(v *big.Rat, from, to Measure) (*big.Rat, error) {
	if !to.is(from.of.dimension, from.per.dimension) {
		return nil, fmt.Errorf("%s does not convert to %s: they measure different things", from, to)
	}
	return div(mul(v, from.size()), to.size()), nil
}

// bookMass rounds kg to a mass, half away from zero.
func bookMass(kg *big.Rat) (unit.Mass, error) {
	mg := unit.Half.Scaled(kg, 6)
	if !mg.IsInt64() {
		return 0, unit.ErrOverflow
	}
	return unit.Mass(mg.Int64()), nil
}

// rat reads a constant of this package.
func rat(s string) *big.Rat {
	r, err := unit.ParseRat(s)
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return r
}

// Formulas are written with these, whose results are for reading only. A division by
// zero makes nil, and nil makes everything nil that it is part of.

func mul(first *big.Rat, rest ...*big.Rat) *big.Rat {
	if first == nil {
		return nil
	}
	p := first
	for i, f := range rest {
		switch {
		case f == nil:
			return nil
		case i == 0:
			p = new(big.Rat).Mul(p, f)
		default:
			p.Mul(p, f)
		}
	}
	return p
}

func div(a, b *big.Rat) *big.Rat {
	if a == nil || b == nil || b.Sign() == 0 {
		return nil
	}
	return new(big.Rat).Quo(a, b)
}

func add(first *big.Rat, rest ...*big.Rat) *big.Rat {
	if first == nil {
		return nil
	}
	s := new(big.Rat).Set(first)
	for _, t := range rest {
		if t == nil {
			return nil
		}
		s.Add(s, t)
	}
	return s
}

func sub(a, b *big.Rat) *big.Rat {
	if a == nil || b == nil {
		return nil
	}
	return new(big.Rat).Sub(a, b)
}

func atLeast(a, least *big.Rat) *big.Rat {
	if a == nil || a.Cmp(least) >= 0 {
		return a
	}
	return least
}
