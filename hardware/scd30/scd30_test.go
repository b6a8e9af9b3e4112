package scd30_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/scd30"
	"wattmark/hardware/sensirion"
)

// air is what the emulated part breathes.
var air = emulated.Air{CO2: 612.25, Temperature: 21.5, Humidity: 48.8}

// sensor is an emulated part and a driver on a bus of their own.
type sensor struct {
	*scd30.Dev
	bus  *emulated.Bus
	part *emulated.SCD30
}

// newSensor goes by the time that passes in a bubble, unless opts say otherwise.
func newSensor(t testing.TB, opts scd30.Opts) *sensor {
	t.Helper()
	if opts.Now == nil {
		start := time.Now()
		opts.Now = func() time.Duration { return time.Since(start) }
	}
	s := &sensor{bus: emulated.NewBus("i2c-1"), part: emulated.NewSCD30(opts.Now)}
	s.part.Set(air)
	s.bus.Attach(scd30.Address, s.part)
	dev, err := scd30.NewI2C(s.bus, scd30.Address, &opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Dev = dev
	return s
}

// ask sends a command behind the driver's back, and returns the word that answers it.
func (s *sensor) ask(t *testing.T, code uint16, arguments ...uint16) uint16 {
	t.Helper()
	b := binary.BigEndian.AppendUint16(nil, code)
	for _, a := range arguments {
		b = sensirion.AppendWord(b, a)
	}
	if err := s.bus.Tx(scd30.Address, b, nil); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Millisecond) // in a bubble
	if len(arguments) > 0 {
		return 0
	}
	var word [3]byte
	if err := s.bus.Tx(scd30.Address, nil, word[:]); err != nil {
		t.Fatal(err)
	}
	return sensirion.Word(word[:], 0)
}

func (s *sensor) sample(t *testing.T) *hardware.Batch {
	t.Helper()
	return hardwaretest.Sample(t, s.Dev)
}

func TestConformance(t *testing.T) {
	hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
		s := newSensor(t, scd30.Opts{Now: now})
		b := hardwaretest.OnI2C(s.Dev, s.bus, scd30.Address, s.part)
		for _, fault := range []emulated.Fault{emulated.BadCRC, emulated.FlippedBit, emulated.Truncated} {
			b.Classes[fault] = hardware.ErrChecksum
		}
		return b
	})
}

func TestEveryChannel(t *testing.T) {
	for _, c := range []struct {
		air  emulated.Air
		want []string
	}{
		{air, []string{"co2 612.25 ppm gauge ok", "temperature 21.5 Cel gauge ok", "relative_humidity 48.8 %RH gauge ok"}},
		{emulated.Air{CO2: 400, Temperature: -40, Humidity: 0},
			[]string{"co2 400 ppm gauge ok", "temperature -40 Cel gauge ok", "relative_humidity 0 %RH gauge ok"}},
		{emulated.Air{CO2: 399.9, Temperature: -40.1, Humidity: 100.5},
			[]string{"co2 399.9 ppm gauge out_of_range", "temperature -40.1 Cel gauge out_of_range", "relative_humidity 100.5 %RH gauge out_of_range"}},
		{emulated.Air{CO2: 10000, Temperature: 70, Humidity: 100},
			[]string{"co2 10000 ppm gauge ok", "temperature 70 Cel gauge ok", "relative_humidity 100 %RH gauge ok"}},
		{emulated.Air{CO2: 40000, Temperature: 0.1, Humidity: 33.333},
			[]string{"co2 40000 ppm gauge out_of_range,saturated", "temperature 0.1 Cel gauge ok", "relative_humidity 33.333 %RH gauge ok"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSensor(t, scd30.Opts{})
			s.part.Set(c.air)
			b := s.sample(t)
			if diff := cmp.Diff(c.want, hardwaretest.Rows(s.Describe(), b)); diff != "" || len(b.Warnings) != 0 {
				t.Errorf("%+v, warnings %q (-want +got):\n%s", c.air, b.Warnings, diff)
			}
		})
	}
}

