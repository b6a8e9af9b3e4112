package mhz19_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/mhz19"
)

// sensor is an emulated part and a driver on a cable of their own.
type sensor struct {
	*mhz19.Dev
	cable *emulated.Cable
	part  *emulated.MHZ19
}

// newSensor goes by the time that passes in a bubble, on a machine that booted an hour
// ago, unless opts say otherwise.
func newSensor(t testing.TB, opts mhz19.Opts) *sensor {
	t.Helper()
	if opts.Now == nil {
		start := time.Now().Add(-time.Hour)
		opts.Now = func() time.Duration { return time.Since(start) }
	}
	s := &sensor{part: emulated.NewMHZ19()}
	s.part.Set(544)
	s.cable = emulated.NewCable(s.part)
	s.cable.Slowness = 100 * time.Millisecond
	dev, err := mhz19.NewSerial(s.cable.Conn(), &opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Dev = dev
	return s
}

// sense returns the one value as text.
func (s *sensor) sense(t testing.TB) string {
	t.Helper()
	var b hardware.Batch
	if err := s.Sense(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return rows(s.Describe(), &b)
}

func rows(about hardware.Descriptor, b *hardware.Batch) string {
	var all []string
	for _, v := range b.Values {
		c := about.Channels[v.Channel]
		all = append(all, fmt.Sprintf("%s %s %s %s", c.Name, v, c.Unit, v.Quality))
	}
	return strings.Join(all, "\n")
}

func TestConformance(t *testing.T) {
	hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
		s := newSensor(t, mhz19.Opts{Now: now})
		return &hardwaretest.Bench{
			Device: s.Dev, Faults: s.cable.SetFaults, Attach: s.cable.Plug, Exchanges: s.cable.Frames, Changes: s.part.Settings,
			Classes: map[emulated.Fault]error{
				emulated.Silence: hardware.ErrAbsent, emulated.NACK: hardware.ErrAbsent, emulated.StuckBus: hardware.ErrAbsent,
				emulated.BadCRC: hardware.ErrChecksum, emulated.FlippedBit: hardware.ErrChecksum, emulated.Truncated: hardware.ErrMalformed,
				emulated.Doubled: hardware.ErrStale, emulated.Late: hardware.ErrAbsent, emulated.Slow: nil,
			},
		}
	})
}

func TestRange(t *testing.T) {
	for _, c := range []struct {
		full int
		co2  float64
		want string
	}{
		{0, 0, "co2 0 ppm ok"}, {0, 4999, "co2 4999 ppm ok"}, {0, 9000, "co2 5000 ppm saturated"}, {5000, 255, "co2 255 ppm ok"}, {5000, 511, "co2 511 ppm ok"},
		{2000, 1999, "co2 1999 ppm ok"}, {2000, 2000, "co2 2000 ppm saturated"}, {2000, 2001, "co2 2001 ppm out_of_range,saturated"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSensor(t, mhz19.Opts{Range: c.full})
			s.part.Set(c.co2)
			if got := s.sense(t); got != c.want {
				t.Errorf("%v ppm in a range of %d: got %s, want %s", c.co2, c.full, got, c.want)
			}
		})
	}
}

