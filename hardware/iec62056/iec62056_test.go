package iec62056_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/iec62056"
)

var supply = emulated.Supply{
	Phases:    [3]emulated.Phase{{Voltage: 230.2, Current: 2, Power: 460}, {Voltage: 231}, {Voltage: 229.9}},
	Frequency: 49.98, ImportWh: 12_345_678, ExportWh: 5_004,
}

// values are what a meter on supply says.
func values(quality string) []string {
	all := []string{
		"active_energy_import 12345678 Wh", "active_energy_export 5004 Wh", "active_power 460 W", "active_demand_import_peak 12340 W",
		"voltage_l1 230.2 V", "voltage_l2 231.0 V", "voltage_l3 229.9 V", "current_l1 2.00 A", "current_l2 0.00 A", "current_l3 0.00 A", "frequency 49.98 Hz",
	}
	for i := range all {
		all[i] += " " + quality
	}
	return all
}

func newDevice(t testing.TB, s hardware.Stream, opts *iec62056.Opts) *iec62056.Dev {
	t.Helper()
	d, err := iec62056.NewSerial(s, opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// bench is a part at the end of a cable.
func bench(t testing.TB, part any, opts *iec62056.Opts, classes map[emulated.Fault]error) *hardwaretest.Bench {
	cable := emulated.NewCable(part)
	return &hardwaretest.Bench{
		Device: newDevice(t, cable.Conn(), opts), Push: true,
		Faults: cable.SetFaults, Attach: cable.Plug, Exchanges: cable.Frames, Classes: classes,
	}
}

func TestConformance(t *testing.T) {
	t.Run("mode C", func(t *testing.T) {
		hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
			part := emulated.NewIECMeter("12345678")
			part.Set(supply)
			// What damages an identification is found only if it changes what follows.
			return bench(t, part, &iec62056.Opts{Now: now}, map[emulated.Fault]error{
				emulated.Silence: hardware.ErrAbsent, emulated.Truncated: hardware.ErrMalformed, emulated.Late: hardware.ErrAbsent,
				emulated.Doubled: nil, emulated.Slow: nil,
			})
		})
	})
	t.Run("mode D", func(t *testing.T) {
		hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
			part := emulated.IECTalker{IECMeter: emulated.NewIECMeter("12345678")}
			part.Set(supply)
			return bench(t, part, &iec62056.Opts{Now: now, Push: true}, map[emulated.Fault]error{
				emulated.Silence: nil, emulated.Truncated: hardware.ErrMalformed, emulated.Late: nil, emulated.Doubled: nil, emulated.Slow: nil,
			})
		})
	})
}

// rows are the values of b as a person reads them.
func rows(d *iec62056.Dev, b *hardware.Batch) (all []string) {
	about := d.Describe()
	for _, v := range b.Values {
		c := about.Channels[v.Channel]
		all = append(all, fmt.Sprintf("%s %s %s %s", c.Name, v, c.Unit, v.Quality))
	}
	return all
}

// decode decodes pairs of what was sent and received, and checks what holds for all bytes.
func decode(t testing.TB, exchanges ...string) (*iec62056.Dev, *hardware.Batch, error) {
	t.Helper()
	d := newDevice(t, nil, nil)
	var recorded hardware.Transcript
	for i := 0; i < len(exchanges); i += 2 {
		recorded.Send([]byte(exchanges[i]))
		recorded.Receive([]byte(exchanges[i+1]))
	}
	b, err := hardwaretest.CheckDecode(t, d, &recorded)
	return d, b, err
}

// block is a block of data with its check character.
func block(text string) string {
	check := byte(0x03)
	for _, c := range []byte(text) {
		check ^= c
	}
	return "\x02" + text + "\x03" + string([]byte{check})
}

const identification = "/LOG5LK13BE803049\r\n"

