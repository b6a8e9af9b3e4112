package generic_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/generic"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/modbus"
)

var update = flag.Bool("update", false, "rewrite what captures decode to")

// patience is for a meter to answer: a busy machine is no slow meter.
const patience = 10 * time.Second

// every has a channel of each type, in both tables.
var every = []string{
	"voltage_l1:V:gauge:input:0:u16:-1",
	"temperature:Cel:gauge:input:1:i16:-1",
	"active_energy_import:Wh:counter:input:2:u32:1",
	"active_power:W:gauge:input:4:i32",
	"active_energy_export:Wh:counter:input:6:u64:-3",
	"frequency:Hz:gauge:input:10:f32",
	"active_energy_absolute:Wh:counter:holding:0x100:u32le",
	"reactive_power:var:gauge:holding:0x102:i32le:-1",
	"reactive_energy_import:varh:counter:holding:0x104:u64le",
	"current_l1:A:gauge:holding:0x108:f32le:-3",
	"boiler_2:l/min:gauge:holding:0x10a:u16",
}

func channels(t testing.TB, texts ...string) (all []generic.Channel) {
	t.Helper()
	for _, text := range texts {
		c, err := generic.ParseChannel(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// words is a number in registers, high word first.
func words(n uint64, count int) []uint16 {
	all := make([]uint16, count)
	for i := range all {
		all[count-1-i] = uint16(n >> (16 * i))
	}
	return all
}

// swapped is words with the low word first.
func swapped(n uint64, count int) []uint16 {
	all := make([]uint16, count)
	for i := range all {
		all[i] = uint16(n >> (16 * i))
	}
	return all
}

// fill gives part the registers of every.
func fill(part *emulated.Map) {
	part.SetInput(0, 2311, 0xFFF6)
	part.SetInput(2, words(4_000_000_000, 2)...)
	part.SetInput(4, words(0xFFFF_FE0C, 2)...)
	part.SetInput(6, words(9_223_372_036_854_775_807, 4)...)
	part.SetInput(10, words(uint64(math.Float32bits(49.98)), 2)...)
	part.SetHolding(0x100, swapped(70_000, 2)...)
	part.SetHolding(0x102, swapped(0xFFFF_FFFF, 2)...)
	part.SetHolding(0x104, swapped(1<<40, 4)...)
	part.SetHolding(0x108, swapped(uint64(math.Float32bits(1250)), 2)...)
	part.SetHolding(0x10a, 17)
}

var everyRow = []string{
	"voltage_l1 231.1 V gauge ok", "temperature -1.0 Cel gauge ok", "active_energy_import 40000000000 Wh counter ok",
	"active_power -500 W gauge ok", "active_energy_export 9223372036854775.807 Wh counter ok", "frequency 49.98 Hz gauge ok",
	"active_energy_absolute 70000 Wh counter ok", "reactive_power -0.1 var gauge ok", "reactive_energy_import 1099511627776 varh counter ok",
	"current_l1 1.250 A gauge ok", "boiler_2 17 l/min gauge ok",
}

func newMeter(t testing.TB, opts generic.Opts) (*generic.Dev, *emulated.Line) {
	t.Helper()
	line, part := emulated.NewLine(), emulated.NewMap(80, opts.Exact)
	line.Slowness = patience + time.Second
	line.Attach(5, part)
	fill(part)
	dev, err := generic.NewModbus(modbus.NewRTU(line.Conn(), modbus.RTUOpts{Timeout: patience}), 5, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return dev, line
}

func TestConformance(t *testing.T) {
	hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
		// The suite knows the channels of the table only.
		dev, line := newMeter(t, generic.Opts{Channels: channels(t, every[:len(every)-1]...), Now: now})
		return hardwaretest.OnModbus(dev, line, 5)
	})
}

func TestEveryType(t *testing.T) {
	for _, exact := range []bool{false, true} {
		dev, line := newMeter(t, generic.Opts{Channels: channels(t, every...), Exact: exact})
		var b hardware.Batch
		if err := dev.Sense(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(everyRow, hardwaretest.Report(dev.Describe(), &b)); diff != "" {
			t.Errorf("exact %v (-want +got):\n%s", exact, diff)
		}
		if line.Requests() != 2 { // one for each table
			t.Errorf("exact %v: %d requests", exact, line.Requests())
		}
	}
}

func TestModbusTCP(t *testing.T) {
	line, part := emulated.NewLine(), emulated.NewMap(80, false)
	line.Attach(5, part)
	fill(part)
	dev, err := generic.NewModbus(modbus.NewTCP(line.Socket(true), modbus.TCPOpts{Timeout: patience}), 5, &generic.Opts{Channels: channels(t, every...)})
	if err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	if err := dev.Sense(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	again, err := hardwaretest.CheckDecode(t, dev, &b.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(everyRow, hardwaretest.Report(dev.Describe(), again)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A block holds at most 80 registers, and what lies between two channels is read along
// unless it must not be.
func TestBlocks(t *testing.T) {
	names := []string{"a:V:gauge:input:0:u16", "b:V:gauge:input:30:u32", "c:V:gauge:input:79:u16", "d:V:gauge:input:80:u16", "e:V:gauge:holding:1:u16"}
	for _, c := range []struct {
		opts generic.Opts
		want int
	}{{generic.Opts{}, 3}, {generic.Opts{Exact: true}, 4}, {generic.Opts{Block: 81}, 2}, {generic.Opts{Block: 2}, 4}} {
		line, part := emulated.NewLine(), emulated.NewMap(125, c.opts.Exact)
		line.Attach(5, part)
		part.SetInput(0, 1)
		part.SetInput(30, 2, 3)
		part.SetInput(79, 4, 5)
		part.SetHolding(1, 6)
		c.opts.Channels = channels(t, names...)
		dev, err := generic.NewModbus(modbus.NewRTU(line.Conn(), modbus.RTUOpts{Timeout: patience}), 5, &c.opts)
		if err != nil {
			t.Fatal(err)
		}
		var b hardware.Batch
		if err := dev.Sense(t.Context(), &b); err != nil || len(b.Values) != 5 || line.Requests() != c.want {
			t.Errorf("%+v: %d values, %d requests, %v", c.opts, len(b.Values), line.Requests(), err)
		}
	}
}

func TestDecode(t *testing.T) {
	dev, err := generic.NewModbus(nil, 1, &generic.Opts{Channels: channels(t,
		"voltage_l1:V:gauge:input:0:f32", "active_energy_import:Wh:counter:input:2:u64", "active_energy_export:Wh:counter:input:6:f32:3")})
	if err != nil {
		t.Fatal(err)
	}
	input := func(address uint16, words ...uint16) string {
		var t hardware.Transcript
		t.Send(modbus.Request{Unit: 1, Function: modbus.ReadInput, Address: address, Count: uint16(len(words))}.AppendRTU(nil))
		frame := []byte{1, 4, byte(2 * len(words))}
		for _, w := range words {
			frame = binary.BigEndian.AppendUint16(frame, w)
		}
		t.Receive(binary.LittleEndian.AppendUint16(frame, modbus.CRC(frame)))
		return t.String()
	}
	for name, c := range map[string]struct {
		text string
		rows []string
		is   error
	}{
		"a float":       {"> 01 04 00 00 00 02 71 CB\n< 01 04 04 43 66 33 34 1B 38", []string{"voltage_l1 230.20001 V gauge ok"}, nil},
		"merged":        {input(0, 0x4366, 0) + input(2, 0, 0, 0, 9), []string{"voltage_l1 230 V gauge ok", "active_energy_import 9 Wh counter ok"}, nil},
		"not a number":  {input(0, 0x7FC0, 0), []string{"warning not_a_number: voltage_l1"}, nil},
		"half of it":    {input(2, 0, 0), []string{"warning skipped: active_energy_import"}, nil},
		"too large":     {input(2, 0x8000, 0, 0, 0), nil, hardware.ErrOverflow},
		"the largest":   {input(2, 0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF), []string{"active_energy_import 9223372036854775807 Wh counter ok"}, nil},
		"a coarse step": {input(6, 0x4980, 0), []string{"active_energy_export 1048576000 Wh counter coarse"}, nil},
		"a finer step":  {input(6, 0x497F, 0xFFFF), []string{"active_energy_export 1048575940 Wh counter ok"}, nil},
		"no request":    {"01 04 04 43 66 33 34 1B 38", nil, modbus.ErrNoRequest},
	} {
		recorded, err := hardware.ParseTranscript([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		b, err := hardwaretest.CheckDecode(t, dev, recorded)
		if (err == nil) != (c.is == nil) || !errors.Is(err, c.is) {
			t.Errorf("%s: got %v, want %v", name, err, c.is)
		}
		if diff := cmp.Diff(c.rows, hardwaretest.Report(dev.Describe(), b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	r, err := hardware.ParseRegisters([]byte("0: 4366 3333\n6: 0000 0000"))
	if err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	if err := dev.DecodeRegisters(r, &b); err != nil {
		t.Fatal(err)
	}
	want := []string{"voltage_l1 230.2 V gauge ok", "active_energy_export 0 Wh counter ok", "warning skipped: active_energy_import"}
	if diff := cmp.Diff(want, hardwaretest.Report(dev.Describe(), &b)); diff != "" {
		t.Errorf("a dump (-want +got):\n%s", diff)
	}
}

func TestLargeStepsAreCoarse(t *testing.T) {
	for text, want := range map[string]string{
		"active_energy_import:Wh:counter:input:0:u16:3":     "active_energy_import 7000 Wh counter coarse",
		"active_energy_import:Wh:counter:input:0:u16:2":     "active_energy_import 700 Wh counter ok",
		"reactive_energy_import:varh:counter:input:0:u16:3": "reactive_energy_import 7000 varh counter coarse",
		"active_power:W:gauge:input:0:u16:3":                "active_power 7000 W gauge coarse",
		"active_power:W:gauge:input:0:i16:1":                "active_power 70 W gauge coarse",
		"active_power:W:gauge:input:0:u16":                  "active_power 7 W gauge ok",
		"current_l1:A:gauge:input:0:u16:-2":                 "current_l1 0.07 A gauge ok",
	} {
		dev, err := generic.NewModbus(nil, 1, &generic.Opts{Channels: channels(t, text)})
		if err != nil {
			t.Fatal(err)
		}
		r, _ := hardware.ParseRegisters([]byte("0: 0007"))
		var b hardware.Batch
		if err := dev.DecodeRegisters(r, &b); err != nil || len(b.Values) != 1 {
			t.Fatal(err)
		}
		if got := hardwaretest.Report(dev.Describe(), &b); got[0] != want {
			t.Errorf("%s: got %s, want %s", text, got[0], want)
		}
	}
}

// A counter starts again where the width of its register makes it.
func TestWrap(t *testing.T) {
	for text, want := range map[string]string{
		"pulses:count:counter:input:0:u16":                    "65536",
		"active_energy_import:Wh:counter:input:0:u32:1":       "42949672960",
		"active_energy_export:Wh:counter:input:0:u32le:-1":    "429496729.6",
		"active_energy_absolute:Wh:counter:input:0:u64":       "0",
		"reactive_energy_import:varh:counter:holding:0:f32:3": "0",
		"active_energy_generated:Wh:counter:holding:0:i32":    "0",
		"frequency:Hz:gauge:input:0:u16:-2":                   "0",
	} {
		dev, err := generic.NewModbus(nil, 1, &generic.Opts{Channels: channels(t, text)})
		if err != nil {
			t.Fatal(err)
		}
		if got := dev.Describe().Channels[0].Wrap.String(); got != want {
			t.Errorf("%s starts again at %s, want %s", text, got, want)
		}
	}
}

func TestParseChannelRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "NAME:UNIT:KIND",
		"a:V:gauge:input:0":                  "NAME:UNIT:KIND",
		"a:V:gauge:input:0:u16:1:2":          "NAME:UNIT:KIND",
		"A:V:gauge:input:0:u16":              "no name",
		"a:V V:gauge:input:0:u16":            "no unit",
		"a:V:state:input:0:u16":              "neither gauge nor counter",
		"a:V:gauge:coil:0:u16":               "neither input nor holding",
		"a:V:gauge:input:65536:u16":          "no address",
		"a:V:gauge:input:-1:u16":             "no address",
		"a:V:gauge:input:0x1ffff:u16":        "no address",
		"a:V:gauge:input:65535:u32":          "beyond the last",
		"a:V:gauge:input:0:u16le":            "no type",
		"a:V:gauge:input:0:f64":              "no type",
		"a:V:gauge:input:0:u16:x":            "no exponent",
		"a:V:gauge:input:0:u16:25":           "exponent",
		"voltage_l1:A:gauge:input:0:u16":     "is a gauge in V",
		"active_power:W:counter:input:0:u16": "is a gauge in W",
	} {
		if c, err := generic.ParseChannel(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v, want %q in it", text, c, err, want)
		}
	}
}

func TestNewModbusRefuses(t *testing.T) {
	good := channels(t, "a:V:gauge:input:0:u32")
	for name, opts := range map[string]*generic.Opts{
		"no options": nil, "no channels": {}, "twice": {Channels: append(good, good...)},
		"a block of 126": {Channels: good, Block: 126}, "a block of 1": {Channels: good, Block: 1}, "a negative block": {Channels: good, Block: -1},
		"not checked": {Channels: []generic.Channel{{Name: "a"}}},
	} {
		if d, err := generic.NewModbus(nil, 1, opts); err == nil {
			t.Errorf("%s: %s was made", name, d)
		}
	}
}

// A channel and its text are the same, and a number in registers comes out as it went in.
func TestChannelsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := generic.Channel{
			Name: rapid.StringMatching(`x[a-z0-9_]{0,20}`).Draw(t, "name"), Unit: "V",
			Kind:    rapid.SampledFrom([]hardware.Kind{hardware.Gauge, hardware.Counter}).Draw(t, "kind"),
			Table:   rapid.SampledFrom([]modbus.Function{modbus.ReadInput, modbus.ReadHolding}).Draw(t, "table"),
			Address: rapid.Uint16Max(65532).Draw(t, "address"), Exponent: rapid.Int8Range(-24, 24).Draw(t, "exponent"),
			Type: rapid.SampledFrom([]generic.Type{generic.U16, generic.I16, generic.U32, generic.I32, generic.U64, generic.U32LE, generic.I32LE, generic.U64LE}).Draw(t, "type"),
		}
		back, err := generic.ParseChannel(c.String())
		if err != nil || back != c {
			t.Fatalf("%s came back as %v, %v", c, back, err)
		}
		n := rapid.Int64Min(0).Draw(t, "number")
		var r hardware.Registers
		count, want := 4, n
		switch c.Type {
		case generic.U16:
			count, want = 1, int64(uint16(n))
		case generic.I16:
			count, want = 1, int64(int16(n))
		case generic.U32, generic.U32LE:
			count, want = 2, int64(uint32(n))
		case generic.I32, generic.I32LE:
			count, want = 2, int64(int32(n))
		}
		laid := words(uint64(n), count)
		if strings.HasSuffix(string(c.Type), "le") {
			laid = swapped(uint64(n), count)
		}
		for i, w := range laid {
			r.Set(c.Table.String(), c.Address+uint16(i), w)
		}
		dev, err := generic.NewModbus(nil, 1, &generic.Opts{Channels: []generic.Channel{c}})
		if err != nil {
			t.Fatal(err)
		}
		var b hardware.Batch
		if err := dev.DecodeRegisters(&r, &b); err != nil || len(b.Values) != 1 || b.Values[0].Mantissa != want || b.Values[0].Exponent != c.Exponent {
			t.Errorf("%d in %s is %v, %v", want, c, b.Values, err)
		}
	})
}

func TestCaptures(t *testing.T) {
	dev, _ := newMeter(t, generic.Opts{Channels: channels(t, every...)})
	hardwaretest.Captures(t, dev, *update, "*")
}

func FuzzParseChannel(f *testing.F) {
	for _, text := range every {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := generic.ParseChannel(text)
		if err != nil {
			return
		}
		if back, err := generic.ParseChannel(c.String()); err != nil || back != c {
			t.Errorf("%s came back as %v, %v", c, back, err)
		}
	})
}

func FuzzDecode(f *testing.F) {
	dev, _ := newMeter(f, generic.Opts{Channels: channels(f, every...)})
	var b hardware.Batch
	if err := dev.Sense(context.Background(), &b); err != nil {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, dev, &b.Evidence)
}
