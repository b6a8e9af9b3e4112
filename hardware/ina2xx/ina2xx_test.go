package ina2xx_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"periph.io/x/conn/v3/physic"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/ina2xx"
)

// feed is a battery of 24 V that is charged with 2 A over 0.1 ohm.
var feed = emulated.Feed{Shunt: -0.2, Bus: 24, Temperature: 31.25}

// inputs are what the INA226 and INA228 take across a shunt of 0.01 ohm.
var smaller = emulated.Feed{Shunt: -0.02, Bus: 24, Temperature: 31.25}

// monitor is an emulated part and a driver on a bus of their own.
type monitor struct {
	*ina2xx.Dev
	bus  *emulated.Bus
	part *emulated.INA
}

var parts = map[string]func(hardware.Clock) *emulated.INA{
	"ina219": emulated.NewINA219, "ina226": emulated.NewINA226, "ina228": emulated.NewINA228,
}

// newMonitor goes by the time that passes in a bubble, unless opts say otherwise.
func newMonitor(t testing.TB, opts ina2xx.Opts) *monitor {
	t.Helper()
	if opts.Now == nil {
		start := time.Now()
		opts.Now = func() time.Duration { return time.Since(start) }
	}
	m := &monitor{bus: emulated.NewBus("i2c-1"), part: parts[opts.Model](opts.Now)}
	m.part.Set(smaller)
	if opts.Model == "ina219" {
		m.part.Set(feed)
	}
	m.bus.Attach(ina2xx.Address, m.part)
	dev, err := ina2xx.NewI2C(m.bus, ina2xx.Address, &opts)
	if err != nil {
		t.Fatal(err)
	}
	m.Dev = dev
	return m
}

func TestConformance(t *testing.T) {
	for model := range parts {
		t.Run(model, func(t *testing.T) {
			hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
				m := newMonitor(t, ina2xx.Opts{Model: model, Shunt: 10 * physic.MilliOhm, Now: now})
				return hardwaretest.OnI2C(m.Dev, m.bus, ina2xx.Address, m.part)
			})
		})
	}
}

func TestEveryChannel(t *testing.T) {
	for name, c := range map[string]struct {
		model string
		shunt physic.ElectricResistance
		feed  emulated.Feed
		want  []string
	}{
		"24 V, more than the range that periph sets": {"ina219", 100 * physic.MilliOhm, feed,
			[]string{"shunt_voltage -0.20000 V gauge ok", "voltage_dc 24.000 V gauge ok", "current_dc -2.000000 A gauge ok", "power_dc -48.000000 W gauge ok"}},
		"no current": {"ina219", 100 * physic.MilliOhm, emulated.Feed{Bus: 12.348},
			[]string{"shunt_voltage 0.00000 V gauge ok", "voltage_dc 12.348 V gauge ok", "current_dc 0.000000 A gauge ok", "power_dc 0.000000 W gauge ok"}},
		"75 mV for 100 A": {"ina219", 750 * physic.MicroOhm, emulated.Feed{Shunt: 0.0137, Bus: 13.2},
			[]string{"shunt_voltage 0.01370 V gauge ok", "voltage_dc 13.200 V gauge ok", "current_dc 18.266667 A gauge ok", "power_dc 241.120000 W gauge ok"}},
		"full scale": {"ina219", 100 * physic.MilliOhm, emulated.Feed{Shunt: 0.5, Bus: 40},
			[]string{"shunt_voltage 0.32000 V gauge saturated", "voltage_dc 32.000 V gauge out_of_range,saturated",
				"current_dc 3.200000 A gauge saturated", "power_dc 102.400000 W gauge saturated"}},
		"no shunt given": {"ina219", 0, feed, []string{"shunt_voltage -0.20000 V gauge ok", "voltage_dc 24.000 V gauge ok"}},
		"an ina226": {"ina226", 10 * physic.MilliOhm, smaller,
			[]string{"shunt_voltage -0.0200000 V gauge ok", "voltage_dc 24.00000 V gauge ok", "current_dc -2.000000 A gauge ok", "power_dc -48.000000 W gauge ok"}},
		"an ina226 at full scale": {"ina226", 10 * physic.MilliOhm, emulated.Feed{Shunt: -1, Bus: 50},
			[]string{"shunt_voltage -0.0819200 V gauge saturated", "voltage_dc 40.95875 V gauge out_of_range",
				"current_dc -8.192000 A gauge saturated", "power_dc -335.534080 W gauge saturated"}},
		"an ina228": {"ina228", 10 * physic.MilliOhm, smaller,
			[]string{"shunt_voltage -0.0200000000 V gauge ok", "voltage_dc 24.0000000000 V gauge ok", "current_dc -2.000000 A gauge ok", "power_dc -48.000000 W gauge ok",
				"temperature 31.2500000 Cel gauge ok"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMonitor(t, ina2xx.Opts{Model: c.model, Shunt: c.shunt})
				m.part.Set(c.feed)
				b := hardwaretest.Sample(t, m.Dev)
				if diff := cmp.Diff(c.want, hardwaretest.Rows(m.Describe(), b)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if c.shunt != 0 && len(b.Warnings) != 0 {
					t.Errorf("warnings %q", b.Warnings)
				}
			})
		})
	}
}

