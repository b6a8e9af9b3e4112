package unit

import (
	"fmt"
	"math/big"
	"strings"
)

// MaxDigits is how many digits a decimal that is not one of the types may have, on
// both sides of the point together.
const MaxDigits = 34

// ParseRat reads a decimal as an exact fraction: the text that the package comment
// describes, with as many decimals as it has, and at most [MaxDigits] digits.
func ParseRat(s string) (*big.Rat, error) {
	whole, fraction, _ := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	if len(whole)+len(fraction) > MaxDigits {
		return nil, fmt.Errorf("unit: decimal of %d digits, want at most %d: %w", len(whole)+len(fraction), MaxDigits, ErrSyntax)
	}
	if len(whole)+len(fraction) <= 18 { // fits int64, and nearly every decimal is that short
		v, err := parseDecimal(s, len(fraction))
		if err != nil {
			return nil, fmt.Errorf("unit: decimal %q: %w", clip(s), err)
		}
		return new(big.Rat).SetFrac(big.NewInt(v), pow10(len(fraction))), nil
	}
	// The checks of parseDecimal without its limit: a short text of the same form
	// stands for the parts, the digits themselves are read by big.
	switch {
	case whole == "" || strings.HasSuffix(s, "."):
		return nil, fmt.Errorf("unit: decimal %q: %w", clip(s), ErrSyntax)
	case len(whole) > 1 && whole[0] == '0':
		return nil, fmt.Errorf("unit: decimal %q: leading zero: %w", clip(s), ErrSyntax)
	}
	for _, c := range []byte(whole + fraction) {
		if c < '0' || c > '9' {
			return nil, fmt.Errorf("unit: decimal %q: %w", clip(s), ErrSyntax)
		}
	}
	n, _ := new(big.Int).SetString(whole+fraction, 10)
	if s[0] == '-' {
		if n.Sign() == 0 {
			return nil, fmt.Errorf("unit: decimal %q: negative zero: %w", clip(s), ErrSyntax)
		}
		n.Neg(n)
	}
	return new(big.Rat).SetFrac(n, pow10(len(fraction))), nil
}

// Scaled returns v times 10^places as a whole number, rounded: what the decimals
// of v are counted in. Places is 0 or more.
func (r Rounding) Scaled(v *big.Rat, places int) *big.Int {
	num := v.Num()
	if places > 0 {
		num = new(big.Int).Mul(num, pow10(places))
	}
	n, err := r.Quo(num, v.Denom())
	if err != nil {
		panic("internal error: a fraction with denominator zero")
	}
	return n
}

// FormatRat writes v with exactly that many decimals, rounded. Nothing is ever
// written as -0.
func FormatRat(v *big.Rat, places int, rounding Rounding) string {
	return FormatScaled(rounding.Scaled(v, places), places)
}

// FormatScaled writes n / 10^places with exactly that many decimals.
func FormatScaled(n *big.Int, places int) string {
	if places == 0 {
		return n.String()
	}
	digits, negative := strings.CutPrefix(n.String(), "-")
	if missing := places + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	sign := ""
	if negative {
		sign = "-"
	}
	point := len(digits) - places
	return sign + digits[:point] + "." + digits[point:]
}

// SqrtUp returns the smallest n, 0 or more, of which n / 10^places squared is at
// least v: the square root rounded up, taken in integers. Nothing negative has one.
func SqrtUp(v *big.Rat, places int) *big.Int {
	if v.Sign() < 0 {
		panic("internal error: the square root of a negative number")
	}
	// n^2 >= v * 10^(2 places) for a whole n, so the smallest whole number not below
	// the right side decides.
	square := Up.Scaled(v, 2*places)
	n := new(big.Int).Sqrt(square)
	if new(big.Int).Mul(n, n).Cmp(square) < 0 {
		n.Add(n, big.NewInt(1))
	}
	return n
}

// pow10 returns 10^n, for n of 0 or more.
func pow10(n int) *big.Int {
	if n < len(powers) {
		return big.NewInt(powers[n])
	}
	ten := big.NewInt(10)
	return ten.Exp(ten, big.NewInt(int64(n)), nil)
}

var powers = [...]int64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18}
