package obis

import (
	"fmt"
	"strconv"
)

// Code is an OBIS code, A-B:C.D.E*F. What a meter leaves out is Unsaid.
type Code struct{ A, B, C, D, E, F uint16 }

// Unsaid is an element of a code that the meter leaves out.
const Unsaid = 0xFFFF

// present is the storage number of the present value.
const present = 255

// String returns the code as meters write it.
func (c Code) String() string {
	s := fmt.Sprintf("%d.%d", c.C, c.D)
	if c.E != Unsaid {
		s += fmt.Sprintf(".%d", c.E)
	}
	if c.B != Unsaid {
		s = fmt.Sprintf("%d:%s", c.B, s)
		if c.A != Unsaid {
			s = fmt.Sprintf("%d-%s", c.A, s)
		}
	}
	if c.F != Unsaid {
		s += fmt.Sprintf("*%d", c.F)
	}
	return s
}

// Parse reads a code from the text before a value: "1-0:1.8.0*255", "1.8.0", "1.8".
// Codes with letters ("F.F", "C.1.0") are not ours: ok is false.
func Parse(text []byte) (c Code, ok bool) {
	c = Code{Unsaid, Unsaid, Unsaid, Unsaid, Unsaid, Unsaid}
	n, rest, ok := number(text)
	if ok && len(rest) > 0 && rest[0] == '-' {
		c.A = n
		n, rest, ok = number(rest[1:])
	}
	if ok && len(rest) > 0 && rest[0] == ':' {
		c.B = n
		n, rest, ok = number(rest[1:])
	}
	if !ok || len(rest) == 0 || rest[0] != '.' || c.A != Unsaid && c.B == Unsaid {
		return Code{}, false
	}
	c.C = n
	if c.D, rest, ok = number(rest[1:]); ok && len(rest) > 0 && rest[0] == '.' {
		c.E, rest, ok = number(rest[1:])
	}
	if ok && len(rest) > 0 && (rest[0] == '*' || rest[0] == '&') {
		c.F, rest, ok = number(rest[1:])
	}
	if !ok || len(rest) > 0 {
		return Code{}, false
	}
	return c, true
}

// number reads an element of a code.
func number(text []byte) (n uint16, rest []byte, ok bool) {
	i := 0
	for i < len(text) && i < 3 && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	v, err := strconv.ParseUint(string(text[:i]), 10, 8)
	return uint16(v), text[i:], err == nil
}