// A measurement is given once: until the next one there is no data.
func TestOldMeasurementIsNoNewOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd30.Opts{Interval: 10 * time.Second})
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
		if next := s.sample(t); next.Values[0].String() != "1000" || next.At-at < 9*time.Second {
			t.Errorf("the next one is %v, %s later", next.Values, next.At-at)
		}
	})
}

// The part keeps its settings, in a memory that wears out: only other ones are written.
func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		opts     scd30.Opts
		writes   int
		selfCal  uint16
		interval uint16
	}{
		"the maker's":      {scd30.Opts{}, 1, 0, 2},
		"another interval": {scd30.Opts{Interval: 30 * time.Second}, 2, 0, 30},
		"self-calibration": {scd30.Opts{SelfCalibration: true, Pressure: 1013}, 2, 1, 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSensor(t, c.opts)
			s.sample(t)
			s.sample(t)
			if n := s.part.Settings(); n != c.writes {
				t.Errorf("%s: %d writes, want %d", name, n, c.writes)
			}
			if selfCal, interval := s.ask(t, 0x5306), s.ask(t, 0x4600); selfCal != c.selfCal || interval != c.interval {
				t.Errorf("%s: self-calibration %d, interval %d", name, selfCal, interval)
			}
			again, err := scd30.NewI2C(s.bus, scd30.Address, &c.opts) // the program is started again
			if err != nil {
				t.Fatal(err)
			}
			var b hardware.Batch
			if err := again.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrNoData) || s.part.Settings() != c.writes+1 {
				t.Errorf("%s, again: %v, %d writes", name, err, s.part.Settings())
			}
		})
	}
}

// A part from elsewhere may come measuring, set for a place with fresh air.
func TestSwappedPartIsSetUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd30.Opts{})
		s.sample(t)
		s.bus.Detach(scd30.Address)
		var b hardware.Batch
		if err := s.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrAbsent) {
			t.Fatal(err)
		}
		start := time.Now()
		s.part = emulated.NewSCD30(func() time.Duration { return time.Since(start) })
		s.part.Set(air)
		s.bus.Attach(scd30.Address, s.part)
		s.ask(t, 0x5306, 1)
		s.ask(t, 0x0010, 0)
		time.Sleep(time.Minute)
		if b := s.sample(t); b.Values[0].String() != "612.25" || s.ask(t, 0x5306) != 0 {
			t.Errorf("got %v, self-calibration %d", b.Values, s.ask(t, 0x5306))
		}
	})
}

func TestPartThatWasStopped(t *testing.T) {
	for name, stop := range map[string]func(s *sensor, t *testing.T){
		"by a command":       func(s *sensor, t *testing.T) { _ = s.bus.Tx(scd30.Address, []byte{0x01, 0x04}, nil) },
		"by a loss of power": func(s *sensor, t *testing.T) { s.part.PowerCycle() },
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSensor(t, scd30.Opts{})
			s.sample(t)
			stop(s, t)
			var b hardware.Batch
			begin := time.Now()
			for err := error(hardware.ErrNoData); err != nil; time.Sleep(100 * time.Millisecond) {
				if err = s.Sense(t.Context(), &b); err != nil && !errors.Is(err, hardware.ErrNoData) || time.Since(begin) > 10*time.Second {
					t.Fatalf("%s: %v after %s", name, err, time.Since(begin))
				}
			}
		})
	}
}

func TestProbeTellsTheFirmware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id, sure, err := newSensor(t, scd30.Opts{}).Probe(t.Context())
		want := hardware.Identity{Manufacturer: "Sensirion", Model: "Sensirion SCD30", Version: "3.66"}
		if diff := cmp.Diff(want, id); diff != "" || sure != hardware.Likely || err != nil {
			t.Errorf("%s, %v (-want +got):\n%s", sure, err, diff)
		}
	})
}

