package unit

import (
	"fmt"
	"math/big"
)

// Rounding says which whole number stands for a quotient that is not one.
type Rounding uint8

const (
	// Down rounds toward minus infinity: for anything issued, matched or paid,
	// and what a floor in a rule means.
	Down Rounding = iota + 1
	// Up rounds toward plus infinity: for uncertainty and shares to be disclosed.
	Up
	// Half rounds to the nearest, a half away from zero: for reported rates and
	// booked masses.
	Half
	// HalfEven rounds to the nearest, a half to the even neighbour: for invoices,
	// where many halves must not drift.
	HalfEven
)

var roundingNames = [...]string{Down: "down", Up: "up", Half: "half", HalfEven: "half-even"}

// String returns the name of the rounding as rules and formats write it.
func (r Rounding) String() string {
	if r.valid() {
		return roundingNames[r]
	}
	return fmt.Sprintf("Rounding(%d)", uint8(r))
}

// ParseRounding returns the rounding with the given name: down, up, half or
// half-even.
func ParseRounding(name string) (Rounding, error) {
	for r := Down; r <= HalfEven; r++ {
		if roundingNames[r] == name {
			return r, nil
		}
	}
	return 0, fmt.Errorf("unit: unknown rounding %q: want down, up, half or half-even", name)
}

// Quo returns num / den as a whole number, rounded, for quotients larger than the
// 128 bits of [MulDiv]; num and den are left as they are. It returns
// [ErrDivideByZero] if den is zero.
func (r Rounding) Quo(num, den *big.Int) (*big.Int, error) {
	if den.Sign() == 0 {
		return nil, ErrDivideByZero
	}
	negative := num.Sign() < 0 != (den.Sign() < 0)
	divisor := new(big.Int).Abs(den)
	quotient, rest := new(big.Int).QuoRem(new(big.Int).Abs(num), divisor, new(big.Int))
	if r.decide(negative, quotient.Bit(0) == 1, rest.Sign() != 0, rest.Lsh(rest, 1).Cmp(divisor)) {
		quotient.Add(quotient, big.NewInt(1))
	}
	if negative {
		quotient.Neg(quotient)
	}
	return quotient, nil
}

func (r Rounding) valid() bool { return Down <= r && r <= HalfEven }

// away reports whether a quotient of magnitudes with that rest moves one further
// from zero.
func (r Rounding) away(negative, odd bool, rest, divisor uint64) bool {
	half := -1
	// rest against divisor - rest, since twice the rest may not fit.
	switch other := divisor - rest; {
	case rest > other:
		half = 1
	case rest == other:
		half = 0
	}
	return r.decide(negative, odd, rest != 0, half)
}

// decide is the one place where the roundings differ. half compares the rest with
// half the divisor: -1 below, 0 exactly half, +1 above.
func (r Rounding) decide(negative, odd, inexact bool, half int) bool {
	switch r {
	case Down:
		return inexact && negative
	case Up:
		return inexact && !negative
	case Half:
		return half >= 0
	case HalfEven:
		return half > 0 || half == 0 && odd
	}
	panic("internal error: unit: " + r.String() + " is no rounding")
}