// A meter is asked at 300 baud and read at 9600, over a real terminal and in memory.
func TestReadoutChangesSpeed(t *testing.T) {
	part := emulated.NewIECMeter("12345678")
	part.Set(supply)
	cable, err := emulated.OpenCable(part)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := cable.Run(ctx); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	b, err := bus.New(bus.Config{Name: "head", Open: bus.Serial(cable.Path(), bus.Mode{Baud: 9600})})
	if err != nil {
		t.Fatal(err)
	}
	running.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Errorf("running: %v", err)
		}
	})
	d := newDevice(t, b.Stream(), &iec62056.Opts{Address: "12345678"})
	var batch hardware.Batch
	for range 2 {
		if err := b.Sense(t.Context(), d, &batch); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(values("ok"), rows(d, &batch)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	want := hardware.Identity{Manufacturer: "LOG", Model: "LK13BE803049", Serial: "12345678"}
	at := hardware.MeterTime{Local: "2026-01-15T12:15:30", Season: hardware.Winter}
	if diff := cmp.Diff(want, batch.Identity) + cmp.Diff(at, batch.MeterTime); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	cancel()
	running.Wait()
	if err := cable.Close(); err != nil {
		t.Error(err)
	}
}

// fixed is a line whose mode cannot be set.
type fixed struct{ hardware.Stream }

func TestReadoutStaysWhereTheLineCannotBeSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		part := emulated.NewIECMeter("1")
		part.Set(supply)
		d := newDevice(t, fixed{emulated.NewCable(part).Conn()}, nil)
		var b hardware.Batch
		if err := d.Sense(t.Context(), &b); err != nil || len(b.Values) != len(values("")) {
			t.Errorf("%v, %v", rows(d, &b), err)
		}
		if sent, _ := b.Evidence.Exchange(1); string(sent) != "\x06000\r\n" {
			t.Errorf("acknowledged with %q", sent)
		}
	})
}

// answers is a meter that answers the request with text.
type answers struct {
	identification, block string
}

func (a answers) Answer(sent, b []byte) (int, []byte, time.Duration) {
	if sent[0] == '/' {
		return len(sent), append(append(b, sent...), a.identification...), 0 // the head sends it back
	}
	return len(sent), append(append(b, sent...), a.block...), 0
}

// Meters of modes A and B send their block unasked.
func TestOlderModes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := block("1.8.0(1.5*kWh)\r\n!\r\n")
		for identification, part := range map[string]answers{
			"mode A": {"/ABC XY\r\n" + good, ""}, "mode B": {"/ABCEXY\r\n" + good, ""}, "mode C": {"/ABC5XY\r\n", good}, "at 300 baud": {"/ABC0XY\r\n", good},
		} {
			d := newDevice(t, emulated.NewCable(part).Conn(), nil)
			var b hardware.Batch
			if err := d.Sense(t.Context(), &b); err != nil || len(b.Values) != 1 || b.Values[0].String() != "1500" {
				t.Errorf("%s: %v, %v", identification, rows(d, &b), err)
			}
		}
		for name, c := range map[string]struct {
			part answers
			want error
		}{
			"reserved speed": {answers{"/ABC7XY\r\n", good}, hardware.ErrMalformed},
			"no meter":       {answers{"/A\r\n", good}, hardware.ErrMalformed},
			"bad check":      {answers{"/ABC5XY\r\n", good[:len(good)-1] + "\x7f"}, hardware.ErrChecksum},
			"no block":       {answers{"/ABC5XY\r\n", ""}, hardware.ErrMalformed},
		} {
			d := newDevice(t, emulated.NewCable(c.part).Conn(), nil)
			var b hardware.Batch
			if err := d.Sense(t.Context(), &b); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
		}
	})
}

