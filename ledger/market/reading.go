package market

import (
	"fmt"

	"wattmark/ledger/unit"
)

// Quality is how an interval's energy is known.
type Quality uint8

// The qualities of an interval.
const (
	// Measured is the difference of two signed registers.
	Measured Quality = iota
	// Estimated is a part of a difference over several intervals: see [Spread].
	Estimated
	// Missing is no reading.
	Missing
)

var qualityNames = [...]string{Measured: "M", Estimated: "E", Missing: "X"}

// String returns the quality's letter: M, E or X.
func (q Quality) String() string { return nameOf(qualityNames[:], q, "Quality") }

// Net returns the energy that counts, export less import, and what of an export is
// not proven: an estimated export earns nothing, and nothing is known of a missing
// interval.
func Net(q Quality, imported, exported unit.Energy) (net, unproven unit.Energy) {
	switch net = exported - imported; {
	case q == Missing:
		return 0, 0
	case q == Estimated && net > 0:
		return 0, net
	}
	return net, 0
}

// ErrFell is returned for a register below its earlier value: the meter was changed
// or tampered with, and what it measured meanwhile is not known.
var ErrFell = fmt.Errorf("market: the register fell")

// Measure returns the energy between two values of a register, at most
// [unit.MaxQuantity] for each of the intervals between them, or [ErrFell].
func Measure(before, after unit.Energy, intervals int64) (unit.Energy, error) {
	if before < 0 || after < before {
		return 0, ErrFell
	}
	most, err := unit.Mul(unit.MaxQuantity, intervals)
	if err != nil || intervals < 1 {
		return 0, fmt.Errorf("market: %d intervals between two registers", intervals)
	}
	if e := after - before; e <= most {
		return e, nil
	}
	return 0, fmt.Errorf("market: %d Wh in %d intervals is more than a meter measures", int64(after-before), intervals)
}

// Spread returns the part of interval i, from 0, of a total that registers show over
// n intervals: equal parts, and one Wh more for the first intervals while the rest of
// the division lasts. The parts add up to the total.
func Spread(total unit.Energy, n, i int64) unit.Energy {
	part := total / unit.Energy(n)
	if unit.Energy(i) < total%unit.Energy(n) {
		part++
	}
	return part
}
