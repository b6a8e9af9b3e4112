package sampler_test

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/gateway/sampler"
	"wattmark/hardware"
	"wattmark/ledger/entry"
)

func rational(d entry.Decimal) *big.Rat {
	r, ok := new(big.Rat).SetString(d.String())
	if !ok {
		panic("internal error: " + d.String())
	}
	return r
}

// A corrected value is sign x ratio x said + offset, exactly wherever that fits.
func TestCorrectionIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decimal := func(name string, most int64) entry.Decimal {
			return entry.Decimal{Mantissa: rapid.Int64Range(-most, most).Draw(t, name), Exponent: int8(rapid.IntRange(-6, 2).Draw(t, name+" exponent"))}
		}
		said, ratio, offset := decimal("said", 1e9), decimal("ratio", 1e6), decimal("offset", 1e6)
		ratio.Mantissa = max(ratio.Mantissa, -ratio.Mantissa) + 1
		sign := rapid.SampledFrom([]int{1, -1}).Draw(t, "sign")
		got, ok := sampler.Corrected(hardware.Value{Mantissa: said.Mantissa, Exponent: said.Exponent}, entry.Factors{Ratio: ratio, Sign: sign, Offset: offset})
		if !ok {
			t.Fatal("does not fit")
		}
		want := new(big.Rat).Mul(rational(said), rational(ratio))
		want.Mul(want, big.NewRat(int64(sign), 1)).Add(want, rational(offset))
		// To the half of a step where it does not fit exactly.
		step := rational(entry.Decimal{Mantissa: 1, Exponent: got.Exponent})
		fits := new(big.Rat).Quo(want, step).IsInt() && got.Exponent <= 0
		off := new(big.Rat).Sub(rational(got), want)
		if off.Sign() != 0 && (fits || off.Abs(off).Cmp(step.Quo(step, big.NewRat(2, 1))) > 0) {
			t.Errorf("%d x %s x %s + %s = %s, got %s", sign, ratio, said, offset, want, got)
		}
	})
}

func TestCalibrationEndsTheWindowAndIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		m := newMeter(c, "active_power", "active_energy_import")
		var s *sampler.Sampler
		cfg := sampler.Config{Clock: c, Monotonic: c.Monotonic, Devices: []sampler.Device{device(m, "grid", "mp-1", 10*time.Second)}}
		n := int64(0)
		m.answer = func(due time.Time) ([]hardware.Value, error) {
			if n++; n == 3 {
				for what, list := range map[string][]sampler.Correction{
					"no such channel":      {{Channel: "voltage_l1", Factors: entry.Uncorrected}},
					"twice":                {{Channel: "active_power", Factors: entry.Uncorrected}, {Channel: "active_power", Factors: entry.Uncorrected}},
					"no ratio":             {{Channel: "active_power", Factors: entry.Factors{Sign: 1}}},
					"a register's offset":  {{Channel: "active_energy_import", Factors: entry.Factors{Ratio: entry.Int(1), Sign: 1, Offset: entry.Int(5)}}},
					"a register backwards": {{Channel: "active_energy_import", Factors: entry.Factors{Ratio: entry.Int(1), Sign: -1}}},
				} {
					if err := s.Correct("mp-1", "grid", list); err == nil {
						t.Errorf("%s: accepted", what)
					}
				}
				if err := s.Correct("mp-1", "grid", []sampler.Correction{
					{Channel: "active_power", Factors: entry.Factors{Ratio: entry.Decimal{Mantissa: 102, Exponent: -2}, Sign: -1, Offset: entry.Decimal{Mantissa: 5, Exponent: -1}}, Record: [32]byte{0xab}},
					{Channel: "active_energy_import", Factors: entry.Factors{Ratio: entry.Decimal{Mantissa: 99, Exponent: -2}, Sign: 1}, Record: [32]byte{0xab}},
				}); err != nil {
					t.Error(err)
				}
			}
			return []hardware.Value{value(0, 1000, 0), value(1, 5000+100*n, 0)}, nil
		}
		var err error
		if s, err = sampler.New(cfg); err != nil {
			t.Fatal(err)
		}
		packs := runFor(t, s, 45*time.Second)
		if len(packs) != 2 {
			t.Fatalf("%d packs, want 2: one before the calibration, one after", len(packs))
		}
		if got := lines(packs[0]); !strings.Contains(got, "active_power = 1000 W") || strings.Contains(got, "calibration") {
			t.Errorf("pack before the calibration:\n%s", got)
		}
		id := "ab" + strings.Repeat("0", 62)
		want := fmt.Sprintf(`30.000 active_power.calibration = %[1]s
40.050 active_power = -1019.50 W
40.050 active_power.min = -1019.50 W
40.050 active_power.max = -1019.50 W
40.050 active_power.count = 2 count
30.000 active_energy_import.calibration = %[1]s
30.050 active_energy_import = 5247.00 Wh
`, id)
		if diff := cmp.Diff(want, lines(packs[1])); diff != "" {
			t.Errorf("pack after the calibration (-want +got):\n%s", diff)
		}
		if err := s.Correct("mp-1", "sun", nil); err == nil {
			t.Error("a device that is not there was calibrated")
		}
	})
}

