package sampler_test

import (
	"errors"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"wattmark/gateway/sampler"
	"wattmark/hardware"
	"wattmark/ledger/entry"
)

// Each result is the formula's, half away from zero to 1 ug/s.
func TestMassFlowIsTheFormula(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		positive := func(name string, most int64, exponent int8) entry.Decimal {
			return entry.Decimal{Mantissa: rapid.Int64Range(0, most).Draw(t, name), Exponent: exponent}
		}
		co2, background := positive("ppm", 300_000, 0), positive("background", 5000, -1)
		flow, area := positive("flow", 50_000, -3), positive("area", 20_000, -4)
		celsius := entry.Decimal{Mantissa: rapid.Int64Range(-40_00, 900_00).Draw(t, "celsius"), Exponent: -2}
		pressure := positive("pressure", 120_000, 0)
		got, ok := sampler.MassFlowOf(co2, background, flow, area, celsius, pressure)
		if !ok {
			t.Fatal("refused")
		}
		above := new(big.Rat).Sub(rational(co2), rational(background))
		if above.Sign() < 0 {
			above.SetInt64(0)
		}
		want := new(big.Rat).SetFrac64(440_095, 8_314_462_618) // x 10^2
		for _, f := range []*big.Rat{above, rational(flow), rational(area), rational(pressure), big.NewRat(100_000, 1)} {
			want.Mul(want, f)
		}
		want.Quo(want, new(big.Rat).Add(rational(celsius), big.NewRat(27_315, 100)))
		off := new(big.Rat).Sub(want, new(big.Rat).SetInt64(got))
		if off.Abs(off).Cmp(big.NewRat(1, 2)) > 0 || off.Cmp(big.NewRat(1, 2)) == 0 && new(big.Rat).SetInt64(got).Cmp(want) < 0 {
			t.Errorf("got %d ug/s, want %s", got, want.FloatString(3))
		}
	})
	// By hand: 44.0095 g/mol in 22.41397 l/mol (at 101325 Pa and 0 degrees) is 1963.485 g
	// in a m3, of which 1000 ppm are a thousandth.
	got, ok := sampler.MassFlowOf(entry.Int(1400), entry.Int(400), entry.Int(1), entry.Int(1), entry.Int(0), entry.Int(101_325))
	if !ok || got != 1_963_485 {
		t.Errorf("got %d ug/s, %v, want 1963485", got, ok)
	}
	for what, in := range map[string][3]entry.Decimal{
		"absolute zero":      {entry.Int(1), {Mantissa: -273_15, Exponent: -2}, entry.Int(1)},
		"a flow backwards":   {entry.Int(-1), entry.Int(20), entry.Int(1)},
		"a pressure below 0": {entry.Int(1), entry.Int(20), entry.Int(-1)},
		"a mass of a galaxy": {{Mantissa: 1 << 62, Exponent: 18}, entry.Int(20), entry.Int(1 << 62)},
	} {
		if n, ok := sampler.MassFlowOf(entry.Int(1400), entry.Int(400), in[0], entry.Int(1), in[1], in[2]); ok {
			t.Errorf("%s: %d ug/s", what, n)
		}
	}
}

// stack is a chimney with a meter for each input.
func stack(c *clock) (cfg sampler.Config, co2, rest *meter) {
	co2, rest = newMeter(c, "co2"), newMeter(c, "gas_velocity", "temperature", "pressure")
	co2.answer = func(time.Time) ([]hardware.Value, error) { return []hardware.Value{value(0, 80_400, 0)}, nil }
	rest.answer = func(time.Time) ([]hardware.Value, error) {
		return []hardware.Value{value(0, 42, -1), value(1, 1200, -1), value(2, 99_800, 0)}, nil
	}
	cfg.Devices = []sampler.Device{device(co2, "gas", "mp-1", 10*time.Second), device(rest, "duct", "mp-1", 10*time.Second)}
	cfg.Derived = []sampler.Derived{{
		Name: "stack", Subject: "mp-1", Method: sampler.MassFlow,
		CO2: sampler.Input{Device: "gas", Channel: "co2"}, Velocity: sampler.Input{Device: "duct", Channel: "gas_velocity"},
		Area:        entry.Decimal{Mantissa: 125, Exponent: -4},
		Temperature: sampler.Input{Device: "duct", Channel: "temperature"}, Pressure: sampler.Input{Device: "duct", Channel: "pressure"},
		Background: entry.Int(400), Uncertainty: entry.Decimal{Mantissa: 8, Exponent: -2},
	}}
	return cfg, co2, rest
}

