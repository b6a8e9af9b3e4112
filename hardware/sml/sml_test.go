package sml_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/sml"
)

var supply = emulated.Supply{
	Phases:   [3]emulated.Phase{{Voltage: 230.2, Power: 300}, {Voltage: 231, Power: 28.05}, {Voltage: 229.9}},
	ImportWh: 12_345_678, ExportWh: 5_004,
}

func newDevice(t testing.TB, s hardware.Stream, opts *sml.Opts) *sml.Dev {
	t.Helper()
	d, err := sml.NewSerial(s, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
		part := emulated.NewSMLMeter("EMH", 1234567)
		part.Set(supply)
		cable := emulated.NewCable(part)
		return &hardwaretest.Bench{
			Device: newDevice(t, cable.Conn(), &sml.Opts{Now: now}), Push: true,
			Faults: cable.SetFaults, Attach: cable.Plug, Exchanges: cable.Frames,
			Classes: map[emulated.Fault]error{
				emulated.Silence: nil, emulated.BadCRC: hardware.ErrChecksum, emulated.FlippedBit: hardware.ErrChecksum,
				emulated.Truncated: hardware.ErrMalformed, emulated.Doubled: nil, emulated.Late: nil, emulated.Slow: nil,
			},
		}
	})
}

// rows are the values of b as a person reads them.
func rows(d *sml.Dev, b *hardware.Batch) (all []string) {
	about := d.Describe()
	for _, v := range b.Values {
		c := about.Channels[v.Channel]
		all = append(all, fmt.Sprintf("%s %s %s %s", c.Name, v, c.Unit, v.Quality))
	}
	return all
}

// decode decodes what a head received, and checks what holds for all bytes.
func decode(t testing.TB, received []byte) (*sml.Dev, *hardware.Batch, error) {
	t.Helper()
	d := newDevice(t, nil, nil)
	var recorded hardware.Transcript
	recorded.Receive(received)
	b, err := hardwaretest.CheckDecode(t, d, &recorded)
	return d, b, err
}

// next is what a meter sends next.
func next(m *emulated.SMLMeter) []byte {
	b, _ := m.Talk(nil)
	return b
}

// file is a file with one list of one entry for each name, whose other elements are in hex:
// status, time, unit, scaler, value. The server is a meter of ISKRA.
func file(server string, entries ...string) []byte {
	list := fmt.Sprintf("77 01 0b%s 01 01 7%x", server, len(entries))
	for _, e := range entries {
		list += "77" + e + "01"
	}
	return wrap("76 02 01 62 00 62 00 72 63 07 01" + list + "01 01 63 00 00 00")
}

const iskra = "0a0149534b000403df63" // 1 ISK 00 67362659

// wrap wraps messages in hex for the line. The checksum is computed with the data's bits
// in the order of the wire, unlike in the driver and the emulated meter.
func wrap(messages string) []byte {
	body, err := hex.DecodeString(strings.ReplaceAll(messages, " ", ""))
	if err != nil {
		panic(err)
	}
	run := []byte{0x1b, 0x1b, 0x1b, 0x1b}
	b := append(append([]byte{}, run...), 1, 1, 1, 1)
	b = append(b, bytes.ReplaceAll(body, run, append(run[:4:4], run...))...)
	fill := byte(0)
	for len(b)%4 != 0 {
		b = append(b, 0)
		fill++
	}
	b = append(append(b, run...), 0x1a, fill)
	crc := uint16(0xFFFF)
	for _, c := range b {
		c ^= byte(crc)
		c ^= c << 4
		crc = (uint16(c)<<8 | crc>>8) ^ uint16(c>>4) ^ uint16(c)<<3
	}
	crc = ^crc
	return append(b, byte(crc), byte(crc>>8))
}

