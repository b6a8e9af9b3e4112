package hardware_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"wattmark/hardware"
)

func TestAddFloat32MovesOnlyTheExponent(t *testing.T) {
	var b hardware.Batch
	for i, kilo := range []float32{12.345, 12, 0.5, 0, 16384.002, 0.0001} {
		b.AddFloat32(uint8(i), "active_energy_import", kilo, 3, 0, hardware.Limits{})
	}
	b.AddFloat32(6, "frequency", float32(math.NaN()), 0, 0, hardware.Limits{})
	var got []string
	for _, v := range b.Values {
		got = append(got, v.String())
	}
	want := []string{"12345", "12000", "500", "0", "16384002", "0.1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Wh (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"not_a_number: frequency"}, b.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestAddMarksWhatIsOutOfRange(t *testing.T) {
	var b hardware.Batch
	l := hardware.Limits{High: 300}
	b.Add(hardware.Value{Mantissa: 300}, l)
	b.Add(hardware.Value{Mantissa: 301, Quality: hardware.Coarse}, l)
	if b.Values[0].Quality != 0 || b.Values[1].Quality != hardware.Coarse|hardware.OutOfRange {
		t.Errorf("qualities %s and %s", b.Values[0].Quality, b.Values[1].Quality)
	}
}

func TestWarningsAreBounded(t *testing.T) {
	var b hardware.Batch
	for range 1000 {
		b.Warn(hardware.WarnSkipped, "x")
	}
	if len(b.Warnings) > 64 {
		t.Errorf("%d warnings kept", len(b.Warnings))
	}
}

func TestCopySharesNothing(t *testing.T) {
	var a, b hardware.Batch
	a.Span(10*time.Second, 12*time.Second)
	a.Evidence.Send([]byte{1, 2})
	a.Evidence.Receive([]byte{3})
	a.Add(hardware.Value{Mantissa: 7}, hardware.Limits{})
	a.CopyTo(&b)
	a.Reset()
	a.Evidence.Send([]byte{9, 9})
	a.Add(hardware.Value{Mantissa: 8}, hardware.Limits{})
	if b.At != 11*time.Second || b.Took != 2*time.Second || b.Values[0].Mantissa != 7 || b.Evidence.String() != "> 01 02\n< 03\n" {
		t.Errorf("the copy changed with its source: %+v %s", b, b.Evidence.String())
	}
}

func TestQualityNames(t *testing.T) {
	for q, want := range map[hardware.Quality]string{
		0: "ok", hardware.OutOfRange: "out_of_range",
		hardware.Overflow | hardware.Saturated | hardware.Coarse: "saturated,coarse,overflow",
	} {
		if got := q.String(); got != want {
			t.Errorf("%#x: got %s, want %s", uint16(q), got, want)
		}
	}
	for q := hardware.Quality(0); q < 2*hardware.Overflow; q++ {
		text, err := q.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back hardware.Quality
		if err := back.UnmarshalText(text); err != nil || back != q {
			t.Fatalf("%s came back as %s, %v", text, back, err)
		}
	}
	if _, err := (2 * hardware.Overflow).MarshalText(); err == nil {
		t.Error("a bit without a name was written")
	}
}

func FuzzParseQuality(f *testing.F) {
	f.Add("ok")
	f.Add("saturated,coarse")
	f.Fuzz(func(t *testing.T, s string) {
		if q, err := hardware.ParseQuality(s); err == nil && q.String() != s {
			t.Errorf("%q came back as %q", s, q)
		}
	})
}

func TestErrorTellsThePersonAtTheCabinet(t *testing.T) {
	err := error(&hardware.Error{
		Class: hardware.ErrAbsent, Device: "sdm630 unit 1", Bus: "rs485-1", Op: "reading voltage_l1",
		Remedy: "check wiring A to A, B to B", Err: errors.New("no answer"),
	})
	want := "rs485-1: sdm630 unit 1: reading voltage_l1: absent: no answer (check wiring A to A, B to B)"
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if !errors.Is(err, hardware.ErrAbsent) || errors.Is(err, hardware.ErrTimeout) || hardware.Class(err) != hardware.ErrAbsent {
		t.Error("the class is lost")
	}
	if hardware.Class(errors.New("else")) != nil {
		t.Error("a class for an error that has none")
	}
}

func TestLookup(t *testing.T) {
	type channel struct {
		Unit hardware.Unit
		Kind hardware.Kind
	}
	for name, want := range map[string]channel{
		"active_energy_import": {"Wh", hardware.Counter}, "active_energy_export_t2": {"Wh", hardware.Counter},
		"active_energy_import_l3": {"Wh", hardware.Counter}, "mbus2_gas_volume": {"m3", hardware.Counter},
		"reactive_energy_q4_t1": {"varh", hardware.Counter}, "active_power": {"W", hardware.Gauge},
		"active_power_export_l2": {"W", hardware.Gauge}, "voltage_l1": {"V", hardware.Gauge},
		"current": {"A", hardware.Gauge}, "power_factor_l1": {"/", hardware.Gauge}, "co2": {"ppm", hardware.Gauge},
		"pm2_5_std": {"ug/m3", hardware.Gauge}, "pm4_0": {"ug/m3", hardware.Gauge}, "relative_humidity": {"%RH", hardware.Gauge},
		"particles_gt_0_3": {"1/cm3", hardware.Gauge}, "mppt1_power_dc": {"W", hardware.Gauge}, "current_limit_l1": {"A", hardware.Gauge},
	} {
		unit, kind, ok := hardware.Lookup(name)
		if got := (channel{unit, kind}); !ok || got != want {
			t.Errorf("%s: got %v %v, want %v", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "active_energy", "voltage", "voltage_l4", "active_energy_import_t5", "mbus_gas_volume",
		"mbus0_gas_volume", "gas_volume", "Active_power", "pm4_0_std", "active_power_l1_l2"} {
		if _, _, ok := hardware.Lookup(name); ok {
			t.Errorf("%q is a channel", name)
		}
	}
}

func TestMonotonicMovesForward(t *testing.T) {
	a := hardware.Clock(nil).Or()()
	if b := hardware.Monotonic(); a <= 0 || b < a {
		t.Errorf("%s after %s", b, a)
	}
}

func TestTranscriptText(t *testing.T) {
	text := "# a comment\n> 01 04\n<0104 0443 # half\n 6633\n\n>02\n"
	tr, err := hardware.ParseTranscript([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := "> 01 04\n< 01 04 04 43 66 33\n> 02\n"; tr.String() != want {
		t.Errorf("got %q, want %q", tr, want)
	}
	for _, bad := range []string{"> 0", "xx", "< 01 2", strings.Repeat("00", hardware.MaxTranscript+1)} {
		if _, err := hardware.ParseTranscript([]byte(bad)); err == nil {
			t.Errorf("%.20q was read", bad)
		}
	}
}

func FuzzParseTranscript(f *testing.F) {
	f.Add([]byte("> 01 04\n< 0104 0443\n"))
	f.Add([]byte("ff # push\nfe"))
	f.Fuzz(func(t *testing.T, text []byte) {
		tr, err := hardware.ParseTranscript(text)
		if err != nil {
			return
		}
		again, err := hardware.ParseTranscript([]byte(tr.String()))
		if err != nil || again.String() != tr.String() {
			t.Errorf("%q came back as %q, %v", tr, again, err)
		}
	})
}
