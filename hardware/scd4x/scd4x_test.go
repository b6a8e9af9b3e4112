package scd4x_test

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/scd4x"
	"wattmark/hardware/sensirion"
)

// air is what the emulated part breathes; serial is its number.
var air = emulated.Air{CO2: 612, Temperature: 21.5, Humidity: 48.8}

const serial = 0xF896_9F07_3BBE // the data sheet's example (3.9.2)

// sensor is an emulated part and a driver on a bus of their own.
type sensor struct {
	*scd4x.Dev
	bus  *emulated.Bus
	part *emulated.SCD4x
}

// newSensor goes by the time that passes in a bubble, unless opts say otherwise.
func newSensor(t testing.TB, opts scd4x.Opts) *sensor {
	t.Helper()
	if opts.Now == nil {
		start := time.Now()
		opts.Now = func() time.Duration { return time.Since(start) }
	}
	s := &sensor{bus: emulated.NewBus("i2c-1"), part: emulated.NewSCD4x(serial, opts.Now)}
	s.part.Set(air)
	s.bus.Attach(scd4x.Address, s.part)
	dev, err := scd4x.NewI2C(s.bus, scd4x.Address, &opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Dev = dev
	return s
}

func (s *sensor) sample(t *testing.T) *hardware.Batch {
	t.Helper()
	return hardwaretest.Sample(t, s.Dev)
}

// periph's scd4x races Halt and reports an error of the bus as a timeout: "halts after a
// running Sense" under the race detector, and "survives faults", keep this one from it.
func TestConformance(t *testing.T) {
	for _, model := range []string{"scd40", "scd41"} {
		t.Run(model, func(t *testing.T) {
			hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
				s := newSensor(t, scd4x.Opts{Model: model, Now: now})
				b := hardwaretest.OnI2C(s.Dev, s.bus, scd4x.Address, s.part)
				for _, fault := range []emulated.Fault{emulated.BadCRC, emulated.FlippedBit, emulated.Truncated} {
					b.Classes[fault] = hardware.ErrChecksum
				}
				return b
			})
		})
	}
}

func TestEveryChannel(t *testing.T) {
	for _, c := range []struct {
		model string
		air   emulated.Air
		want  []string
	}{
		{"", air, []string{"co2 612 ppm gauge ok", "temperature 21.50 Cel gauge ok", "relative_humidity 48.80 %RH gauge ok"}},
		{"scd41", emulated.Air{CO2: 5000, Temperature: 60, Humidity: 100},
			[]string{"co2 5000 ppm gauge ok", "temperature 60.00 Cel gauge ok", "relative_humidity 100.00 %RH gauge ok"}},
		{"scd40", emulated.Air{CO2: 2001, Temperature: -10, Humidity: 0},
			[]string{"co2 2001 ppm gauge out_of_range", "temperature -10.00 Cel gauge ok", "relative_humidity 0.00 %RH gauge ok"}},
		{"scd41", emulated.Air{CO2: 399, Temperature: -10.02, Humidity: 0.01},
			[]string{"co2 399 ppm gauge out_of_range", "temperature -10.02 Cel gauge out_of_range", "relative_humidity 0.01 %RH gauge ok"}},
		{"scd41", emulated.Air{CO2: 50000, Temperature: -0.04, Humidity: 50},
			[]string{"co2 40000 ppm gauge out_of_range,saturated", "temperature -0.04 Cel gauge ok", "relative_humidity 50.00 %RH gauge ok"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSensor(t, scd4x.Opts{Model: c.model})
			s.part.Set(c.air)
			b := s.sample(t)
			if diff := cmp.Diff(c.want, hardwaretest.Rows(s.Describe(), b)); diff != "" || len(b.Warnings) != 0 {
				t.Errorf("%+v, warnings %q (-want +got):\n%s", c.air, b.Warnings, diff)
			}
		})
	}
}

// rounded is offset + full x w / 65535 in hundredths, rounded to the nearest: the
// largest whole number not above it and a half. As 65535 is odd, nothing is half way.
func rounded(offset, full, w int64) int64 {
	twice := 2*100*(offset*65535+full*w) + 65535
	q := twice / (2 * 65535)
	if twice%(2*65535) < 0 {
		q--
	}
	return q
}

