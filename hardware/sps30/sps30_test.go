package sps30_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/sensirion"
	"wattmark/hardware/sps30"
)

// air is what the emulated part breathes. 0x41110000 is 9.0625: its bytes are stuffed.
var air = emulated.Dust{3.5, 5.25, 6.125, 6.75, 20.5, 24.1, 9.0625, 25.2, 25.3, 0.541}

var airRows = []string{
	"pm1_0 3.5 ug/m3 ok", "pm2_5 5.25 ug/m3 ok", "pm4_0 6.125 ug/m3 ok", "pm10 6.75 ug/m3 ok",
	"particles_0_5 20.5 1/cm3 ok", "particles_1_0 24.1 1/cm3 ok", "particles_2_5 9.0625 1/cm3 ok", "particles_4_0 25.2 1/cm3 ok", "particles_10 25.3 1/cm3 ok",
	"typical_size 0.541 um ok",
}

// sensor is an emulated part and a driver, on I2C or on a serial line.
type sensor struct {
	*sps30.Dev
	part   *emulated.SPS30
	faults func(emulated.Plan)
	attach func(bool)
	asked  func() int
}

func clock() hardware.Clock {
	start := time.Now().Add(-time.Hour)
	return func() time.Duration { return time.Since(start) }
}

func onI2C(t testing.TB, now hardware.Clock) *sensor {
	t.Helper()
	bus := emulated.NewBus("i2c-1")
	part := emulated.NewSPS30("8CCABCFAE3201F49", now)
	part.Set(air)
	bus.Attach(sps30.Address, part)
	dev, err := sps30.NewI2C(bus, sps30.Address, &sps30.Opts{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	var plan emulated.Plan
	return &sensor{dev, part, func(p emulated.Plan) { plan = p; bus.SetFaults(sps30.Address, p) }, func(on bool) {
		if bus.Detach(sps30.Address); on {
			bus.Attach(sps30.Address, part)
			bus.SetFaults(sps30.Address, plan)
		}
	}, bus.Transfers}
}

func onSerial(t testing.TB, now hardware.Clock) *sensor {
	t.Helper()
	part := emulated.NewSPS30("8CCABCFAE3201F49", now)
	part.Set(air)
	cable := emulated.NewCable(part)
	cable.Slowness = 100 * time.Millisecond
	dev, err := sps30.NewSerial(cable.Conn(), &sps30.Opts{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return &sensor{dev, part, cable.SetFaults, cable.Plug, cable.Frames}
}

var transports = map[string]func(testing.TB, hardware.Clock) *sensor{"i2c": onI2C, "serial": onSerial}

// each runs a test on both transports, in a bubble.
func each(t *testing.T, f func(t *testing.T, s *sensor)) {
	for name, make := range transports {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, make(t, clock())) })
		})
	}
}

// sample waits for a sample as long as the descriptor says.
func (s *sensor) sample(t *testing.T) *hardware.Batch {
	t.Helper()
	var b hardware.Batch
	var err error
	for end := time.Now().Add(s.Describe().Settle); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = s.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrNoData) {
			break
		}
	}
	if err != nil {
		t.Fatalf("no sample within %s: %v", s.Describe().Settle, err)
	}
	return &b
}

func rows(about hardware.Descriptor, b *hardware.Batch) (all []string) {
	for _, v := range b.Values {
		c := about.Channels[v.Channel]
		all = append(all, fmt.Sprintf("%s %s %s %s", c.Name, v, c.Unit, v.Quality))
	}
	return all
}

