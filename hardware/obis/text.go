package obis

import (
	"bytes"
	"encoding/hex"
	"fmt"

	"wattmark/hardware"
)

// maxGroups is how many groups of one data set are kept: histories have the most, and
// are of no use here.
const maxGroups = 16

// ReadText puts the data sets of a text into m: "1-0:1.8.0*255(00012.345*kWh)", one or
// several to a line, as DSMR and IEC 62056-21 write them. A group may stand on the line
// after its code. What is no number warns; text that has not this form, and numbers too
// large, are errors.
func (m *Message) ReadText(text []byte, dst *hardware.Batch) error {
	var groups [maxGroups][]byte
	for {
		text = bytes.TrimLeft(text, "\r\n \t\x00")
		if len(text) == 0 {
			return nil
		}
		open := bytes.IndexAny(text, "(\r\n")
		if open <= 0 || text[open] != '(' {
			return malformed("a line without a value: %q", text)
		}
		id := text[:open]
		text = text[open:]
		n, last := 0, []byte(nil)
		for {
			after := bytes.TrimLeft(text, "\r\n")
			if len(after) == 0 || after[0] != '(' {
				break
			}
			end := bytes.IndexByte(after, ')')
			if end < 0 || bytes.ContainsAny(after[:end], "\r\n") {
				return malformed("a value without its end: %q", after)
			}
			last = after[1:end]
			if n < maxGroups {
				groups[n] = last
				n++
			}
			text = after[end+1:]
		}
		if n == maxGroups {
			groups[n-1] = last
		}
		if c, ok := Parse(bytes.TrimSpace(id)); ok {
			if err := m.readSet(c, groups[:n], dst); err != nil {
				return err
			}
		}
	}
}

func malformed(format string, text []byte) error {
	return &hardware.Error{Class: hardware.ErrMalformed, Err: fmt.Errorf(format, text[:min(len(text), 40)])}
}

// readSet puts one data set into m.
func (m *Message) readSet(c Code, groups [][]byte, dst *hardware.Batch) error {
	switch {
	case IsClock(c):
		m.Clock(c, groups[0])
		return nil
	case c.C == 0 && c.D == 2 && c.E == 8, c.A == abstract && c.C == 96 && c.D == 1 && c.E == 4:
		m.Version = trimmed(groups[0])
		return nil
	case c.A == abstract && c.B == 0 && c.C == 96 && c.D == 1 && m.Serial == "":
		m.Serial = octets(groups[0])
		return nil
	case (c.A == electricity || c.A == Unsaid) && (c.C == 0 && c.D == 0 && (c.E == 0 || c.E == 9) || c.C == 96 && c.D == 1 && c.E == 0) && m.Serial == "":
		m.Serial = trimmed(groups[0])
		return nil
	case c.A == abstract && c.C == 24:
		return m.readSubMeter(c, groups)
	}
	i := known.index(c)
	if i < 0 {
		return nil
	}
	number, unit := split(value(groups))
	q, ok, err := quantity(number, unit)
	switch {
	case err != nil:
		return err
	case !ok:
		dst.Warn(hardware.WarnNotANumber, known.channels[i].Name)
	case !m.Add(c, q, 0):
		dst.Warn(hardware.WarnSkipped, fmt.Sprintf("%s: unit %q", known.channels[i].Name, unit))
	}
	return nil
}

// value returns the group that the value is in: the last one with a unit, else the first.
func value(groups [][]byte) []byte {
	for i := len(groups) - 1; i >= 0; i-- {
		if bytes.IndexByte(groups[i], '*') >= 0 {
			return groups[i]
		}
	}
	return groups[0]
}

// split takes a group apart at its star.
func split(group []byte) (number, unit []byte) {
	number, unit, _ = bytes.Cut(group, []byte{'*'})
	return bytes.TrimSpace(number), bytes.TrimSpace(unit)
}

// quantity reads a number and its unit; ok is false for what is no number.
func quantity(number, unit []byte) (q Quantity, ok bool, err error) {
	mantissa, exponent, ok, overflow := ParseNumber(number)
	if overflow {
		return q, false, &hardware.Error{Class: hardware.ErrOverflow, Err: fmt.Errorf("the number %.40q", number)}
	}
	if !ok {
		return q, false, nil
	}
	q = Quantity{Mantissa: mantissa, Exponent: exponent}
	// 12.345 kWh is 12345 Wh, and 12 kWh is 12 x 10^3 Wh, whose step is seen to be 1 kWh.
	prefix := int8(0)
	q.Unit, prefix = ParseUnit(unit)
	q.Exponent += prefix
	return q, true, nil
}

// readSubMeter reads what a P1 port says of a slot: its device type, or its total, with
// the time it was read out. Version 2.2 and 3 have code, unit and value in groups of
// their own. A slot that is silent has a time in 1970, or none, or no unit.
func (m *Message) readSubMeter(c Code, groups [][]byte) error {
	if c.D == 1 && c.E == 0 {
		if kind, _, ok, overflow := ParseNumber(groups[0]); ok && !overflow {
			m.SubMeter(c.B, kind)
		}
		return nil
	}
	if len(groups) < 2 || !(c.D == 2 && c.E >= 1 && c.E <= 3 || c.D == 3 && c.E == 0) || !awake(groups[0]) {
		return nil
	}
	number, unit := split(groups[len(groups)-1])
	if c.D == 3 && len(unit) == 0 {
		unit = groups[len(groups)-2]
	}
	if len(unit) == 0 {
		return nil
	}
	q, ok, err := quantity(number, unit)
	if ok {
		m.SubMeterValue(c.B, q)
	}
	return err
}

// awake reports whether a sub-meter was read at that time: YYMMDDhhmmss, and a season
// from version 4 on.
func awake(text []byte) bool {
	if len(text) != 12 && len(text) != 13 || text[0] == '7' && text[1] == '0' {
		return false
	}
	return timestamp(append(text[:12:12], 0)).Local != ""
}

// trimmed returns text without the NULs and spaces around it.
func trimmed(text []byte) string { return string(bytes.Trim(text, "\x00 ")) }

// octets returns the text that P1 writes as the hex digits of its characters; what is
// not that it returns as it stands.
func octets(text []byte) string {
	decoded := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(decoded, text); err != nil || len(decoded) == 0 {
		return trimmed(text)
	}
	for _, c := range bytes.Trim(decoded, "\x00 ") {
		if c < ' ' || c > '~' {
			return trimmed(text)
		}
	}
	return trimmed(decoded)
}
