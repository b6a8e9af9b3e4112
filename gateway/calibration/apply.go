package calibration

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"wattmark/gateway/console"
	"wattmark/ledger/entry"
)

// ParseDecimal reads a decimal number without exponent, exactly as it is written.
func ParseDecimal(s string) (entry.Decimal, error) {
	whole, fraction, point := strings.Cut(s, ".")
	n, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil || point && fraction == "" || strings.Trim(whole, "-") == "" || whole[0] == '+' || len(fraction) > 18 {
		return entry.Decimal{}, fmt.Errorf("%q is no decimal number, such as 1200 or -0.25", s)
	}
	return entry.Decimal{Mantissa: n, Exponent: int8(-len(fraction))}, nil
}

// ParseFactors reads factors as the console tells them.
func ParseFactors(f console.Factors) (entry.Factors, error) {
	ratio, err := ParseDecimal(f.Ratio)
	if err != nil {
		return entry.Factors{}, fmt.Errorf("ratio: %w", err)
	}
	offset, err := ParseDecimal(f.Offset)
	if err != nil {
		return entry.Factors{}, fmt.Errorf("offset: %w", err)
	}
	return entry.Factors{Ratio: ratio, Sign: f.Sign, Offset: offset}, nil
}

// Apply corrects a value as records are: sign x ratio x value + offset, exactly. Zeros at
// the end that the factors add are left out.
func Apply(f entry.Factors, value string) (string, error) {
	v, err := ParseDecimal(value)
	if err != nil {
		return "", err
	}
	if f.Equal(entry.Uncorrected) {
		return value, nil
	}
	n := new(big.Int).Mul(big.NewInt(v.Mantissa), big.NewInt(f.Ratio.Mantissa))
	n.Mul(n, big.NewInt(int64(f.Sign)))
	e := int(v.Exponent) + int(f.Ratio.Exponent)
	offset, at := big.NewInt(f.Offset.Mantissa), int(f.Offset.Exponent)
	ten := big.NewInt(10)
	for ; e > min(at, 0); e-- {
		n.Mul(n, ten)
	}
	for ; at > e; at-- {
		offset.Mul(offset, ten)
	}
	n.Add(n, offset)
	digits := new(big.Int).Abs(n).String()
	places := -e
	if len(digits) <= places {
		digits = strings.Repeat("0", places-len(digits)+1) + digits
	}
	text := digits[:len(digits)-places]
	if fraction := strings.TrimRight(digits[len(digits)-places:], "0"); fraction != "" {
		text += "." + fraction
	}
	if n.Sign() < 0 {
		text = "-" + text
	}
	return text, nil
}
