package unit_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/unit"
)

// amount draws any int64, often one at an edge.
func amount() *rapid.Generator[int64] {
	return rapid.OneOf(
		rapid.Int64(),
		rapid.Int64Range(-1000, 1000),
		rapid.SampledFrom([]int64{math.MinInt64, math.MinInt64 + 1, math.MaxInt64, math.MaxInt64 - 1, 1 << 62, -1 << 62, 0, 1, -1}),
	)
}

// compare holds a checked result against the exact one.
func compare(t *rapid.T, what string, got int64, err error, want *big.Int) {
	t.Helper()
	switch {
	case !want.IsInt64():
		if !errors.Is(err, unit.ErrOverflow) {
			t.Fatalf("%s = %d, %v; want overflow, as it is %s", what, got, err, want)
		}
	case err != nil || got != want.Int64():
		t.Fatalf("%s = %d, %v; want %s", what, got, err, want)
	}
}

func TestArithmeticIsExactOrRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := amount().Draw(t, "a"), amount().Draw(t, "b")
		x, y := big.NewInt(a), big.NewInt(b)
		sum, err := unit.Add(unit.Energy(a), unit.Energy(b))
		compare(t, "a+b", int64(sum), err, new(big.Int).Add(x, y))
		difference, err := unit.Sub(unit.Money(a), unit.Money(b))
		compare(t, "a-b", int64(difference), err, new(big.Int).Sub(x, y))
		negative, err := unit.Neg(unit.Mass(a))
		compare(t, "-a", int64(negative), err, new(big.Int).Neg(x))
		product, err := unit.Mul(unit.Price(a), b)
		compare(t, "a*b", int64(product), err, new(big.Int).Mul(x, y))
		cost, err := unit.MulPrice(unit.Price(a), unit.Energy(b))
		compare(t, "price*energy", int64(cost), err, new(big.Int).Mul(x, y))
	})
}

func TestSumFitsWhateverTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amounts := rapid.SliceOfN(amount(), 0, 20).Draw(t, "amounts")
		want := new(big.Int)
		list := make([]unit.Money, len(amounts))
		for i, a := range amounts {
			list[i] = unit.Money(a)
			want.Add(want, big.NewInt(a))
		}
		got, err := unit.Sum(list...)
		compare(t, "sum", int64(got), err, want)
	})
}

// rounded is the definition of the roundings, in exact arithmetic: floor of the
// quotient, moved up by one where the rounding says so.
func rounded(num, den *big.Int, r unit.Rounding) *big.Int {
	if den.Sign() < 0 {
		num, den = new(big.Int).Neg(num), new(big.Int).Neg(den)
	}
	floor, rest := new(big.Int).DivMod(num, den, new(big.Int)) // Euclidean: floor for den > 0
	half := new(big.Int).Lsh(rest, 1).Cmp(den)
	up := false
	switch r {
	case unit.Up:
		up = rest.Sign() > 0
	case unit.Half: // a half goes away from zero: up only above zero
		up = half > 0 || half == 0 && num.Sign() > 0
	case unit.HalfEven:
		up = half > 0 || half == 0 && floor.Bit(0) == 1
	}
	if up {
		floor.Add(floor, big.NewInt(1))
	}
	return floor
}

func TestRatiosRoundOnceByName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := amount().Draw(t, "a"), amount().Draw(t, "b")
		c := amount().Filter(func(v int64) bool { return v != 0 }).Draw(t, "c")
		r := rapid.SampledFrom([]unit.Rounding{unit.Down, unit.Up, unit.Half, unit.HalfEven}).Draw(t, "rounding")
		product := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
		want := rounded(product, big.NewInt(c), r)

		got, err := unit.MulDiv(unit.Energy(a), b, c, r)
		compare(t, "a*b/c "+r.String(), int64(got), err, want)
		quotient, err := unit.Div(unit.Energy(a), c, r)
		compare(t, "a/c "+r.String(), int64(quotient), err, rounded(big.NewInt(a), big.NewInt(c), r))

		num, den := new(big.Int).Set(product), big.NewInt(c)
		large, err := r.Quo(num, den)
		if err != nil || large.Cmp(want) != 0 {
			t.Fatalf("%s.Quo(%s, %d) = %s, %v; want %s", r, product, c, large, err, want)
		}
		if num.Cmp(product) != 0 || den.Int64() != c {
			t.Fatalf("Quo changed its operands to %s and %s", num, den)
		}
	})
}