// All that a word can be is rounded as the design says.
func TestEveryWord(t *testing.T) {
	s := newSensor(t, scd4x.Opts{Settings: true})
	var b hardware.Batch
	for w := range int64(1 << 16) {
		word := uint16(w)
		recorded := answer(0xEC05, word, word, word)
		appendAnswer(recorded, 0x2318, word)
		appendAnswer(recorded, 0xE000, word)
		if err := s.Decode(recorded, &b); err != nil || len(b.Values) != 5 {
			t.Fatalf("%#04x: %v, %v", word, b.Values, err)
		}
		for i, want := range []hardware.Value{
			{Channel: 0, Mantissa: w}, {Channel: 1, Mantissa: rounded(-45, 175, w), Exponent: -2}, {Channel: 2, Mantissa: rounded(0, 100, w), Exponent: -2},
			{Channel: 3, Mantissa: rounded(0, 175, w), Exponent: -2}, {Channel: 5, Mantissa: 100 * w},
		} {
			got := b.Values[i]
			if got.Quality = 0; got != want {
				t.Fatalf("%#04x: got %+v, want %+v", word, got, want)
			}
		}
	}
}

// A measurement is given once: until the next one there is no data.
func TestOldMeasurementIsNoNewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd4x.Opts{})
		var b hardware.Batch
		if err := s.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrNoData) || len(b.Values) != 0 {
			t.Fatalf("before the first measurement: %v, %v", b.Values, err)
		}
		b = *s.sample(t)
		at := b.At
		s.part.Set(emulated.Air{CO2: 1000})
		if err := s.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrNoData) || len(b.Values) != 0 {
			t.Errorf("right after it: %v, %v", b.Values, err)
		}
		if next := s.sample(t); next.Values[0].String() != "1000" || next.At-at < 4*time.Second {
			t.Errorf("the next one is %v, %s later", next.Values, next.At-at)
		}
	})
}

// word sends a command behind the driver's back and returns the word that answers it.
func (s *sensor) word(t *testing.T, code uint16) uint16 {
	t.Helper()
	if err := s.bus.Tx(scd4x.Address, binary.BigEndian.AppendUint16(nil, code), nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Millisecond) // in a bubble
	var b [3]byte
	if err := s.bus.Tx(scd4x.Address, nil, b[:]); err != nil {
		t.Fatal(err)
	}
	return sensirion.Word(b[:], 0)
}

// Automatic self-calibration is on in a new part, and off unless it is asked for. A
// part that measures when the program starts is set up too, and so is one that lost
// power.
func TestSetUp(t *testing.T) {
	for _, on := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			want := uint16(0)
			if on {
				want = 1
			}
			s := newSensor(t, scd4x.Opts{SelfCalibration: on})
			check := func(when string) {
				if err := s.Halt(); err != nil { // an idle part tells
					t.Fatal(err)
				}
				if got := s.word(t, 0x2313); got != want {
					t.Errorf("%s: self-calibration is %d, want %d", when, got, want)
				}
			}
			s.sample(t)
			check("at first")
			s.sample(t)
			again, err := scd4x.NewI2C(s.bus, scd4x.Address, &scd4x.Opts{SelfCalibration: on})
			if err != nil {
				t.Fatal(err)
			}
			var b hardware.Batch
			if err := again.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrNoData) {
				t.Errorf("the program was started again: %v", err)
			}
			s.sample(t)
			s.part.PowerCycle()
			begin := time.Now()
			for err := error(hardware.ErrNoData); err != nil; time.Sleep(100 * time.Millisecond) {
				if err = s.Sense(t.Context(), &b); err != nil && !errors.Is(err, hardware.ErrNoData) || time.Since(begin) > 25*time.Second {
					t.Fatalf("it lost power: %v after %s", err, time.Since(begin))
				}
			}
			check("after a loss of power")
		})
	}
}

func TestProbeTellsTheSerialNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd4x.Opts{})
		id, sure, err := s.Probe(t.Context())
		want := hardware.Identity{Manufacturer: "Sensirion", Model: "Sensirion SCD41", Serial: "f8969f073bbe"}
		if diff := cmp.Diff(want, id); diff != "" || sure != hardware.Likely || err != nil {
			t.Errorf("idle: %s, %v (-want +got):\n%s", sure, err, diff)
		}
		s.sample(t) // now it refuses to tell
		id, sure, err = s.Probe(t.Context())
		want.Serial = ""
		if diff := cmp.Diff(want, id); diff != "" || sure != hardware.Possible || err != nil {
			t.Errorf("measuring: %s, %v (-want +got):\n%s", sure, err, diff)
		}
	})
}

