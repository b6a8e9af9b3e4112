package entry_test

import (
	"bytes"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/entry"
)

// rat is what a Decimal means.
func rat(d entry.Decimal) *big.Rat {
	ten := big.NewInt(10)
	r := new(big.Rat).SetInt64(d.Mantissa)
	p := new(big.Rat).SetInt(new(big.Int).Exp(ten, big.NewInt(int64(abs(int(d.Exponent)))), nil))
	if d.Exponent < 0 {
		return r.Quo(r, p)
	}
	return r.Mul(r, p)
}

func abs(n int) int { return max(n, -n) }

var decimals = rapid.Custom(func(t *rapid.T) entry.Decimal {
	mantissa := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000), rapid.SampledFrom([]int64{
		1<<63 - 1, -1 << 63, 1 << 42, 1<<42 + 1, -1 << 42, 1 << 62, -1 << 62, 1_000_000_000_000_000_000, -1_000_000_000_000_000_000,
	})).Draw(t, "mantissa")
	return entry.Decimal{Mantissa: mantissa, Exponent: int8(rapid.IntRange(-18, 18).Draw(t, "exponent"))}
})

func TestDecimalsCompareAsNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals.Draw(t, "a"), decimals.Draw(t, "b")
		if got, want := a.Cmp(b), rat(a).Cmp(rat(b)); got != want {
			t.Fatalf("%v against %v: %d, want %d", a, b, got, want)
		}
	})
}

func TestDecimalsCompareAtTheEdge(t *testing.T) {
	// Where 64 bits do just, or just not, hold both at one exponent.
	for _, mantissa := range []int64{1 << 42, 1<<42 + 1, -1 << 42, -1<<42 - 1, 1<<63 - 1, -1 << 63} {
		for e := int8(-18); e <= 18; e++ {
			for f := int8(-18); f <= 18; f++ {
				for _, b := range []entry.Decimal{{Mantissa: mantissa, Exponent: f}, {Mantissa: 1<<63 - 1, Exponent: f}, {Mantissa: -1 << 63, Exponent: f}} {
					a := entry.Decimal{Mantissa: mantissa, Exponent: e}
					if got, want := a.Cmp(b), rat(a).Cmp(rat(b)); got != want {
						t.Errorf("%v against %v: %d, want %d", a, b, got, want)
					}
				}
			}
		}
	}
}

func TestDecimalsSubtractExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := decimals.Draw(t, "a"), decimals.Draw(t, "b")
		want := new(big.Rat).Sub(rat(a), rat(b))
		got, err := a.Sub(b)
		if err == nil {
			if rat(got).Cmp(want) != 0 {
				t.Fatalf("%v - %v = %v, want %v", a, b, got, want)
			}
			return
		}
		// It must really not fit at the lower exponent.
		scale := rat(entry.Decimal{Mantissa: 1, Exponent: min(a.Exponent, b.Exponent)})
		if n := want.Quo(want, scale); !n.IsInt() || n.Num().IsInt64() {
			t.Fatalf("%v - %v: %v, but it is %v", a, b, err, n)
		}
	})
}

func TestDecimalsPrintTheirValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := decimals.Draw(t, "d")
		got, ok := new(big.Rat).SetString(d.String())
		if !ok || got.Cmp(rat(d)) != 0 {
			t.Fatalf("%d x 10^%d prints as %q", d.Mantissa, d.Exponent, d)
		}
	})
	for want, d := range map[string]entry.Decimal{
		"0": {}, "0.00": {0, -2}, "-0.05": {-5, -2}, "12.30": {1230, -2}, "1200": {12, 2}, "-7": {-7, 0}, "1.5": {15, -1},
	} {
		if got := d.String(); got != want {
			t.Errorf("%d x 10^%d prints as %q, want %q", d.Mantissa, d.Exponent, got, want)
		}
	}
}

func TestDecimalsInThousandths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := decimals.Draw(t, "d")
		want := rat(d)
		want.Mul(want, new(big.Rat).SetInt64(1000))
		got, err := d.Milli()
		fits := want.IsInt() && want.Num().IsInt64()
		if (err == nil) != fits || fits && got != want.Num().Int64() {
			t.Fatalf("%v has %d thousandths, %v; want %v", d, got, err, want)
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64().Draw(t, "ms")
		d := entry.FromMilli(ms)
		if got, err := d.Milli(); err != nil || got != ms {
			t.Fatalf("%d ms becomes %v becomes %d, %v", ms, d, got, err)
		}
		if d.Exponent < 0 && d.Mantissa%10 == 0 {
			t.Fatalf("%d ms becomes %v, which has a place too many", ms, d)
		}
	})
}

func TestDecimalsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := decimals.Draw(t, "d")
		b, err := d.MarshalCBOR()
		if err != nil {
			if want := rat(d); d.Exponent <= 0 || want.Num().IsInt64() {
				t.Fatalf("%v: %v", d, err)
			}
			return
		}
		var back entry.Decimal
		if err := back.UnmarshalCBOR(b); err != nil || rat(back).Cmp(rat(d)) != 0 {
			t.Fatalf("%v becomes %x becomes %v, %v", d, b, back, err)
		}
		if d.Exponent <= 0 && back != d {
			t.Fatalf("%v becomes %v: the places that were stated are lost", d, back)
		}
	})
}

func TestDecimalEncodings(t *testing.T) {
	for _, test := range []struct {
		d    entry.Decimal
		want string
	}{
		{entry.Int(0), "\x00"},
		{entry.Int(-1), "\x20"},
		{entry.Decimal{Mantissa: 5, Exponent: 2}, "\x19\x01\xf4"},
		{entry.Decimal{Mantissa: 27315, Exponent: -2}, "\xc4\x82\x21\x19\x6a\xb3"}, // RFC 8949 section 3.4.4
	} {
		b, err := test.d.MarshalCBOR()
		if err != nil || !bytes.Equal(b, []byte(test.want)) {
			t.Errorf("%v: %x, %v, want %x", test.d, b, err, test.want)
		}
	}
	for name, b := range map[string]string{
		"float":              "\xf9\x3c\x00",
		"bigfloat":           "\xc5\x82\x20\x03",
		"big number":         "\xc2\x41\x01",
		"exponent 0":         "\xc4\x82\x00\x05",
		"exponent above 0":   "\xc4\x82\x01\x05",
		"exponent -19":       "\xc4\x82\x32\x05",
		"big mantissa":       "\xc4\x82\x20\xc2\x41\x01",
		"mantissa too large": "\xc4\x82\x20\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
		"one number":         "\xc4\x81\x20",
		"three numbers":      "\xc4\x83\x20\x01\x01",
		"text":               "\x611",
		"too large":          "\x1b\x80\x00\x00\x00\x00\x00\x00\x00",
		"nothing":            "",
		"trailing byte":      "\x01\x01",
	} {
		var d entry.Decimal
		if err := d.UnmarshalCBOR([]byte(b)); err == nil {
			t.Errorf("%s: read as %v", name, d)
		}
	}
	for _, d := range []entry.Decimal{{1, 19}, {1, -19}, {1, 127}, {1, -128}, {10, 18}} {
		if b, err := d.MarshalCBOR(); err == nil {
			t.Errorf("%d x 10^%d encodes to %x", d.Mantissa, d.Exponent, b)
		}
	}
}