// A brown-out between two samples costs the sample, whatever the registers say by then.
func TestPowerOnDefaultsAreNoSetUp(t *testing.T) {
	for model := range parts {
		t.Run(model, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMonitor(t, ina2xx.Opts{Model: model, Shunt: 10 * physic.MilliOhm})
				want := hardwaretest.Sample(t, m.Dev)
				for range 2 {
					m.part.PowerCycle()
					time.Sleep(time.Minute) // it converts, in its own set-up
					var b hardware.Batch
					if err := m.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrNoData) || len(b.Values) != 0 {
						t.Fatalf("after a brown-out: %v, %v", b.Values, err)
					}
					if diff := cmp.Diff(want.Values, hardwaretest.Sample(t, m.Dev).Values); diff != "" {
						t.Errorf("set up again (-before +after):\n%s", diff)
					}
				}
			})
		})
	}
}

// The result of one conversion is given once.
func TestOldConversionIsNoNewOne(t *testing.T) {
	for model := range parts {
		t.Run(model, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMonitor(t, ina2xx.Opts{Model: model, Shunt: 10 * physic.MilliOhm})
				var b hardware.Batch
				for when, err := range []error{m.Sense(t.Context(), &b), m.Sense(t.Context(), &b)} {
					if !errors.Is(err, hardware.ErrNoData) || len(b.Values) != 0 {
						t.Errorf("call %d, before a conversion: %v, %v", when, b.Values, err)
					}
				}
				hardwaretest.Sample(t, m.Dev)
				if err := m.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrNoData) || len(b.Values) != 0 {
					t.Errorf("right after a sample: %v, %v", b.Values, err)
				}
				m.part.Set(emulated.Feed{Bus: 5})
				if b := hardwaretest.Sample(t, m.Dev); !strings.HasPrefix(b.Values[1].String(), "5.00") {
					t.Errorf("the next one is %v", b.Values)
				}
			})
		})
	}
}

// The calibration is never 0, whatever the shunt: periph's driver takes one that
// rounds to it, and then measures no current.
func TestCalibrationIsSet(t *testing.T) {
	for _, shunt := range []physic.ElectricResistance{physic.MicroOhm, 100 * physic.MilliOhm, physic.KiloOhm} {
		for model, address := range map[string]byte{"ina219": 5, "ina226": 5, "ina228": 2} {
			synctest.Test(t, func(t *testing.T) {
				m := newMonitor(t, ina2xx.Opts{Model: model, Shunt: shunt})
				hardwaretest.Sample(t, m.Dev)
				if m.part.Register(address) == 0 {
					t.Errorf("%s, %s: the calibration is 0", model, shunt)
				}
			})
		}
	}
}

// No error of the bus is dropped, whichever transfer of set-up or sample it strikes:
// periph's driver drops some and gives all of them the same text.
func TestEveryTransferMayFail(t *testing.T) {
	for model := range parts {
		synctest.Test(t, func(t *testing.T) {
			for good := 0; ; good++ {
				m := newMonitor(t, ina2xx.Opts{Model: model, Shunt: physic.Ohm})
				struck := false
				n := 0
				m.bus.SetFaults(ina2xx.Address, func() emulated.Fault {
					if n++; n == good+1 {
						struck = true
						return emulated.NACK
					}
					return emulated.NoFault
				})
				var b hardware.Batch
				var err error
				for tries := 0; tries < 20 && !struck; tries++ {
					err = m.Sense(t.Context(), &b)
					if err == nil && !struck {
						return // a sample is over before
					}
					time.Sleep(50 * time.Millisecond)
				}
				var e *hardware.Error
				if !errors.Is(err, hardware.ErrAbsent) || !errors.As(err, &e) || !strings.Contains(e.Op, "register 0x") || len(b.Values) != 0 {
					t.Fatalf("%s, transfer %d: %v, %v", model, good, b.Values, err)
				}
			}
		})
	}
}