func TestWhatEntriesSay(t *testing.T) {
	for entry, want := range map[string]string{
		"0701000108 00ff 65001c0104 01 621e 52ff 6500d637e0":   "active_energy_import 1403900.8 Wh ok",
		"0701000108 00ff 01 01 621e 52ff 59000000000d637e08":   "active_energy_import 22462413.6 Wh ok",
		"0701000108 01ff 01 726201650011e810 621e 5203 6304d2": "active_energy_import_t1 1234000 Wh coarse",
		"0701000108 00ff 01 01 621e 52ff 6500bc4ff0":           "active_energy_import 1234123.2 Wh ok",
		"0701000108 00ff 01 01 621e 52ff 6500bc4a30":           "active_energy_import 1233976.0 Wh ok",
		"0701000108 00ff 01 01 621e 52ff 6500bc4b40":           "active_energy_import 1234003.2 Wh ok",
		"0701000108 00ff 01 01 621e 52ff 6500bc4b20":           "active_energy_import 1234000.0 Wh coarse", // without its PIN
		"0701000208 00ff 01 01 621e 52ff 6200":                 "active_energy_export 0.0 Wh ok",
		"0701001007 00ff 01 01 621b 5200 55fffffe0c":           "active_power -500 W ok",
		"0701001007 00ff 01 01 621b 52fe 538025":               "active_power -327.31 W ok",
		"0701000107 00ff 01 01 621b 52ff 550000007b":           "active_power 12.3 W ok",
		"0701002407 00ff 01 01 621b 5200 5500000075":           "active_power_l1 117 W ok",
		"0701002007 00ff 01 01 6223 52ff 6308fd":               "voltage_l1 230.1 V ok",
		"0701001f07 00ff 01 01 6221 52fe 5229":                 "current_l1 0.41 A ok",
		"0701000e07 00ff 01 01 622c 52ff 6301f4":               "frequency 50.0 Hz ok",
		"0701000308 00ff 01 01 6220 5201 62ff":                 "reactive_energy_import 2550 varh ok",
		// No value, no unit of ours, no code of ours, no number, a list.
		"0701000108 00ff 01 01 621e 52ff 01":           "",
		"0701000108 0060 01 01 621e 5203 01":           "",
		"0701006201 00ff 01 01 621e 52ff 620a":         "",
		"0701000108 00ff 01 01 621e 52ff 0441424b":     "",
		"0701000108 00ff 01 01 621e 52ff 4200":         "",
		"0701000108 00ff 01 01 621e 52ff 72 6201 6202": "",
		// Eight bytes at the end of their range.
		"0701001007 00ff 01 01 621b 5200 597fffffffffffffff": "active_power 9223372036854775807 W ok",
		"0701001007 00ff 01 01 621b 5200 598000000000000000": "active_power -9223372036854775808 W ok",
	} {
		d, b, err := decode(t, file(iskra, entry))
		if got := strings.Join(rows(d, b), "|"); err != nil || got != want || len(b.Warnings) > 0 {
			t.Errorf("%s: got %q, %q, %v, want %q", entry, got, b.Warnings, err, want)
		}
	}
	d, b, err := decode(t, file(iskra, "0701000108 00ff 01 01 6223 52ff 620a"))
	if err != nil || len(b.Values) > 0 || len(b.Warnings) != 1 || !strings.HasPrefix(b.Warnings[0], "skipped: ") {
		t.Errorf("energy in volts: %v, %q, %v", rows(d, b), b.Warnings, err)
	}
}