func TestConformance(t *testing.T) {
	for name, c := range map[string]struct {
		make    func(testing.TB, hardware.Clock) *sensor
		classes map[emulated.Fault]error
	}{
		"i2c": {onI2C, map[emulated.Fault]error{
			emulated.Silence: hardware.ErrAbsent, emulated.NACK: hardware.ErrAbsent, emulated.StuckBus: hardware.ErrTimeout,
			emulated.BadCRC: hardware.ErrChecksum, emulated.FlippedBit: hardware.ErrChecksum, emulated.Truncated: hardware.ErrChecksum, emulated.Slow: nil,
		}},
		"serial": {onSerial, map[emulated.Fault]error{
			emulated.Silence: hardware.ErrAbsent, emulated.NACK: hardware.ErrAbsent, emulated.StuckBus: hardware.ErrAbsent,
			emulated.BadCRC: hardware.ErrChecksum, emulated.FlippedBit: hardware.ErrChecksum, emulated.Truncated: hardware.ErrMalformed,
			emulated.Doubled: hardware.ErrStale, emulated.Late: hardware.ErrAbsent, emulated.Slow: nil,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
				s := c.make(t, now)
				return &hardwaretest.Bench{Device: s.Dev, Faults: s.faults, Attach: s.attach, Exchanges: s.asked, Changes: s.part.Settings, Classes: c.classes}
			})
		})
	}
}

// The part is started once, warms up for 30 s, and tells what it is.
func TestWarmUp(t *testing.T) {
	each(t, func(t *testing.T, s *sensor) {
		first := s.sample(t)
		want := hardware.Identity{Manufacturer: "Sensirion", Model: "Sensirion SPS30", Serial: "8CCABCFAE3201F49", Version: "2.2"}
		var warming []string
		for _, r := range airRows {
			warming = append(warming, strings.Replace(r, " ok", " warming_up", 1))
		}
		got := rows(s.Describe(), first)
		if diff := cmp.Diff(warming, got); diff != "" {
			t.Errorf("at first (-want +got):\n%s", diff)
		}
		var b hardware.Batch
		for range 28 {
			time.Sleep(time.Second)
			if err := s.Sense(t.Context(), &b); err != nil || b.Values[0].Quality != hardware.WarmingUp {
				t.Fatalf("after %v: %v", b.Values, err)
			}
		}
		time.Sleep(3 * time.Second)
		if diff := cmp.Diff(airRows, rows(s.Describe(), s.sample(t))); diff != "" {
			t.Errorf("warm (-want +got):\n%s", diff)
		}
		if n := s.part.Settings(); n > 2 { // on I2C a stop comes before the start
			t.Errorf("%d changes of state, one start was needed", n)
		}
		id, sure, err := s.Probe(t.Context())
		if diff := cmp.Diff(want, id); diff != "" || sure != hardware.Certain || err != nil {
			t.Errorf("probed %s, %v (-want +got):\n%s", sure, err, diff)
		}
	})
}

// A part that measures when the program starts is left to it: its fan is warm.
func TestMeasuringPartIsNotStarted(t *testing.T) {
	for name, make := range transports {
		synctest.Test(t, func(t *testing.T) {
			now := clock()
			s := make(t, now)
			s.sample(t)
			before := s.part.Settings()
			for range 3 { // whenever between two measurements it is met
				time.Sleep(1300 * time.Millisecond)
				again := &sensor{part: s.part}
				if name == "i2c" {
					bus := emulated.NewBus("i2c-1")
					bus.Attach(sps30.Address, s.part)
					again.Dev, _ = sps30.NewI2C(bus, sps30.Address, &sps30.Opts{Now: now})
				} else {
					again.Dev, _ = sps30.NewSerial(emulated.NewCable(s.part).Conn(), &sps30.Opts{Now: now})
				}
				if diff := cmp.Diff(airRows, rows(again.Describe(), again.sample(t))); diff != "" || s.part.Settings() != before {
					t.Errorf("%s, %d changes (-want +got):\n%s", name, s.part.Settings()-before, diff)
				}
			}
		})
	}
}

// No data is no data: neither the old values nor zeros.
func TestNothingNew(t *testing.T) {
	each(t, func(t *testing.T, s *sensor) {
		s.sample(t)
		var b hardware.Batch
		if err := s.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrNoData) || len(b.Values) != 0 {
			t.Errorf("right after a sample: %v, %v", b.Values, err)
		}
	})
}

