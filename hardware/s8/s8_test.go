package s8_test

import (
	"context"
	"errors"
	"flag"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/modbus"
	"wattmark/hardware/s8"
)

var update = flag.Bool("update", false, "rewrite what captures decode to")

// patience is for a sensor to answer: a busy machine is no slow sensor.
const patience = 10 * time.Second

// newSensor returns an emulated sensor at unit 104 and a driver that asks unit.
func newSensor(t testing.TB, unit byte, now hardware.Clock) (*s8.Dev, *emulated.Line, *emulated.S8) {
	t.Helper()
	line, part := emulated.NewLine(), emulated.NewS8(0x01234567)
	line.Slowness = patience + time.Second
	line.Attach(104, part)
	part.Set(612)
	dev, err := s8.NewModbus(modbus.NewRTU(line.Conn(), modbus.RTUOpts{Timeout: patience}), unit, &s8.Opts{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return dev, line, part
}

func TestConformance(t *testing.T) {
	for name, unit := range map[string]byte{"own address": 104, "any address": s8.AnyAddress} {
		t.Run(name, func(t *testing.T) {
			hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
				dev, line, _ := newSensor(t, unit, now)
				return hardwaretest.OnModbus(dev, line, 104)
			})
		})
	}
}

func TestStatusAndRange(t *testing.T) {
	dev, _, part := newSensor(t, s8.AnyAddress, nil)
	for _, c := range []struct {
		ppm    int
		status uint16
		want   string
		is     error
	}{
		{612, 0, "co2 612 ppm gauge ok", nil},
		{10_000, 0, "co2 10000 ppm gauge saturated", nil},
		{12_000, 32, "co2 10000 ppm gauge out_of_range,saturated", nil},
		{612, 2 | 8, "co2 612 ppm gauge ok", nil}, // offset regulation, analogue output
		{612, 1, "", hardware.ErrDevice},
		{612, 4, "", hardware.ErrDevice},
		{612, 16, "", hardware.ErrDevice},
		{612, 64, "", hardware.ErrDevice},
	} {
		part.Set(c.ppm)
		part.SetStatus(c.status)
		var b hardware.Batch
		err := dev.Sense(t.Context(), &b)
		if c.is != nil {
			if !errors.Is(err, c.is) || len(b.Values) != 0 {
				t.Errorf("status %d: %v, %v", c.status, b.Values, err)
			}
			continue
		}
		if diff := cmp.Diff([]string{c.want}, hardwaretest.Report(dev.Describe(), &b)); diff != "" || err != nil {
			t.Errorf("%d ppm, status %d: %v (-want +got):\n%s", c.ppm, c.status, err, diff)
		}
	}
}

func TestProbeTellsTheSerialNumber(t *testing.T) {
	dev, _, _ := newSensor(t, s8.AnyAddress, nil)
	id, sure, err := dev.Probe(t.Context())
	want := hardware.Identity{Manufacturer: "Senseair", Model: "Senseair S8 type 01070E", Serial: "01234567", Version: "1.9"}
	if diff := cmp.Diff(want, id); diff != "" || sure != hardware.Likely || err != nil {
		t.Errorf("%s, %v (-want +got):\n%s", sure, err, diff)
	}
}

func TestDecode(t *testing.T) {
	dev, err := s8.NewModbus(nil, s8.AnyAddress, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		rows []string
		is   error
	}{
		"a lone reply": {"FE 04 02 01 90 AC D8", []string{"co2 400 ppm gauge ok"}, nil},
		"with request": {"> FE 04 00 03 00 01 D5 C5\n< FE 04 02 01 90 AC D8", []string{"co2 400 ppm gauge ok"}, nil},
		// As printed on github.com/SFeli/ESP32_S8: the request's checksum under the reply.
		"a published frame":    {"FE 04 02 03 88 D5 C5", nil, hardware.ErrChecksum},
		"the same, right":      {"FE 04 02 03 88 AD B2", []string{"co2 904 ppm gauge ok"}, nil},
		"its own address":      {"> FE 04 00 03 00 01 D5 C5\n< 68 04 02 01 90 E4 C5", []string{"co2 400 ppm gauge ok"}, nil},
		"another function":     {"> FE 04 00 03 00 01 D5 C5\n< FE 03 02 01 90 AD AC", nil, hardware.ErrWrongReply},
		"more than was asked":  {"FE 04 04 01 90 00 00 F5 5A", nil, hardware.ErrWrongReply},
		"an exception":         {"FE 84 02 F2 F1", nil, hardware.ErrDevice},
		"cut off":              {"FE 04 02 01 90", nil, hardware.ErrTruncated},
		"another unit answers": {"> 68 04 00 03 00 01 C8 F3\n< FE 04 02 01 90 AC D8", nil, hardware.ErrWrongDevice},
	} {
		recorded, err := hardware.ParseTranscript([]byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := hardwaretest.CheckDecode(t, dev, recorded)
		if (err == nil) != (c.is == nil) || !errors.Is(err, c.is) {
			t.Errorf("%s: got %v, want %v", name, err, c.is)
		}
		if diff := cmp.Diff(c.rows, hardwaretest.Report(dev.Describe(), b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDecodeRegisters(t *testing.T) {
	dev, _, _ := newSensor(t, 104, nil)
	for text, want := range map[string][]string{
		"3: 0264":                {"co2 612 ppm gauge ok"},
		"0: 0020 0000 0000 0bb8": {"co2 3000 ppm gauge out_of_range"},
		"0: 0000":                {"warning skipped: co2"},
	} {
		r, err := hardware.ParseRegisters([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		var b hardware.Batch
		if err := dev.DecodeRegisters(r, &b); err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, hardwaretest.Report(dev.Describe(), &b)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	r, _ := hardware.ParseRegisters([]byte("0: 0001 0000 0000 0190"))
	if err := dev.DecodeRegisters(r, new(hardware.Batch)); !errors.Is(err, hardware.ErrDevice) {
		t.Errorf("a fatal error: %v", err)
	}
}

func TestNewModbusRefuses(t *testing.T) {
	for _, unit := range []byte{0, 248, 255} {
		if d, err := s8.NewModbus(nil, unit, nil); err == nil {
			t.Errorf("%s was made", d)
		}
	}
}

func TestCaptures(t *testing.T) {
	dev, _, _ := newSensor(t, 104, nil)
	hardwaretest.Captures(t, dev, *update, "*")
}

func FuzzDecode(f *testing.F) {
	dev, _, _ := newSensor(f, 104, nil)
	var b hardware.Batch
	if err := dev.Sense(context.Background(), &b); err != nil {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, dev, &b.Evidence)
}