// Another part at the address, an SCD41, gives no value.
func TestAnotherPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, scd30.Opts{})
		s.bus.Detach(scd30.Address)
		s.bus.Attach(scd30.Address, emulated.NewSCD4x(1, nil))
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
	for name, c := range map[string]struct {
		address uint16
		opts    scd30.Opts
	}{
		"address": {0x80, scd30.Opts{}}, "too often": {scd30.Address, scd30.Opts{Interval: time.Second}},
		"too seldom":     {scd30.Address, scd30.Opts{Interval: 1801 * time.Second}},
		"half a second":  {scd30.Address, scd30.Opts{Interval: 2500 * time.Millisecond}},
		"low pressure":   {scd30.Address, scd30.Opts{Pressure: 699}},
		"high pressure":  {scd30.Address, scd30.Opts{Pressure: 1401}},
		"negative times": {scd30.Address, scd30.Opts{Interval: -2 * time.Second}},
	} {
		if d, err := scd30.NewI2C(emulated.NewBus("x"), c.address, &c.opts); err == nil {
			t.Errorf("%s: %s was made", name, d)
		}
	}
}

// answer is an intact recording of a command and the words that answer it.
func answer(code uint16, words ...uint16) *hardware.Transcript {
	var t hardware.Transcript
	t.Send(binary.BigEndian.AppendUint16(nil, code))
	var b []byte
	for _, w := range words {
		b = sensirion.AppendWord(b, w)
	}
	t.Receive(b)
	return &t
}

// The interface description's examples, and what could become of them.
func TestDecode(t *testing.T) {
	const example = "43 DB CB 8C 2E 8F 41 D9 70 E7 FF F5 42 43 BF 3A 1B 74" // 1.4.5
	measured := []string{"co2 439.09515 ppm gauge ok", "temperature 27.23828 Cel gauge ok", "relative_humidity 48.806744 %RH gauge ok"}
	s := newSensor(t, scd30.Opts{Settings: true})
	for name, c := range map[string]struct {
		text     string
		rows     []string
		warnings []string
		class    error
	}{
		"measurement":           {"> 03 00\n< " + example, measured, nil, nil},
		"without a command":     {example, measured, nil, nil},
		"with ready and offset": {answer(0x0202, 1).String() + "> 03 00\n< " + example + "\n" + answer(0x5403, 150).String(), append(measured[:3:3], "temperature_offset 1.50 K gauge ok"), nil, nil},
		"set-up":                {answer(0xD100, 0x342).String() + answer(0x5306, 0).String() + "> 46 00 00 02 E3\n> 00 10 00 00 81", nil, nil, nil},
		"not ready":             {answer(0x0202, 0).String(), nil, nil, hardware.ErrNoData},
		"not a number":          {answer(0x0300, 0x7FC0, 0, 0x41D9, 0xE7FF, 0xFF80, 0).String(), measured[1:2], []string{"not_a_number: co2", "not_a_number: relative_humidity"}, nil},
		"another command":       {answer(0x1234, 5).String(), nil, []string{"skipped: answer to command 0x1234"}, nil},
		"its bad checksum":      {"> 12 34\n< 00 05 00", nil, nil, hardware.ErrChecksum},
		"bad checksum":          {"> 03 00\n< 43 DB CC 8C 2E 8F 41 D9 70 E7 FF F5 42 43 BF 3A 1B 74", nil, nil, hardware.ErrChecksum},
		"five words":            {"> 03 00\n< 43 DB CB 8C 2E 8F 41 D9 70 E7 FF F5 42 43 BF", nil, nil, hardware.ErrTruncated},
		"no answer":             {"> 03 00", nil, nil, hardware.ErrTruncated},
		"no command":            {"> 03\n< " + example, nil, nil, hardware.ErrMalformed},
		"seven words":           {"> 03 00\n< " + example + " 00 00 81", nil, nil, hardware.ErrWrongReply},
		"one word unasked":      {"00 96 D4", nil, nil, hardware.ErrTruncated},
		"argument's checksum":   {"> 46 00 00 02 E4", nil, nil, hardware.ErrMalformed},
	} {
		b, err := hardwaretest.CheckDecode(t, s.Dev, hardwaretest.Recording(t, c.text))
		if !errors.Is(err, c.class) || (err == nil) != (c.class == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.class)
		}
		if diff := cmp.Diff(c.rows, hardwaretest.Rows(s.Describe(), b)); diff != "" {
			t.Errorf("%s: values (-want +got):\n%s", name, diff)
		}
		if want := (hardware.Identity{Version: "3.66"}); name == "set-up" && b.Identity != want {
			t.Errorf("%s: identity %+v", name, b.Identity)
		}
		if diff := cmp.Diff(c.warnings, append([]string(nil), b.Warnings...)); c.class == nil && diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", name, diff)
		}
	}
}