// The part warms up for 180 s from power-up, which is the machine's, or when it came back.
func TestWarmUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newSensor(t, mhz19.Opts{Now: func() time.Duration { return time.Since(start) }})
		expect := func(when, want string) {
			t.Helper()
			if got := s.sense(t); got != want {
				t.Errorf("%s: got %s, want %s", when, got, want)
			}
		}
		time.Sleep(20 * time.Second)
		expect("after boot", "co2 544 ppm warming_up")
		time.Sleep(159 * time.Second)
		expect("just before its time", "co2 544 ppm warming_up")
		time.Sleep(time.Second)
		expect("warm", "co2 544 ppm ok")
		s.cable.Plug(false)
		var b hardware.Batch
		if err := s.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrAbsent) {
			t.Errorf("unplugged: %v", err)
		}
		time.Sleep(time.Hour)
		s.cable.Plug(true)
		expect("plugged in", "co2 544 ppm warming_up")
		time.Sleep(180 * time.Second)
		expect("warm again", "co2 544 ppm ok")
		// A damaged frame is no sign of a lost supply.
		s.cable.SetFaults(emulated.Sequence(emulated.BadCRC))
		if err := s.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrChecksum) {
			t.Errorf("damaged: %v", err)
		}
		expect("after a damaged frame", "co2 544 ppm ok")
	})
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, mhz19.Opts{PowerUp: time.Hour})
		if got := s.sense(t); got != "co2 544 ppm warming_up" {
			t.Errorf("powered with the program: %s", got)
		}
	})
}

// The driver reads whether the part calibrates itself, and leaves it so.
func TestSelfCalibrationIsReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, mhz19.Opts{})
		for _, want := range []bool{true, false} {
			s.part.SetSelfCalibration(want)
			if on, err := s.SelfCalibration(t.Context()); on != want || err != nil {
				t.Errorf("got %v, %v, want %v", on, err, want)
			}
			s.sense(t)
			if err := s.Halt(); err != nil {
				t.Error(err)
			}
		}
		if s.part.Settings() != 0 {
			t.Errorf("% x was sent", s.part.Told())
		}
		s.cable.SetFaults(emulated.Always(emulated.Silence))
		if _, err := s.SelfCalibration(t.Context()); !errors.Is(err, hardware.ErrAbsent) {
			t.Errorf("a part without the command: %v", err)
		}
	})
}

func TestCalibrate(t *testing.T) {
	value := func(m int64, e int8) hardware.Value { return hardware.Value{Mantissa: m, Exponent: e} }
	for _, c := range []struct {
		reference hardware.Value
		told      string // the manual's commands 0x87 and 0x88
		after     int64
	}{
		{value(400, 0), "ff 01 87 00 00 00 00 00 78", 400}, {value(4, 2), "ff 01 87 00 00 00 00 00 78", 400},
		{value(2000, 0), "ff 01 88 07 d0 00 00 00 a0", 2000}, {value(10000, -1), "ff 01 88 03 e8 00 00 00 8c", 1000},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSensor(t, mhz19.Opts{})
			step := hardware.CalibrationStep{Channel: "co2", Reference: c.reference}
			r, err := s.Calibrate(t.Context(), step)
			if err != nil {
				t.Fatal(err)
			}
			if told := fmt.Sprintf("% x", s.part.Told()); told != c.told || s.part.Settings() != 1 {
				t.Errorf("%s ppm: %s was sent, want %s", c.reference, told, c.told)
			}
			if r.Setting != "co2" || r.Before.Mantissa != 544 || r.After.Mantissa != c.after || r.Step != step || r.Evidence.Len() != 3 {
				t.Errorf("%s ppm: %+v", c.reference, r)
			}
			if sent, received := r.Evidence.Exchange(1); fmt.Sprintf("% x", sent) != c.told || len(received) != 0 {
				t.Errorf("%s ppm: the evidence is\n%s", c.reference, &r.Evidence)
			}
		})
	}
}

