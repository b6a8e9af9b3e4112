package calibration_test

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wattmark/gateway/calibration"
	"wattmark/ledger/entry"
)

// compared adds samples, a second apart.
func compared(t *testing.T, c *calibration.Comparison, pairs ...[2]string) *calibration.Comparison {
	t.Helper()
	if c.Before == (entry.Factors{}) {
		c.Before = entry.Uncorrected
	}
	for i, p := range pairs {
		if err := c.Add(calibration.Sample{At: time.Duration(i) * time.Second, Device: p[0], Reference: p[1]}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func factors(ratio string, sign int, offset string) entry.Factors {
	d := func(s string) entry.Decimal {
		whole, fraction := s, ""
		for i := range s {
			if s[i] == '.' {
				whole, fraction = s[:i], s[i+1:]
			}
		}
		n, err := strconv.ParseInt(whole+fraction, 10, 64)
		if err != nil {
			panic(err)
		}
		return entry.Decimal{Mantissa: n, Exponent: int8(-len(fraction))}
	}
	return entry.Factors{Ratio: d(ratio), Sign: sign, Offset: d(offset)}
}

func TestResult(t *testing.T) {
	half := factors("0.5", 1, "0")
	for _, c := range []struct {
		name        string
		comparison  calibration.Comparison
		pairs       [][2]string
		error       float64
		uncertainty float64
		kind        calibration.Kind
		after       entry.Factors
	}{
		{"two per cent too much", calibration.Comparison{Reference: 0.005}, [][2]string{{"1020", "1000"}}, 0.02, 0.00504, calibration.Ratio, factors("0.980392", 1, "0")},
		{"within the uncertainty", calibration.Comparison{Reference: 0.05}, [][2]string{{"1020", "1000"}}, 0.02, 0.05, calibration.Keep, entry.Uncorrected},
		{"a clamp the wrong way round", calibration.Comparison{Reference: 0.05}, [][2]string{{"-1010", "1000"}}, -2.01, 0.05, calibration.Sign, factors("1", -1, "0")},
		{"and of another ratio", calibration.Comparison{Reference: 0.01}, [][2]string{{"-2000", "1000"}}, -3, 0.01, calibration.Sign, factors("0.5", -1, "0")},
		{"corrected already", calibration.Comparison{Reference: 0.01, Before: half}, [][2]string{{"2000", "1000"}}, 0, 0.01, calibration.Keep, half},
		{"corrected wrongly", calibration.Comparison{Reference: 0.01, Before: half}, [][2]string{{"1000", "1000"}}, -0.5, 0.01, calibration.Ratio, entry.Uncorrected},
		{"a temperature", calibration.Comparison{Additive: true, Reference: 0.2}, [][2]string{{"22.50", "21.3"}}, 1.2, 0.2082, calibration.Offset, factors("1", 1, "-1.2")},
		{"a temperature that is right", calibration.Comparison{Additive: true, Reference: 2}, [][2]string{{"22.50", "21.3"}}, 1.2, 2, calibration.Keep, entry.Uncorrected},
		{"a register", calibration.Comparison{Counter: true, Reference: 0.01}, [][2]string{{"512345", "1000.0"}, {"512346", "1000.9"}, {"513365", "2000.0"}}, 0.02, 0.01, calibration.Ratio, factors("0.980392", 1, "0")},
		{"a register of three steps", calibration.Comparison{Counter: true}, [][2]string{{"5", "5.00"}, {"6", "6.00"}, {"8", "8.20"}}, -0.0625, 0.277, calibration.Keep, entry.Uncorrected},
		{"noise that both see", calibration.Comparison{}, [][2]string{{"1100.0", "1000.0"}, {"2200.0", "2000.0"}, {"3300.0", "3000.0"}}, 0.1, 0.000039, calibration.Ratio, factors("0.909091", 1, "0")},
		{"noise of the device", calibration.Comparison{}, [][2]string{{"900", "1000"}, {"1100", "1000"}, {"1300", "1000"}}, 0.1, 0.2099, calibration.Keep, entry.Uncorrected},
	} {
		r, err := compared(t, &c.comparison, c.pairs...).Result()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if math.Abs(r.Error-c.error) > 0.001 || math.Abs(r.Uncertainty-c.uncertainty) > 0.02*c.uncertainty {
			t.Errorf("%s: error %.5f, uncertainty %.5f, want %.5f and %.5f", c.name, r.Error, r.Uncertainty, c.error, c.uncertainty)
		}
		if r.Kind != c.kind || !r.After.Equal(c.after) {
			t.Errorf("%s: %s, after %+v, want %s and %+v", c.name, r.Kind, r.After, c.kind, c.after)
		}
	}
}

func TestRefused(t *testing.T) {
	add := func(c *calibration.Comparison, second int, device, reference string) error {
		return c.Add(calibration.Sample{At: time.Duration(second) * time.Second, Device: device, Reference: reference})
	}
	c := &calibration.Comparison{Counter: true, Before: entry.Uncorrected}
	for _, bad := range []string{"", "twelve", "NaN", "1e3", "0x10", "1_000", "Inf"} {
		if add(c, 0, bad, "1") == nil || add(c, 0, "1", bad) == nil {
			t.Errorf("%q is taken for a number", bad)
		}
	}
	if _, err := c.Result(); err == nil {
		t.Error("nothing was compared, and there is a result")
	}
	if err := add(c, 1, "100", "100"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Result(); err == nil {
		t.Error("a register is compared at one time")
	}
	if err := add(c, 1, "101", "101"); err == nil {
		t.Error("two samples at one time")
	}
	if err := add(c, 2, "99", "101"); !errors.Is(err, calibration.ErrFell) {
		t.Errorf("a register fell: %v", err)
	}
	if err := add(c, 2, "100", "101"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Result(); err == nil {
		t.Error("the register stands still, and there is a result")
	}
}

// TestEnough: ten minutes, or a hundred steps of the register as it really moves.
func TestEnough(t *testing.T) {
	c := &calibration.Comparison{Counter: true, Before: entry.Uncorrected}
	for i := range 100 { // 2 Wh a step, as float32 has them above 16,384 kWh
		if c.Enough() {
			t.Fatalf("enough after %d steps", i)
		}
		if err := c.Add(calibration.Sample{At: time.Duration(i) * time.Second, Device: fmt.Sprint(16_400_000 + 2*i), Reference: "1"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Add(calibration.Sample{At: 100 * time.Second, Device: "16400200", Reference: "1"}); err != nil || !c.Enough() || c.Steps() != 100 {
		t.Errorf("after 100 steps of 2 Wh: %d steps, enough %v, %v", c.Steps(), c.Enough(), err)
	}
	g := compared(t, new(calibration.Comparison), [2]string{"1", "1"})
	if err := g.Add(calibration.Sample{At: calibration.EnoughTime, Device: "1", Reference: "1"}); err != nil || !g.Enough() || g.Steps() != 0 {
		t.Errorf("after ten minutes: enough %v, %v", g.Enough(), err)
	}
}

// TestCorrected: what a proposal makes of the device's values agrees with the reference
// within the uncertainty, whatever the device's error and the factors before.
func TestCorrected(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		truth := rapid.Float64Range(50, 50_000).Draw(t, "truth")
		wrong := rapid.Float64Range(0.2, 5).Draw(t, "factor") * float64(rapid.SampledFrom([]int{1, -1}).Draw(t, "sign"))
		before := factors(strconv.FormatFloat(rapid.Float64Range(0.3, 3).Draw(t, "ratio"), 'f', 3, 64), rapid.SampledFrom([]int{1, -1}).Draw(t, "before"), "0")
		c := &calibration.Comparison{Reference: 0.002, Before: before}
		s := calibration.Sample{Device: strconv.FormatFloat(truth*wrong, 'f', 2, 64), Reference: strconv.FormatFloat(truth, 'f', 2, 64)}
		if err := c.Add(s); err != nil {
			t.Fatal(err)
		}
		r, err := c.Result()
		if err != nil {
			t.Fatal(err)
		}
		c.Before = r.After
		again, err := c.Result()
		if err != nil {
			t.Fatal(err)
		}
		if again.Kind != calibration.Keep || math.Abs(again.Error) > again.Uncertainty {
			t.Fatalf("%v reads %s with %+v; corrected with %+v it is still wrong by %v, uncertain by %v", s.Reference, s.Device, before, r.After, again.Error, again.Uncertainty)
		}
	})
}

func TestUncertain(t *testing.T) {
	for share, want := range map[float64]string{0: "0", 0.00512: "0.0052", 0.0050: "0.0050", 0.0999: "0.10", 0.123: "0.13", 1.21: "1.3", 25: "25"} {
		if got := calibration.Uncertain(share).String(); got != want {
			t.Errorf("Uncertain(%v) = %s, want %s", share, got, want)
		}
	}
}

func TestDigest(t *testing.T) {
	a := compared(t, new(calibration.Comparison), [2]string{"1", "1"}, [2]string{"2", "2"})
	b := compared(t, new(calibration.Comparison), [2]string{"1", "1"}, [2]string{"2", "2.0"})
	again := compared(t, new(calibration.Comparison), [2]string{"1", "1"}, [2]string{"2", "2"})
	if a.Digest() == b.Digest() || a.Digest() != again.Digest() {
		t.Error("the digest does not tell samples apart")
	}
}
