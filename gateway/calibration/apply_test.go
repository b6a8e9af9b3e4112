package calibration_test

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"wattmark/gateway/calibration"
	"wattmark/gateway/console"
	"wattmark/ledger/entry"
)

func TestApply(t *testing.T) {
	for _, c := range []struct {
		value, ratio string
		sign         int
		offset, want string
	}{
		{"1200", "1", 1, "0", "1200"},
		{"1200.50", "1", 1, "0", "1200.50"},
		{"1200", "1.010", 1, "0", "1212"},
		{"-500", "1", -1, "0", "500"},
		{"22.50", "1", 1, "-1.2", "21.3"},
		{"0.001", "0.001", 1, "0", "0.000001"},
		{"1", "1", -1, "1", "0"},
		{"0", "2", -1, "0", "0"},
	} {
		f, err := calibration.ParseFactors(console.Factors{Ratio: c.ratio, Sign: c.sign, Offset: c.offset})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := calibration.Apply(f, c.value); err != nil || got != c.want {
			t.Errorf("%d x %s x %s + %s = %s (%v), want %s", c.sign, c.ratio, c.value, c.offset, got, err, c.want)
		}
	}
	for _, bad := range []string{"", "-", ".5", "1.", "+1", "1e3", "twelve", "1.0000000000000000000001", "99999999999999999999"} {
		if got, err := calibration.Apply(entry.Factors{Ratio: entry.Int(2), Sign: 1}, bad); err == nil {
			t.Errorf("Apply(%q) = %s", bad, got)
		}
	}
}

// TestApplyExactly compares with rational numbers.
func TestApplyExactly(t *testing.T) {
	decimal := rapid.Custom(func(t *rapid.T) entry.Decimal {
		return entry.Decimal{Mantissa: rapid.Int64Range(-1e15, 1e15).Draw(t, "mantissa"), Exponent: int8(rapid.IntRange(-9, 3).Draw(t, "exponent"))}
	})
	rat := func(d entry.Decimal) *big.Rat {
		r, _ := new(big.Rat).SetString(d.String())
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		value, f := decimal.Draw(t, "value"), entry.Factors{Ratio: decimal.Draw(t, "ratio"), Sign: rapid.SampledFrom([]int{1, -1}).Draw(t, "sign"), Offset: decimal.Draw(t, "offset")}
		got, err := calibration.Apply(f, value.String())
		if err != nil {
			t.Fatal(err)
		}
		want := new(big.Rat).Mul(rat(value), rat(f.Ratio))
		want.Mul(want, big.NewRat(int64(f.Sign), 1)).Add(want, rat(f.Offset))
		if r, ok := new(big.Rat).SetString(got); !ok || r.Cmp(want) != 0 {
			t.Fatalf("%s with %+v is %s, want %s", value, f, got, want.FloatString(20))
		}
	})
}
