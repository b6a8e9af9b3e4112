package carbon

import (
	"errors"
	"fmt"
	"math/big"

	"wattmark/ledger/unit"
)

// Class is how good a value is.
type Class uint8

// The classes, the best first. What a person typed is declared whatever it claims.
const (
	Measured Class = iota + 1
	Substituted
	Declared
)

var classNames = [...]string{"measured", "substituted", "declared"}

// String returns the class's name.
func (c Class) String() string {
	if Measured <= c && c <= Declared {
		return classNames[c-1]
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// Line is one line of an inventory: gases over a period, how good they are, and how
// much of them was not measured. The zero Line is empty. Lines of the same results
// are the same in whichever order these were added.
type Line struct {
	Gases Gases
	// Class is the lowest of what was added.
	Class Class
	// Hours is how many results were added.
	Hours int64
	// Equivalence is what the gases come to, added up result by result.
	Equivalence Equivalence

	total   big.Int // of the results' CO2e in mg
	byClass [Declared + 1]big.Int
}

// Add books what one interval came to.
func (l *Line) Add(set Set, class Class, gases ...GasMass) error {
	if class < Measured || class > Declared {
		return fmt.Errorf("carbon: %s", class)
	}
	co2e, err := Gases(gases).Equivalence(set)
	if err != nil {
		return err
	}
	sum := Equivalence{Set: set}
	if l.Hours > 0 {
		sum = l.Equivalence
	}
	if sum, err = sum.Plus(co2e); err != nil {
		return err
	}
	// Each sum is tried before any is written: an overflow changes nothing.
	for _, g := range gases {
		for _, have := range l.Gases {
			if have.Gas == g.Gas {
				if _, err := unit.Add(have.Mass, g.Mass); err != nil {
					return err
				}
			}
		}
	}
	for i, g := range gases {
		for _, o := range gases[:i] {
			if o.Gas == g.Gas {
				return fmt.Errorf("carbon: two masses of %s in one interval", quote(g.Gas))
			}
		}
	}
	for _, g := range gases {
		must(l.Gases.Add(g.Gas, g.Mass))
	}
	l.Equivalence = sum
	l.Class = max(l.Class, class)
	l.Hours++
	mg := big.NewInt(int64(co2e.Mass))
	l.total.Add(&l.total, mg)
	l.byClass[class].Add(&l.byClass[class], mg)
	return nil
}

// Share returns how much of the CO2e is of a class, in parts per million and rounded
// up; 0 of nothing.
func (l *Line) Share(class Class) unit.PPM {
	if class < Measured || class > Declared || l.total.Sign() <= 0 {
		return 0
	}
	n := new(big.Int).Mul(&l.byClass[class], big.NewInt(int64(unit.Million)))
	ppm, err := unit.Up.Quo(n, &l.total)
	must(err)
	return unit.PPM(ppm.Int64())
}

// PeriodStatus is where an inventory's period stands.
type PeriodStatus uint8

// The statuses of periods. A restated one is superseded by its next version.
const (
	PeriodOpen PeriodStatus = iota + 1
	PeriodClosed
	PeriodVerified
	PeriodRestated
)

// CanBecome reports whether a period may go from status s to another.
func (s PeriodStatus) CanBecome(to PeriodStatus) bool {
	switch s {
	case PeriodOpen:
		return to == PeriodClosed
	case PeriodClosed:
		return to == PeriodVerified || to == PeriodRestated
	case PeriodVerified:
		return to == PeriodRestated
	}
	return false
}

// DefaultBaseYearTrigger is the materiality from which a base year is restated too,
// unless a policy has another.
const DefaultBaseYearTrigger unit.PPM = 50_000

// ErrMateriality is returned for a change from nothing, which has no share.
var ErrMateriality = errors.New("carbon: a change from zero")

// Materiality returns |new-old| / old in parts per million, rounded up. It returns
// [ErrMateriality] for an old figure of zero and a new one that is not.
func Materiality(old, restated unit.Mass) (unit.PPM, error) {
	delta := new(big.Int).Sub(big.NewInt(int64(restated)), big.NewInt(int64(old)))
	switch {
	case delta.Sign() == 0:
		return 0, nil
	case old == 0:
		return 0, ErrMateriality
	}
	delta.Abs(delta).Mul(delta, big.NewInt(int64(unit.Million)))
	ppm, err := unit.Up.Quo(delta, new(big.Int).Abs(big.NewInt(int64(old))))
	must(err)
	if !ppm.IsInt64() {
		return 0, unit.ErrOverflow
	}
	return unit.PPM(ppm.Int64()), nil
}
