package obis_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/obis"
)

func TestParse(t *testing.T) {
	const no = obis.Unsaid
	for text, want := range map[string]obis.Code{
		"1-0:1.8.0*255": {1, 0, 1, 8, 0, 255}, "1.8.0": {no, no, 1, 8, 0, no}, "0-1:24.2.1": {0, 1, 24, 2, 1, no},
		"1:2.8.0": {no, 1, 2, 8, 0, no}, "2.7": {no, no, 2, 7, no, no}, "1.8.0&03": {no, no, 1, 8, 0, 3}, "255-255:255.255.255*255": {255, 255, 255, 255, 255, 255},
	} {
		if got, ok := obis.Parse([]byte(text)); !ok || got != want {
			t.Errorf("%s: got %v %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "1", "1.", ".8.0", "F.F", "C.1.0", "1-0", "1-1.8.0", "1-0:", "1-0:1.8.0*", "1.8.0*256", "1.8.0 ", "1.8.0.1", "256.8.0", "0001.8.0", "-1.8.0", "1..0", "1.8.0)"} {
		if got, ok := obis.Parse([]byte(text)); ok {
			t.Errorf("%q is read as %v", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1-0:1.8.0*255")
	f.Add("24.2")
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := obis.Parse([]byte(text))
		if !ok {
			return
		}
		if again, ok := obis.Parse([]byte(c.String())); !ok || again != c {
			t.Errorf("%q is %v, which comes back as %v, %v", text, c, again, ok)
		}
	})
}

// The whole table, code by code.
func TestTable(t *testing.T) {
	want := map[string]string{
		"1.8.0": "active_energy_import", "1.8.1": "active_energy_import_t1", "1.8.4": "active_energy_import_t4",
		"2.8.0": "active_energy_export", "2.8.2": "active_energy_export_t2", "15.8.0": "active_energy_absolute",
		"3.8.0": "reactive_energy_import", "3.8.1": "reactive_energy_import_t1", "3.8.2": "reactive_energy_import_t2",
		"4.8.0": "reactive_energy_export", "4.8.2": "reactive_energy_export_t2",
		"5.8.0": "reactive_energy_q1", "6.8.0": "reactive_energy_q2", "7.8.0": "reactive_energy_q3", "8.8.0": "reactive_energy_q4",
		"1.7.0": "active_power_import", "2.7.0": "active_power_export", "16.7.0": "active_power", "15.7.0": "active_power_absolute",
		"21.7.0": "active_power_import_l1", "41.7.0": "active_power_import_l2", "61.7.0": "active_power_import_l3",
		"22.7.0": "active_power_export_l1", "42.7.0": "active_power_export_l2", "62.7.0": "active_power_export_l3",
		"36.7.0": "active_power_l1", "56.7.0": "active_power_l2", "76.7.0": "active_power_l3",
		"3.7.0": "reactive_power_import", "4.7.0": "reactive_power_export", "5.7.0": "reactive_power_q1", "8.7.0": "reactive_power_q4",
		"32.7.0": "voltage_l1", "52.7.0": "voltage_l2", "72.7.0": "voltage_l3",
		"31.7.0": "current_l1", "51.7.0": "current_l2", "71.7.0": "current_l3", "91.7.0": "current_n",
		"13.7.0": "power_factor", "33.7.0": "power_factor_l1", "53.7.0": "power_factor_l2", "73.7.0": "power_factor_l3", "14.7.0": "frequency",
		"1.4.0": "active_demand_import", "1.6.0": "active_demand_import_peak",
		"31.4.0": "current_limit_l1", "51.4.0": "current_limit_l2", "71.4.0": "current_limit_l3",
		"96.14.0": "tariff", "17.0.0": "power_limit", "96.7.21": "power_failures", "96.7.9": "long_power_failures",
		"32.32.0": "voltage_sags_l1", "52.32.0": "voltage_sags_l2", "72.32.0": "voltage_sags_l3",
		"32.36.0": "voltage_swells_l1", "52.36.0": "voltage_swells_l2", "72.36.0": "voltage_swells_l3",
	}
	units := map[hardware.Unit]string{hardware.Ratio: "", hardware.Count: ""}
	for code, name := range want {
		unit, _, ok := hardware.Lookup(name)
		if !ok {
			t.Errorf("%s: no channel is named %s", code, name)
			continue
		}
		written, bare := units[unit]
		if !bare {
			written = "*" + string(unit)
		}
		// Beside the powers of export, those of import are what they are called.
		text := fmt.Sprintf("%s(1%s)", code, written)
		for _, beside := range []string{"2.7.0", "22.7.0", "42.7.0", "62.7.0"} {
			if beside != code {
				text += fmt.Sprintf("%s(0*W)", beside)
			}
		}
		all := read(t, text)
		if all[name] != "1" || len(all) > 5 {
			t.Errorf("%s: got %v, want %s", code, all, name)
		}
	}
	for _, code := range []string{"0-0:1.8.0", "7-0:1.8.0", "1-0:98.1.0", "1-0:99.97.0", "1.8.5", "1.29.0", "7-0:96.14.0"} {
		if all := read(t, code+"(1*kWh)"); len(all) != 0 {
			t.Errorf("%s: got %v", code, all)
		}
	}
}

// read reads a text into names and numbers.
func read(t testing.TB, text string) map[string]string {
	t.Helper()
	var m obis.Message
	var b hardware.Batch
	if err := m.ReadText([]byte(text), &b); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	m.Fill(&b, 0)
	all := map[string]string{}
	for _, v := range b.Values {
		all[obis.Channels()[v.Channel].Name] = v.String()
	}
	return all
}

func TestFirstPresentValueCounts(t *testing.T) {
	for text, want := range map[string]string{
		"1.8.0(1*Wh)1.8.0(2*Wh)":                     "1",
		"1.8.0*01(1*Wh)1.8.0(2*Wh)1.8.0(3*Wh)":       "2",
		"1.8.0*01(1*Wh)1-0:1.8.0*255(2*Wh)":          "2",
		"1-0:1.8.0*255(2*Wh)1-1:1.8.0*255(3*Wh)":     "2",
		"1.8.0*01(1*Wh)1.8.0*02(2*Wh)":               "1",
		"1.8.0*255(9223372036854775807*Wh)1.8(1*Wh)": "9223372036854775807",
	} {
		if got := read(t, text)["active_energy_import"]; got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestUnits(t *testing.T) {
	type unit struct {
		Unit     hardware.Unit
		Exponent int8
	}
	for text, want := range map[string]unit{
		"": {"", 0}, "kWh": {"Wh", 3}, "MWh": {"Wh", 6}, "GWh": {"Wh", 9}, "Wh": {"Wh", 0}, "KWH": {"Wh", 3}, "kW": {"W", 3}, "W": {"W", 0}, "mW": {"W", -3}, "MW": {"W", 6},
		"kvarh": {"varh", 3}, "kVArh": {"varh", 3}, "kvar": {"var", 3}, "VAr": {"var", 0}, "kVA": {"VA", 3}, "VA": {"VA", 0}, "V": {"V", 0}, "mV": {"V", -3},
		"A": {"A", 0}, "mA": {"A", -3}, "Hz": {"Hz", 0}, "m3": {"m3", 0}, "GJ": {"J", 9}, "MJ": {"J", 6},
		"s": {obis.Unknown, 0}, "kk": {obis.Unknown, 0}, "%": {obis.Unknown, 0}, "dm3": {obis.Unknown, 0}, "k": {obis.Unknown, 0},
	} {
		if u, e := obis.ParseUnit([]byte(text)); (unit{u, e}) != want {
			t.Errorf("%q: got %s x 10^%d", text, u, e)
		}
	}
}

// Whatever digits a meter sends, they come out again: rule 3 of values.
func TestDigitsAsSent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := rapid.StringMatching(`(0|[1-9][0-9]{0,11})`).Draw(t, "whole")
		fraction := rapid.StringMatching(`(\.[0-9]{1,6})?`).Draw(t, "fraction")
		sign := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign")
		zeros := rapid.StringMatching(`0{0,4}`).Draw(t, "zeros")
		m, e, ok, overflow := obis.ParseNumber([]byte(sign + zeros + whole + fraction))
		want := sign + whole + fraction
		if !strings.ContainsAny(want, "123456789") {
			want = strings.TrimPrefix(want, "-")
		}
		if got := (hardware.Value{Mantissa: m, Exponent: e}).String(); !ok || overflow || got != want {
			t.Fatalf("got %s %v %v, want %s", got, ok, overflow, want)
		}
	})
}

func TestNoNumbers(t *testing.T) {
	for _, text := range []string{"", "-", "+", ".", "1.", ".5", "1.2.3", "1,5", "1e3", "0x10", "--1", " 1", "1 ", "NaN", "1_0"} {
		if m, e, ok, _ := obis.ParseNumber([]byte(text)); ok {
			t.Errorf("%q is read as %d x 10^%d", text, m, e)
		}
	}
	for text, over := range map[string]bool{
		"9223372036854775807": false, "9223372036854775808": true, "-9223372036854775807": false, "99999999999999999999.5": true,
		"000000000000000000000000001": false, "922337203685477580.8": true, "922337203685477580.7": false,
	} {
		if _, _, ok, overflow := obis.ParseNumber([]byte(text)); !ok || overflow != over {
			t.Errorf("%q: %v, overflow %v", text, ok, overflow)
		}
	}
}

func TestIdentification(t *testing.T) {
	for line, want := range map[string]hardware.Identity{
		`/ISk5\2MT382-1000`: {Manufacturer: "ISk", Model: "MT382-1000"}, "/KFM5KAIFA-METER": {Manufacturer: "KFM", Model: "KAIFA-METER"},
		`/Ene5\XS210 ESMR 5.0`: {Manufacturer: "Ene", Model: "XS210 ESMR 5.0"}, "/ABC5": {Manufacturer: "ABC"}, `/ABC5\`: {Manufacturer: "ABC"},
	} {
		if got, speed, err := obis.Identification([]byte(line)); err != nil || speed != '5' || cmp.Diff(want, got) != "" {
			t.Errorf("%s: got %+v, %q, %v", line, got, speed, err)
		}
	}
	for _, line := range []string{"", "/", "/AB5x", "ABC5x", "/ABC", "/1BC5x"} {
		if got, _, err := obis.Identification([]byte(line)); hardware.Class(err) != hardware.ErrMalformed {
			t.Errorf("%q: got %+v, %v", line, got, err)
		}
	}
}

func FuzzReadText(f *testing.F) {
	f.Add([]byte("1-0:1.8.0*255(00012.345*kWh)\r\n0-1:24.1.0(003)\r\n0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00001.001)"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var m obis.Message
		var b hardware.Batch
		if err := m.ReadText(text, &b); err != nil {
			if hardware.Class(err) != hardware.ErrMalformed {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		m.Fill(&b, 0)
		for _, v := range b.Values {
			if int(v.Channel) >= len(obis.Channels()) {
				t.Errorf("%q: channel %d", text, v.Channel)
			}
		}
	})
}
