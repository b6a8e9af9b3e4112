package pms_test

import (
	"encoding/binary"
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
	"wattmark/hardware/pms"
)

// plume is what the emulated part breathes: the two kinds of mass differ, as they do
// above some 30 ug/m3.
var plume = emulated.Plume{
	Standard: [3]uint16{42, 65, 78}, Atmospheric: [3]uint16{31, 46, 59},
	Above: [6]uint16{7230, 2014, 402, 45, 7, 0},
}

var plumeRows = []string{
	"pm1_0_std 42 ug/m3 ok", "pm2_5_std 65 ug/m3 ok", "pm10_std 78 ug/m3 ok",
	"pm1_0 31 ug/m3 ok", "pm2_5 46 ug/m3 ok", "pm10 59 ug/m3 ok",
	"particles_gt_0_3 72.30 1/cm3 ok", "particles_gt_0_5 20.14 1/cm3 ok", "particles_gt_1_0 4.02 1/cm3 ok",
	"particles_gt_2_5 0.45 1/cm3 ok", "particles_gt_5_0 0.07 1/cm3 ok", "particles_gt_10 0.00 1/cm3 ok",
}

// sensor is an emulated part and a driver on a cable of their own.
type sensor struct {
	*pms.Dev
	cable *emulated.Cable
	part  *emulated.PMS
}

// newSensor goes by the time that passes in a bubble, on a machine that booted an hour
// ago, unless opts say otherwise.
func newSensor(t testing.TB, opts pms.Opts) *sensor {
	t.Helper()
	if opts.Now == nil {
		start := time.Now().Add(-time.Hour)
		opts.Now = func() time.Duration { return time.Since(start) }
	}
	s := &sensor{part: emulated.NewPMS()}
	s.part.Set(plume)
	s.cable = emulated.NewCable(s.part)
	dev, err := pms.NewSerial(s.cable.Conn(), &opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Dev = dev
	return s
}

func rows(about hardware.Descriptor, b *hardware.Batch) (all []string) {
	for _, v := range b.Values {
		c := about.Channels[v.Channel]
		all = append(all, fmt.Sprintf("%s %s %s %s", c.Name, v, c.Unit, v.Quality))
	}
	return all
}

func TestConformance(t *testing.T) {
	for _, model := range []string{"pms5003", "pms7003"} {
		t.Run(model, func(t *testing.T) {
			hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
				s := newSensor(t, pms.Opts{Model: model, Now: now})
				return &hardwaretest.Bench{
					Device: s.Dev, Push: true, Faults: s.cable.SetFaults, Attach: s.cable.Plug, Exchanges: s.cable.Frames,
					Classes: map[emulated.Fault]error{
						emulated.Silence: nil, emulated.NACK: nil, emulated.StuckBus: nil, emulated.BadCRC: hardware.ErrChecksum, emulated.FlippedBit: hardware.ErrChecksum,
						emulated.Truncated: hardware.ErrMalformed, emulated.Doubled: nil, emulated.Late: nil, emulated.Slow: nil,
					},
				}
			})
		})
	}
}

// A frame that waits in the buffer is old: Sense waits for the next.
func TestOldFramesAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSensor(t, pms.Opts{})
		var b hardware.Batch
		if err := s.Sense(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, err := s.cable.Conn().Discard(); err != nil { // the cable carries what was due until now
			t.Fatal(err)
		}
		changed := plume
		changed.Atmospheric[1] = 47
		s.part.Set(changed)
		if err := s.Sense(t.Context(), &b); err != nil || b.Values[4].Mantissa != 47 {
			t.Errorf("%v, %v", b.Values, err)
		}
		if diff := cmp.Diff([]string(nil), append([]string(nil), b.Warnings...)); diff != "" {
			t.Errorf("warnings (-want +got):\n%s", diff)
		}
	})
}

func TestWarmUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s := newSensor(t, pms.Opts{Now: func() time.Duration { return time.Since(start) }})
		expect := func(when string, want hardware.Quality) {
			t.Helper()
			var b hardware.Batch
			if err := s.Sense(t.Context(), &b); err != nil || len(b.Values) != 12 || b.Values[0].Quality != want || b.Values[11].Quality != want {
				t.Errorf("%s: %v, %v", when, b.Values, err)
			}
		}
		expect("after boot", hardware.WarmingUp)
		time.Sleep(25 * time.Second)
		expect("just before its time", hardware.WarmingUp)
		time.Sleep(3 * time.Second)
		expect("warm", 0)
		s.cable.SetFaults(emulated.Always(emulated.Silence))
		var b hardware.Batch
		if err := s.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrTimeout) || !strings.Contains(err.Error(), "5 V") {
			t.Errorf("without a supply: %v", err)
		}
		s.cable.SetFaults(nil)
		expect("with one again", hardware.WarmingUp)
		time.Sleep(30 * time.Second)
		expect("warm again", 0)
	})
}