// Thousands of answers that mean nothing must not fill memory with complaints.
func TestDecodeMemory(t *testing.T) {
	s := newSensor(t, scd30.Opts{})
	var recorded hardware.Transcript
	for !recorded.Truncated() {
		recorded.Send([]byte{0x12, 0x34})
		recorded.Receive([]byte{0, 0, 0x81})
	}
	hardwaretest.CheckDecodeMemory(t, s.Dev, &recorded)
}

// checkFloats checks that the values are names of exactly these float32, and that
// those left out are none.
func checkFloats(t interface{ Errorf(string, ...any) }, b *hardware.Batch, words []uint16) {
	got := map[int]hardware.Value{}
	for _, v := range b.Values {
		got[int(v.Channel)] = v
	}
	for i := range 3 {
		want := math.Float32frombits(uint32(words[2*i])<<16 | uint32(words[2*i+1]))
		none := math.IsNaN(float64(want)) || math.IsInf(float64(want), 0)
		v, has := got[i]
		if has == none {
			t.Errorf("channel %d from %v: there %v", i, want, has)
		} else if back, err := strconv.ParseFloat(v.String(), 32); has && (err != nil || float32(back) != want) {
			t.Errorf("channel %d: %s came from %v", i, v, want)
		}
	}
}

func TestValuesAreExact(t *testing.T) {
	s := newSensor(t, scd30.Opts{})
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.Uint16(), 6, 6).Draw(t, "words")
		var b hardware.Batch
		if err := s.Decode(answer(0x0300, words...), &b); err != nil {
			t.Fatal(err)
		}
		checkFloats(t, &b, words)
	})
}

func FuzzDecode(f *testing.F) {
	s := newSensor(f, scd30.Opts{Settings: true, Interval: 2 * time.Second})
	var b hardware.Batch
	if err := s.Sense(context.Background(), &b); !errors.Is(err, hardware.ErrNoData) {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, s.Dev, &b.Evidence, answer(0x0300, 0x43DB, 0x8C2E, 0x41D9, 0xE7FF, 0x4243, 0x3A1B), answer(0x0202, 1), answer(0x5403, 150))
}

// FuzzWords decodes intact words, and turns the values back into them.
func FuzzWords(f *testing.F) {
	s := newSensor(f, scd30.Opts{Settings: true})
	f.Add(uint16(0x0300), []byte{0x43, 0xDB, 0x8C, 0x2E, 0x41, 0xD9, 0xE7, 0xFF, 0x42, 0x43, 0x3A, 0x1B})
	f.Add(uint16(0x5403), []byte{0, 150})
	f.Add(uint16(0x0202), []byte{0, 0})
	f.Fuzz(func(t *testing.T, code uint16, data []byte) {
		words := make([]uint16, min(len(data)/2, 20))
		for i := range words {
			words[i] = binary.BigEndian.Uint16(data[2*i:])
		}
		b, err := hardwaretest.CheckDecode(t, s.Dev, answer(code, words...))
		switch {
		case err != nil && errors.Is(err, hardware.ErrChecksum):
			t.Errorf("intact words: %v", err)
		case err != nil:
		case code == 0x0300:
			checkFloats(t, b, words)
		case code == 0x5403:
			if len(b.Values) != 1 || b.Values[0].Mantissa != int64(words[0]) || b.Values[0].Exponent != -2 {
				t.Errorf("an offset of %d is %v", words[0], b.Values)
			}
		case len(b.Values) != 0:
			t.Errorf("an answer to %#04x is %v", code, b.Values)
		}
	})
}
