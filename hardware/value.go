package hardware

import (
	"math"
	"math/bits"
	"strconv"
)

// Value is one number of one channel: Mantissa x 10^Exponent in the channel's
// unit, exactly as the part gave it.
type Value struct {
	Channel  uint8 // index into Descriptor.Channels
	Mantissa int64
	Exponent int8
	Quality  Quality
}

// String returns the number alone, exact and without exponent: "-0.05", "49.980".
func (v Value) String() string {
	return string(v.AppendText(make([]byte, 0, 24)))
}

// AppendText appends what String returns to b.
func (v Value) AppendText(b []byte) []byte {
	var buf [20]byte
	magnitude := uint64(v.Mantissa)
	if v.Mantissa < 0 {
		b = append(b, '-')
		magnitude = -magnitude // two's complement: right for math.MinInt64 too
	}
	digits := strconv.AppendUint(buf[:0], magnitude, 10)
	point := len(digits) + int(v.Exponent) // digits before the decimal point
	switch {
	case magnitude == 0 && v.Exponent >= 0:
		return append(b, '0')
	case v.Exponent >= 0:
		b = append(b, digits...)
		return appendZeros(b, int(v.Exponent))
	case point > 0:
		b = append(b, digits[:point]...)
		b = append(b, '.')
		return append(b, digits[point:]...)
	default:
		b = append(b, '0', '.')
		b = appendZeros(b, -point)
		return append(b, digits...)
	}
}

func appendZeros(b []byte, n int) []byte {
	for range n {
		b = append(b, '0')
	}
	return b
}

// CoarseGauge returns Coarse for a gauge whose step, 10^Exponent, is ten units or more and
// above 1 % of the value.
func CoarseGauge(kind Kind, v Value) Quality {
	if kind == Gauge && v.Exponent > 0 && v.Mantissa > -100 && v.Mantissa < 100 {
		return Coarse
	}
	return 0
}

// Compare returns -1, 0 or 1 as the number of v is below, equal to or above that
// of w. Channels and qualities are not looked at.
func (v Value) Compare(w Value) int {
	return compare(v.Mantissa, v.Exponent, w.Mantissa, w.Exponent)
}

func compare(am int64, ae int8, bm int64, be int8) int {
	if s, t := sign(am), sign(bm); s != t {
		if s < t {
			return -1
		}
		return 1
	} else if s < 0 {
		return -compareMagnitude(-uint64(am), ae, -uint64(bm), be)
	}
	return compareMagnitude(uint64(am), ae, uint64(bm), be)
}

func sign(m int64) int {
	switch {
	case m < 0:
		return -1
	case m > 0:
		return 1
	}
	return 0
}

// compareMagnitude scales the side with the larger exponent up. Once that
// overflows 64 bits it is the larger, since the other side fits.
func compareMagnitude(am uint64, ae int8, bm uint64, be int8) int {
	if ae < be {
		return -compareMagnitude(bm, be, am, ae)
	}
	for range int(ae) - int(be) {
		if am == 0 {
			break
		}
		high, low := bits.Mul64(am, 10)
		if high != 0 {
			return 1
		}
		am = low
	}
	switch {
	case am < bm:
		return -1
	case am > bm:
		return 1
	}
	return 0
}

// Float32 returns mantissa and exponent of the shortest decimal that reads back as
// f. It is false for NaN and infinity. Zeros that end a whole number stay in the
// mantissa unless it would not fit: 230 is 230 x 10^0.
func Float32(f float32) (mantissa int64, exponent int8, ok bool) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return 0, 0, false
	}
	// Form 'e' gives d.ddde±xx with at most nine digits: no float32 needs more.
	var buf [24]byte
	text := strconv.AppendFloat(buf[:0], float64(f), 'e', -1, 32)
	negative := false
	power, fraction := 0, 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '-':
			negative = true
		case c == '.':
			fraction = 1
		case c == 'e':
			power = parsePower(text[i+1:])
			i = len(text)
		default:
			mantissa = mantissa*10 + int64(c-'0')
			if fraction > 0 {
				fraction++
			}
		}
	}
	if fraction > 0 {
		power -= fraction - 1
	}
	// As 'f' would print it: whole numbers without exponent while they fit.
	for power > 0 && mantissa < 1e17 && mantissa != 0 {
		mantissa *= 10
		power--
	}
	if negative {
		mantissa = -mantissa
	}
	return mantissa, int8(power), true
}

// parsePower reads the "+07" of strconv's form 'e'.
func parsePower(text []byte) int {
	n := 0
	for _, c := range text[1:] {
		n = n*10 + int(c-'0')
	}
	if text[0] == '-' {
		return -n
	}
	return n
}

// RoundDiv returns n / d rounded half away from zero. d must be positive, and
// neither n nor d may come within a factor of two of the int64 range.
func RoundDiv(n, d int64) int64 {
	if n < 0 {
		return -((-2*n + d) / (2 * d))
	}
	return (2*n + d) / (2 * d)
}
