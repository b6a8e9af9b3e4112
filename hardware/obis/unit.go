package obis

import (
	"bytes"

	"wattmark/hardware"
)

// Quantity is a number as the meter gave it, in the unit it said; Unit is empty when it
// said none, and Unknown when it is none of ours.
type Quantity struct {
	Mantissa int64
	Exponent int8
	Unit     hardware.Unit
}

// Unknown is a unit that none of our channels has.
const Unknown hardware.Unit = "?"

// bases are units as meters write them, lower case: varh comes as kvarh and as kVArh.
var bases = []struct {
	text string
	unit hardware.Unit
}{
	{"wh", hardware.WattHour}, {"w", hardware.Watt}, {"varh", hardware.VarHour}, {"var", hardware.Var},
	{"va", hardware.VoltAmpere}, {"v", hardware.Volt}, {"a", hardware.Ampere}, {"hz", hardware.Hertz},
	{"j", hardware.Joule}, {"m3", hardware.CubicMetre}, {"m³", hardware.CubicMetre},
}

// prefixes move the exponent and nothing else.
var prefixes = map[byte]int8{'k': 3, 'K': 3, 'M': 6, 'G': 9, 'm': -3}

// ParseUnit reads a unit as it stands after a value's star: "kWh", "V", "m3". The
// exponent is that of its prefix.
func ParseUnit(text []byte) (unit hardware.Unit, exponent int8) {
	if len(text) == 0 {
		return "", 0
	}
	for _, b := range bases {
		if len(b.text) == len(text) && bytes.EqualFold(text, []byte(b.text)) {
			return b.unit, 0
		}
	}
	if power, ok := prefixes[text[0]]; ok {
		for _, b := range bases {
			if len(b.text) == len(text)-1 && bytes.EqualFold(text[1:], []byte(b.text)) {
				return b.unit, power
			}
		}
	}
	return Unknown, 0
}

// numbered are the units of COSEM and SML (IEC 62056-6-2, table of units).
var numbered = map[uint64]hardware.Unit{
	13: hardware.CubicMetre, 25: hardware.Joule, 27: hardware.Watt, 28: hardware.VoltAmpere, 29: hardware.Var, 30: hardware.WattHour,
	32: hardware.VarHour, 33: hardware.Ampere, 35: hardware.Volt, 44: hardware.Hertz, 255: "",
}

// UnitNumber returns the unit that COSEM numbers n.
func UnitNumber(n uint64) hardware.Unit {
	if u, ok := numbered[n]; ok {
		return u
	}
	return Unknown
}

// ParseNumber reads the digits of a value: an optional sign, digits, an optional
// fraction. ok is false for anything else, overflow true for digits beyond int64.
func ParseNumber(text []byte) (mantissa int64, exponent int8, ok, overflow bool) {
	negative := false
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		negative, text = text[0] == '-', text[1:]
	}
	digits, fraction := 0, -1
	var m uint64
	for _, c := range text {
		switch {
		case c == '.' && fraction < 0 && digits > 0:
			fraction = 0
		case c < '0' || c > '9':
			return 0, 0, false, false
		default:
			d := uint64(c - '0')
			if m > (1<<63-1-d)/10 {
				overflow = true
				continue
			}
			m = m*10 + d
			digits++
			if fraction >= 0 {
				fraction++
			}
		}
	}
	if overflow || fraction > 60 {
		return 0, 0, true, true
	}
	if digits == 0 || fraction == 0 {
		return 0, 0, false, false
	}
	mantissa = int64(m)
	if negative {
		mantissa = -mantissa
	}
	return mantissa, -int8(max(fraction, 0)), true, false
}
