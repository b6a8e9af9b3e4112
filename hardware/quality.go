package hardware

import (
	"fmt"
	"math/bits"
	"strings"
)

// Quality is a set of doubts about a value; empty means none.
type Quality uint16

const (
	// OutOfRange: outside the part's stated range; the value is still reported.
	OutOfRange Quality = 1 << iota
	// Saturated: at full scale, the truth is larger. Bars a claim.
	Saturated
	// WarmingUp: the part has not yet settled after power-up.
	WarmingUp
	// Stale: the part repeats an old result. Bars a claim.
	Stale
	// Late: taken, or handed on, after it was due.
	Late
	// NoSign: the part cannot tell import from export.
	NoSign
	// Coarse: the part's step is above 100 Wh, of a total of energy, or above 1 % of the
	// value, of a gauge that a register counts in tens of its unit or more. Steps of one
	// unit and less are not called so: near zero every step is large.
	Coarse
	// Estimated: not a measurement, such as eCO2. Bars a claim.
	Estimated
	// Unverified: the protocol carries no checksum.
	Unverified
	// Uncalibrated: the part says that it was never adjusted, or lost it.
	Uncalibrated
	// Overflow: arithmetic in the part overflowed. Bars a claim.
	Overflow

	endOfQualities
)

// Barring is the set of doubts that keep a value out of a claim.
const Barring = Saturated | Stale | Estimated | Overflow

var qualityNames = [...]string{
	"out_of_range", "saturated", "warming_up", "stale", "late", "no_sign",
	"coarse", "estimated", "unverified", "uncalibrated", "overflow",
}

// String returns the names in the order of the constants, joined by commas, or
// "ok" for the empty set.
func (q Quality) String() string {
	if q == 0 {
		return "ok"
	}
	var b strings.Builder
	for rest := q; rest != 0; rest &= rest - 1 {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		if i := bits.TrailingZeros16(uint16(rest)); i < len(qualityNames) {
			b.WriteString(qualityNames[i])
		} else {
			fmt.Fprintf(&b, "bit%d", i)
		}
	}
	return b.String()
}

// ParseQuality reads what String wrote. Names out of order, twice or unknown are
// refused, so that every set has one spelling.
func ParseQuality(s string) (Quality, error) {
	if s == "ok" {
		return 0, nil
	}
	var q Quality
	for name := range strings.SplitSeq(s, ",") {
		bit := qualityNamed(name)
		if bit == 0 {
			return 0, fmt.Errorf("unknown quality %q", name)
		}
		if bit <= q {
			return 0, fmt.Errorf("quality %q is out of order in %q", name, s)
		}
		q |= bit
	}
	return q, nil
}

func qualityNamed(name string) Quality {
	for i, known := range qualityNames {
		if name == known {
			return 1 << i
		}
	}
	return 0
}

// MarshalText writes what String returns; bits without a name are an error.
func (q Quality) MarshalText() ([]byte, error) {
	if q >= endOfQualities {
		return nil, fmt.Errorf("quality %#x has bits without a name", uint16(q))
	}
	return []byte(q.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (q *Quality) UnmarshalText(text []byte) error {
	parsed, err := ParseQuality(string(text))
	if err != nil {
		return err
	}
	*q = parsed
	return nil
}
