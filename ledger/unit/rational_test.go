package unit_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/unit"
)

func TestParseRat(t *testing.T) {
	good := map[string]string{
		"0": "0", "1": "1", "-1": "-1", "0.5": "1/2", "-0.25": "-1/4", "1.00": "1",
		"1234567890123456789012345678901234":  "1234567890123456789012345678901234",
		"-123456789012345678901234567890.125": "-123456789012345678901234567890125/1000",
		"0.0000000000000000001":               "1/10000000000000000000",
	}
	for s, want := range good {
		w, _ := new(big.Rat).SetString(want)
		if got, err := unit.ParseRat(s); err != nil || got.Cmp(w) != 0 {
			t.Errorf("ParseRat(%q) = %v, %v, want %s", s, got, err, w)
		}
	}
	for _, s := range []string{
		"", "-", ".", "1.", ".5", "+1", "01", "-0", "-0.00", "1e3", " 1", "1 ", "1,5", "0x1", "--1", "1.2.3", "٣",
		"12345678901234567890123456789012345", "0.1234567890123456789012345678901234",
		"-0.00000000000000000000000", "00000000000000000000000", "1000000000000000000000.", ".1000000000000000000000", "100000000000000000000a",
	} {
		if got, err := unit.ParseRat(s); !errors.Is(err, unit.ErrSyntax) {
			t.Errorf("ParseRat(%q) = %v, %v, want ErrSyntax", s, got, err)
		}
	}
}

func TestFormatRat(t *testing.T) {
	for _, c := range []struct {
		v        string
		places   int
		rounding unit.Rounding
		want     string
	}{
		{"1/2", 0, unit.Half, "1"}, {"-1/2", 0, unit.Half, "-1"}, {"1/3", 3, unit.Half, "0.333"}, {"2/3", 3, unit.Half, "0.667"},
		{"-1/3", 3, unit.Down, "-0.334"}, {"-1/3", 3, unit.Up, "-0.333"}, {"-1/1000", 2, unit.Half, "0.00"}, {"-1/1000", 2, unit.Down, "-0.01"},
		{"5/100", 1, unit.Half, "0.1"}, {"12345678901234567890123/10", 2, unit.Half, "1234567890123456789012.30"},
	} {
		v, _ := new(big.Rat).SetString(c.v)
		if got := unit.FormatRat(v, c.places, c.rounding); got != c.want {
			t.Errorf("FormatRat(%s, %d, %s) = %s, want %s", c.v, c.places, c.rounding, got, c.want)
		}
	}
}

// TestRatText writes any decimal and reads it back.
func TestRatText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := new(big.Int).SetInt64(rapid.Int64().Draw(t, "n"))
		n.Mul(n, big.NewInt(rapid.Int64Range(1, 1e14).Draw(t, "times")))
		places := rapid.IntRange(0, 33).Draw(t, "places")
		s := unit.FormatScaled(n, places)
		if digits := len(strings.Trim(s, "-")); digits > unit.MaxDigits {
			t.Skip("more digits than a decimal may have")
		}
		v, err := unit.ParseRat(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := unit.FormatRat(v, places, unit.Half); got != s {
			t.Fatalf("%s came back as %s", s, got)
		}
	})
}

// TestSqrtUp holds the root against its definition.
func TestSqrtUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := big.NewRat(rapid.Int64Min(0).Draw(t, "num"), rapid.Int64Min(1).Draw(t, "den"))
		places := rapid.IntRange(0, 12).Draw(t, "places")
		n := unit.SqrtUp(v, places)
		scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
		square := func(n *big.Int) *big.Rat {
			r := new(big.Rat).SetFrac(n, scale)
			return r.Mul(r, r)
		}
		if n.Sign() < 0 || square(n).Cmp(v) < 0 {
			t.Fatalf("the square of %s at %d places is below %s", n, places, v)
		}
		if less := new(big.Int).Sub(n, big.NewInt(1)); n.Sign() > 0 && square(less).Cmp(v) >= 0 {
			t.Fatalf("%s at %d places is not the smallest for %s", n, places, v)
		}
	})
}