// Another part at the address, an SCD30, gives no value.
func TestAnotherPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd4x.Opts{})
		s.bus.Detach(scd4x.Address)
		s.bus.Attach(scd4x.Address, emulated.NewSCD30(nil))
		var b hardware.Batch
		for range 5 {
			if err := s.Sense(t.Context(), &b); hardware.Class(err) == nil || errors.Is(err, hardware.ErrNoData) || len(b.Values) != 0 {
				t.Errorf("%v, %v", b.Values, err)
			}
			time.Sleep(5 * time.Second)
		}
		if _, sure, err := s.Probe(t.Context()); sure != hardware.NotFound || err == nil {
			t.Errorf("probed %s, %v", sure, err)
		}
	})
}

func TestNewI2CRefuses(t *testing.T) {
	if d, err := scd4x.NewI2C(emulated.NewBus("x"), scd4x.Address, &scd4x.Opts{Model: "scd43"}); err == nil {
		t.Errorf("%s was made", d)
	}
	if d, err := scd4x.NewI2C(emulated.NewBus("x"), 0x80, nil); err == nil {
		t.Errorf("%s was made", d)
	}
}

// answer is an intact recording of a command and the words that answer it.
func answer(code uint16, words ...uint16) *hardware.Transcript {
	var t hardware.Transcript
	appendAnswer(&t, code, words...)
	return &t
}

func appendAnswer(t *hardware.Transcript, code uint16, words ...uint16) {
	t.Send(binary.BigEndian.AppendUint16(nil, code))
	var b []byte
	for _, w := range words {
		b = sensirion.AppendWord(b, w)
	}
	t.Receive(b)
}

// The data sheet's examples, and what could become of them.
func TestDecode(t *testing.T) {
	const example = "01 F4 33 66 67 A2 5E B9 3C" // 3.5.2: 500 ppm, 25 degrees, 37 %
	measured := []string{"co2 500 ppm gauge ok", "temperature 25.00 Cel gauge ok", "relative_humidity 37.00 %RH gauge ok"}
	s := newSensor(t, scd4x.Opts{Settings: true})
	for name, c := range map[string]struct {
		text     string
		rows     []string
		warnings []string
		class    error
	}{
		"measurement":         {"> EC 05\n< " + example, measured, nil, nil},
		"without a command":   {example, measured, nil, nil},
		"a later one":         {answer(0xEC05, 420, 0, 0).String() + "> EC 05\n< " + example, measured, nil, nil},
		"offset":              {"> 23 18\n< 09 12 63", []string{"temperature_offset 6.20 K gauge ok"}, nil, nil},       // 3.6.2
		"recalibrated":        {"> 36 2F 01 E0 B4\n< 7F CE 7B", []string{"frc_correction -50 ppm gauge ok"}, nil, nil}, // 3.7.1
		"not recalibrated":    {"> 36 2F 01 E0 B4\n< FF FF AC", nil, nil, hardware.ErrDevice},
		"pressure":            {answer(0xE000, 987).String(), []string{"pressure 98700 Pa gauge ok"}, nil, nil},
		"low pressure":        {answer(0xE000, 699).String(), []string{"pressure 69900 Pa gauge out_of_range"}, nil, nil},
		"serial number":       {"> 36 82\n< F8 96 31 9F 07 C2 3B BE 89", nil, nil, nil}, // 3.9.2
		"set-up":              {"> 3F 86\n> 36 82\n< F8 96 31 9F 07 C2 3B BE 89\n> 24 16 00 00 81\n> 21 B1", nil, nil, nil},
		"not ready":           {"> E4 B8\n< 80 00 A2", nil, nil, hardware.ErrNoData}, // 3.8.2
		"ready":               {answer(0xE4B8, 0x8006).String() + "> EC 05\n< " + example, measured, nil, nil},
		"another command":     {answer(0x1234, 5).String(), nil, []string{"skipped: answer to command 0x1234"}, nil},
		"its bad checksum":    {"> 12 34\n< 00 05 00", nil, nil, hardware.ErrChecksum},
		"bad checksum":        {"> EC 05\n< 01 F4 33 66 67 A2 5E B9 3D", nil, nil, hardware.ErrChecksum},
		"two words":           {"> EC 05\n< 01 F4 33 66 67 A2", nil, nil, hardware.ErrTruncated},
		"no answer":           {"> EC 05", nil, nil, hardware.ErrTruncated},
		"no command":          {"> EC\n< " + example, nil, nil, hardware.ErrMalformed},
		"four words":          {"> EC 05\n< 01 F4 33 66 67 A2 5E B9 3C 00 00 81", nil, nil, hardware.ErrWrongReply},
		"one word unasked":    {"09 12 63", nil, nil, hardware.ErrTruncated},
		"argument's checksum": {"> 24 16 00 00 82", nil, nil, hardware.ErrMalformed},
	} {
		b, err := hardwaretest.CheckDecode(t, s.Dev, hardwaretest.Recording(t, c.text))
		if !errors.Is(err, c.class) || (err == nil) != (c.class == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.class)
		}
		if diff := cmp.Diff(c.rows, hardwaretest.Rows(s.Describe(), b)); diff != "" {
			t.Errorf("%s: values (-want +got):\n%s", name, diff)
		}
		if want := (hardware.Identity{Serial: "f8969f073bbe"}); (name == "serial number" || name == "set-up") && b.Identity != want {
			t.Errorf("%s: identity %+v", name, b.Identity)
		}
		if diff := cmp.Diff(c.warnings, append([]string(nil), b.Warnings...)); c.class == nil && diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", name, diff)
		}
	}
}