// With export in the list the import is not signed.
func TestImportBesideExport(t *testing.T) {
	d, b, err := decode(t, file(iskra, "0701000107 00ff 01 01 621b 5200 6205", "0701000207 00ff 01 01 621b 5200 6200", "0701002907 00ff 01 01 621b 5200 6207"))
	want := []string{"active_power_import 5 W ok", "active_power_export 0 W ok", "active_power_l2 7 W ok"}
	if diff := cmp.Diff(want, rows(d, b)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestIdentity(t *testing.T) {
	for server, want := range map[string]hardware.Identity{
		iskra:                  {Manufacturer: "ISK", Serial: "1ISK0067362659"},
		"0a01445a470003938700": {Manufacturer: "DZG", Serial: "1DZG0060000000"},
		"090149534b000403df63": {Manufacturer: "ISK", Serial: "1ISK0067362659"},
		"064841470104c537527b": {Serial: "064841470104c537527b"},
	} {
		if _, b, err := decode(t, file(server)); err != nil || b.Identity != want || len(b.Values) != 0 {
			t.Errorf("%s: got %+v, %v", server, b.Identity, err)
		}
	}
	_, b, err := decode(t, file(iskra, "078181c78203ff 01 01 01 01 04454d48", "07010060 0100ff 01 01 01 01 0b0a01445a470003938700"))
	if want := (hardware.Identity{Manufacturer: "EMH", Serial: "1DZG0060000000"}); err != nil || b.Identity != want {
		t.Errorf("got %+v, %v", b.Identity, err)
	}
}

// DZG's DVS74 of certain numbers sends positive power as signed.
func TestDZGWorkaround(t *testing.T) {
	const power = "0701001007 00ff 01 01 621b 52fe "
	for _, c := range []struct {
		number uint32
		value  string
		want   string
		warns  bool
	}{
		{42_000_000, "538025", "328.05", true}, {48_999_999, "538025", "328.05", true}, {55_000_000, "538025", "328.05", true},
		{58_999_999, "538025", "328.05", true}, {42_082_910, "52ff", "2.55", true}, {42_082_910, "54ffffff", "167772.15", true},
		{42_082_910, "537fff", "327.67", false}, {42_082_910, "55ffff8025", "-327.31", false}, {42_082_910, "638025", "328.05", false},
		{41_999_999, "538025", "-327.31", false}, {49_000_000, "538025", "-327.31", false}, {54_999_999, "538025", "-327.31", false},
		{59_000_000, "538025", "-327.31", false}, {60_000_000, "538025", "-327.31", false},
	} {
		_, b, err := decode(t, file(fmt.Sprintf("0a01445a4700%08x", c.number), power+c.value))
		if err != nil || len(b.Values) != 1 || b.Values[0].String() != c.want {
			t.Errorf("%d, %s: %v, %v, want %s", c.number, c.value, b.Values, err, c.want)
		}
		if warned := len(b.Warnings) == 1 && strings.HasPrefix(b.Warnings[0], "vendor_workaround: "); warned != c.warns || len(b.Warnings) > 1 {
			t.Errorf("%d, %s: warnings %q", c.number, c.value, b.Warnings)
		}
	}
	// Its number may come after the power, and only in its own entry.
	_, b, err := decode(t, file(iskra, power+"538025", "07010060 0100ff 01 01 01 01 0b0a01445a4700028221de"))
	if err != nil || len(b.Values) != 1 || b.Values[0].String() != "328.05" {
		t.Errorf("%v, %v", b.Values, err)
	}
}

func TestEmulatedMeters(t *testing.T) {
	values := []string{
		"active_energy_import 12345678.0 Wh ok", "active_energy_export 5004.0 Wh ok", "active_power 328.05 W ok",
		"voltage_l1 230.2 V ok", "voltage_l2 231.0 V ok", "voltage_l3 229.9 V ok",
	}
	for name, c := range map[string]struct {
		part *emulated.SMLMeter
		want []string
	}{
		"open":            {emulated.NewSMLMeter("EMH", 1234567), values},
		"escaped number":  {emulated.NewSMLMeter("EMH", 0x1B1B1B1B), values},
		"number of a run": {emulated.NewSMLMeter("EMH", 0x001B1B1B), values},
		"locked":          {&emulated.SMLMeter{}, []string{"active_energy_import 12345000.0 Wh coarse", "active_energy_export 5000 Wh coarse"}},
		"DZG":             {emulated.NewSMLMeter("DZG", 42_082_910), values},
	} {
		if name == "locked" {
			c.part = emulated.NewSMLMeter("EMH", 1234567)
			c.part.Locked = true
		}
		c.part.SignedPower = name == "DZG"
		c.part.Set(supply)
		d, b, err := decode(t, next(c.part))
		if diff := cmp.Diff(c.want, rows(d, b)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

// Whatever a file holds, the run of escape bytes included, it comes through.
func TestEscapedBytesComeThrough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.SampledFrom([]byte{0x1b, 0x1b, 0x1b, 0x1a, 0x01}), 1, 60).Draw(t, "key")
		n := len(key) + 2
		octets := fmt.Sprintf("%02x%02x%x", 0x80|n>>4, n&15, key)
		d, err := sml.NewSerial(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var recorded hardware.Transcript
		recorded.Receive(file(iskra, "078181c78205ff 01 01 01 01 "+octets, "0701001007 00ff 01 01 621b 5200 6205"))
		var b hardware.Batch
		if err := d.Decode(&recorded, &b); err != nil || len(b.Values) != 1 || len(b.Warnings) > 0 {
			t.Fatalf("% x: %v, %q, %v", key, b.Values, b.Warnings, err)
		}
	})
}

func TestResyncAndTrailing(t *testing.T) {
	part := emulated.NewSMLMeter("EMH", 1234567)
	part.Set(supply)
	good := next(part)
	bad := bytes.Clone(good)
	bad[100] ^= 4
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		received []byte
		want     []string
	}{
		"good":                   {good, []string{}},
		"noise first":            {join([]byte{0x1b, 0x1b, 0, 0xff}, good), []string{"resync"}},
		"a tail first":           {join(good[70:], good), []string{"resync"}},
		"damaged first":          {join(bad, good), []string{"resync"}},
		"cut first":              {join(good[:90], good), []string{"resync"}},
		"cut in its end":         {join(good[:len(good)-3], good), []string{"resync"}},
		"lossy":                  {join(good[:50], good[55:], good), []string{"resync"}},
		"one more escape byte":   {join([]byte{0x1b}, good), []string{"resync"}},
		"and another":            {join(good, good), []string{"trailing"}},
		"and a damaged one":      {join(good, bad), []string{"trailing"}},
		"and zeros":              {join(good, []byte{0, 0}), []string{"trailing"}},
		"between damaged others": {join(bad, good, bad), []string{"resync", "trailing"}},
	} {
		_, b, err := decode(t, c.received)
		codes := []string{}
		for _, w := range b.Warnings {
			code, _, _ := strings.Cut(w, ":")
			codes = append(codes, code)
		}
		if diff := cmp.Diff(c.want, codes); err != nil || diff != "" || len(b.Values) != 6 {
			t.Errorf("%s: %d values, %v (-want +got):\n%s", name, len(b.Values), err, diff)
		}
	}
}

func TestRefused(t *testing.T) {
	part := emulated.NewSMLMeter("EMH", 1234567)
	good := next(part)
	spoil := func(i int) []byte {
		b := bytes.Clone(good)
		b[i] ^= 1
		return b
	}
	for name, c := range map[string]struct {
		received []byte
		want     error
	}{
		"nothing":            {nil, hardware.ErrTruncated},
		"noise":              {[]byte{1, 2, 3}, hardware.ErrMalformed},
		"text":               {[]byte("/ISk5\\2MT382-1000\r\n"), hardware.ErrWrongDevice},
		"the beginning":      {good[:120], hardware.ErrTruncated},
		"the end":            {good[20:], hardware.ErrTruncated},
		"a flipped bit":      {spoil(60), hardware.ErrChecksum},
		"a flipped checksum": {spoil(len(good) - 1), hardware.ErrChecksum},
		"a long element":     {wrap("76 0f 01"), hardware.ErrTruncated},
		"no list":            {wrap("0401 0203 04"), hardware.ErrMalformed},
		"a short message":    {wrap("75 02 01 62 00 62 00 72 63 02 01 71 01 00"), hardware.ErrMalformed},
		"a message's end":    {wrap("76 02 01 62 00 62 00 72 63 02 01 71 01 63 00 00 05"), hardware.ErrMalformed},
		"deep lists":         {wrap("76" + strings.Repeat("71", 60)), hardware.ErrMalformed},
		"a long list":        {wrap("76 02 01 62 00 62 00 72 63 02 01 ff ff ff 0f"), hardware.ErrMalformed},
		"a strange type":     {wrap("76 22 01"), hardware.ErrMalformed},
		"above int64":        {file(iskra, "0701000108 00ff 01 01 621e 52ff 69ffffffffffffffff"), hardware.ErrOverflow},
		"more than 16 KB":    {append(good[:8:8], make([]byte, 20<<10)...), hardware.ErrMalformed},
		"five elements":      {file(iskra, "0701000108 00ff 01 621e 52ff"), hardware.ErrMalformed},
		"a stray escape":     {bytes.Join([][]byte{good[:20], {0x1b, 0x1b, 0x1b, 0x1b, 2, 2, 2, 2}, good[20:]}, nil), hardware.ErrChecksum},
	} {
		if _, b, err := decode(t, c.received); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, b.Values, err, c.want)
		}
	}
}