func TestBrownOut(t *testing.T) {
	each(t, func(t *testing.T, s *sensor) {
		s.sample(t)
		time.Sleep(time.Minute)
		s.part.PowerCycle()
		if b := s.sample(t); b.Values[0].Quality != hardware.WarmingUp {
			t.Errorf("after a brown-out the fan is cold: %v", b.Values[0])
		}
		if err := s.Halt(); err != nil {
			t.Fatal(err)
		}
		s.sample(t)
	})
}

// What fan and laser do shows in the status register.
func TestStatus(t *testing.T) {
	each(t, func(t *testing.T, s *sensor) {
		s.part.SetStatus(emulated.SPS30Fan)
		if err := s.SelfTest(t.Context()); !errors.Is(err, hardware.ErrDevice) {
			t.Errorf("before the first sample: %v", err)
		}
		s.part.SetStatus(0)
		s.sample(t)
		if err := s.SelfTest(t.Context()); err != nil {
			t.Errorf("a sound part: %v", err)
		}
		for bits, want := range map[uint32]string{emulated.SPS30Fan: "fan does not turn", emulated.SPS30Laser: "laser", emulated.SPS30Fan | emulated.SPS30Laser | emulated.SPS30Speed: "turn, the laser"} {
			s.part.SetStatus(bits)
			time.Sleep(time.Second)
			var b hardware.Batch
			if err := s.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrDevice) || !strings.Contains(err.Error(), want) || len(b.Values) != 0 {
				t.Errorf("status %#x: %v, %v", bits, b.Values, err)
			}
			if err := s.SelfTest(t.Context()); !errors.Is(err, hardware.ErrDevice) || !strings.Contains(err.Error(), want) {
				t.Errorf("status %#x: tested %v", bits, err)
			}
		}
		s.part.SetStatus(emulated.SPS30Speed)
		b := s.sample(t)
		if len(b.Values) != 10 || len(b.Warnings) != 1 || !strings.HasPrefix(b.Warnings[0], "register_disagrees: ") {
			t.Errorf("a fan out of speed: %v, %q", b.Values, b.Warnings)
		}
	})
}

// Firmware before 2.2 has no status register on I2C.
func TestOldFirmware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := onI2C(t, clock())
		s.part.SetFirmware(0x0100)
		if b := s.sample(t); len(b.Values) != 10 {
			t.Errorf("%v", b.Values)
		}
		if id, _, err := s.Probe(t.Context()); err != nil || id.Version != "1.0" {
			t.Errorf("%+v, %v", id, err)
		}
		if err := s.SelfTest(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("tested %v", err)
		}
	})
}

// impostor is a part that speaks as an SPS30 does and calls itself something else.
type impostor struct{ *emulated.SPS30 }

func (p impostor) ReadI2C(b []byte) bool {
	ok := p.SPS30.ReadI2C(b)
	if len(b) == 12 { // the four words of the product type
		copy(b, words([]byte("00090000")))
	}
	return ok
}

func TestAnotherPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus, part := emulated.NewBus("i2c-1"), emulated.NewSPS30("1", clock())
		bus.Attach(sps30.Address, impostor{part})
		d, err := sps30.NewI2C(bus, sps30.Address, nil)
		if err != nil {
			t.Fatal(err)
		}
		var b hardware.Batch
		for range 3 {
			if err := d.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrWrongDevice) || part.Settings() != 0 {
				t.Errorf("%v, %d changes", err, part.Settings())
			}
		}
		if id, sure, err := d.Probe(t.Context()); sure != hardware.NotFound || !errors.Is(err, hardware.ErrWrongDevice) {
			t.Errorf("probed %+v, %s, %v", id, sure, err)
		}
	})
}

func TestConstructorsRefuse(t *testing.T) {
	if d, err := sps30.NewI2C(nil, 0x80, nil); err == nil {
		t.Errorf("%s was made", d)
	}
	if d, err := sps30.NewSerial(nil, &sps30.Opts{Timeout: -1}); err == nil {
		t.Errorf("%s was made", d)
	}
}

