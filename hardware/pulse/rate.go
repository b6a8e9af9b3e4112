package pulse

import (
	"fmt"
	"math"
	"math/bits"
	"strings"

	"wattmark/hardware"
)

// The resolution of an energy that has no exact decimal, as with 600 pulses a kWh, is
// a milliwatt-hour; one that has is never given with more than six decimals.
const (
	roundedDecimals = 3
	mostDecimals    = 6
	mostDigits      = 9 // of a meter constant
)

// coarseStep is the step in Wh above which a register is marked coarse.
const coarseStep = 100

// rate turns a count into watt-hours: count x scaled / divisor x 10^-decimals.
type rate struct {
	scaled, divisor uint64
	decimals        int8
	quality         hardware.Quality
}

// parseRate reads a meter constant in pulses per kWh: digits, perhaps a point and
// digits.
func parseRate(text string) (rate, error) {
	whole, fraction, point := strings.Cut(text, ".")
	digits := whole + fraction
	if whole == "" || point && fraction == "" || len(whole) > 1 && whole[0] == '0' || len(digits) > mostDigits {
		return rate{}, fmt.Errorf("%q is no decimal of at most %d digits", text, mostDigits)
	}
	constant, wh := uint64(0), uint64(1000)
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return rate{}, fmt.Errorf("%q is no decimal of at most %d digits", text, mostDigits)
		}
		constant = constant*10 + uint64(c-'0')
	}
	if constant == 0 {
		return rate{}, fmt.Errorf("%q is zero", text)
	}
	for range fraction {
		wh *= 10
	}
	shared := gcd(wh, constant)
	r := rate{scaled: wh / shared, divisor: constant / shared}
	if r.scaled > coarseStep*r.divisor {
		r.quality = hardware.Coarse
	}
	r.decimals = decimals(r.divisor)
	for range r.decimals {
		r.scaled *= 10
	}
	return r, nil
}

// decimals returns how many decimals a multiple of 1/divisor is given with.
func decimals(divisor uint64) int8 {
	twos, fives := int8(0), int8(0)
	for ; divisor%2 == 0; divisor /= 2 {
		twos++
	}
	for ; divisor%5 == 0; divisor /= 5 {
		fives++
	}
	if divisor != 1 {
		return roundedDecimals
	}
	return min(max(twos, fives), mostDecimals)
}

// energy returns the energy of so many pulses, rounded half away from zero where it has
// more decimals than are given. It is false for one that no Value holds.
func (r rate) energy(count int64) (hardware.Value, bool) {
	high, low := bits.Mul64(uint64(count), r.scaled)
	low, carry := bits.Add64(low, r.divisor/2, 0)
	if high += carry; high >= r.divisor {
		return hardware.Value{}, false
	}
	// An odd divisor has no half: adding the half rounded down rounds the same way.
	mantissa, _ := bits.Div64(high, low, r.divisor)
	if mantissa > math.MaxInt64 {
		return hardware.Value{}, false
	}
	return hardware.Value{Mantissa: int64(mantissa), Exponent: -r.decimals, Quality: r.quality}, true
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