func TestHaltSwitchesOff(t *testing.T) {
	for model, mode := range map[string]func(m *monitor) uint64{
		"ina219": func(m *monitor) uint64 { return m.part.Register(0) & 7 },
		"ina226": func(m *monitor) uint64 { return m.part.Register(0) & 7 },
		"ina228": func(m *monitor) uint64 { return m.part.Register(1) >> 12 & 7 },
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMonitor(t, ina2xx.Opts{Model: model})
			hardwaretest.Sample(t, m.Dev)
			if err := m.Halt(); err != nil || mode(m) != 0 {
				t.Errorf("%s: %v, mode %d", model, err, mode(m))
			}
		})
	}
}

func TestProbe(t *testing.T) {
	for model, want := range map[string]hardware.Confidence{"ina219": hardware.Possible, "ina226": hardware.Certain, "ina228": hardware.Certain} {
		m := newMonitor(t, ina2xx.Opts{Model: model})
		id, sure, err := m.Probe(t.Context())
		if err != nil || sure != want || id.Manufacturer != "Texas Instruments" || !strings.HasSuffix(id.Model, strings.ToUpper(model)) {
			t.Errorf("%s: %+v, %s, %v", model, id, sure, err)
		}
	}
	for model, other := range map[string]string{"ina219": "ina226", "ina226": "ina219", "ina228": "ina226"} {
		m := newMonitor(t, ina2xx.Opts{Model: other})
		d, err := ina2xx.NewI2C(m.bus, ina2xx.Address, &ina2xx.Opts{Model: model})
		if err != nil {
			t.Fatal(err)
		}
		if _, sure, err := d.Probe(t.Context()); sure != hardware.NotFound || err == nil {
			t.Errorf("an %s is taken for an %s: %s, %v", other, model, sure, err)
		}
		var b hardware.Batch
		if err := d.Sense(t.Context(), &b); err == nil || errors.Is(err, hardware.ErrNoData) || m.part.Settings() != 0 {
			t.Errorf("an %s was set up as an %s: %v", other, model, err)
		}
	}
}

func TestNewI2CRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		address uint16
		opts    *ina2xx.Opts
	}{
		"no model": {0x40, nil}, "another model": {0x40, &ina2xx.Opts{Model: "ina220"}},
		"low address": {0x3F, &ina2xx.Opts{Model: "ina219"}}, "high address": {0x50, &ina2xx.Opts{Model: "ina219"}},
		"negative shunt": {0x40, &ina2xx.Opts{Model: "ina219", Shunt: -physic.Ohm}},
		"tiny shunt":     {0x40, &ina2xx.Opts{Model: "ina219", Shunt: 999}},
		"huge shunt":     {0x40, &ina2xx.Opts{Model: "ina219", Shunt: physic.KiloOhm + 1}},
	} {
		if d, err := ina2xx.NewI2C(emulated.NewBus("x"), c.address, c.opts); err == nil {
			t.Errorf("%s: %s was made", name, d)
		}
	}
}

func TestParseShunt(t *testing.T) {
	for text, want := range map[string]physic.ElectricResistance{
		"0.1": 100 * physic.MilliOhm, ".002": 2 * physic.MilliOhm, "0.00075": 750 * physic.MicroOhm, "1": physic.Ohm, "0.000001": physic.MicroOhm,
		"0.100000000000": 100 * physic.MilliOhm, "1000": physic.KiloOhm, "0.123456789": 123456789,
	} {
		if got, err := ina2xx.ParseShunt(text); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", ".", "0", "-0.1", "0.0000001", "1001", "0.1234567891", "1e-3", "0,1", "0.1 ohm", "0.1.1", "+1", "99999"} {
		if got, err := ina2xx.ParseShunt(text); err == nil {
			t.Errorf("%q is %s", text, got)
		}
	}
}