// Another serial number is another part, whichever way its register went; it is known
// in the next life too.
func TestReplacedMeter(t *testing.T) {
	kept := make(map[string][]byte)
	for life, want := range []string{
		"20.050 active_energy_import = 5002 Wh\n30.050 active_energy_import = 90003 Wh\n30.050 active_energy_import.quality = replaced\n",
		"active_energy_import.quality = late,replaced\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClock()
			m := newMeter(c, "active_energy_import")
			m.serial = fmt.Sprint("A", life)
			n := int64(0)
			m.answer = func(time.Time) ([]hardware.Value, error) {
				n++
				if life == 0 && n == 3 {
					m.serial = "B"
					return []hardware.Value{value(0, 90_003, 0)}, nil
				}
				return []hardware.Value{value(0, 5000+n, 0)}, nil
			}
			packs := run(t, c, sampler.Config{
				Devices: []sampler.Device{device(m, "grid", "mp-1", 10*time.Second)},
				Recall:  func(name string) []byte { return kept[name] },
			}, 35*time.Second)
			if got := lines(packs[0]); !strings.HasSuffix(got, want) && life == 0 || !strings.Contains(got, want) {
				t.Errorf("life %d:\n%s\nwant %s", life, got, want)
			}
			for _, f := range packs[len(packs)-1].Facts {
				kept[f.Name] = f.Value
			}
		})
	}
}

func TestDisabledDeviceIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		m := newMeter(c, "active_power")
		m.answer = func(time.Time) ([]hardware.Value, error) {
			t.Error("a disabled device was read")
			return nil, nil
		}
		d := device(m, "grid", "mp-1", 10*time.Second)
		d.Disabled = true
		packs := run(t, c, sampler.Config{Devices: []sampler.Device{d}}, 35*time.Second)
		want := fmt.Sprintf("10.000 active_power.gap = %d %d 3 disabled\n", epoch+10_000, epoch+30_000)
		if len(packs) != 1 || lines(packs[0]) != want {
			t.Errorf("%d packs, the first:\n%s\nwant %s", len(packs), lines(packs[0]), want)
		}
	})
}

// forgetful is a part that loses its total with its power.
type forgetful struct {
	*meter
	total int64
}

func (f *forgetful) Snapshot() []byte { return fmt.Append(nil, f.total) }

func (f *forgetful) Restore(b []byte) error {
	_, err := fmt.Sscan(string(b), &f.total)
	return err
}

func TestTotalOfAPartThatForgets(t *testing.T) {
	kept := make(map[string][]byte)
	for life := range int64(2) {
		synctest.Test(t, func(t *testing.T) {
			c := newClock()
			f := &forgetful{meter: newMeter(c, "pulses")}
			f.answer = func(time.Time) ([]hardware.Value, error) {
				f.total += 7
				return []hardware.Value{value(0, f.total, 0)}, nil
			}
			d := device(f.meter, "gas", "mp-1", 10*time.Second)
			d.Device = f
			packs := run(t, c, sampler.Config{Devices: []sampler.Device{d}, Recall: func(name string) []byte { return kept[name] }}, 35*time.Second)
			if got, want := lines(packs[0]), fmt.Sprintf("pulses = %d count\n", 21*life+7); !strings.Contains(got, want) {
				t.Errorf("life %d:\n%s\nwant %s", life, got, want)
			}
			for _, f := range packs[len(packs)-1].Facts {
				kept[f.Name] = f.Value
			}
		})
	}
}
