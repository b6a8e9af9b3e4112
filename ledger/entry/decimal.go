package entry

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"
)

// Decimal is the exact number Mantissa x 10^Exponent. In CBOR it is an integer
// where the exponent is 0 or more, else a decimal fraction (tag 4, RFC 8949
// section 3.4.4), as RFC 8428 section 6 allows for a value.
type Decimal struct {
	Mantissa int64
	Exponent int8
}

// Exponents a Decimal may have; the span keeps every comparison within 128 bits.
const (
	minExponent = -18
	maxExponent = 18
)

var errDecimal = errors.New("number out of range")

// Int returns n as a Decimal.
func Int(n int64) Decimal { return Decimal{Mantissa: n} }

// String returns the plain decimal notation, with as many places as the
// exponent says.
func (d Decimal) String() string {
	s := strconv.FormatInt(d.Mantissa, 10)
	if d.Exponent >= 0 {
		if d.Mantissa == 0 {
			return s
		}
		return s + strings.Repeat("0", int(d.Exponent))
	}
	sign := ""
	if s[0] == '-' {
		sign, s = "-", s[1:]
	}
	places := -int(d.Exponent)
	if len(s) <= places {
		s = strings.Repeat("0", places-len(s)+1) + s
	}
	return sign + s[:len(s)-places] + "." + s[len(s)-places:]
}

func (d Decimal) scaled(exponent int8) *big.Int {
	n := big.NewInt(d.Mantissa)
	if d.Exponent > exponent {
		ten := big.NewInt(10)
		n.Mul(n, ten.Exp(ten, big.NewInt(int64(d.Exponent)-int64(exponent)), nil))
	}
	return n
}

// Cmp compares two numbers: -1, 0 or +1.
func (d Decimal) Cmp(e Decimal) int {
	if d.Exponent == e.Exponent {
		switch {
		case d.Mantissa < e.Mantissa:
			return -1
		case d.Mantissa > e.Mantissa:
			return 1
		}
		return 0
	}
	least := min(d.Exponent, e.Exponent)
	if a, ok := d.small(least); ok {
		if b, ok := e.small(least); ok {
			return Decimal{Mantissa: a}.Cmp(Decimal{Mantissa: b})
		}
	}
	return d.scaled(least).Cmp(e.scaled(least))
}

// small returns the mantissa at a lower exponent where no product can overflow:
// nearly always, and without math/big.
func (d Decimal) small(exponent int8) (int64, bool) {
	shift := int(d.Exponent) - int(exponent)
	if shift > 6 || d.Mantissa > 1<<42 || d.Mantissa < -1<<42 {
		return d.Mantissa, shift == 0
	}
	n := d.Mantissa
	for ; shift > 0; shift-- {
		n *= 10
	}
	return n, true
}

// Sub returns d-e exactly, or an error where the result does not fit.
func (d Decimal) Sub(e Decimal) (Decimal, error) {
	least := min(d.Exponent, e.Exponent)
	if a, ok := d.small(least); ok {
		if b, ok := e.small(least); ok && a < 1<<62 && a > -1<<62 && b < 1<<62 && b > -1<<62 {
			return Decimal{a - b, least}, nil
		}
	}
	n := d.scaled(least)
	n.Sub(n, e.scaled(least))
	if !n.IsInt64() {
		return Decimal{}, errDecimal
	}
	return Decimal{n.Int64(), least}, nil
}

// Milli returns the number in thousandths, for times in seconds. It is an error
// if it is not a whole number of thousandths or does not fit.
func (d Decimal) Milli() (int64, error) {
	for d.Exponent < -3 {
		if d.Mantissa%10 != 0 {
			return 0, errDecimal
		}
		d.Mantissa /= 10
		d.Exponent++
	}
	if n, ok := d.small(-3); ok {
		return n, nil
	}
	n := d.scaled(-3)
	if !n.IsInt64() {
		return 0, errDecimal
	}
	return n.Int64(), nil
}

// FromMilli returns ms thousandths in the form with the fewest places.
func FromMilli(ms int64) Decimal {
	d := Decimal{ms, -3}
	for d.Exponent < 0 && d.Mantissa%10 == 0 {
		d.Mantissa /= 10
		d.Exponent++
	}
	return d
}

// MarshalCBOR writes an integer or a tag 4 decimal fraction.
func (d Decimal) MarshalCBOR() ([]byte, error) {
	if d.Exponent < minExponent || d.Exponent > maxExponent {
		return nil, fmt.Errorf("exponent %d: %w", d.Exponent, errDecimal)
	}
	if d.Exponent < 0 {
		return encMode.Marshal(cbor.Tag{Number: 4, Content: [2]int64{int64(d.Exponent), d.Mantissa}})
	}
	n := d.scaled(0)
	if !n.IsInt64() {
		return nil, errDecimal
	}
	return encMode.Marshal(n.Int64())
}

// UnmarshalCBOR reads an integer or a tag 4 decimal fraction, and no float.
func (d *Decimal) UnmarshalCBOR(b []byte) error {
	in := cursor{rest: b}
	*d = in.decimal()
	return in.end()
}

// Whole returns a number that is not negative as an integer, rounded down, and false for
// a negative one or one that does not fit: what a register counts in Wh.
func (d Decimal) Whole() (int64, bool) {
	if d.Mantissa < 0 {
		return 0, false
	}
	v := d.Mantissa
	for e := d.Exponent; e < 0; e++ {
		v /= 10
	}
	for e := d.Exponent; e > 0; e-- {
		if v > (1<<63-1)/10 {
			return 0, false
		}
		v *= 10
	}
	return v, true
}
