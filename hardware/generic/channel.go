package generic

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"wattmark/hardware"
	"wattmark/hardware/modbus"
)

// Type is how a number is laid out in registers.
type Type string

// The types. A name that ends in le has the low word first; within a word the high byte
// always comes first.
const (
	U16   Type = "u16"
	I16   Type = "i16"
	U32   Type = "u32"
	I32   Type = "i32"
	U64   Type = "u64"
	F32   Type = "f32"
	U32LE Type = "u32le"
	I32LE Type = "i32le"
	U64LE Type = "u64le"
	F32LE Type = "f32le"
)

var types = []Type{U16, I16, U32, I32, U64, F32, U32LE, I32LE, U64LE, F32LE}

// words returns how many registers a number takes.
func (t Type) words() uint16 {
	switch t {
	case U16, I16:
		return 1
	case U64, U64LE:
		return 4
	}
	return 2
}

// wrap is the number at which a register of that width starts again, zero for gauges, for
// floats, and for 64 bits, which no meter runs through.
func (c *Channel) wrap() hardware.Value {
	if c.Kind != hardware.Counter {
		return hardware.Value{}
	}
	switch c.Type {
	case U16:
		return hardware.Value{Mantissa: 1 << 16, Exponent: c.Exponent}
	case U32, U32LE:
		return hardware.Value{Mantissa: 1 << 32, Exponent: c.Exponent}
	}
	return hardware.Value{}
}

// lowFirst reports whether the low word comes first.
func (t Type) lowFirst() bool { return strings.HasSuffix(string(t), "le") }

// Channel is a quantity and where it is.
type Channel struct {
	Name     string
	Unit     hardware.Unit
	Kind     hardware.Kind
	Table    modbus.Function // modbus.ReadInput or modbus.ReadHolding
	Address  uint16          // of its first register
	Type     Type
	Exponent int8 // one step is 10^Exponent units
}

// maxExponent bounds exponents: nobody's register counts in steps beyond that.
const maxExponent = 24

var (
	nameForm = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	unitForm = regexp.MustCompile(`^[A-Za-z0-9%/*^.]{1,16}$`)
)

// Check returns what is wrong with c, all of it, nil if nothing is. A name of the table
// of channels must have the table's unit and kind.
func (c Channel) Check() error {
	var wrong []error
	refuse := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	if !nameForm.MatchString(c.Name) {
		refuse("%q is no name: lower case letters, digits and underscores", c.Name)
	}
	if !unitForm.MatchString(string(c.Unit)) {
		refuse("%q is no unit", c.Unit)
	}
	if unit, kind, ok := hardware.Lookup(c.Name); ok && (unit != c.Unit || kind != c.Kind) {
		refuse("%s is a %s in %s, not a %s in %s", c.Name, kind, unit, c.Kind, c.Unit)
	}
	if c.Table != modbus.ReadInput && c.Table != modbus.ReadHolding {
		refuse("%s is neither input nor holding", c.Table)
	}
	switch {
	case !slices.Contains(types, c.Type):
		refuse("no type %q: the types are %s", c.Type, listed())
	case int(c.Address)+int(c.Type.words()) > 1<<16:
		refuse("a %s at %d ends beyond the last register", c.Type, c.Address)
	}
	if c.Exponent < -maxExponent || c.Exponent > maxExponent {
		refuse("exponent %d is not within %d to %d", c.Exponent, -maxExponent, maxExponent)
	}
	if len(wrong) > 0 {
		return fmt.Errorf("channel %q: %w", c.Name, errors.Join(wrong...))
	}
	return nil
}

func listed() string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = string(t)
	}
	return strings.Join(names, " ")
}

// String returns c in the form that ParseChannel reads.
func (c Channel) String() string {
	text := fmt.Sprintf("%s:%s:%s:%s:%d:%s", c.Name, c.Unit, c.Kind, c.Table, c.Address, c.Type)
	if c.Exponent != 0 {
		text += fmt.Sprintf(":%d", c.Exponent)
	}
	return text
}

// ParseChannel reads NAME:UNIT:KIND:TABLE:ADDRESS:TYPE or NAME:UNIT:KIND:TABLE:ADDRESS:
// TYPE:EXPONENT, as in "active_energy_import:Wh:counter:input:0x0048:f32:3". The address
// is decimal, or hex after 0x. What it returns passes Check.
func ParseChannel(text string) (Channel, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 6 && len(parts) != 7 {
		return Channel{}, fmt.Errorf("channel %q: write it as NAME:UNIT:KIND:TABLE:ADDRESS:TYPE[:EXPONENT]", text)
	}
	c := Channel{Name: parts[0], Unit: hardware.Unit(parts[1]), Type: Type(parts[5])}
	var err error
	if c.Kind, err = ParseKind(parts[2]); err != nil {
		return Channel{}, fmt.Errorf("channel %q: %w", text, err)
	}
	if c.Table, err = ParseTable(parts[3]); err != nil {
		return Channel{}, fmt.Errorf("channel %q: %w", text, err)
	}
	if c.Address, err = ParseAddress(parts[4]); err != nil {
		return Channel{}, fmt.Errorf("channel %q: %w", text, err)
	}
	if len(parts) == 7 {
		exponent, err := strconv.ParseInt(parts[6], 10, 8)
		if err != nil {
			return Channel{}, fmt.Errorf("channel %q: %q is no exponent", text, parts[6])
		}
		c.Exponent = int8(exponent)
	}
	return c, c.Check()
}

// ParseKind reads "gauge" or "counter".
func ParseKind(text string) (hardware.Kind, error) {
	for _, k := range []hardware.Kind{hardware.Gauge, hardware.Counter} {
		if text == k.String() {
			return k, nil
		}
	}
	return 0, fmt.Errorf("%q is neither gauge nor counter", text)
}

// ParseTable reads "input" or "holding".
func ParseTable(text string) (modbus.Function, error) {
	for _, f := range []modbus.Function{modbus.ReadInput, modbus.ReadHolding} {
		if text == f.String() {
			return f, nil
		}
	}
	return 0, fmt.Errorf("%q is neither input nor holding", text)
}

// ParseAddress reads an address, decimal or hex after 0x.
func ParseAddress(text string) (uint16, error) {
	digits, base := text, 10
	if hex, ok := strings.CutPrefix(strings.ToLower(text), "0x"); ok {
		digits, base = hex, 16
	}
	address, err := strconv.ParseUint(digits, base, 16)
	if err != nil {
		return 0, fmt.Errorf("%q is no address from 0 to 65535", text)
	}
	return uint16(address), nil
}