func TestRecordings(t *testing.T) {
	want := map[string][]string{
		"emulated-emh.transcript": {
			"active_energy_import 12345678.0 Wh ok", "active_energy_export 5004.0 Wh ok", "active_power 328.05 W ok",
			"voltage_l1 230.2 V ok", "voltage_l2 231.0 V ok", "voltage_l3 229.9 V ok",
		},
		"emulated-locked.transcript": {"active_energy_import 12345000.0 Wh coarse", "active_energy_export 5000 Wh coarse"},
	}
	for name, recorded := range hardwaretest.Recordings(t) {
		d := newDevice(t, nil, nil)
		b, err := hardwaretest.CheckDecode(t, d, recorded)
		if diff := cmp.Diff(want[name], rows(d, b)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var seeds hardware.Transcript
	for _, r := range hardwaretest.Recordings(f) {
		_, received := r.Exchange(0)
		seeds.Send(nil)
		seeds.Receive(received)
	}
	d, err := sml.NewSerial(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, d, &seeds)
}

// The file's checksum keeps a fuzzer out; here every message has a good one.
func FuzzMessages(f *testing.F) {
	f.Add([]byte{0x76, 0x02, 0x01, 0x62, 0x00, 0x62, 0x00, 0x72, 0x63, 0x02, 0x01, 0x71, 0x01, 0x63, 0, 0, 0})
	f.Add(file(iskra, "0701000108 00ff 01 01 621e 52ff 620a")[8:])
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, _ = decode(t, wrap(hex.EncodeToString(body))) // it reports what is wrong
	})
}

func TestNewSerialRefuses(t *testing.T) {
	if d, err := sml.NewSerial(nil, &sml.Opts{Every: -1}); err == nil {
		t.Errorf("%v was made", d)
	}
}