func TestReadoutsAsText(t *testing.T) {
	text := "F.F(00)\r\nC.1.0(17)\r\n1.8.1(000001.5*kWh)1.8.2(2.5*kWh)\r\n1.8.0*03(9*kWh)\r\n1.8.0(000004.000*kWh)\r\n" +
		"1-1:16.7.0*255(-0.46*kW)\r\n1.6.1(1*kW)(2601141815)\r\n2.7(000747.85*W)\r\n1.7.0(1*W)\r\n31.7(1.5*A)\r\n!\r\n"
	want := []string{
		"active_energy_import 4000 Wh ", "active_energy_import_t1 1500 Wh ", "active_energy_import_t2 2500 Wh ",
		"active_power -460 W ", "active_power_import 1 W ", "active_power_export 747.85 W ", "current_l1 1.5 A ",
	}
	for name, c := range map[string]struct {
		received, quality string
		warnings          []string
	}{
		"mode C":                  {identification + block(text), "ok", []string{}},
		"with what a head echoes": {"/?!\r\n" + identification + "\x06050\r\n" + block(text), "ok", []string{}},
		"the block alone":         {block(text), "ok", []string{}},
		"mode C after noise":      {"\xff\x00" + identification + block(text), "ok", []string{"resync"}},
		"mode C twice":            {identification + block(text) + identification + block(text), "ok", []string{"trailing"}},
		"mode D":                  {"/ESY5Q3DB1024 V3.04\r\n\r\n" + text, "unverified", []string{"no_checksum"}},
		"mode D and fill":         {"/ESY5Q3DB1024 V3.04\r\n\r\n" + text + "\xff\xff\x00\x00\x7f", "unverified", []string{"no_checksum"}},
		"mode D after its tail":   {"1.8.0(9*kWh)\r\n!\r\n/ESY5Q\r\n\r\n" + text, "unverified", []string{"no_checksum", "resync"}},
		"mode D after a cut one":  {"/ESY5Q\r\n\r\n1.8.0(00/ESY5Q\r\n\r\n" + text, "unverified", []string{"no_checksum", "resync"}},
		"mode D and a gateway's":  {"/ESY5Q\r\n\r\n" + text + "  25803103\r\n", "unverified", []string{"no_checksum", "trailing"}},
		"mode C after a bad one":  {identification + "\x02" + text + "\x03\x00" + identification + block(text), "ok", []string{"resync"}},
		"mode C after a cut one":  {identification + "\x02" + text[:40] + identification + block(text), "ok", []string{"resync"}},
	} {
		d, b, err := decode(t, "", c.received)
		all := []string{}
		for _, w := range want {
			all = append(all, w+c.quality)
		}
		codes := []string{}
		for _, w := range b.Warnings {
			code, _, _ := strings.Cut(w, ":")
			codes = append(codes, code)
		}
		if diff := cmp.Diff(all, rows(d, b)) + cmp.Diff(c.warnings, codes); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestMeterTime(t *testing.T) {
	for text, want := range map[string]hardware.MeterTime{
		"0.9.1(154522)\r\n0.9.2(161107)\r\n":             {Local: "2016-11-07T15:45:22"},
		"1-0:0.9.1(15:45:22)\r\n1-0:0.9.2(16-11-07)\r\n": {Local: "2016-11-07T15:45:22"},
		"0.9.2(1160707)\r\n0.9.1(154522)\r\n":            {Local: "2016-07-07T15:45:22", Season: hardware.Summer},
		"0.9.2(0161107)\r\n0.9.1(154522)\r\n":            {Local: "2016-11-07T15:45:22", Season: hardware.Winter},
		"0.9.2(2161107)\r\n0.9.1(154522)\r\n":            {Local: "2016-11-07T15:45:22"},
		"0.9.2(0161107)\r\n0.9.1(0154522)\r\n":           {Local: "2016-11-07T15:45:22", Season: hardware.Winter},
		"0.9.2(20161107)\r\n0.9.1(154522)\r\n":           {Local: "2016-11-07T15:45:22"},
		"0.9.2(161307)\r\n0.9.1(154522)\r\n":             {},
		"0.9.1(154522)\r\n":                              {},
		"0.9.1(now)\r\n0.9.2(161107)\r\n":                {},
	} {
		if _, b, err := decode(t, "", identification+block(text+"!\r\n")); err != nil || b.MeterTime != want {
			t.Errorf("%q: got %+v, %v", text, b.MeterTime, err)
		}
	}
}

func TestRefused(t *testing.T) {
	good := block("1.8.0(1.5*kWh)\r\n!\r\n")
	const request, acknowledge = "/?!\r\n", "\x06050\r\n"
	for name, c := range map[string]struct {
		exchanges []string
		want      error
	}{
		"nothing":                  {[]string{"", ""}, hardware.ErrTruncated},
		"no exchange":              {nil, hardware.ErrTruncated},
		"noise":                    {[]string{"", "abc"}, hardware.ErrMalformed},
		"SML":                      {[]string{"", "\x1b\x1b\x1b\x1b\x01\x01\x01\x01v"}, hardware.ErrWrongDevice},
		"DSMR":                     {[]string{"", "/ISk5\\2MT382\r\n\r\n1-0:1.8.0(1*kWh)\r\n!12AB\r\n"}, hardware.ErrWrongDevice},
		"a flipped bit":            {[]string{"", identification + strings.Replace(good, "1.5", "1.4", 1)}, hardware.ErrChecksum},
		"no check character":       {[]string{"", identification + good[:len(good)-1]}, hardware.ErrTruncated},
		"half a block":             {[]string{"", identification + good[:10]}, hardware.ErrTruncated},
		"half a message":           {[]string{"", "/ESY5Q\r\n\r\n1.8.0(1*kWh)\r\n"}, hardware.ErrTruncated},
		"a message's end":          {[]string{"", "1.8.0(1*kWh)\r\n!\r\n"}, hardware.ErrTruncated},
		"a broken line":            {[]string{"", "/ESY5Q\r\n\r\n1.8.0(1*kWh\r\n!\r\n"}, hardware.ErrMalformed},
		"above int64":              {[]string{"", identification + block("1.8.0(99999999999999999999*kWh)\r\n!\r\n")}, hardware.ErrOverflow},
		"refused":                  {[]string{"", "\x15"}, hardware.ErrDevice},
		"asked in vain":            {[]string{request, ""}, hardware.ErrStale},
		"acknowledged in vain":     {[]string{request, identification, acknowledge, ""}, hardware.ErrStale},
		"answered twice":           {[]string{request, identification, acknowledge, good + good}, hardware.ErrStale},
		"identified twice":         {[]string{request, identification + identification, acknowledge, good}, hardware.ErrStale},
		"a request refused":        {[]string{request, "\x15"}, hardware.ErrDevice},
		"half an identification":   {[]string{request, "/LOG5"}, hardware.ErrTruncated},
		"unasked in between":       {[]string{request, identification, "", good}, hardware.ErrStale},
		"half an answer":           {[]string{request, identification, acknowledge, good[:9]}, hardware.ErrTruncated},
		"a command of programming": {[]string{"\x01P1\x02(0000)\x03a", "\x06"}, hardware.ErrMalformed},
		"a bad check":              {[]string{request, identification, acknowledge, good[:len(good)-1] + "\x00"}, hardware.ErrChecksum},
	} {
		if d, b, err := decode(t, c.exchanges...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, rows(d, b), err, c.want)
		}
	}
	d, b, err := decode(t, request, request+identification, acknowledge, acknowledge+good)
	if diff := cmp.Diff([]string{"active_energy_import 1500 Wh ok"}, rows(d, b)); err != nil || diff != "" || b.Identity.Model != "LK13BE803049" {
		t.Errorf("with what the head sends back: %+v, %v (-want +got):\n%s", b.Identity, err, diff)
	}
	other := block("1.8.0(2.5*kWh)\r\n!\r\n")
	d, b, err = decode(t, request, identification, acknowledge, good, request, identification, acknowledge, other)
	if diff := cmp.Diff([]string{"active_energy_import 2500 Wh ok"}, rows(d, b)); err != nil || diff != "" {
		t.Errorf("read out twice: %v (-want +got):\n%s", err, diff)
	}
	if _, b, err := decode(t, request, identification); err != nil || len(b.Values) != 0 || b.Identity.Manufacturer != "LOG" {
		t.Errorf("identified only: %+v, %v", b, err)
	}
}

// No single bit that changes in a block passes for a good one.
func TestEveryFlippedBitIsFound(t *testing.T) {
	good := identification + block("1.8.0(000001.5*kWh)\r\n2.8.0(000002.5*kWh)\r\n!\r\n")
	begin := strings.IndexByte(good, 0x02) + 1
	d := newDevice(t, nil, nil)
	rapid.Check(t, func(t *rapid.T) {
		b := []byte(good)
		i := rapid.IntRange(begin, len(b)-1).Draw(t, "byte")
		b[i] ^= 1 << rapid.IntRange(0, 6).Draw(t, "bit")
		var recorded hardware.Transcript
		recorded.Receive(b)
		var batch hardware.Batch
		if err := d.Decode(&recorded, &batch); err == nil || len(batch.Values) > 0 {
			t.Fatalf("%q: %v", b, batch.Values)
		}
	})
}

func TestNewSerialRefuses(t *testing.T) {
	for name, opts := range map[string]*iec62056.Opts{
		"period": {Every: -1}, "long address": {Address: strings.Repeat("1", 33)}, "address": {Address: "12!"},
	} {
		if d, err := iec62056.NewSerial(nil, opts); err == nil {
			t.Errorf("%s: %v was made", name, d)
		}
	}
}

func TestRecordings(t *testing.T) {
	for file, quality := range map[string]string{"emulated-c.readout": "ok", "emulated-d.readout": "unverified"} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		d, b, err := decode(t, "", string(text))
		if diff := cmp.Diff(values(quality), rows(d, b)); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", file, err, diff)
		}
	}
}

func FuzzDecode(f *testing.F) {
	var seeds hardware.Transcript
	for _, x := range [][2]string{
		{"/?!\r\n", identification}, {"\x06050\r\n", block("1.8.0(1.5*kWh)\r\n!\r\n")}, {"", identification + block("1.8.0(1.5*kWh)\r\n!\r\n")},
		{"", "/ESY5Q\r\n\r\n1.8.0(1.5*kWh)\r\n!\r\n\xff"},
	} {
		seeds.Send([]byte(x[0]))
		seeds.Receive([]byte(x[1]))
	}
	d, err := iec62056.NewSerial(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, d, &seeds)
}