func TestMassIsDerivedWhileAllInputsAreGood(t *testing.T) {
	kept := make(map[string][]byte)
	first := ""
	for life := range 2 {
		synctest.Test(t, func(t *testing.T) {
			c := newClock()
			cfg, co2, rest := stack(c)
			cfg.PackMaxAge = 15 * time.Minute
			cfg.Recall = func(name string) []byte { return kept[name] }
			rest.takes = 50 * time.Millisecond // it is read first
			good := co2.answer
			co2.answer = func(due time.Time) ([]hardware.Value, error) {
				switch seconds(due.UnixMilli()) {
				case "50.000":
					return nil, hardware.ErrTimeout
				case "60.000":
					return []hardware.Value{{Mantissa: 80_400, Quality: hardware.Saturated}}, nil
				}
				return good(due)
			}
			packs := run(t, c, cfg, 85*time.Second)
			if len(packs) != 1 {
				t.Fatalf("%d packs, want 1", len(packs))
			}
			got := lines(packs[0])
			// 80,000 ppm of 0.0525 m3/s at 393.15 K and 99800 Pa: 5.643309 g/s.
			for _, want := range []string{
				"stack.co2_mass_flow = 0.005643309 kg/s\n",
				"stack.co2_mass_flow.count = 6 count\n",
				"stack.co2_mass_flow.gap = ",
				" 2 no_data\n",
				"stack.co2_mass_flow.method = mass-flow/1\n",
				"stack.co2_mass_flow.inputs = gas.co2 duct.gas_velocity duct.temperature duct.pressure\n",
				"stack.co2_mass_flow.uncertainty = 0.08\n",
				"stack.co2_mass.method = mass-flow/1\n",
				"gas.co2.max = 80400 ppm\n", // the inputs are signed too
			} {
				if !strings.Contains(got, want) {
					t.Errorf("life %d: the pack lacks %q:\n%s", life, want, got)
				}
			}
			config := ""
			for _, l := range strings.Split(got, "\n") {
				if _, text, ok := strings.Cut(l, "stack.co2_mass.config = "); ok {
					config = text
				}
			}
			if len(config) != 64 || first != "" && config != first {
				t.Errorf("life %d: the digest of the configuration is %q, and was %q", life, config, first)
			}
			first = config
			// The register at the start: nothing, or 30 s and then 10 s of the life before, at 5.643309 g/s.
			want := []string{"co2_mass = 0.000000000 kg", "co2_mass = 0.225732360 kg"}[life]
			if !strings.Contains(got, want) {
				t.Errorf("life %d: the pack lacks %q:\n%s", life, want, got)
			}
			for _, f := range packs[0].Facts {
				kept[f.Name] = f.Value
			}
		})
	}
}

func TestNothingIsDerivedFromWhatIsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		cfg, _, rest := stack(c)
		rest.takes = 50 * time.Millisecond
		good := rest.answer
		rest.answer = func(due time.Time) ([]hardware.Value, error) {
			if due.UnixMilli() > epoch+20_000 {
				return nil, hardware.ErrAbsent
			}
			return good(due)
		}
		packs := run(t, c, cfg, 59*time.Second)
		// Of 10 to 50 s, the last ones have no flow that is at most 20 s old.
		if got := lines(packs[0]); !strings.Contains(got, "stack.co2_mass_flow.count = 3 count\n") || !strings.Contains(got, " 2 no_data\n") {
			t.Errorf("pack:\n%s", got)
		}
	})
}

func TestWhatProvesNoEmissionIsRefused(t *testing.T) {
	none := sampler.Input{}
	for what, test := range map[string]struct {
		change func(*sampler.Derived)
		want   string
		bars   bool
	}{
		"eCO2":               {func(d *sampler.Derived) { d.CO2.Channel = "eco2" }, "guessed from other gases", true},
		"ppm alone":          {func(d *sampler.Derived) { d.Velocity, d.Area = none, entry.Decimal{} }, "give the flow", true},
		"no background":      {func(d *sampler.Derived) { d.Background = entry.Decimal{} }, "background", true},
		"flow twice":         {func(d *sampler.Derived) { d.Flow = d.Velocity }, "both given", false},
		"no area":            {func(d *sampler.Derived) { d.Area = entry.Decimal{} }, "area of the duct", false},
		"no uncertainty":     {func(d *sampler.Derived) { d.Uncertainty = entry.Decimal{} }, "uncertainty", false},
		"another method":     {func(d *sampler.Derived) { d.Method = "mass-flow/2" }, `there is "mass-flow/1"`, false},
		"no such device":     {func(d *sampler.Derived) { d.Pressure.Device = "roof" }, `no device "roof"`, false},
		"no such channel":    {func(d *sampler.Derived) { d.Pressure.Channel = "voltage_l1" }, `no channel "voltage_l1"`, false},
		"inputs mixed up":    {func(d *sampler.Derived) { d.Pressure, d.Temperature = d.Temperature, d.Pressure }, "is in Pa", false},
		"no such point":      {func(d *sampler.Derived) { d.Subject = "mp-2" }, "no metering point", false},
		"a name that is had": {func(d *sampler.Derived) { d.Name = "duct" }, "has it twice", false},
	} {
		c := newClock()
		cfg, _, _ := stack(c)
		cfg.Clock, cfg.Monotonic = c, c.Monotonic
		test.change(&cfg.Derived[0])
		_, err := sampler.New(cfg)
		if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, sampler.ErrNotClaimable) != test.bars {
			t.Errorf("%s: %v, want an error with %q", what, err, test.want)
		}
	}
}
