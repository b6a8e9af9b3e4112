package carbon

import (
	"cmp"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"wattmark/ledger/unit"
)

// Set is a set of global warming potentials over 100 years, as an IPCC assessment
// report has them.
type Set uint8

// The sets.
const (
	SAR Set = iota + 1
	AR4
	AR5
	AR6
)

var setNames = []string{"SAR", "AR4", "AR5", "AR6"}

// String returns the set's name, such as AR5.
func (s Set) String() string {
	if SAR <= s && s <= AR6 {
		return setNames[s-1]
	}
	return fmt.Sprintf("Set(%d)", uint8(s))
}

// ParseSet reads the name of a set: SAR, AR4, AR5 or AR6.
func ParseSet(name string) (Set, error) {
	i := slices.Index(setNames, name)
	if i < 0 {
		return 0, fmt.Errorf("unknown set %s, want one of %s", quote(name), strings.Join(setNames, ", "))
	}
	return Set(i + 1), nil
}

// Equivalent is the name of CO2e where a gas is named. It is no gas: its mass is of
// one set.
const Equivalent = "CO2e"

// ErrNoGWP is wrapped where a set has no potential for a gas.
var ErrNoGWP = errors.New("no-gwp")

// ErrSets is returned for adding CO2e of two sets.
var ErrSets = errors.New("CO2e of two sets does not add up")

// potentials are by gas, then set; empty where a set has none. Source:
// openclimatedata/globalwarmingpotentials, which read them from the IPCC's tables;
// CH4-nonfossil in AR6: GHG Protocol, IPCC Global Warming Potential Values 2.0, August
// 2024. The order is that of results.
var potentials = []struct {
	gas string
	gwp [4]string
}{
	{"CO2", [4]string{"1", "1", "1", "1"}},
	{"CH4", [4]string{"21", "25", "28", "27.9"}},
	{"CH4-fossil", [4]string{"", "", "", "29.8"}},
	{"CH4-nonfossil", [4]string{"", "", "", "27.0"}},
	{"N2O", [4]string{"310", "298", "265", "273"}},
	{"SF6", [4]string{"23900", "22800", "23500", "25200"}},
	{"NF3", [4]string{"", "17200", "16100", "17400"}},
	{"CF4", [4]string{"6500", "7390", "6630", "7380"}},
	{"C2F6", [4]string{"9200", "12200", "11100", "12400"}},
	{"SO2F2", [4]string{"", "", "4090", "4630"}},
	{"HFC-23", [4]string{"11700", "14800", "12400", "14600"}},
	{"HFC-32", [4]string{"650", "675", "677", "771"}},
	{"HFC-125", [4]string{"2800", "3500", "3170", "3740"}},
	{"HFC-134a", [4]string{"1300", "1430", "1300", "1530"}},
	{"HFC-143a", [4]string{"3800", "4470", "4800", "5810"}},
	{"HFC-152a", [4]string{"140", "124", "138", "164"}},
	{"HFC-227ea", [4]string{"2900", "3220", "3350", "3600"}},
}

// potentialRats are the same as numbers; nil where there is none.
var potentialRats = func() (rats [][4]*big.Rat) {
	for _, p := range potentials {
		var row [4]*big.Rat
		for i, s := range p.gwp {
			if s != "" {
				row[i] = rat(s)
			}
		}
		rats = append(rats, row)
	}
	return rats
}()

// greenhouse reports whether a gas is one of the table's.
func greenhouse(gas string) (row int, ok bool) {
	for i := range potentials {
		if potentials[i].gas == gas {
			return i, true
		}
	}
	return 0, false
}

// Potential returns what a mass of the gas counts as in CO2e of the set, for reading
// only. It returns an error that wraps [ErrNoGWP] for a gas without one.
func (s Set) Potential(gas string) (*big.Rat, error) {
	row, ok := greenhouse(gas)
	if !ok || s < SAR || s > AR6 || potentialRats[row][s-1] == nil {
		return nil, fmt.Errorf("%w: %s has no potential for %s", ErrNoGWP, s, quote(gas))
	}
	return potentialRats[row][s-1], nil
}

// Equivalence is a mass of CO2e under one set.
type Equivalence struct {
	Set  Set
	Mass unit.Mass
}

// Plus adds CO2e of one set: it returns [ErrSets] for two, or [unit.ErrOverflow].
func (e Equivalence) Plus(o Equivalence) (Equivalence, error) {
	if e.Set != o.Set {
		return Equivalence{}, ErrSets
	}
	m, err := unit.Add(e.Mass, o.Mass)
	return Equivalence{e.Set, m}, err
}

// GasMass is a booked mass of one gas.
type GasMass struct {
	Gas  string
	Mass unit.Mass
}

// Gases are booked masses, one a gas, in the order of the table of potentials, then
// other gases by name, then CO2e.
type Gases []GasMass

// Add books a mass.
func (g *Gases) Add(gas string, m unit.Mass) error {
	i, found := slices.BinarySearchFunc(*g, gas, func(a GasMass, gas string) int { return compareGases(a.Gas, gas) })
	if !found {
		*g = slices.Insert(*g, i, GasMass{gas, m})
		return nil
	}
	sum, err := unit.Add((*g)[i].Mass, m)
	if err == nil {
		(*g)[i].Mass = sum
	}
	return err
}

func compareGases(a, b string) int {
	return cmp.Or(cmp.Compare(gasPlace(a), gasPlace(b)), cmp.Compare(a, b))
}

// gasPlace is the table's row, one after it for other gases, and two for CO2e.
func gasPlace(gas string) int {
	if row, ok := greenhouse(gas); ok {
		return row
	}
	if gas == Equivalent {
		return len(potentials) + 1
	}
	return len(potentials)
}

// Equivalence returns what the gases come to under a set: each gas's booked mg times
// its potential, rounded half, and summed. Gases that are no greenhouse gases, such
// as SO2, count nothing; a greenhouse gas without a potential in this set is an
// error that wraps [ErrNoGWP]. A mass of CO2e must be of this set already.
func (g Gases) Equivalence(s Set) (Equivalence, error) {
	sum := Equivalence{Set: s}
	for _, m := range g {
		e := Equivalence{Set: s}
		switch _, ok := greenhouse(m.Gas); {
		case m.Gas == Equivalent:
			e.Mass = m.Mass
		case ok:
			p, err := s.Potential(m.Gas)
			if err != nil {
				return sum, err
			}
			if e.Mass, err = unit.MulDiv(m.Mass, p.Num().Int64(), p.Denom().Int64(), unit.Half); err != nil {
				return sum, err
			}
		}
		var err error
		if sum, err = sum.Plus(e); err != nil {
			return sum, err
		}
	}
	return sum, nil
}