// What must not be calibrated is not, and nothing is sent.
func TestCalibrateRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		channel   string
		reference hardware.Value
		up        time.Duration // power-up; the clock stands at an hour
		want      string
	}{
		"channel": {"temperature", hardware.Value{Mantissa: 400}, 0, `no channel "temperature"`}, "between": {"co2", hardware.Value{Mantissa: 600}, 0, "600 ppm is neither"},
		"a little above": {"co2", hardware.Value{Mantissa: 4001, Exponent: -1}, 0, "400.1 ppm"}, "above its range": {"co2", hardware.Value{Mantissa: 5001}, 0, "5001"},
		"negative": {"co2", hardware.Value{Mantissa: -400}, 0, "-400"}, "too soon": {"co2", hardware.Value{Mantissa: 400}, 41 * time.Minute, "19m0s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSensor(t, mhz19.Opts{PowerUp: c.up})
			_, err := s.Calibrate(t.Context(), hardware.CalibrationStep{Channel: c.channel, Reference: c.reference})
			if err == nil || !strings.Contains(err.Error(), c.want) || s.cable.Frames() != 0 || s.part.Settings() != 0 {
				t.Errorf("%s: %v, want %q in it; %d frames", name, err, c.want, s.cable.Frames())
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, mhz19.Opts{})
		s.cable.SetFaults(emulated.Sequence(emulated.BadCRC))
		step := hardware.CalibrationStep{Channel: "co2", Reference: hardware.Value{Mantissa: 400}}
		if _, err := s.Calibrate(t.Context(), step); !errors.Is(err, hardware.ErrChecksum) || s.part.Settings() != 0 {
			t.Errorf("a part that is not understood: %v, %d changes", err, s.part.Settings())
		}
		s.cable.SetFaults(emulated.Sequence(emulated.NoFault, emulated.BadCRC))
		if _, err := s.Calibrate(t.Context(), step); !errors.Is(err, hardware.ErrChecksum) || !strings.Contains(err.Error(), "is not known") {
			t.Errorf("told, and not heard: %v", err)
		}
	})
}

func TestNewSerialRefuses(t *testing.T) {
	for name, o := range map[string]mhz19.Opts{"range": {Range: 3000}, "timeout": {Timeout: -1}, "power-up": {PowerUp: -1}} {
		if d, err := mhz19.NewSerial(nil, &o); err == nil {
			t.Errorf("%s: %s was made", name, d)
		}
	}
}