func decoder(t testing.TB, model, shunt string) *ina2xx.Dev {
	t.Helper()
	opts := &ina2xx.Opts{Model: model}
	if shunt != "" {
		var err error
		if opts.Shunt, err = ina2xx.ParseShunt(shunt); err != nil {
			t.Fatal(err)
		}
	}
	d, err := ina2xx.NewI2C(nil, ina2xx.Address, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The data sheet's worked example (INA219, 8.5.1.1 and table 8: 10 A through 2 mOhm at
// 11.98 V) and what could become of it.
func TestDecodeRegisters(t *testing.T) {
	example := []string{"shunt_voltage 0.02000 V gauge ok", "voltage_dc 11.980 V gauge ok", "current_dc 10.000000 A gauge ok", "power_dc 119.800000 W gauge ok"}
	marked := func(rows []string, quality string, which ...int) []string {
		rows = append([]string(nil), rows...)
		for _, i := range which {
			rows[i] = strings.TrimSuffix(rows[i], "ok") + quality
		}
		return rows
	}
	for name, c := range map[string]struct {
		shunt    string
		text     string
		rows     []string
		warnings []string
		class    error
	}{
		"the example":            {"0.002", "0: 199f 07d0 5d9a 1766 2710 5000", example, nil, nil},
		"in hex, out of order":   {"0.002", "0x05: 5000\n0x00: 199f 07d0 5d9a 1766 2710", example, nil, nil},
		"measurements alone":     {"0.002", "1: 07d0 5d9a", example, nil, nil},
		"no shunt given":         {"", "1: 07d0 5d9a", example[:2], []string{"skipped: current_dc, power_dc: shunt_ohm is not given"}, nil},
		"not ready":              {"0.002", "1: 07d0 5d98", example, []string{"conversion_not_ready: the numbers were read before"}, nil},
		"overflow":               {"0.002", "1: 07d0 5d9b", marked(example, "overflow", 2, 3), nil, nil},
		"calibration lost":       {"0.002", "0: 399f 07d0 5d9a 0000 0000 0000", example, []string{"register_disagrees: calibration is 0: the part calculates no current, as after a loss of power"}, nil},
		"current 2 % off":        {"0.002", "0: 199f 07d0 5d9a 1766 27d8 5000", example, []string{"register_disagrees: current_dc"}, nil},
		"current 0.9 % off":      {"0.002", "0: 199f 07d0 5d9a 1766 276a 5000", example, nil, nil},
		"power 2 % off":          {"0.002", "0: 199f 07d0 5d9a 17e0 2710 5000", example, []string{"register_disagrees: power_dc"}, nil},
		"negative":               {"0.1", "1: fc18 5dc2", []string{"shunt_voltage -0.01000 V gauge ok", "voltage_dc 12.000 V gauge ok", "current_dc -0.100000 A gauge ok", "power_dc -1.200000 W gauge ok"}, nil, nil},
		"a power-down":           {"0.002", "0: 1998 07d0 5d9a", marked(example, "stale", 0, 1, 2, 3), nil, nil},
		"the bus alone":          {"0.002", "0: 199e 07d0 5d9a", marked(example, "stale", 0, 2, 3), nil, nil},
		"the 16 V range is full": {"0.1", "0: 199f 0000 7d02", []string{"shunt_voltage 0.00000 V gauge ok", "voltage_dc 16.000 V gauge saturated", "current_dc 0.000000 A gauge ok", "power_dc 0.000000 W gauge saturated"}, nil, nil},
		"the 40 mV range is full": {"0.1", "0: 219f 0fa0 5dc2", []string{"shunt_voltage 0.04000 V gauge saturated", "voltage_dc 12.000 V gauge ok",
			"current_dc 0.400000 A gauge saturated", "power_dc 4.800000 W gauge saturated"}, nil, nil},
		"no bus voltage": {"0.002", "0: 199f 07d0", []string{example[0], example[2]}, []string{"skipped: voltage_dc", "skipped: power_dc"}, nil},
		"no shunt":       {"0.002", "2: 5d9a", example[1:2], []string{"skipped: shunt_voltage", "skipped: current_dc, power_dc"}, nil},
		"set-up alone":   {"0.002", "0: 199f\n5: 5000", nil, nil, nil},
		"nothing":        {"0.002", "", nil, nil, nil},
		"just powered":   {"0.002", "0: 399f 0000 0000 0000 0000 0000", nil, nil, hardware.ErrNoData},
		"an ina226":      {"0.002", "0: 4127 07d0 2570 0000 0000 0000", nil, nil, hardware.ErrWrongDevice},
		"two digits":     {"0.002", "0: 19 9f", nil, nil, hardware.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := hardware.ParseRegisters([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			d := decoder(t, "ina219", c.shunt)
			b := hardware.Batch{Values: []hardware.Value{{Mantissa: 7}}, Warnings: []string{"old"}}
			err = d.DecodeRegisters(r, &b)
			if hardware.Class(err) != c.class || err != nil && len(b.Values) != 0 {
				t.Errorf("got %v, want %v", err, c.class)
			}
			if diff := cmp.Diff(c.rows, hardwaretest.Rows(d.Describe(), &b)); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.warnings, append([]string(nil), b.Warnings...)); err == nil && diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// A dump of an INA228 has values as wide as its registers, and gives what the exchanges
// that read them do.
func TestDecodeWideRegisters(t *testing.T) {
	const dump = "0: 0000 fb6b 1000\n4: 0fa000 0ef9a0 0c80 0fa000\n9: 0000000001\n0x0b: 0003\n0x3e: 5449 2281"
	d := decoder(t, "ina228", "0.002")
	read := func(text string) (b hardware.Batch, err error) {
		t.Helper()
		r, err := hardware.ParseRegisters([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return b, d.DecodeRegisters(r, &b)
	}
	b, err := read(dump)
	want := []string{"shunt_voltage 0.0200000000 V gauge ok", "voltage_dc 11.9800781250 V gauge ok", "current_dc 10.000000 A gauge ok", "power_dc 119.800781 W gauge ok", "temperature 25.0000000 Cel gauge ok"}
	if diff := cmp.Diff(want, hardwaretest.Rows(d.Describe(), &b)); err != nil || diff != "" {
		t.Errorf("%v, values (-want +got):\n%s", err, diff)
	}
	if b.Identity.Model != d.Describe().Part {
		t.Errorf("identity %+v", b.Identity)
	}
	var same hardware.Batch
	var recording strings.Builder
	for _, line := range []string{"00 0000", "01 fb6b", "02 1000", "04 0fa000", "05 0ef9a0", "06 0c80", "07 0fa000", "09 0000000001", "0b 0003", "3e 5449", "3f 2281"} {
		address, word, _ := strings.Cut(line, " ")
		fmt.Fprintf(&recording, "> %s\n< %s\n", address, word)
	}
	if err := d.Decode(hardwaretest.Recording(t, recording.String()), &same); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fmt.Sprint(same.Values, same.Warnings), fmt.Sprint(b.Values, b.Warnings)); diff != "" {
		t.Errorf("dump differs from exchanges (-exchanges +dump):\n%s", diff)
	}
	for name, text := range map[string]string{"too narrow": "4: 0000", "too wide": "1: 0fa000", "energy too narrow": "9: 000000", "bytes": "4: 0f"} {
		if b, err := read(text); !errors.Is(err, hardware.ErrMalformed) || len(b.Values) > 0 {
			t.Errorf("%s: %v, %v", name, b.Values, err)
		}
	}
	if _, err := read("0x3e: 5449 2260"); !errors.Is(err, hardware.ErrWrongDevice) {
		t.Errorf("another part's number: %v", err)
	}
}

func TestDecode(t *testing.T) {
	example := []string{"shunt_voltage 0.02000 V gauge ok", "voltage_dc 11.980 V gauge ok", "current_dc 10.000000 A gauge ok", "power_dc 119.800000 W gauge ok"}
	of226 := []string{"shunt_voltage 0.0200000 V gauge ok", "voltage_dc 11.98000 V gauge ok", "current_dc 10.000000 A gauge ok", "power_dc 119.800000 W gauge ok"}
	for name, c := range map[string]struct {
		model    string
		text     string
		rows     []string
		warnings []string
		class    error
	}{
		"reads":                {"ina219", "> 02\n< 5d 9a\n> 01\n< 07 d0", example, nil, nil},
		"a later one":          {"ina219", "> 02\n< 00 00\n> 01\n< 00 00\n> 02\n< 5d 9a\n> 01\n< 07 d0", example, nil, nil},
		"with set-up":          {"ina219", "> 05 50 00\n> 00 19 9f\n> 02\n< 5d 9a\n> 01\n< 07 d0\n> 04\n< 27 10\n> 03\n< 17 66", example, nil, nil},
		"unasked":              {"ina219", "07 d0 5d 9a", example, nil, nil},
		"all six unasked":      {"ina219", "19 9f 07 d0 5d 9a 17 66 27 10 50 00", example, nil, nil},
		"a reset":              {"ina219", "> 01\n< 07 d0\n> 00 80 00", nil, nil, nil},
		"one byte of two":      {"ina219", "> 02\n< 5d", nil, nil, hardware.ErrTruncated},
		"no answer":            {"ina219", "> 02", nil, nil, hardware.ErrTruncated},
		"three bytes":          {"ina219", "> 02\n< 5d 9a 00", nil, nil, hardware.ErrWrongReply},
		"three unasked":        {"ina219", "07 d0 5d", nil, nil, hardware.ErrTruncated},
		"five unasked":         {"ina219", "07 d0 5d 9a 00", nil, nil, hardware.ErrWrongReply},
		"no such register":     {"ina219", "> fe\n< 54 49", nil, nil, hardware.ErrWrongDevice},
		"half a write":         {"ina219", "> 05 50", nil, nil, hardware.ErrMalformed},
		"a write that answers": {"ina219", "> 05 50 00\n< 00 00", nil, nil, hardware.ErrMalformed},
		// INA226, table 7-5 of its example: 10 A through 2 mOhm at 11.98 V.
		"an ina226":         {"ina226", "> 06\n< 00 08\n> 01\n< 1f 40\n> 02\n< 25 70\n> 05\n< 0a 00\n> 04\n< 27 10\n> 03\n< 12 b8", of226, nil, nil},
		"its calculations":  {"ina226", "> 06\n< 00 0c\n> 01\n< 1f 40\n> 02\n< 25 70", []string{of226[0], of226[1], "current_dc 10.000000 A gauge overflow", "power_dc 119.800000 W gauge overflow"}, nil, nil},
		"its waiting":       {"ina226", "> 06\n< 00 00\n> 01\n< 1f 40\n> 02\n< 25 70", of226, []string{"conversion_not_ready: the numbers were read before"}, nil},
		"its name":          {"ina226", "> fe\n< 54 49\n> ff\n< 22 60", nil, nil, nil},
		"another's name":    {"ina226", "> fe\n< 54 49\n> ff\n< 23 80", nil, nil, hardware.ErrWrongDevice},
		"another's set-up":  {"ina226", "> 00\n< 39 9f", nil, nil, hardware.ErrWrongDevice},
		"another's maker":   {"ina228", "> 3e\n< 00 00", nil, nil, hardware.ErrWrongDevice},
		"an ina228":         {"ina228", "> 0b\n< 00 03\n> 04\n< 0f a0 00\n> 05\n< 0e f9 a0\n> 06\n< 0c 80\n> 07\n< 0f a0 00\n> 02\n< 10 00", []string{"shunt_voltage 0.0200000000 V gauge ok", "voltage_dc 11.9800781250 V gauge ok", "current_dc 10.000000 A gauge ok", "power_dc 119.800781 W gauge ok", "temperature 25.0000000 Cel gauge ok"}, nil, nil},
		"its narrow range":  {"ina228", "> 00\n< 00 10\n> 04\n< 3e 80 00\n> 05\n< 0e f9 a0\n> 06\n< 0c 80", []string{"shunt_voltage 0.020000000000 V gauge ok", "voltage_dc 11.9800781250 V gauge ok", "current_dc 10.000000 A gauge ok", "power_dc 119.800781 W gauge ok", "temperature 25.0000000 Cel gauge ok"}, nil, nil},
		"unasked bytes":     {"ina228", "0f a0 00 0e f9 a0", []string{"shunt_voltage 0.0200000000 V gauge ok", "voltage_dc 11.9800781250 V gauge ok", "current_dc 10.000000 A gauge ok", "power_dc 119.800781 W gauge ok"}, []string{"skipped: temperature"}, nil},
		"its energy":        {"ina228", "> 09\n< 00 00 00 00 01", nil, nil, nil},
		"its energy, short": {"ina228", "> 09\n< 00 00 00 01", nil, nil, hardware.ErrTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			d := decoder(t, c.model, "0.002")
			b, err := hardwaretest.CheckDecode(t, d, hardwaretest.Recording(t, c.text))
			if !errors.Is(err, c.class) || (err == nil) != (c.class == nil) {
				t.Errorf("got %v, want %v", err, c.class)
			}
			if diff := cmp.Diff(c.rows, hardwaretest.Rows(d.Describe(), b)); diff != "" {
				t.Errorf("values (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.warnings, append([]string(nil), b.Warnings...)); err == nil && diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
			if name == "its name" && b.Identity != (hardware.Identity{Manufacturer: "Texas Instruments", Model: "Texas Instruments INA226"}) {
				t.Errorf("identity %+v", b.Identity)
			}
		})
	}
}

// Current and power are the exact quotients, rounded once, half away from zero.
func TestValuesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shunt := rapid.Int64Range(int64(physic.MicroOhm), int64(physic.KiloOhm)).Draw(t, "nOhm")
		v := rapid.Int16().Draw(t, "shunt word")
		bus := rapid.Uint16().Draw(t, "bus word")
		d, err := ina2xx.NewI2C(nil, ina2xx.Address, &ina2xx.Opts{Model: "ina219", Shunt: physic.ElectricResistance(shunt)})
		if err != nil {
			t.Fatal(err)
		}
		var recorded hardware.Transcript
		recorded.Receive(binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, uint16(v)), bus))
		var b hardware.Batch
		if err := d.Decode(&recorded, &b); err != nil {
			t.Fatal(err)
		}
		amperes := new(big.Rat).Quo(big.NewRat(int64(v), 100_000), big.NewRat(shunt, 1_000_000_000))
		watts := new(big.Rat).Mul(amperes, big.NewRat(int64(bus>>3)*4, 1000))
		for i, want := range map[int]*big.Rat{2: amperes, 3: watts} {
			if got := b.Values[i].String(); got != want.FloatString(6) && got != strings.TrimPrefix(want.FloatString(6), "-") {
				t.Fatalf("%d over %d nOhm at %#04x: %s is %s, want %s", v, shunt, bus, d.Describe().Channels[i].Name, got, want.FloatString(6))
			}
		}
	})
}

func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("testdata/*.transcript")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		model, _, _ := strings.Cut(filepath.Base(file), ".")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := decoder(t, model, "0.01")
		b, err := hardwaretest.CheckDecode(t, d, hardwaretest.Recording(t, string(text)))
		if err != nil || len(b.Values) < 4 || b.Values[2].String() != "-2.000000" || b.Values[3].String() != "-48.000000" || len(b.Warnings) != 0 {
			t.Errorf("%s: %v, %q, %v", file, b.Values, b.Warnings, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	synthetic := map[string]*hardware.Transcript{}
	d := decoder(f, "ina228", "0.01")
	for model := range parts {
		m := newMonitor(f, ina2xx.Opts{Model: model, Shunt: 10 * physic.MilliOhm, Now: func() time.Duration { return time.Hour }})
		var b hardware.Batch
		if err := m.Sense(context.Background(), &b); !errors.Is(err, hardware.ErrNoData) {
			f.Fatal(err)
		}
		recorded := b.Evidence.Clone()
		synthetic[model] = &recorded
	}
	hardwaretest.FuzzDecode(f, d, synthetic["ina219"], synthetic["ina226"], synthetic["ina228"],
		hardwaretest.Recording(f, "> 04\n< 0f a0 00\n> 05\n< 0e f9 a0"))
}

func FuzzDecodeRegisters(f *testing.F) {
	f.Add("ina219", []byte("0: 199f 07d0 5d9a 1766 2710 5000"))
	f.Add("ina228", []byte("0: 0000 fb6b 1000\n4: 0fa000 0ef9a0 0c80 0fa000\n9: 0000000001\n0x3e: 5449 2281"))
	f.Add("ina226", []byte("0: 4727 1f40 2570 12b8 2710 0a00 0008\n254: 5449 2260"))
	f.Fuzz(func(t *testing.T, model string, text []byte) {
		r, err := hardware.ParseRegisters(text)
		if err != nil || parts[model] == nil {
			return
		}
		d := decoder(t, model, "0.000001")
		var b, again hardware.Batch
		first, second := d.DecodeRegisters(r, &b), d.DecodeRegisters(r, &again)
		if first != nil && (hardware.Class(first) == nil || len(b.Values) != 0) || hardware.Class(first) != hardware.Class(second) {
			t.Errorf("%v, then %v, with %v", first, second, b.Values)
		}
		if diff := cmp.Diff(fmt.Sprint(b.Values, b.Warnings), fmt.Sprint(again.Values, again.Warnings)); diff != "" {
			t.Error(diff)
		}
	})
}
