package dsmr_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/dsmr"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
)

var supply = emulated.Supply{
	Phases: [3]emulated.Phase{
		{Voltage: 230.2, Current: 2, Power: 460}, {Voltage: 231, Current: 0.25, Power: 57.75}, {Voltage: 229.9, Current: 10, Power: -100},
	},
	ImportWh: 12_345_678, ExportWh: 5_004,
}

func newDevice(t testing.TB, s hardware.Stream, opts *dsmr.Opts) *dsmr.Dev {
	t.Helper()
	d, err := dsmr.NewSerial(s, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	for _, version := range []int{22, 42, 50} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
				part := emulated.NewP1(version)
				part.Set(supply)
				part.SetGas(107)
				cable := emulated.NewCable(part)
				classes := map[emulated.Fault]error{
					emulated.Silence: nil, emulated.Truncated: hardware.ErrMalformed, emulated.Doubled: nil, emulated.Late: nil, emulated.Slow: nil,
				}
				if version >= 40 {
					classes[emulated.BadCRC], classes[emulated.FlippedBit] = hardware.ErrChecksum, hardware.ErrChecksum
				}
				return &hardwaretest.Bench{
					// After a telegram that is lost there is time for another.
					Device: newDevice(t, cable.Conn(), &dsmr.Opts{Now: now, Every: 2 * part.Period()}), Push: true,
					Faults: cable.SetFaults, Attach: cable.Plug, Exchanges: cable.Frames, Classes: classes,
				}
			})
		})
	}
}

// rows are the values of b as a person reads them.
func rows(d *dsmr.Dev, b *hardware.Batch) (all []string) {
	about := d.Describe()
	for _, v := range b.Values {
		c := about.Channels[v.Channel]
		row := fmt.Sprintf("%s %s %s", c.Name, v, c.Unit)
		if v.Quality != 0 {
			row += " " + v.Quality.String()
		}
		all = append(all, row)
	}
	return all
}

// told is what is told beside the values.
type told struct {
	Identity hardware.Identity
	Time     hardware.MeterTime
	Warnings []string
}

// decode decodes what a port sent, and checks what holds for all bytes.
func decode(t testing.TB, text string) (*dsmr.Dev, *hardware.Batch, error) {
	t.Helper()
	d := newDevice(t, nil, nil)
	var recorded hardware.Transcript
	recorded.Receive([]byte(text))
	b, err := hardwaretest.CheckDecode(t, d, &recorded)
	return d, b, err
}

// telegram is a telegram of version 5 with the given lines, as meters send it.
func telegram(lines ...string) string {
	t := `/ISk5\2MT382-1000` + "\r\n\r\n" + strings.Join(lines, "\r\n") + "\r\n!"
	return t + fmt.Sprintf("%04X\r\n", crc([]byte(t)))
}

// crc is the checksum by a table of nibbles, as it is done neither in the driver nor in
// the emulated meter.
func crc(b []byte) (r uint16) {
	for _, c := range b {
		for _, nibble := range []uint16{uint16(c) & 15, uint16(c) >> 4} {
			x := (r ^ nibble) & 15
			y := uint16(0)
			for range 4 {
				if x&1 != 0 {
					x = x>>1 ^ 0xA001
				} else {
					x >>= 1
				}
			}
			y = x
			r = r>>4 ^ y
		}
	}
	return r
}

var update = flag.Bool("update", false, "rewrite what the recordings decode to")