func decoder(t testing.TB) *mhz19.Dev {
	t.Helper()
	d, err := mhz19.NewSerial(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecode(t *testing.T) {
	const ask = "> ff 01 86 00 00 00 00 00 79\n"
	const example = "ff 86 02 20 00 00 00 00 58" // of the manual: 544 ppm
	for name, c := range map[string]struct {
		text     string
		rows     string
		warnings []string
		class    error
		detail   error
	}{
		"the manual's example":        {ask + "< " + example, "co2 544 ppm ok", nil, nil, nil},
		"without a command":           {example, "co2 544 ppm ok", nil, nil, nil},
		"0xff within":                 {ask + "< ff 86 01 ff 00 00 00 00 7a", "co2 511 ppm ok", nil, nil, nil},
		"other bytes used":            {ask + "< ff 86 02 60 47 00 00 00 d1", "co2 608 ppm ok", nil, nil, nil},
		"the later of two":            {ask + "< " + example + "\n" + ask + "< ff 86 01 ff 00 00 00 00 7a", "co2 511 ppm ok", nil, nil, nil},
		"full scale":                  {ask + "< ff 86 13 88 00 00 00 00 df", "co2 5000 ppm saturated", nil, nil, nil},
		"above":                       {ask + "< ff 86 ff ff 00 00 00 00 7c", "co2 65535 ppm out_of_range,saturated", nil, nil, nil},
		"self-calibration":            {"> ff 01 7d 00 00 00 00 00 82\n< ff 7d 00 00 00 00 00 01 82", "", nil, nil, nil},
		"told, and read":              {"> ff 01 79 a0 00 00 00 00 e6\n" + ask + "< " + example, "co2 544 ppm ok", nil, nil, nil},
		"another command":             {"> ff 01 9b 00 00 00 00 00 64\n< ff 9b 00 00 07 d0 00 00 8e", "", []string{"skipped: answer to command 0x9b"}, nil, nil},
		"bad checksum":                {ask + "< ff 86 02 20 00 00 00 00 00", "", nil, hardware.ErrChecksum, nil},
		"the sum with the first byte": {ask + "< ff 86 02 20 00 00 00 00 59", "", nil, hardware.ErrChecksum, nil},
		"flipped":                     {ask + "< ff 86 02 30 00 00 00 00 58", "", nil, hardware.ErrChecksum, nil},
		"eight bytes":                 {ask + "< ff 86 02 20 00 00 00 00", "", nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"one byte":                    {"ff", "", nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"nothing":                     {"", "", nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"no start":                    {ask + "< 86 02 20 00 00 00 00 58", "", nil, hardware.ErrMalformed, nil},
		"ten bytes":                   {ask + "< " + example + " ff", "", nil, hardware.ErrStale, nil},
		"doubled":                     {ask + "< " + example + example, "", nil, hardware.ErrStale, nil},
		"not answered":                {ask + ask + "< " + example, "", nil, hardware.ErrStale, nil},
		"another command's answer":    {ask + "< ff 7d 00 00 00 00 00 01 82", "", nil, hardware.ErrMalformed, hardware.ErrWrongReply},
		"no command":                  {"> ff 01 86 00 00 00 00 00 78\n< " + example, "", nil, hardware.ErrMalformed, nil},
		"another sensor number":       {"> ff 02 86 00 00 00 00 00 78\n< " + example, "", nil, hardware.ErrMalformed, nil},
		"a short command":             {"> ff 01 86\n< " + example, "", nil, hardware.ErrMalformed, nil},
	} {
		recorded, err := hardware.ParseTranscript([]byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d := decoder(t)
		b, err := hardwaretest.CheckDecode(t, d, recorded)
		if hardware.Class(err) != c.class || c.detail != nil && !errors.Is(err, c.detail) {
			t.Errorf("%s: got %v, want %v, %v", name, err, c.class, c.detail)
		}
		if got := rows(d.Describe(), b); got != c.rows {
			t.Errorf("%s: got %q, want %q", name, got, c.rows)
		}
		if diff := cmp.Diff(c.warnings, append([]string(nil), b.Warnings...)); c.class == nil && diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", name, diff)
		}
	}
}

// Each frame with the right sum is its ppm, each other one refused.
func TestValuesAreExact(t *testing.T) {
	d := decoder(t)
	rapid.Check(t, func(t *rapid.T) {
		frame := append([]byte{0xFF, 0x86}, rapid.SliceOfN(rapid.Byte(), 6, 6).Draw(t, "data")...)
		sum := 0
		for _, c := range frame[1:] {
			sum += int(c)
		}
		right := byte(256 - sum%256)
		frame = append(frame, rapid.OneOf(rapid.Just(right), rapid.Byte()).Draw(t, "sum"))
		var recorded hardware.Transcript
		recorded.Receive(frame)
		var b hardware.Batch
		err := d.Decode(&recorded, &b)
		if frame[8] != right {
			if !errors.Is(err, hardware.ErrChecksum) {
				t.Fatalf("% x: %v", frame, err)
			}
			return
		}
		if want := fmt.Sprint(int(frame[2])*256 + int(frame[3])); err != nil || b.Values[0].String() != want {
			t.Fatalf("% x: got %v, %v, want %s", frame, b.Values, err, want)
		}
	})
}

func TestRecordings(t *testing.T) {
	for file, recorded := range hardwaretest.Recordings(t) {
		d := decoder(t)
		if b, err := hardwaretest.CheckDecode(t, d, recorded); err != nil || rows(d.Describe(), b) != "co2 544 ppm ok" {
			t.Errorf("%s: %v, %v", file, b.Values, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	t, err := hardware.ParseTranscript([]byte("> ff 01 86 00 00 00 00 00 79\n< ff 86 02 20 00 00 00 00 58\n> ff 01 7d 00 00 00 00 00 82\n< ff 7d 00 00 00 00 00 01 82"))
	if err != nil {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, decoder(f), t)
}
