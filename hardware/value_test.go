package hardware_test

import (
	"math"
	"math/big"
	"strconv"
	"testing"

	"pgregory.net/rapid"
	"wattmark/hardware"
)

func TestValueString(t *testing.T) {
	for _, c := range []struct {
		mantissa int64
		exponent int8
		want     string
	}{
		{0, 0, "0"}, {0, 5, "0"}, {0, -2, "0.00"},
		{4998, -2, "49.98"}, {12345, 0, "12345"}, {-5, -2, "-0.05"}, {5, -1, "0.5"},
		{12, 3, "12000"}, {100, -2, "1.00"}, {-1, 0, "-1"},
		{math.MinInt64, 0, "-9223372036854775808"}, {math.MaxInt64, -19, "0.9223372036854775807"},
	} {
		if got := (hardware.Value{Mantissa: c.mantissa, Exponent: c.exponent}).String(); got != c.want {
			t.Errorf("%d x 10^%d: got %s, want %s", c.mantissa, c.exponent, got, c.want)
		}
	}
}

func TestFloat32IsTheShortestDecimal(t *testing.T) {
	for f, want := range map[float32]string{
		230.2: "230.2", 0.1: "0.1", 16384.002: "16384.002", 50: "50", 1e10: "10000000000",
		-1.5: "-1.5", 0: "0", 439.09515: "439.09515", 1 << 30: "1073741800",
	} {
		m, e, ok := hardware.Float32(f)
		if got := (hardware.Value{Mantissa: m, Exponent: e}).String(); !ok || got != want {
			t.Errorf("%g: got %s %v, want %s", f, got, ok, want)
		}
	}
	for _, f := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		if _, _, ok := hardware.Float32(f); ok {
			t.Errorf("%g became a number", f)
		}
	}
}

func TestFloat32AgreesWithStrconv(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := math.Float32frombits(rapid.Uint32().Draw(t, "bits"))
		m, e, ok := hardware.Float32(f)
		if finite := !math.IsNaN(float64(f)) && !math.IsInf(float64(f), 0); ok != finite {
			t.Fatalf("ok %v, finite %v", ok, finite)
		}
		if !ok || f == 0 {
			return
		}
		want := strconv.FormatFloat(float64(f), 'f', -1, 32)
		if got := (hardware.Value{Mantissa: m, Exponent: e}).String(); got != want {
			t.Fatalf("got %s, strconv writes %s", got, want)
		}
	})
}

func TestCompareIsExact(t *testing.T) {
	exact := func(v hardware.Value) *big.Rat {
		r, ok := new(big.Rat).SetString(v.String())
		if !ok {
			t.Fatalf("no rational is written %s", v)
		}
		return r
	}
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) hardware.Value {
			m := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-20, 20)).Draw(t, label)
			e := rapid.Int8Range(-25, 25).Draw(t, label+" exponent")
			return hardware.Value{Mantissa: m, Exponent: e}
		}
		v, w := draw("v"), draw("w")
		if got, want := v.Compare(w), exact(v).Cmp(exact(w)); got != want {
			t.Fatalf("%s against %s: got %d, want %d", v, w, got, want)
		}
	})
}

func TestLimits(t *testing.T) {
	l := hardware.Limits{Low: -400, High: 850, Exponent: -1} // -40.0 to 85.0
	for text, v := range map[string]hardware.Value{
		"lowest": {Mantissa: -40}, "highest": {Mantissa: 8500, Exponent: -2}, "zero": {},
	} {
		if !l.Contain(v) {
			t.Errorf("%s (%s) is not within %v", text, v, l)
		}
	}
	for text, v := range map[string]hardware.Value{
		"below": {Mantissa: -40001, Exponent: -3}, "above": {Mantissa: 9, Exponent: 1},
	} {
		if l.Contain(v) {
			t.Errorf("%s (%s) is within %v", text, v, l)
		}
	}
	if !(hardware.Limits{}).Contain(hardware.Value{Mantissa: math.MaxInt64, Exponent: 100}) {
		t.Error("no limits exclude something")
	}
}

func TestRoundDiv(t *testing.T) {
	for _, c := range []struct{ n, d, want int64 }{
		{5, 2, 3}, {-5, 2, -3}, {4, 3, 1}, {-4, 3, -1}, {0, 7, 0}, {1, 3, 0}, {2, 3, 1}, {-1, 2, -1},
	} {
		if got := hardware.RoundDiv(c.n, c.d); got != c.want {
			t.Errorf("%d/%d: got %d, want %d", c.n, c.d, got, c.want)
		}
	}
}

// A gauge in tens of its unit says little while it is small.
func TestCoarseGauge(t *testing.T) {
	for _, c := range []struct {
		kind hardware.Kind
		v    hardware.Value
		want hardware.Quality
	}{
		{hardware.Gauge, hardware.Value{Mantissa: 99, Exponent: 1}, hardware.Coarse},
		{hardware.Gauge, hardware.Value{Mantissa: -99, Exponent: 3}, hardware.Coarse},
		{hardware.Gauge, hardware.Value{Mantissa: 0, Exponent: 1}, hardware.Coarse},
		{hardware.Gauge, hardware.Value{Mantissa: 100, Exponent: 1}, 0}, // a step is 1 %
		{hardware.Gauge, hardware.Value{Mantissa: -100, Exponent: 1}, 0},
		{hardware.Gauge, hardware.Value{Mantissa: 3, Exponent: 0}, 0},
		{hardware.Gauge, hardware.Value{Mantissa: 3, Exponent: -2}, 0},
		{hardware.Counter, hardware.Value{Mantissa: 3, Exponent: 1}, 0},
	} {
		if got := hardware.CoarseGauge(c.kind, c.v); got != c.want {
			t.Errorf("a %s of %s in steps of 10^%d is %s, want %s", c.kind, c.v, c.v.Exponent, got, c.want)
		}
	}
}