// The recordings are what their heads say; what they must decode to stands beside them.
func TestRecordings(t *testing.T) {
	files, err := filepath.Glob("testdata/*.telegram")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d recordings, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(strings.TrimSuffix(file, ".telegram") + ".want")
			if err != nil {
				t.Fatal(err)
			}
			d, b, err := decode(t, string(text))
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%+v\n%+v\n%q\n%s\n", b.Identity, b.MeterTime, b.Warnings, strings.Join(rows(d, b), "\n"))
			var facts []string // lines that begin with "#" say where it is from
			for line := range strings.Lines(string(want)) {
				if !strings.HasPrefix(line, "#") {
					facts = append(facts, line)
				}
			}
			if *update {
				head, _, _ := strings.Cut(string(want), "{")
				if err := os.WriteFile(strings.TrimSuffix(file, ".telegram")+".want", []byte(head+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Join(facts, ""), got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhatLinesSay(t *testing.T) {
	for lines, want := range map[string]string{
		// The 1.7.0 rule.
		"1-0:1.7.0(00.244*kW)":                                      "active_power 244 W",
		"1-0:1.7.1(00.244*kW)":                                      "active_power 244 W",
		"1-0:1.7.0(-0.5*kW)":                                        "active_power -500 W",
		"1-0:1.7.0(00.244*kW)|1-0:2.7.0(00.000*kW)":                 "active_power_import 244 W|active_power_export 0 W",
		"1-0:21.7.0(00.070*kW)|1-0:41.7.0(0.1*kW)|1-0:42.7.0(0*kW)": "active_power_l1 70 W|active_power_import_l2 100 W|active_power_export_l2 0 W",
		"1-0:16.7.0(1*W)|1-0:1.7.0(2*W)":                            "active_power 1 W",
		// Units and prefixes; the digits stay.
		"1-0:1.8.0(006545766*Wh)|1-0:3.8.0(000000747*varh)|1-0:1.7.0(286*W)": "active_energy_import 6545766 Wh|reactive_energy_import 747 varh|active_power 286 W",
		"1-0:1.8.0(00001.5*MWh)|1-0:4.8.2(1.5*kVArh)|1-0:4.7.0(00.166*kvar)": "active_energy_import 1500000 Wh coarse|reactive_energy_export_t2 1500 varh|reactive_power_export 166 var",
		"1-0:1.8.0(00012*kWh)|1-0:2.8.0(00012.3*kWh)":                        "active_energy_import 12000 Wh coarse|active_energy_export 12300 Wh",
		"1-0:32.7.0(0230.0*V)|1-0:31.7.0(000*A)|1-0:14.7.0(49.98*Hz)":        "voltage_l1 230.0 V|current_l1 0 A|frequency 49.98 Hz",
		"1-0:13.7.0(0.999)|1-0:33.7.0(1.001)":                                "power_factor 0.999 /|power_factor_l1 1.001 / out_of_range",
		"0-0:17.0.0(016*A)":                                                  "current_limit_l1 16 A",
		"0-0:17.0.0(999.9*kW)|1-0:31.4.0(200.00*A)":                          "power_limit 999900 W|current_limit_l1 200.00 A",
		"0-0:96.14.0(0002)|0-0:96.7.21(00013)|0-0:96.7.9(00002)":             "tariff 2 /|power_failures 13 count|long_power_failures 2 count",
		"1-0:32.32.0(00002)|1-0:52.36.0(00003)|1-0:91.7.0(1.5*A)":            "current_n 1.5 A|voltage_sags_l1 2 count|voltage_swells_l2 3 count",
		// Demand: the last group with a value.
		"1-0:1.4.0(02.351*kW)|1-0:1.6.0(230202123345W)(09.213*kW)":                                                    "active_demand_import 2351 W|active_demand_import_peak 9213 W",
		"0-0:98.1.0(2)(1-0:1.6.0)(1-0:1.6.0)(230201000000W)(230117224500W)(04.329*kW)(230214004500W)(04.529*kW)":      "",
		"1-0:99.97.0(3)(0-0:96.7.19)(000104180320W)(0000237126*s)(000101000001W)(2147583646*s)":                       "",
		"0-1:24.1.0(003)|0-1:24.2.3(221006154500S)(00227.226*m3)":                                                     "mbus1_gas_volume 227.226 m3",
		"0-1:24.1.0(03)|0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.1)(m3)|(00001.001)":                              "mbus1_gas_volume 1.001 m3",
		"0-1:24.1.0(3)|0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.1)(m3)(00001.001)":                                "mbus1_gas_volume 1.001 m3",
		"0-1:24.2.1(221006154500S)(00001.000*m3)|0-1:24.1.0(007)":                                                     "mbus1_water_volume 1.000 m3",
		"0-2:24.1.0(004)|0-2:24.2.1(221006154500S)(00012.345*GJ)|0-4:24.1.0(012)|0-4:24.2.1(221006154500S)(1.000*GJ)": "mbus2_heat_energy 12345000000 J|mbus4_cooling_energy 1000000000 J",
		"0-3:24.1.0(002)|0-3:24.2.1(221006154500S)(00012.345*kWh)":                                                    "mbus3_active_energy_import 12345 Wh",
		// Silent slots.
		"0-1:24.1.0(003)|0-1:24.2.1(700101010000W)(00000.000*m3)": "",
		"0-1:24.1.0(003)|0-1:24.2.1(221006154500S)(00000000)":     "",
		"0-1:24.1.0(003)|0-1:96.1.0()":                            "",
		"0-1:24.1.0(003)|0-1:24.3.0()|()":                         "",
		"0-1:24.1.0(009)|0-1:24.2.1(221006154500S)(1*m3)":         "",
		// What is not ours.
		"0-0:96.13.0(303132)|0-0:96.3.10(1)|1-0:23.7.0(0*kvar)|1-2:3.4.5.6(1)|C.1.0(12)": "",
	} {
		d, b, err := decode(t, telegram(strings.Split(lines, "|")...))
		if err != nil {
			t.Errorf("%s: %v", lines, err)
			continue
		}
		if diff := cmp.Diff(want, strings.Join(rows(d, b), "|")); diff != "" || len(b.Warnings) > 0 {
			t.Errorf("%s: warnings %q (-want +got):\n%s", lines, b.Warnings, diff)
		}
	}
}

func TestIdentityAndTime(t *testing.T) {
	for text, want := range map[string]told{
		telegram("1-3:0.2.8(50)", "0-0:1.0.0(170702192002S)", "0-0:96.1.1(4B384547303034303436333935353037)"): {
			Identity: hardware.Identity{Manufacturer: "ISk", Model: "MT382-1000", Serial: "K8EG004046395507", Version: "50"},
			Time:     hardware.MeterTime{Local: "2017-07-02T19:20:02", Season: hardware.Summer},
		},
		telegram("0-0:96.1.4(50217)", "0-0:1.0.0(170102192002W)", "0-0:96.1.1(3960221976967177082151037881335713)"): {
			Identity: hardware.Identity{Manufacturer: "ISk", Model: "MT382-1000", Serial: "3960221976967177082151037881335713", Version: "50217"},
			Time:     hardware.MeterTime{Local: "2017-01-02T19:20:02", Season: hardware.Winter},
		},
		telegram("0-0:1.0.0(170702192002)"): {
			Identity: hardware.Identity{Manufacturer: "ISk", Model: "MT382-1000"},
			Time:     hardware.MeterTime{Local: "2017-07-02T19:20:02"},
		},
		telegram("0-0:1.0.0(632525252525W)"): {Identity: hardware.Identity{Manufacturer: "ISk", Model: "MT382-1000"}},
		"/Ene5\\XS210 ESMR 5.0\r\n\r\n!\r\n": {
			Identity: hardware.Identity{Manufacturer: "Ene", Model: "XS210 ESMR 5.0"},
			Warnings: []string{"no_checksum: the telegram carries none"},
		},
	} {
		_, b, err := decode(t, text)
		if diff := cmp.Diff(want, told{b.Identity, b.MeterTime, b.Warnings}); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got):\n%s", text, err, diff)
		}
	}
}

func TestResyncAndTrailing(t *testing.T) {
	good := telegram("1-0:1.8.0(1.000*kWh)")
	bad := strings.Replace(good, "1.000", "2.000", 1)
	const resync, trailing = "resync", "trailing"
	for text, want := range map[string][]string{
		good:                             {},
		good + "\r\n":                    {},
		")\r\n!1234\r\n" + good:          {resync},
		bad + good:                       {resync},
		bad[:30] + good:                  {resync},
		good[:len(good)-4] + good:        {resync},
		"\x00\xff" + bad + good:          {resync},
		good + bad:                       {trailing},
		good + good:                      {trailing},
		good + "/ISk5":                   {trailing},
		"1-0:1.8" + bad + good + "/ISk5": {resync, trailing},
	} {
		d, b, err := decode(t, text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		codes := []string{}
		for _, w := range b.Warnings {
			code, _, _ := strings.Cut(w, ":")
			codes = append(codes, code)
		}
		if diff := cmp.Diff(want, codes) + cmp.Diff([]string{"active_energy_import 1000 Wh"}, rows(d, b)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	good := telegram("1-3:0.2.8(50)", "1-0:1.8.0(1.000*kWh)")
	mark := strings.LastIndex(good, "!") + 1
	for text, want := range map[string]error{
		"":                                              hardware.ErrTruncated,
		"0-0:1.0.0(170702192002S)":                      hardware.ErrMalformed,
		good[:mark-1]:                                   hardware.ErrTruncated,
		good[20:]:                                       hardware.ErrTruncated,
		good[:mark] + "\r\n":                            hardware.ErrTruncated,
		good[:mark] + "XYZ1\r\n":                        hardware.ErrMalformed,
		good[:mark] + "01234\r\n":                       hardware.ErrMalformed,
		good[:mark] + "-123\r\n":                        hardware.ErrMalformed,
		good[:mark] + " \r\n":                           hardware.ErrMalformed,
		strings.Replace(good, "1.0", "1.1", 1):          hardware.ErrChecksum,
		"\x1b\x1b\x1b\x1b\x01\x01\x01\x01v":             hardware.ErrWrongDevice,
		"/ISk5x\r\n\x021.8.0(1*kWh)\r\n!\r\n":           hardware.ErrWrongDevice,
		"/I5\r\n\r\n!\r\n":                              hardware.ErrMalformed,
		telegram("1-0:1.8.0(1.000*kWh"):                 hardware.ErrMalformed,
		telegram("1-0:1.8.0"):                           hardware.ErrMalformed,
		telegram("1-0:1.8.0(99999999999999999999*kWh)"): hardware.ErrOverflow,
		"/ISk5x\r\n" + strings.Repeat("0-0:96.13.0()\r\n", 2000) + "!\r\n": hardware.ErrMalformed,
	} {
		if _, b, err := decode(t, text); !errors.Is(err, want) {
			t.Errorf("%.60q: got %v, %v, want %v", text, b.Values, err, want)
		}
	}
	d, b, err := decode(t, telegram("1-0:1.8.0(--)", "1-0:32.7.0(230*A)"))
	if diff := cmp.Diff([]string{"not_a_number: active_energy_import", `skipped: voltage_l1: unit "A"`}, b.Warnings); err != nil || diff != "" || len(b.Values) > 0 {
		t.Errorf("%v, %v (-want +got):\n%s", rows(d, b), err, diff)
	}
}

// Meters print the checksum with or without its leading zeros, in either case.
func TestChecksumWithoutLeadingZeros(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		wh := rapid.IntRange(0, 99999).Draw(t, "Wh")
		text := fmt.Sprintf("/ISk5x\r\n\r\n1-0:1.8.0(%d*Wh)\r\n!", wh)
		format := rapid.SampledFrom([]string{"%04X", "%X", "%x", "%04x", "%02X"}).Draw(t, "format")
		var recorded hardware.Transcript
		recorded.Receive([]byte(text + fmt.Sprintf(format, crc([]byte(text))) + "\r\n"))
		d, err := dsmr.NewSerial(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var b hardware.Batch
		if err := d.Decode(&recorded, &b); err != nil || len(b.Values) != 1 || b.Values[0].String() != fmt.Sprint(wh) || b.Values[0].Quality != 0 {
			t.Fatalf("%v, %v", b.Values, err)
		}
	})
}

// A meter that speaks every ten seconds is read every ten seconds, whatever its phase,
// over a bus that allows no transfer longer than three.
func TestTelegramsEveryTenSecondsOverABus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		part := emulated.NewP1(22)
		part.Set(supply)
		cable := emulated.NewCable(part)
		cable.Pace = 9600
		b, err := bus.New(bus.Config{Name: "p1", Open: bus.Given(cable.Conn())})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		d := newDevice(t, b.Stream(), nil)
		var batch hardware.Batch
		for range 5 {
			time.Sleep(9300 * time.Millisecond)
			begin := time.Now()
			if err := b.Sense(t.Context(), d, &batch); err != nil || len(batch.Warnings) != 1 {
				t.Errorf("%v, %q", err, batch.Warnings)
			}
			if took := time.Since(begin); took > 12*time.Second || batch.Took > time.Second {
				t.Errorf("it took %s, the telegram %s", took, batch.Took)
			}
		}
		// A silent port is a timeout, one that is gone is absent, and neither is paid for long.
		cable.SetFaults(emulated.Always(emulated.Silence))
		if err := b.Sense(t.Context(), d, &batch); !errors.Is(err, hardware.ErrTimeout) || len(batch.Values) != 0 {
			t.Errorf("silent: %v", err)
		}
		cable.SetFaults(nil)
		cable.Plug(false)
		if err := b.Sense(t.Context(), d, &batch); !errors.Is(err, hardware.ErrAbsent) || errors.Is(err, bus.ErrHeld) {
			t.Errorf("unplugged: %v", err)
		}
		cable.Plug(true)
		if err := b.Sense(t.Context(), d, &batch); err != nil {
			t.Errorf("back: %v", err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestNoiseIsNoTelegram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t, emulated.NewCable(babble{}).Conn(), nil)
		var b hardware.Batch
		if err := d.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrMalformed) {
			t.Errorf("got %v", err)
		}
	})
}

// babble is what another speed looks like.
type babble struct{}

func (babble) Talk(b []byte) ([]byte, time.Duration) { return append(b, 0xFE, 0x80, 0xF8), time.Second }

func TestNewSerialRefuses(t *testing.T) {
	if d, err := dsmr.NewSerial(nil, &dsmr.Opts{Every: -1}); err == nil {
		t.Errorf("%v was made", d)
	}
}

func FuzzDecode(f *testing.F) {
	var seeds hardware.Transcript
	for _, text := range []string{
		telegram("1-3:0.2.8(50)", "0-0:1.0.0(170702192002S)", "1-0:1.8.0(1.000*kWh)", "0-1:24.1.0(003)", "0-1:24.2.1(221006154500S)(1.000*m3)"),
		"/ISk5\\2MT382-1000\r\n\r\n0-1:24.3.0(090212160000)(00)(60)(1)(0-1:24.2.1)(m3)\r\n(00001.001)\r\n!\r\n",
	} {
		seeds.Send(nil)
		seeds.Receive([]byte(text))
	}
	d, err := dsmr.NewSerial(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, d, &seeds)
}