// Thousands of answers that mean nothing must not fill memory with complaints.
func TestDecodeMemory(t *testing.T) {
	s := newSensor(t, scd4x.Opts{})
	var recorded hardware.Transcript
	for !recorded.Truncated() {
		recorded.Send([]byte{0x12, 0x34})
		recorded.Receive([]byte{0, 0, 0x81})
	}
	hardwaretest.CheckDecodeMemory(t, s.Dev, &recorded)
}

func FuzzDecode(f *testing.F) {
	s := newSensor(f, scd4x.Opts{Settings: true})
	var b hardware.Batch
	if err := s.Sense(context.Background(), &b); !errors.Is(err, hardware.ErrNoData) {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, s.Dev, &b.Evidence, answer(0xEC05, 500, 0x6667, 0x5EB9), answer(0xE4B8, 0x8006),
		answer(0x2318, 0x0912), answer(0x362F, 0x7FCE), answer(0xE000, 987))
}

// FuzzWords decodes intact words, and turns the values back into what they were made
// from.
func FuzzWords(f *testing.F) {
	s := newSensor(f, scd4x.Opts{Settings: true})
	f.Add(uint16(0xEC05), []byte{0x01, 0xF4, 0x66, 0x67, 0x5E, 0xB9})
	f.Add(uint16(0x2318), []byte{0x09, 0x12})
	f.Add(uint16(0x362F), []byte{0x7F, 0xCE})
	f.Add(uint16(0xE000), []byte{0x03, 0xDB})
	f.Fuzz(func(t *testing.T, code uint16, data []byte) {
		words := make([]uint16, min(len(data)/2, 20))
		for i := range words {
			words[i] = binary.BigEndian.Uint16(data[2*i:])
		}
		b, err := hardwaretest.CheckDecode(t, s.Dev, answer(code, words...))
		if err != nil {
			if errors.Is(err, hardware.ErrChecksum) {
				t.Errorf("intact words: %v", err)
			}
			return
		}
		var want []int64
		switch w := func(i int) int64 { return int64(words[i]) }; code {
		case 0xEC05:
			want = []int64{w(0), rounded(-45, 175, w(1)), rounded(0, 100, w(2))}
		case 0x2318:
			want = []int64{rounded(0, 175, w(0))}
		case 0x362F:
			want = []int64{w(0) - 0x8000}
		case 0xE000:
			want = []int64{100 * w(0)}
		}
		var got []int64
		for _, v := range b.Values {
			got = append(got, v.Mantissa)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%#04x with %#04x: got %v, want %v", code, words, got, want)
		}
	})
}
