package gateway

import (
	"fmt"
	"strconv"
	"strings"

	"wattmark/gateway/settings"
	"wattmark/ledger/entry"
)

// What package settings says of a configuration file is part of what this package says.
type (
	// Setting is one key and its value as text.
	Setting = settings.Setting
	// Mistake is one thing that is wrong with a configuration.
	Mistake = settings.Mistake
	// Mistakes is all that is wrong with a configuration file.
	Mistakes = settings.Mistakes
	// Size is a number of bytes. In files it has a unit: "256MB", "64KiB".
	Size = settings.Size
)

// Nearest returns the word of a list that somebody who typed word may have meant.
func Nearest(word string, list []string) string { return settings.Nearest(word, list) }

// Rate is a number of bytes a second: "64kB/s".
type Rate int64

// UnmarshalText reads a Size and "/s".
func (r *Rate) UnmarshalText(text []byte) error {
	size, ok := strings.CutSuffix(string(text), "/s")
	var s Size
	if !ok || s.UnmarshalText([]byte(size)) != nil {
		return fmt.Errorf("%q is not a rate with its unit, such as \"64kB/s\"", text)
	}
	*r = Rate(s)
	return nil
}

// String writes r with the largest unit in which it is a whole number.
func (r Rate) String() string { return Size(r).String() + "/s" }

// Decimal is an exact decimal number, Mantissa x 10^Exponent.
type Decimal entry.Decimal

// FromNumber says that files may have it as a number.
func (*Decimal) FromNumber() {}

// UnmarshalText reads digits with a sign and a point where there is one, at most 15.
func (d *Decimal) UnmarshalText(text []byte) error {
	whole, fraction, _ := strings.Cut(string(text), ".")
	digits := whole + fraction
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || len(digits) > 16 || strings.HasPrefix(digits, "+") || strings.HasSuffix(string(text), ".") || whole == "" || whole == "-" {
		return fmt.Errorf("%q is not a number of at most 15 digits, such as 0.1", text)
	}
	d.Mantissa, d.Exponent = n, int8(-len(fraction))
	return nil
}

// String writes d without an exponent.
func (d Decimal) String() string { return entry.Decimal(d).String() }

// Positive is a Decimal above zero. Its zero value stands for none.
type Positive struct{ Decimal }

// UnmarshalText reads what Decimal reads, and refuses what is not above zero.
func (p *Positive) UnmarshalText(text []byte) error {
	var d Decimal
	if err := d.UnmarshalText(text); err != nil {
		return err
	}
	if d.Mantissa <= 0 {
		return fmt.Errorf("%s is not above zero", d)
	}
	p.Decimal = d
	return nil
}
