package unit_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"wattmark/ledger/unit"
)

// form is one type's pair of Parse and String, over plain integers.
type form struct {
	name   string
	places int
	parse  func(string) (int64, error)
	print  func(int64) string
}

func formOf[Q interface {
	unit.Quantity
	fmt.Stringer
}](name string, places int, parse func(string) (Q, error)) form {
	return form{name, places,
		func(s string) (int64, error) { q, err := parse(s); return int64(q), err },
		func(v int64) string { return Q(v).String() },
	}
}

var forms = []form{
	formOf("Energy", 3, unit.ParseEnergy),
	formOf("Price", 6, unit.ParsePrice),
	formOf("Money", 9, unit.ParseMoney),
	formOf("Cents", 2, unit.ParseCents),
	formOf("Mass", 9, unit.ParseMass),
	formOf("PPM", 6, unit.ParsePPM),
}

func TestStrings(t *testing.T) {
	for _, test := range []struct {
		value fmt.Stringer
		want  string
	}{
		{unit.Energy(0), "0.000"},
		{unit.Energy(1234), "1.234"},
		{unit.Energy(-7), "-0.007"},
		{unit.Price(300_000), "0.300000"},
		{unit.Price(-1_000_000_000), "-1000.000000"},
		{unit.Money(-206_040_000), "-0.206040000"},
		{unit.Cents(-21), "-0.21"},
		{unit.Mass(5_715_263_862), "5.715263862"},
		{unit.Mass(math.MaxInt64), "9223372036.854775807"},
		{unit.Money(math.MinInt64), "-9223372036.854775808"},
		{unit.PPM(40_000), "0.040000"},
	} {
		if got := test.value.String(); got != test.want {
			t.Errorf("%T: got %s, want %s", test.value, got, test.want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, test := range []struct {
		text string
		want unit.Energy
	}{
		{"0", 0},
		{"1", 1000},
		{"1.5", 1500},
		{"-0.001", -1},
		{"10.020", 10020},
		{"9223372036854775.807", math.MaxInt64},
		{"-9223372036854775.808", math.MinInt64},
	} {
		if got, err := unit.ParseEnergy(test.text); err != nil || got != test.want {
			t.Errorf("%q: got %d Wh, %v; want %d", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"", "-", ".", "1.", ".5", "-.5", "+1", " 1", "1 ", "1e3", "01", "00", "-0", "-0.000", "0x1",
		"1,5", "1.5.0", "1_000", "--1", "1.0000", "NaN", "∞", "١"} {
		if got, err := unit.ParseEnergy(text); !errors.Is(err, unit.ErrSyntax) {
			t.Errorf("%q: got %d Wh, %v; want a syntax error", text, got, err)
		}
	}
	for _, text := range []string{"9223372036854775.808", "-9223372036854775.809", "99999999999999999999", strings.Repeat("9", 5000)} {
		got, err := unit.ParseEnergy(text)
		if !errors.Is(err, unit.ErrOverflow) {
			t.Errorf("%.30q: got %d Wh, %v; want overflow", text, got, err)
		} else if len(err.Error()) > 200 {
			t.Errorf("the error repeats the whole text: %d bytes", len(err.Error()))
		}
	}
}

// canonical brings a decimal to the places that String writes.
func canonical(s string, places int) string {
	whole, fraction, _ := strings.Cut(s, ".")
	return whole + "." + fraction + strings.Repeat("0", places-len(fraction))
}

func FuzzParseDecimals(f *testing.F) {
	for _, s := range []string{"0", "-1.5", "1234.567890123", "9223372036.854775807", "1e9", "-0", "007"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, form := range forms {
			v, err := form.parse(s)
			if err != nil {
				continue
			}
			text := form.print(v)
			if text != canonical(s, form.places) {
				t.Errorf("%s: %q was read as %d, which prints as %s", form.name, s, v, text)
			}
		}
	})
}

func FuzzPrintDecimals(f *testing.F) {
	for _, v := range []int64{0, 1, -1, 999, -1000, math.MaxInt64, math.MinInt64} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v int64) {
		for _, form := range forms {
			text := form.print(v)
			if got, err := form.parse(text); err != nil || got != v {
				t.Errorf("%s: %d prints as %s, which was read as %d, %v", form.name, v, text, got, err)
			}
		}
	})
}