// frame composes a reply of the UART as the data sheet describes it (5.1), on its own.
func frame(command, state byte, data ...byte) []byte {
	b := append([]byte{0, command, state, byte(len(data))}, data...)
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	b = append(b, byte(255-sum%256))
	text := strings.NewReplacer("\x7e", "\x7d\x5e", "\x7d", "\x7d\x5d", "\x11", "\x7d\x31", "\x13", "\x7d\x33").Replace(string(b))
	return []byte("\x7e" + text + "\x7e")
}

// measured is the bytes of ten floats.
func measured(values emulated.Dust) []byte {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// words are the words of bytes with their checksums.
func words(b []byte) []byte {
	var w []byte
	for i := 0; i < len(b); i += 2 {
		w = sensirion.AppendWord(w, binary.BigEndian.Uint16(b[i:]))
	}
	return w
}

func decoder(t testing.TB) *sps30.Dev {
	t.Helper()
	d, err := sps30.NewSerial(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecode(t *testing.T) {
	d := decoder(t)
	full := fmt.Sprintf("%x", frame(3, 0, measured(air)...))
	bad := []byte(full)
	bad[10] ^= 1 // the first byte of the data
	const ask = "> 7e 00 03 00 fc 7e\n"
	i2c := fmt.Sprintf("%x", words(measured(air)))
	for name, c := range map[string]struct {
		text     string
		rows     []string
		warnings []string
		class    error
		detail   error
	}{
		"measurement":                {ask + "< " + full, airRows, nil, nil, nil},
		"without a request":          {full, airRows, nil, nil, nil},
		"over I2C":                   {"> 03 00\n< " + i2c, airRows, nil, nil, nil},
		"over I2C without a command": {i2c, airRows, nil, nil, nil},
		// The data sheet's examples (5.3): an empty reply, start, stop, interval of cleaning.
		"empty reply":                  {ask + "< 7e 00 03 00 00 fc 7e", nil, nil, hardware.ErrNoData, nil},
		"empty reply and a full one":   {ask + "< 7e 00 03 00 00 fc 7e\n" + ask + "< " + full, airRows, nil, nil, nil},
		"started and stopped":          {"> 7e 00 00 02 01 03 f9 7e\n< 7e 00 00 00 00 ff 7e\n> 7e 00 01 00 fe 7e\n< 7e 00 01 00 00 fe 7e", nil, nil, nil, nil},
		"cleaning, checksum stuffed":   {"> 7e 00 80 01 00 7d 5e 7e\n< 7e 00 80 00 04 00 09 3a 80 b8 7e", nil, []string{"skipped: answer to command 0x80"}, nil, nil},
		"not ready":                    {"> 02 02\n< 00 00 81", nil, nil, hardware.ErrNoData, nil},
		"device error flag":            {frameText(3, 0x80, measured(air)...), nil, nil, hardware.ErrDevice, nil},
		"not allowed":                  {ask + "< " + frameText(3, 0x43), nil, nil, hardware.ErrDevice, nil},
		"unlisted state":               {ask + "< " + frameText(3, 0x7F), nil, nil, hardware.ErrDevice, nil},
		"flag, but only the speed":     {ask + "< " + frameText(3, 0x80, measured(air)...) + "\n> 7e 00 d2 01 00 2c 7e\n< " + frameText(0xD2, 0x80, 0, 0x20, 0, 0, 0), airRows, []string{"register_disagrees: the status register says that the fan runs too fast or too slow"}, nil, nil},
		"flag, and the fan":            {ask + "< " + frameText(3, 0x80, measured(air)...) + "\n> 7e 00 d2 01 00 2c 7e\n< " + frameText(0xD2, 0x80, 0, 0, 0, 0x10, 0), nil, nil, hardware.ErrDevice, nil},
		"fan over I2C":                 {"> 03 00\n< " + i2c + "\n> d2 06\n< " + fmt.Sprintf("%x", words([]byte{0, 0, 0, 0x10})), nil, nil, hardware.ErrDevice, nil},
		"bad checksum":                 {ask + "< " + string(bad), nil, nil, hardware.ErrChecksum, nil},
		"bad CRC over I2C":             {"> 03 00\n< " + i2c[:4] + "00" + i2c[6:], nil, nil, hardware.ErrChecksum, nil},
		"no end":                       {ask + "< " + full[:len(full)-2], nil, nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"half":                         {ask + "< " + full[:40], nil, nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"half over I2C":                {"> 03 00\n< " + i2c[:60], nil, nil, hardware.ErrMalformed, nil},
		"nothing at all":               {"# nothing", nil, nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"no frame":                     {"7e 7e", nil, nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"noise before":                 {ask + "< 00 " + full, nil, nil, hardware.ErrMalformed, nil},
		"no answer":                    {ask, nil, nil, hardware.ErrStale, nil},
		"doubled":                      {ask + "< " + full + full, nil, nil, hardware.ErrStale, nil},
		"bytes behind":                 {ask + "< " + full + "00", nil, nil, hardware.ErrStale, nil},
		"other command":                {ask + "< 7e 00 01 00 00 fe 7e", nil, nil, hardware.ErrMalformed, hardware.ErrWrongReply},
		"other command, none sent":     {"7e 00 01 00 00 fe 7e", nil, nil, hardware.ErrMalformed, hardware.ErrWrongReply},
		"nine floats":                  {ask + "< " + frameText(3, 0, measured(air)[:36]...), nil, nil, hardware.ErrMalformed, hardware.ErrWrongReply},
		"other address":                {ask + "< 7e 01 03 00 00 fb 7e", nil, nil, hardware.ErrWrongDevice, nil},
		"length too large":             {ask + "< 7e 00 03 00 28 d4 7e", nil, nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"stuffing that is none":        {ask + "< 7e 00 03 00 00 7d 00 7e", nil, nil, hardware.ErrMalformed, nil},
		"stuffing at the end":          {ask + "< 7e 00 03 00 00 fc 7d 7e", nil, nil, hardware.ErrMalformed, nil},
		"too long":                     {"7e" + strings.Repeat("00", 300) + "7e", nil, nil, hardware.ErrMalformed, nil},
		"request with a bad checksum":  {"> 7e 00 03 00 fd 7e\n< " + full, nil, nil, hardware.ErrMalformed, nil},
		"request that is none":         {"> 7e 00 03\n< " + full, nil, nil, hardware.ErrMalformed, nil},
		"request with a wrong length":  {"> 7e 00 03 01 fb 7e\n< " + full, nil, nil, hardware.ErrMalformed, nil},
		"not a number":                 {ask + "< " + frameText(3, 0, append([]byte{0x7f, 0xc0, 0, 0}, measured(air)[4:]...)...), airRows[1:], []string{"not_a_number: pm1_0"}, nil, nil},
		"out of range":                 {ask + "< " + frameText(3, 0, append(measured(emulated.Dust{1000.5})[:4], measured(air)[4:]...)...), append([]string{"pm1_0 1000.5 ug/m3 out_of_range"}, airRows[1:]...), nil, nil, nil},
		"another part":                 {"> 7e 00 d0 01 00 2e 7e\n< " + frameText(0xD0, 0, []byte("00090000\x00")...), nil, nil, hardware.ErrWrongDevice, nil},
		"another part over I2C":        {"> d0 02\n< " + fmt.Sprintf("%x", words([]byte("SEN55\x00\x00\x00"))), nil, nil, hardware.ErrWrongDevice, nil},
		"version of a wrong length":    {"> 7e 00 d1 00 2e 7e\n< " + frameText(0xD1, 0, 2, 2), nil, nil, hardware.ErrMalformed, hardware.ErrWrongReply},
		"status of a wrong length":     {"> 7e 00 d2 01 00 2c 7e\n< " + frameText(0xD2, 0, 0), nil, nil, hardware.ErrMalformed, hardware.ErrWrongReply},
		"command of I2C nobody knows":  {"> 12 34\n< be ef 92", nil, []string{"skipped: answer to command 0x1234"}, nil, nil},
		"start over I2C, then a value": {"> 00 10 03 00 ac\n> 03 00\n< " + i2c, airRows, nil, nil, nil},
		"no command of I2C":            {"> 03\n< " + i2c, nil, nil, hardware.ErrMalformed, nil},
	} {
		recorded, err := hardware.ParseTranscript([]byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := hardwaretest.CheckDecode(t, d, recorded)
		if hardware.Class(err) != c.class || c.detail != nil && !errors.Is(err, c.detail) {
			t.Errorf("%s: got %v, want %v, %v", name, err, c.class, c.detail)
		}
		if diff := cmp.Diff(c.rows, rows(d.Describe(), b)); diff != "" {
			t.Errorf("%s: values (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.warnings, append([]string(nil), b.Warnings...)); c.class == nil && diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", name, diff)
		}
	}
}

func frameText(command, state byte, data ...byte) string {
	return fmt.Sprintf("%x", frame(command, state, data...))
}

// Every byte there is, stuffed or not, comes back.
func TestValuesAreExact(t *testing.T) {
	d := decoder(t)
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.OneOf(rapid.Byte(), rapid.SampledFrom([]byte{0x7e, 0x7d, 0x11, 0x13, 0x5e})), 40, 40).Draw(t, "data")
		for _, received := range [][]byte{frame(3, 0, data...), words(data)} {
			var recorded hardware.Transcript
			if received[0] == 0x7e && len(received) == 60 {
				return // words that begin as a frame does: only their command tells them apart
			}
			recorded.Receive(received)
			var b hardware.Batch
			if received[0] == 0x7e && received[1] != 0 {
				continue
			}
			if err := d.Decode(&recorded, &b); err != nil {
				t.Fatal(err)
			}
			got := map[uint8]string{}
			for _, v := range b.Values {
				got[v.Channel] = v.String()
			}
			for i := range 10 {
				f := math.Float32frombits(binary.BigEndian.Uint32(data[4*i:]))
				text, has := got[uint8(i)]
				none := math.IsNaN(float64(f)) || math.IsInf(float64(f), 0)
				if has == none {
					t.Fatalf("channel %d from %v: there %v", i, f, has)
				}
				if back, err := strconv.ParseFloat(text, 32); has && (err != nil || float32(back) != f) {
					t.Fatalf("channel %d: %s came from %v", i, text, f)
				}
			}
		}
	})
}

func TestRecordings(t *testing.T) {
	for file, recorded := range hardwaretest.Recordings(t) {
		b, err := hardwaretest.CheckDecode(t, decoder(t), recorded)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if diff := cmp.Diff(airRows, rows(decoder(t).Describe(), b)); diff != "" || b.Identity.Serial != "8CCABCFAE3201F49" {
			t.Errorf("%s, serial %q (-want +got):\n%s", file, b.Identity.Serial, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var seeds []*hardware.Transcript
	for _, text := range []string{
		"> 7e 00 03 00 fc 7e\n< " + frameText(3, 0, measured(air)...) + "\n> 7e 00 d0 01 03 2b 7e\n< " + frameText(0xD0, 0, []byte("8CCABCFAE3201F49\x00")...),
		fmt.Sprintf("> 03 00\n< %x\n> 02 02\n< 00 01 b0", words(measured(air))),
		"> 7e 00 80 01 00 7d 5e 7e\n< 7e 00 80 00 04 00 09 3a 80 b8 7e",
	} {
		t, err := hardware.ParseTranscript([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, t)
	}
	hardwaretest.FuzzDecode(f, decoder(f), seeds...)
}
