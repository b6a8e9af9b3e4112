package unit

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Decimals of each type's text, as the package comment lists them.
const (
	energyPlaces = 3
	pricePlaces  = 6
	moneyPlaces  = 9
	centsPlaces  = 2
	massPlaces   = 9
	ppmPlaces    = 6
)

// ErrSyntax is wrapped by the errors of Parse functions for text that is not a
// decimal of the type, or an interval.
var ErrSyntax = errors.New("invalid syntax")

// String returns e in kWh with three decimals: 1234 Wh is "1.234".
func (e Energy) String() string { return formatDecimal(int64(e), energyPlaces) }

// String returns p in currency units per kWh with six decimals.
func (p Price) String() string { return formatDecimal(int64(p), pricePlaces) }

// String returns m in currency units with nine decimals.
func (m Money) String() string { return formatDecimal(int64(m), moneyPlaces) }

// String returns c in currency units with two decimals.
func (c Cents) String() string { return formatDecimal(int64(c), centsPlaces) }

// String returns m in tonnes with nine decimals, which is to the mg.
func (m Mass) String() string { return formatDecimal(int64(m), massPlaces) }

// String returns r as a share of one with six decimals: 50000 is "0.050000".
func (r PPM) String() string { return formatDecimal(int64(r), ppmPlaces) }

// ParseEnergy reads an energy in kWh with at most three decimals.
func ParseEnergy(s string) (Energy, error) { return parse[Energy](s, energyPlaces, "energy in kWh") }

// ParsePrice reads a price in currency units per kWh with at most six decimals.
func ParsePrice(s string) (Price, error) { return parse[Price](s, pricePlaces, "price per kWh") }

// ParseMoney reads an amount in currency units with at most nine decimals.
func ParseMoney(s string) (Money, error) { return parse[Money](s, moneyPlaces, "money") }

// ParseCents reads an amount in currency units with at most two decimals.
func ParseCents(s string) (Cents, error) { return parse[Cents](s, centsPlaces, "money in cents") }

// ParseMass reads a mass in tonnes with at most nine decimals.
func ParseMass(s string) (Mass, error) { return parse[Mass](s, massPlaces, "mass in tonnes") }

// ParsePPM reads a share of one with at most six decimals.
func ParsePPM(s string) (PPM, error) { return parse[PPM](s, ppmPlaces, "share") }

func parse[Q Quantity](s string, places int, what string) (Q, error) {
	v, err := parseDecimal(s, places)
	if err != nil {
		return 0, fmt.Errorf("unit: %s %q: %w", what, clip(s), err)
	}
	return Q(v), nil
}

// formatDecimal writes v / 10^places with exactly that many decimals.
func formatDecimal(v int64, places int) string {
	digits := strconv.FormatUint(magnitude(v), 10)
	if missing := places + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	point := len(digits) - places
	sign := ""
	if v < 0 {
		sign = "-"
	}
	return sign + digits[:point] + "." + digits[point:]
}

// parseDecimal reads a decimal and returns it times 10^places.
func parseDecimal(s string, places int) (int64, error) {
	body, negative := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(body, ".")
	switch {
	case whole == "" || point && fraction == "":
		return 0, ErrSyntax
	case len(whole) > 1 && whole[0] == '0':
		return 0, fmt.Errorf("leading zero: %w", ErrSyntax)
	case len(fraction) > places:
		return 0, fmt.Errorf("more than %d decimals: %w", places, ErrSyntax)
	}
	var m uint64
	for i := 0; i < len(whole)+places; i++ {
		digit := byte('0') // decimals not written
		switch {
		case i < len(whole):
			digit = whole[i]
		case i-len(whole) < len(fraction):
			digit = fraction[i-len(whole)]
		}
		if digit < '0' || digit > '9' {
			return 0, ErrSyntax
		}
		if m > (math.MaxUint64-9)/10 {
			return 0, ErrOverflow
		}
		m = m*10 + uint64(digit-'0')
	}
	if m == 0 && negative {
		return 0, fmt.Errorf("negative zero: %w", ErrSyntax)
	}
	return signed(m, negative)
}

// clip keeps a hostile text from filling an error message.
func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