func TestRoundingTable(t *testing.T) {
	for _, test := range []struct {
		num, den                 int64
		down, up, half, halfEven unit.Energy
	}{
		{7, 2, 3, 4, 4, 4},
		{5, 2, 2, 3, 3, 2},
		{-5, 2, -3, -2, -3, -2},
		{-7, 2, -4, -3, -4, -4},
		{1, 3, 0, 1, 0, 0},
		{-1, 3, -1, 0, 0, 0},
		{2, 3, 0, 1, 1, 1},
		{6, 3, 2, 2, 2, 2},
		{1, -2, -1, 0, -1, 0},
		{0, 5, 0, 0, 0, 0},
	} {
		for _, want := range []struct {
			rounding unit.Rounding
			value    unit.Energy
		}{{unit.Down, test.down}, {unit.Up, test.up}, {unit.Half, test.half}, {unit.HalfEven, test.halfEven}} {
			got, err := unit.Div(unit.Energy(test.num), test.den, want.rounding)
			if err != nil || got != want.value {
				t.Errorf("%d/%d %s = %d, %v; want %d", test.num, test.den, want.rounding, got, err, want.value)
			}
		}
	}
}

func TestDivisionByZero(t *testing.T) {
	if _, err := unit.Div(unit.Energy(1), 0, unit.Down); !errors.Is(err, unit.ErrDivideByZero) {
		t.Errorf("Div by zero: got %v", err)
	}
	if _, err := unit.MulDiv(unit.Energy(1), int64(1), 0, unit.Down); !errors.Is(err, unit.ErrDivideByZero) {
		t.Errorf("MulDiv by zero: got %v", err)
	}
	if _, err := unit.Half.Quo(big.NewInt(1), new(big.Int)); !errors.Is(err, unit.ErrDivideByZero) {
		t.Errorf("Quo by zero: got %v", err)
	}
}

func TestRoundingNames(t *testing.T) {
	for name, want := range map[string]unit.Rounding{"down": unit.Down, "up": unit.Up, "half": unit.Half, "half-even": unit.HalfEven} {
		got, err := unit.ParseRounding(name)
		if err != nil || got != want || got.String() != name {
			t.Errorf("ParseRounding(%q) = %s, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "Down", "floor", "half even", "Rounding(0)"} {
		if got, err := unit.ParseRounding(name); err == nil {
			t.Errorf("ParseRounding(%q) = %s, want an error", name, got)
		}
	}
}

func TestShare(t *testing.T) {
	// The loss fee of a retail price of 0.25 at 4 %.
	if got, err := unit.Share(unit.Price(250_000), 40_000, unit.Down); err != nil || got != 10_000 {
		t.Errorf("4 %% of 0.25 = %s, %v; want 0.01", got, err)
	}
	// The share of an estimated 1 Wh in 3 Wh is disclosed upward.
	if got, err := unit.MulDiv(unit.Million, unit.Energy(1), 3, unit.Up); err != nil || got != 333_334 {
		t.Errorf("1 of 3 Wh = %s, %v; want 0.333334", got, err)
	}
}

func TestCents(t *testing.T) {
	for _, test := range []struct {
		money unit.Money
		cents unit.Cents
		rest  unit.Money
	}{
		{0, 0, 0},
		{5_000_000, 0, 5_000_000},
		{15_000_000, 2, -5_000_000},
		{25_000_000, 2, 5_000_000},
		{25_000_001, 3, -4_999_999},
		{-5_000_000, 0, -5_000_000},
		{-15_000_000, -2, 5_000_000},
		{-206_040_000, -21, 3_960_000},
		{math.MaxInt64, 922_337_203_685, 4_775_807},
		{math.MinInt64, -922_337_203_685, -4_775_808},
	} {
		cents, rest := test.money.Cents()
		if cents != test.cents || rest != test.rest {
			t.Errorf("%s in cents: got %s and %s, want %s and %s", test.money, cents, rest, test.cents, test.rest)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		m := amount().Draw(t, "money")
		cents, rest := unit.Money(m).Cents()
		want := rounded(big.NewInt(m), big.NewInt(10_000_000), unit.HalfEven)
		if int64(cents) != want.Int64() || int64(cents)*10_000_000+int64(rest) != m {
			t.Fatalf("%d in cents: got %d and %d, want %s cents and nothing lost", m, cents, rest, want)
		}
	})
}

func TestChecks(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		ok   bool
	}{
		{"energy 0", unit.Energy(0).CheckQuantity(), true},
		{"energy max", unit.MaxQuantity.CheckQuantity(), true},
		{"energy above", (unit.MaxQuantity + 1).CheckQuantity(), false},
		{"energy below", unit.Energy(-1).CheckQuantity(), false},
		{"price max", unit.MaxPrice.Check(), true},
		{"price min", (-unit.MaxPrice).Check(), true},
		{"price above", (unit.MaxPrice + 1).Check(), false},
		{"price below", (-unit.MaxPrice - 1).Check(), false},
		{"share whole", unit.Million.Check(), true},
		{"share above", (unit.Million + 1).Check(), false},
		{"share below", unit.PPM(-1).Check(), false},
	} {
		if (test.err == nil) != test.ok {
			t.Errorf("%s: got %v", test.name, test.err)
		}
	}
}
