package unit

import (
	"errors"
	"math"
	"math/bits"
)

// ErrOverflow is returned by arithmetic whose result does not fit the type.
var ErrOverflow = errors.New("unit: overflow")

// ErrDivideByZero is returned by a division by zero.
var ErrDivideByZero = errors.New("unit: division by zero")

// Add returns a + b, or [ErrOverflow].
func Add[Q Quantity](a, b Q) (Q, error) {
	sum := a + b
	// Only operands of one sign can overflow, and then the sum has the other.
	if (a >= 0) == (b >= 0) && (sum >= 0) != (a >= 0) {
		return 0, ErrOverflow
	}
	return sum, nil
}

// Sub returns a - b, or [ErrOverflow].
func Sub[Q Quantity](a, b Q) (Q, error) {
	difference := a - b
	if (a >= 0) != (b >= 0) && (difference >= 0) != (a >= 0) {
		return 0, ErrOverflow
	}
	return difference, nil
}

// Neg returns -a, or [ErrOverflow] for the one value that has no negative.
func Neg[Q Quantity](a Q) (Q, error) {
	return Sub(0, a)
}

// Mul returns n times a, or [ErrOverflow].
func Mul[Q Quantity](a Q, n int64) (Q, error) {
	p, err := mulInt(int64(a), n)
	return Q(p), err
}

// Sum returns the sum of all quantities, or [ErrOverflow]. It is taken in 128
// bits, so that the order of the quantities cannot decide whether it fits.
func Sum[Q Quantity](quantities ...Q) (Q, error) {
	var t Tally[Q]
	for _, q := range quantities {
		t.Add(q)
	}
	return t.Sum()
}

// Tally adds up quantities one by one, in 128 bits: it is [Sum] for quantities that
// lie in no slice. The zero Tally is the sum of nothing.
type Tally[Q Quantity] struct {
	hi, lo uint64
}

// Add adds q. It cannot overflow before the 2^64th call.
func (t *Tally[Q]) Add(q Q) {
	var carry uint64
	t.lo, carry = bits.Add64(t.lo, uint64(q), 0)
	t.hi, _ = bits.Add64(t.hi, uint64(int64(q)>>63), carry)
}

// Sum returns the sum of all that was added, or [ErrOverflow].
func (t *Tally[Q]) Sum() (Q, error) {
	// It fits when the upper word is nothing but the sign of the lower one.
	if t.hi != uint64(int64(t.lo)>>63) {
		return 0, ErrOverflow
	}
	return Q(int64(t.lo)), nil
}

// MulPrice returns what e costs at price p, exactly: µ¤/kWh times Wh is n¤. It
// returns [ErrOverflow] if that is too much money.
func MulPrice(p Price, e Energy) (Money, error) {
	m, err := mulInt(int64(p), int64(e))
	return Money(m), err
}

// MulDiv returns q times num / den, rounded once, from an exact 128-bit product.
// It returns [ErrDivideByZero], or [ErrOverflow] if the result does not fit.
func MulDiv[Q Quantity, N ~int64](q Q, num, den N, rounding Rounding) (Q, error) {
	r, err := mulDivInt(int64(q), int64(num), int64(den), rounding)
	return Q(r), err
}

// Div returns q / n, rounded. It returns [ErrDivideByZero], or [ErrOverflow] for
// the smallest value divided by -1.
func Div[Q Quantity](q Q, n int64, rounding Rounding) (Q, error) {
	r, err := mulDivInt(int64(q), 1, n, rounding)
	return Q(r), err
}

// Share returns the part of q that r stands for, rounded.
func Share[Q Quantity](q Q, r PPM, rounding Rounding) (Q, error) {
	return MulDiv(q, r, Million, rounding)
}

func mulInt(a, b int64) (int64, error) {
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 {
		return 0, ErrOverflow
	}
	return signed(lo, (a < 0) != (b < 0))
}

func mulDivInt(a, b, c int64, rounding Rounding) (int64, error) {
	if c == 0 {
		return 0, ErrDivideByZero
	}
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	divisor := magnitude(c)
	if hi >= divisor { // the quotient needs more than 64 bits
		return 0, ErrOverflow
	}
	quotient, rest := bits.Div64(hi, lo, divisor)
	negative := ((a < 0) != (b < 0)) != (c < 0)
	if rounding.away(negative, quotient%2 != 0, rest, divisor) {
		if quotient == math.MaxUint64 {
			return 0, ErrOverflow
		}
		quotient++
	}
	return signed(quotient, negative)
}

// magnitude returns |v|, which for the smallest int64 only fits a uint64.
func magnitude(v int64) uint64 {
	if v < 0 {
		return -uint64(v)
	}
	return uint64(v)
}

// signed returns m with a sign, or ErrOverflow.
func signed(m uint64, negative bool) (int64, error) {
	switch {
	case negative && m <= 1<<63:
		return int64(-m), nil
	case !negative && m <= math.MaxInt64:
		return int64(m), nil
	}
	return 0, ErrOverflow
}
