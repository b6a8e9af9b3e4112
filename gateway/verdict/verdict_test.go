package verdict_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/gateway/console"
	"wattmark/gateway/verdict"
)

// values reads "channel=value" or "channel=value:quality".
func values(list ...string) []console.Value {
	var all []console.Value
	for _, s := range list {
		channel, rest, _ := strings.Cut(s, "=")
		value, quality, ok := strings.Cut(rest, ":")
		if !ok {
			quality = "ok"
		}
		all = append(all, console.Value{Channel: channel, Value: value, Quality: quality})
	}
	return all
}

// phases are three phases at 230 V with these powers at power factor 1.
func phases(l1, l2, l3 float64) []console.Value {
	var list []string
	for i, p := range []float64{l1, l2, l3} {
		n := strconv.Itoa(i + 1)
		list = append(list, "voltage_l"+n+"=230", "current_l"+n+"="+strconv.FormatFloat(math.Abs(p)/230, 'f', 3, 64),
			"active_power_l"+n+"="+strconv.FormatFloat(p, 'f', 1, 64))
	}
	return values(append(list, "active_power="+strconv.FormatFloat(l1+l2+l3, 'f', 1, 64))...)
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []console.Value
		want   []string // texts; a fault begins with "!"
	}{
		{"nothing", nil, nil},
		{"a number that is none", values("active_power=twelve"), nil},
		{"importing", values("active_power=1200"), []string{"importing 1.2 kW"}},
		{"exporting", values("active_power=-412.4"), []string{"exporting 412 W"}},
		{"at rest", values("active_power=0.3"), []string{"nothing flows"}},
		{"two registers", values("active_power_import=0", "active_power_export=2500"), []string{"exporting 2.5 kW"}},
		{"without a sign", values("active_power=75:no_sign"), []string{"75 W flow; this part cannot tell import from export"}},
		{"an inverter", values("active_power_generated=3456"), []string{"generating 3.46 kW"}},
		{"an inverter at night", values("active_power_generated=0"), []string{"generating nothing"}},
		{"a battery", values("power_dc=-48.2"), []string{"direct current, -48.2 W"}},
		{"three phases", phases(500, 400, 300), []string{"importing 1.2 kW"}},
		{"export on all", phases(-500, -400, -300), []string{"exporting 1.2 kW"}},
		{"a reversed clamp", phases(800, -500, 900), []string{"importing 1.2 kW",
			"!L2 clamp looks reversed: voltage in phase, power negative while L1 and L3 import"}},
		{"a little the other way", phases(800, -10, 900), []string{"importing 1.69 kW"}},
		{"two against one", phases(-800, -500, 900), []string{"exporting 400 W"}},
		{"a wrong phase", values("voltage_l1=230", "current_l1=5", "active_power=356.6"), []string{"importing 357 W",
			"!power factor 0.31: current and voltage of different phases?"}},
		{"a motor", values("voltage_l1=230", "current_l1=5", "active_power=800"), []string{"importing 800 W"}},
		{"a charger at rest", values("voltage_l1=230", "current_l1=0.3", "active_power=9"), []string{"importing 9 W"}},
		{"two phases swapped", values("voltage_l1=230", "voltage_l2=230", "voltage_l3=230", "current_l1=5", "current_l2=5", "current_l3=5",
			"active_power_l1=575", "active_power_l2=-575", "active_power_l3=1150"), []string{"importing 1.15 kW",
			"!L1 and L2 power factors down to 0.50: current and voltage of different phases?"}},
		{"a dead phase", values("voltage_l1=231", "voltage_l2=229", "voltage_l3=2", "active_power=900"), []string{"importing 900 W", "!L3 has no voltage"}},
		{"a neutral without load", values("current_l1=0.1", "current_l2=0", "current_l3=0.1", "current_n=3.2", "active_power=40"), []string{"importing 40 W",
			"!neutral current without load: 3.2 A, and the phases send 0.2 A"}},
		{"a neutral with load", values("current_l1=3.3", "current_l2=0", "current_l3=0.1", "current_n=3.2", "active_power=700"), []string{"importing 700 W"}},
		{"a total without signs", append(phases(800, -500, -900)[:9], values("active_power=2200")...), []string{"importing 2.2 kW",
			"!the total of 2.2 kW is not the sum of the phases, -600 W"}},
		{"low CO2", values("co2=312"), []string{"!CO2 of 312 ppm is less than outdoors"}},
		{"CO2", values("co2=812"), nil},
		{"doubts", values("voltage_dc=32:saturated", "pm1_0=3:warming_up", "pm2_5=3:warming_up", "pm10=3:warming_up"), []string{
			"!voltage_dc: at full scale: the truth is larger", "pm1_0 and 2 more: the part is warming up"}},
	} {
		var got []string
		for _, s := range verdict.Of(c.values) {
			text := s.Text
			if s.Fault {
				text = "!" + text
			}
			if s.Fault && s.Remedy == "" || s.Code == "" {
				t.Errorf("%s: %q has no code, or no remedy", c.name, s.Text)
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestExpect(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []console.Value
		flow   verdict.Flow
		want   string
	}{
		{"as it should", values("active_power=2000"), verdict.Import, "importing, as expected"},
		{"fed in", values("active_power=-2000"), verdict.Export, "exporting, as expected"},
		{"the wrong way", values("active_power=-2000"), verdict.Import, "!expected import, and it is exporting 2 kW"},
		{"the other wrong way", values("active_power=2000"), verdict.Export, "!expected export, and it is importing 2 kW"},
		{"nothing", values("active_power=1"), verdict.Import, "!expected import, and nothing flows"},
		{"no sign", values("active_power=2000:no_sign"), verdict.Import, "!this part cannot tell import from export"},
		{"no power", values("co2=2000"), verdict.Import, "!no channel tells which way power flows"},
		{"one phase", phases(800, -500, 900), verdict.Import, "!expected import, and L2 goes the other way with 500 W"},
		{"all phases", phases(-800, -500, -900), verdict.Export, "exporting, as expected"},
	} {
		s := verdict.Expect(c.values, c.flow)
		got := s.Text
		if s.Fault {
			got = "!" + got
		}
		if got != c.want || s.Fault != (s.Remedy != "") {
			t.Errorf("%s: %q with the remedy %q, want %q", c.name, got, s.Remedy, c.want)
		}
	}
}

func TestPower(t *testing.T) {
	for watts, want := range map[float64]string{
		0: "0 W", 0.04: "0 W", -0.04: "0 W", 4.24: "4.2 W", 99.94: "99.9 W", 99.96: "100 W", 412.4: "412 W", 999.4: "999 W", 999.6: "1 kW",
		1200: "1.2 kW", 1234: "1.23 kW", 12_340: "12.3 kW", 123_400: "123 kW", -2000: "-2 kW", 1.5e6: "1.5 MW",
	} {
		if got := verdict.Power(watts); got != want {
			t.Errorf("Power(%v) = %q, want %q", watts, got, want)
		}
	}
}

// TestMirror: what is said of a phase is said of each, whichever it is; and a supply
// that only imports, at a good power factor, is never suspected.
func TestMirror(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		watt := rapid.Float64Range(0, 20_000)
		a, b, c := watt.Draw(t, "l1"), watt.Draw(t, "l2"), watt.Draw(t, "l3")
		for _, s := range verdict.Of(phases(a, b, c)) {
			if s.Fault {
				t.Fatalf("importing %v %v %v W: %q", a, b, c, s.Text)
			}
		}
		a, b, c = a+25, b+25, c+25
		for i, list := range [][]console.Value{phases(-a, b, c), phases(b, -a, c), phases(b, c, -a)} {
			all := verdict.Of(list)
			n := strconv.Itoa(i + 1)
			found := false
			for _, s := range all {
				found = found || s.Code == "clamp_reversed" && strings.HasPrefix(s.Text, "L"+n)
			}
			if !found {
				t.Fatalf("L%s of %v %v %v W is not suspected: %v", n, a, b, c, all)
			}
		}
	})
}