func TestNewSerialRefuses(t *testing.T) {
	for name, o := range map[string]pms.Opts{"model": {Model: "pms3003"}, "power-up": {PowerUp: -1}} {
		if d, err := pms.NewSerial(nil, &o); err == nil {
			t.Errorf("%s: %s was made", name, d)
		}
	}
}

// frame composes a frame as the manual describes it, on its own.
func frame(words ...uint16) string {
	b := []byte{0x42, 0x4D, 0, byte(2*len(words) + 2)}
	for _, w := range words {
		b = binary.BigEndian.AppendUint16(b, w)
	}
	total := 0
	for _, c := range b {
		total += int(c)
	}
	return fmt.Sprintf("%x", binary.BigEndian.AppendUint16(b, uint16(total)))
}

// plumeWords are the words of a frame of plume.
var plumeWords = []uint16{42, 65, 78, 31, 46, 59, 7230, 2014, 402, 45, 7, 0, 0x9700}

func decoder(t testing.TB) *pms.Dev {
	t.Helper()
	d, err := pms.NewSerial(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDecode(t *testing.T) {
	good := frame(plumeWords...)
	other := frame(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0)
	bad := good[:len(good)-2] + "00"
	// Words that look like the beginning of a frame: 0x424d and 0x001c.
	within := append([]uint16{0x424D, 0x001C}, plumeWords[2:]...)
	withinRows := append([]string{"pm1_0_std 16973 ug/m3 out_of_range", "pm2_5_std 28 ug/m3 ok"}, plumeRows[2:]...)
	highest := []uint16{0xFFFF, 1000, 1001, 0, 0, 0, 0xFFFF, 0, 0, 0, 0, 0, 0}
	highestRows := []string{
		"pm1_0_std 65535 ug/m3 out_of_range", "pm2_5_std 1000 ug/m3 ok", "pm10_std 1001 ug/m3 out_of_range", "pm1_0 0 ug/m3 ok", "pm2_5 0 ug/m3 ok", "pm10 0 ug/m3 ok",
		"particles_gt_0_3 655.35 1/cm3 ok", "particles_gt_0_5 0.00 1/cm3 ok", "particles_gt_1_0 0.00 1/cm3 ok", "particles_gt_2_5 0.00 1/cm3 ok", "particles_gt_5_0 0.00 1/cm3 ok", "particles_gt_10 0.00 1/cm3 ok",
	}
	for name, c := range map[string]struct {
		text     string
		rows     []string
		warnings []string
		class    error
		detail   error
	}{
		"one frame":               {good, plumeRows, nil, nil, nil},
		"in lines":                {"< " + good[:20] + "\n< " + good[20:], plumeRows, nil, nil, nil},
		"highest":                 {frame(highest...), highestRows, nil, nil, nil},
		"its beginning within":    {frame(within...), withinRows, nil, nil, nil},
		"tail of another before":  {other[30:] + good, plumeRows, []string{"resync: 17 bytes before the first good frame"}, nil, nil},
		"the first byte alone":    {"42" + good, plumeRows, []string{"resync: 1 bytes before the first good frame"}, nil, nil},
		"half of another before":  {other[:30] + good, plumeRows, []string{"resync: 15 bytes before the first good frame"}, nil, nil},
		"a damaged one before":    {bad + good, plumeRows, []string{"resync: 32 bytes before the first good frame"}, nil, nil},
		"a reply to a command":    {"42 4d 00 04 e1 01 01 75" + good, plumeRows, []string{"resync: 8 bytes before the first good frame"}, nil, nil},
		"another behind":          {good + other, plumeRows, []string{"trailing: 32 bytes after the first good frame"}, nil, nil},
		"half of one behind":      {good + other[:10], plumeRows, []string{"trailing: 5 bytes after the first good frame"}, nil, nil},
		"before and behind":       {"00" + good + "00", plumeRows, []string{"resync: 1 bytes before the first good frame", "trailing: 1 bytes after the first good frame"}, nil, nil},
		"asked in passive mode":   {"> 42 4d e2 00 00 01 71\n< " + good, plumeRows, nil, nil, nil},
		"asked twice":             {"> 42 4d e2 00 00 01 71\n< " + good + "\n> 42 4d e2 00 00 01 71\n< " + other, plumeRows, []string{"trailing: 32 bytes after the first good frame"}, nil, nil},
		"asked, not answered":     {"> 42 4d e2 00 00 01 71\n> 42 4d e2 00 00 01 71\n< " + good, nil, nil, hardware.ErrStale, nil},
		"asked, answered twice":   {"> 42 4d e2 00 00 01 71\n< " + good + other, nil, nil, hardware.ErrStale, nil},
		"asked, answered damaged": {"> 42 4d e2 00 00 01 71\n< " + bad, nil, nil, hardware.ErrChecksum, nil},
		"asked, and noise behind": {"> 42 4d e2 00 00 01 71\n< " + good + "00", plumeRows, []string{"trailing: 1 bytes after the first good frame"}, nil, nil},
		"nothing":                 {"", nil, nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"bad sum":                 {bad, nil, nil, hardware.ErrChecksum, nil},
		"the high byte of it":     {good[:len(good)-4] + "ff" + good[len(good)-2:], nil, nil, hardware.ErrChecksum, nil},
		"a flipped bit":           {good[:20] + "1" + good[21:], nil, nil, hardware.ErrChecksum, nil},
		"31 bytes":                {good[:62], nil, nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"two bytes":               {good[:4], nil, nil, hardware.ErrMalformed, hardware.ErrTruncated},
		"no header":               {good[4:], nil, nil, hardware.ErrMalformed, nil},
		"another start":           {"43" + good[2:], nil, nil, hardware.ErrMalformed, nil},
		"PMS5003ST, 40 bytes":     {frame(append(plumeWords, 1, 2, 3, 4)...), nil, nil, hardware.ErrWrongDevice, nil},
		"PMS3003, 24 bytes":       {frame(plumeWords[:9]...), nil, nil, hardware.ErrWrongDevice, nil},
		"another length, damaged": {good[:4] + "0024" + good[8:], nil, nil, hardware.ErrMalformed, nil},
		"two damaged":             {bad + bad, nil, nil, hardware.ErrChecksum, nil},
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
		if diff := cmp.Diff(c.rows, rows(d.Describe(), b)); diff != "" {
			t.Errorf("%s: values (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.warnings, append([]string(nil), b.Warnings...)); c.class == nil && diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", name, diff)
		}
	}
}

// Each good frame gives its words, whatever stands around it.
func TestValuesAreExact(t *testing.T) {
	d := decoder(t)
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.Uint16(), 13, 13).Draw(t, "words")
		before := rapid.SliceOfN(rapid.ByteRange(0, 0x41), 0, 40).Draw(t, "before") // no beginning of a frame
		after := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "after")
		recorded, err := hardware.ParseTranscript(fmt.Appendf(nil, "< %x%s%x", before, frame(words...), after))
		if err != nil {
			t.Fatal(err)
		}
		var b hardware.Batch
		if err := d.Decode(recorded, &b); err != nil {
			t.Fatal(err)
		}
		for i, v := range b.Values {
			if exponent := int8(i / 6 * -2); v.Mantissa != int64(words[i]) || v.Exponent != exponent {
				t.Fatalf("word %d: got %s, want %d x 10^%d", i, v, words[i], exponent)
			}
		}
		if warned := len(b.Warnings); warned != min(1, len(before))+min(1, len(after)) {
			t.Fatalf("%q, %d bytes before and %d after", b.Warnings, len(before), len(after))
		}
	})
}

func TestRecordings(t *testing.T) {
	for file, recorded := range hardwaretest.Recordings(t) {
		d := decoder(t)
		b, err := hardwaretest.CheckDecode(t, d, recorded)
		if diff := cmp.Diff(plumeRows, rows(d.Describe(), b)); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", file, err, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var seeds []*hardware.Transcript
	good := frame(plumeWords...)
	for _, text := range []string{good, good[20:] + good + good, "42 4d 00 04 e1 01 01 75\n> 42 4d e2 00 00 01 71\n< " + good} {
		t, err := hardware.ParseTranscript([]byte(text))
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, t)
	}
	hardwaretest.FuzzDecode(f, decoder(f), seeds...)
}
