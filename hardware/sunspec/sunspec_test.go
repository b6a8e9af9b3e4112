package sunspec_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gosunspec "github.com/andig/gosunspec"
	"github.com/andig/gosunspec/memory"
	_ "github.com/andig/gosunspec/models"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/modbus"
	"wattmark/hardware/sunspec"
)

var update = flag.Bool("update", false, "rewrite what captures decode to")

// patience is for a device to answer: a busy machine is no slow device.
const patience = 10 * time.Second

// sunny is a plant with three phases, two strings and a battery's charge.
var sunny = emulated.Plant{
	Phases: 3, Voltage: [3]float64{230.1, 231.2, 229.9}, Current: [3]float64{4.5, 4.25, 4.75}, Power: [3]float64{1030, 980, 1090},
	Reactive: -120, Frequency: 50.02, Generated: 12_345_678, Imported: 4_000_123, Exported: 987_654,
	DCVoltage: []float64{612.5, 480.3}, DCCurrent: []float64{3.5, 2.25}, Charge: 73.5, Temperature: 41.5,
}

// bench is a device and a driver of it.
type bench struct {
	*sunspec.Dev
	line   *emulated.Line
	part   *emulated.SunSpec
	socket *emulated.Socket // nil on a serial line
}

func newBench(t testing.TB, overTCP bool, now hardware.Clock, part *emulated.SunSpec, models ...uint16) *bench {
	t.Helper()
	b := &bench{line: emulated.NewLine(), part: part}
	b.line.Slowness = patience + time.Second
	b.line.Attach(1, part)
	part.Set(sunny)
	var bus modbus.Requester = modbus.NewRTU(b.line.Conn(), modbus.RTUOpts{Timeout: patience})
	if overTCP {
		b.socket = b.line.Socket(true)
		bus = modbus.NewTCP(b.socket, modbus.TCPOpts{Timeout: patience})
	}
	dev, err := sunspec.NewModbus(bus, 1, &sunspec.Opts{Now: now, Models: models})
	if err != nil {
		t.Fatal(err)
	}
	b.Dev = dev
	return b
}

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name    string
		tcp     bool
		base    uint16
		pad     bool
		numbers []uint16
	}{
		{"inverter by tcp", true, 40000, true, []uint16{103, 120, 122, 160}},
		{"inverter of floats by tcp", true, 0, false, []uint16{113}},
		{"meter by rtu", false, 40000, false, []uint16{203}},
		{"storage by rtu", false, 50000, true, []uint16{802}},
	} {
		t.Run(c.name, func(t *testing.T) {
			hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
				b := newBench(t, c.tcp, now, emulated.NewSunSpec(c.base, "4711", c.pad, c.numbers...))
				bench := hardwaretest.OnModbus(b.Dev, b.line, 1)
				if c.tcp {
					delete(bench.Classes, emulated.BadCRC)
					delete(bench.Classes, emulated.FlippedBit)
					bench.Classes[emulated.Slow] = hardware.ErrAbsent
					bench.Attach = func(on bool) { b.socket.Refuse(!on) }
				}
				return bench
			})
		})
	}
}

func TestEveryChannel(t *testing.T) {
	identity := `identity "Wattmark" "Emulated device" "4711" "1.2.3"`
	dc := []string{"current_dc 5.75 A gauge ok", "voltage_dc 612.5 V gauge ok", "power_dc 3522 W gauge ok"}
	for _, c := range []struct {
		numbers []uint16
		want    []string
	}{
		{[]uint16{103, 120, 160}, slices.Concat([]string{
			"current 13.50 A gauge ok", "current_l1 4.50 A gauge ok", "current_l2 4.25 A gauge ok", "current_l3 4.75 A gauge ok",
			"voltage_l1 230.1 V gauge ok", "voltage_l2 231.2 V gauge ok", "voltage_l3 229.9 V gauge ok",
			"active_power_generated 3100 W gauge ok", "frequency 50.02 Hz gauge ok", "apparent_power 3110 VA gauge ok", "reactive_power -120 var gauge ok",
			"power_factor 0.9968 / gauge ok", "active_energy_generated 12345678 Wh counter ok",
		}, dc, []string{
			"temperature 41.5 Cel gauge ok",
			"mppt1_current_dc 3.50 A gauge ok", "mppt1_voltage_dc 612.5 V gauge ok", "mppt1_power_dc 2144 W gauge ok",
			"mppt2_current_dc 2.25 A gauge ok", "mppt2_voltage_dc 480.3 V gauge ok", "mppt2_power_dc 1081 W gauge ok",
			identity, "models [1 103 120 160]",
		})},
		{[]uint16{113}, []string{
			"current 13.5 A gauge ok", "current_l1 4.5 A gauge ok", "current_l2 4.25 A gauge ok", "current_l3 4.75 A gauge ok",
			"voltage_l1 230.1 V gauge ok", "voltage_l2 231.2 V gauge ok", "voltage_l3 229.9 V gauge ok",
			"active_power_generated 3100 W gauge ok", "frequency 50.02 Hz gauge ok", "apparent_power 3110.075 VA gauge ok", "reactive_power -120 var gauge ok",
			"power_factor 0.99676056 / gauge ok", "active_energy_generated 12345678 Wh counter ok",
			"current_dc 5.75 A gauge ok", "voltage_dc 612.5 V gauge ok", "power_dc 3521.875 W gauge ok", "temperature 41.5 Cel gauge ok",
			identity, "models [1 113]",
		}},
		{[]uint16{203}, []string{
			"current 13.50 A gauge ok", "current_l1 4.50 A gauge ok", "current_l2 4.25 A gauge ok", "current_l3 4.75 A gauge ok",
			"voltage_l1 230.1 V gauge ok", "voltage_l2 231.2 V gauge ok", "voltage_l3 229.9 V gauge ok",
			"active_power 3100 W gauge ok", "active_power_l1 1030 W gauge ok", "active_power_l2 980 W gauge ok", "active_power_l3 1090 W gauge ok",
			"frequency 50.02 Hz gauge ok", "apparent_power 3110 VA gauge ok", "apparent_power_l1 1035 VA gauge ok", "apparent_power_l2 983 VA gauge ok", "apparent_power_l3 1092 VA gauge ok",
			"reactive_power -120 var gauge ok",
			"power_factor 0.9968 / gauge ok", "power_factor_l1 0.9947 / gauge ok", "power_factor_l2 0.9974 / gauge ok", "power_factor_l3 0.9981 / gauge ok",
			"active_energy_import 4000123 Wh counter ok", "active_energy_export 987654 Wh counter ok",
			identity, "models [1 203]",
		}},
		{[]uint16{802}, slices.Concat([]string{"current_dc 5.8 A gauge ok", "voltage_dc 612.5 V gauge ok", "power_dc 3522 W gauge ok", "state_of_charge 73.5 % gauge ok", identity, "models [1 802]"})},
	} {
		for _, tcp := range []bool{true, false} {
			b := newBench(t, tcp, nil, emulated.NewSunSpec(40000, "4711", true, c.numbers...))
			var batch hardware.Batch
			if err := b.Sense(t.Context(), &batch); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, hardwaretest.Report(b.Describe(), &batch)); diff != "" {
				t.Errorf("models %v (-want +got):\n%s", c.numbers, diff)
			}
		}
	}
}

// image is the registers of a device as a dump from base on.
func image(base uint16, words []uint16) *hardware.Registers {
	r := new(hardware.Registers)
	for i, w := range words {
		r.Set(hardware.TableDefault, base+uint16(i), w)
	}
	return r
}

func decoder(t testing.TB, models ...uint16) *sunspec.Dev {
	t.Helper()
	dev, err := sunspec.NewModbus(nil, 1, &sunspec.Opts{Models: models})
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// model finds the first model of a number: the index of its number among words.
func model(t testing.TB, words []uint16, number uint16) int {
	t.Helper()
	for at := 2; words[at] != 0xFFFF; at += 2 + int(words[at+1]) {
		if words[at] == number {
			return at
		}
	}
	t.Fatalf("no model %d", number)
	return 0
}

func report(t testing.TB, dev *sunspec.Dev, r *hardware.Registers) []string {
	t.Helper()
	var b hardware.Batch
	if err := dev.DecodeRegisters(r, &b); err != nil {
		t.Fatal(err)
	}
	return hardwaretest.Report(dev.Describe(), &b)
}

// has reports whether one of rows begins so.
func has(rows []string, begins string) bool {
	return slices.ContainsFunc(rows, func(r string) bool { return strings.HasPrefix(r, begins) })
}

func TestBasesAndLengths(t *testing.T) {
	for _, base := range []uint16{40000, 50000, 0} {
		for _, pad := range []bool{true, false} {
			part := emulated.NewSunSpec(base, "4711", pad, 122, 103)
			part.Set(sunny)
			rows := report(t, decoder(t), image(base, part.Words()))
			if !has(rows, "frequency 50.02") || !has(rows, "models [1 122 103]") || !has(rows, `identity "Wattmark"`) {
				t.Errorf("base %d, padded %v: %q", base, pad, rows)
			}
		}
	}
}

func TestNotImplemented(t *testing.T) {
	part := emulated.NewSunSpec(40000, "4711", true, 103, 203)
	part.Set(sunny)
	inverter := model(t, part.Words(), 103)
	for name, c := range map[string]struct {
		offset int
		words  []uint16
		gone   string
		warns  string
	}{
		"unsigned":                   {16, []uint16{0xFFFF}, "frequency", ""},
		"signed":                     {14, []uint16{0x8000}, "active_power_generated", ""},
		"accumulator":                {24, []uint16{0, 0}, "active_energy_generated", ""},
		"accumulator as a number":    {24, []uint16{0x8000, 0}, "active_energy_generated", ""},
		"scale factor":               {17, []uint16{0x8000}, "frequency", "warning skipped: frequency"},
		"scale factor out of bounds": {17, []uint16{11}, "frequency", "warning skipped: frequency"},
		"both":                       {16, []uint16{0xFFFF, 0x8000}, "frequency", ""},
	} {
		words := part.Words()
		copy(words[inverter+c.offset:], c.words)
		rows := report(t, decoder(t, 103), image(40000, words))
		if has(rows, c.gone+" ") || has(rows, "warning") != (c.warns != "") || c.warns != "" && !has(rows, c.warns) || !has(rows, "voltage_l1 230.1") {
			t.Errorf("%s: %q", name, rows)
		}
	}
	// A signed number may hold what would be absent in an unsigned one, and the reverse.
	words := part.Words()
	words[inverter+14], words[inverter+29] = 0xFFFF, 0x8000
	rows := report(t, decoder(t, 103), image(40000, words))
	if !has(rows, "active_power_generated -1 W") || !has(rows, "voltage_dc 3276.8 V") {
		t.Errorf("%q", rows)
	}
}

func TestCoarse(t *testing.T) {
	part := emulated.NewSunSpec(40000, "4711", true, 103, 113)
	part.Set(sunny)
	for _, c := range []struct {
		number uint16
		offset int
		words  []uint16
		want   string
	}{
		{103, 24, []uint16{0, 42, 3}, "active_energy_generated 42000 Wh counter coarse"},
		{103, 24, []uint16{0, 42, 2}, "active_energy_generated 4200 Wh counter ok"},
		{103, 14, []uint16{50, 1}, "active_power_generated 500 W gauge coarse"},
		{103, 14, []uint16{690, 1}, "active_power_generated 6900 W gauge ok"},
		{103, 14, []uint16{50, 0}, "active_power_generated 50 W gauge ok"},
		{113, 32, []uint16{0x4E80, 0x0000}, "active_energy_generated 1073741800 Wh counter coarse"}, // 2^30, steps of 128
		{113, 32, []uint16{0x4E7F, 0xFFFF}, "active_energy_generated 1073741760 Wh counter ok"},
	} {
		words := part.Words()
		copy(words[model(t, words, c.number)+c.offset:], c.words)
		if rows := report(t, decoder(t, c.number), image(40000, words)); !slices.Contains(rows, c.want) {
			t.Errorf("model %d, %x: no %q in %q", c.number, c.words, c.want, rows)
		}
	}
}

func TestFloatsThatAreNone(t *testing.T) {
	part := emulated.NewSunSpec(40000, "4711", true, 111)
	one := sunny
	one.Phases = 1
	part.Set(one)
	if rows := report(t, decoder(t), image(40000, part.Words())); has(rows, "warning") || has(rows, "voltage_l2") || !has(rows, "voltage_l1 230.1 V") {
		t.Errorf("one phase: %q", rows)
	}
	words := part.Words()
	at := model(t, words, 111)
	words[at+24], words[at+25] = 0x7FC0, 0
	if rows := report(t, decoder(t), image(40000, words)); !has(rows, "warning not_a_number: frequency") || has(rows, "frequency ") {
		t.Errorf("a frequency that is none: %q", rows)
	}
}

func TestMoreStringsThanModules(t *testing.T) {
	part := emulated.NewSunSpec(40000, "4711", true, 160)
	part.Set(sunny)
	words := part.Words()
	words[model(t, words, 160)+8] = 40 // it says forty, and has room for two
	if rows := report(t, decoder(t), image(40000, words)); !has(rows, "mppt2_power_dc") || has(rows, "mppt3") {
		t.Errorf("%q", rows)
	}
	words[model(t, words, 160)+8] = 1
	if rows := report(t, decoder(t), image(40000, words)); !has(rows, "mppt1_power_dc") || has(rows, "mppt2") {
		t.Errorf("%q", rows)
	}
}

func TestTwoModelsWithTheSameChannels(t *testing.T) {
	part := emulated.NewSunSpec(40000, "4711", true, 103, 203)
	part.Set(sunny)
	dump := image(40000, part.Words())
	rows := report(t, decoder(t), dump)
	if !has(rows, "active_energy_generated") || !has(rows, "active_energy_import") || !has(rows, "warning skipped: model 203") {
		t.Errorf("both: %q", rows)
	}
	rows = report(t, decoder(t, 203), dump)
	if has(rows, "active_energy_generated") || !has(rows, "active_energy_import") || has(rows, "warning") {
		t.Errorf("the meter: %q", rows)
	}
}

func TestPartsOfADump(t *testing.T) {
	part := emulated.NewSunSpec(40000, "4711", true, 103)
	part.Set(sunny)
	words := part.Words()
	at := model(t, words, 103)
	if rows := report(t, decoder(t), image(40000, words[:at+17])); !has(rows, "voltage_l1") || has(rows, "frequency") || !has(rows, "warning skipped: model 103") {
		t.Errorf("cut in the middle: %q", rows)
	}
	// It says who made it, and measures nothing.
	want := []string{`identity "Wattmark" "Emulated device" "4711" "1.2.3"`, "models [1]"}
	if diff := cmp.Diff(want, report(t, decoder(t), image(40000, words[:at]))); diff != "" {
		t.Errorf("model 1 alone (-want +got):\n%s", diff)
	}
	for name, r := range map[string]*hardware.Registers{"elsewhere": image(30000, words), "something else": image(40000, words[2:])} {
		if err := decoder(t).DecodeRegisters(r, new(hardware.Batch)); !errors.Is(err, hardware.ErrWrongDevice) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A device may refuse the places where the list is not; a recording of that is good. One
// that refuses what it lists is not.
func TestRefusals(t *testing.T) {
	part := emulated.NewSunSpec(0, "4711", true, 203)
	b := newBench(t, true, nil, part)
	var batch hardware.Batch
	if err := b.Sense(t.Context(), &batch); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(batch.Evidence.String(), "01 83 02") {
		t.Fatalf("it refused nothing:\n%s", batch.Evidence.String())
	}
	if again, err := hardwaretest.CheckDecode(t, b.Dev, &batch.Evidence); err != nil || len(again.Values) != len(batch.Values) {
		t.Errorf("%d values, %v", len(again.Values), err)
	}
	var refused hardware.Transcript
	refused.Send(modbus.Request{Unit: 1, Function: modbus.ReadHolding, Address: 40000, Count: 2}.AppendTCP(nil, 1))
	refused.Receive([]byte{0, 1, 0, 0, 0, 3, 1, 0x83, 2})
	if _, err := hardwaretest.CheckDecode(t, b.Dev, &refused); !errors.Is(err, hardware.ErrDevice) {
		t.Errorf("nothing but a refusal: %v", err)
	}
	part.Clear()
	part.SetHolding(40000, 0x1234, 0x5678)
	if err := newBenchOf(t, part).Sense(t.Context(), &batch); !errors.Is(err, hardware.ErrDevice) && !errors.Is(err, hardware.ErrWrongDevice) {
		t.Errorf("a meter without SunSpec: %v", err)
	}
}

// newBenchOf is a driver of part as it is.
func newBenchOf(t *testing.T, part emulated.Unit) *sunspec.Dev {
	t.Helper()
	line := emulated.NewLine()
	line.Attach(1, part)
	dev, err := sunspec.NewModbus(modbus.NewRTU(line.Conn(), modbus.RTUOpts{Timeout: patience}), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

// After its first sample a device is asked no more than it must be, and one that is
// swapped is walked anew.
func TestRequests(t *testing.T) {
	b := newBench(t, true, nil, emulated.NewSunSpec(40000, "4711", true, 103, 120, 122, 160))
	var batch hardware.Batch
	for range 2 {
		if err := b.Sense(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
	}
	if batch.Evidence.Len() > 4 {
		t.Errorf("%d requests a sample:\n%s", batch.Evidence.Len(), batch.Evidence.String())
	}
	if batch.Identity != (hardware.Identity{}) || len(batch.Models) != 5 {
		t.Errorf("the second sample tells %+v and %v", batch.Identity, batch.Models)
	}
	b.part.Clear()
	other := emulated.NewSunSpec(40000, "4712", true, 203)
	other.Set(sunny)
	b.part.SetHolding(40000, other.Words()...)
	var err error
	for range 3 {
		if err = b.Sense(t.Context(), &batch); err == nil && batch.Identity.Serial == "4712" {
			return
		}
	}
	t.Errorf("the device that was put in its place is %+v, %v", batch.Identity, err)
}

func TestNewModbusRefuses(t *testing.T) {
	for _, numbers := range [][]uint16{{1}, {7}, {103, 103}} {
		if d, err := sunspec.NewModbus(nil, 1, &sunspec.Opts{Models: numbers}); err == nil {
			t.Errorf("%v: %s was made", numbers, d)
		}
	}
}

// secondOpinion is the points of models, as github.com/andig/gosunspec names them, that
// the channels stand for.
var secondOpinion = map[uint16]map[string]string{
	103: {"current": "A", "current_l1": "AphA", "current_l3": "AphC", "voltage_l1": "PhVphA", "voltage_l3": "PhVphC", "active_power_generated": "W",
		"frequency": "Hz", "apparent_power": "VA", "reactive_power": "VAr", "power_factor": "PF", "active_energy_generated": "WH",
		"current_dc": "DCA", "voltage_dc": "DCV", "power_dc": "DCW", "temperature": "TmpCab"},
	113: {"current": "A", "current_l2": "AphB", "voltage_l2": "PhVphB", "active_power_generated": "W", "frequency": "Hz", "apparent_power": "VA",
		"reactive_power": "VAr", "power_factor": "PF", "active_energy_generated": "WH", "current_dc": "DCA", "voltage_dc": "DCV", "power_dc": "DCW", "temperature": "TmpCab"},
	203: {"current": "A", "current_l2": "AphB", "voltage_l1": "PhVphA", "voltage_l2": "PhVphB", "frequency": "Hz", "active_power": "W", "active_power_l1": "WphA", "active_power_l3": "WphC",
		"apparent_power": "VA", "apparent_power_l2": "VAphB", "reactive_power": "VAR", "reactive_power_l2": "VARphB", "power_factor": "PF", "power_factor_l3": "PFphC",
		"active_energy_export": "TotWhExp", "active_energy_export_l2": "TotWhExpPhB", "active_energy_import": "TotWhImp", "active_energy_import_l3": "TotWhImpPhC",
		"reactive_energy_q1": "TotVArhImpQ1", "reactive_energy_q2": "TotVArhImpQ2", "reactive_energy_q3": "TotVArhExpQ3", "reactive_energy_q4": "TotVArhExpQ4"},
	802: {"state_of_charge": "SoC", "voltage_dc": "V", "current_dc": "A", "power_dc": "W"},
}

// factors are where the scale factors stand.
var factors = map[uint16][]int{
	103: {6, 13, 15, 17, 19, 21, 23, 26, 28, 30, 32, 37},
	203: {6, 15, 17, 22, 27, 32, 37, 54, 71, 104},
	802: {52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63},
}

// Somebody else's reading of the models gives the same numbers, whatever is in the
// registers.
func TestSecondOpinion(t *testing.T) {
	for number, points := range secondOpinion {
		t.Run(fmt.Sprint(number), func(t *testing.T) {
			dev := decoder(t, number)
			highest := uint16(0xFFFE)
			if number == 113 {
				highest = 0x7EFF // above it are floats that are no numbers
			}
			rapid.Check(t, func(rt *rapid.T) {
				part := emulated.NewSunSpec(40000, "4711", true, number)
				words := part.Words()
				at := model(t, words, number)
				for i := range int(words[at+1]) {
					words[at+2+i] = rapid.Uint16Range(1, highest).Draw(rt, "register")
					if words[at+2+i] == 0x8000 { // not implemented
						words[at+2+i]++
					}
				}
				for _, o := range factors[number] {
					words[at+o] = uint16(rapid.Int16Range(-4, 3).Draw(rt, "scale factor"))
				}
				var b hardware.Batch
				if err := dev.DecodeRegisters(image(40000, words), &b); err != nil {
					rt.Fatal(err)
				}
				var bytes []byte
				for _, w := range words {
					bytes = binary.BigEndian.AppendUint16(bytes, w)
				}
				array, err := memory.Open(bytes)
				if err != nil {
					rt.Fatal(err)
				}
				got := map[string]hardware.Value{}
				for _, v := range b.Values {
					got[dev.Describe().Channels[v.Channel].Name] = v
				}
				array.Do(func(d gosunspec.Device) {
					block, err := d.MustModel(gosunspec.ModelId(number)).Block(0)
					if err != nil {
						rt.Fatal(err)
					}
					if err := block.Read(); err != nil {
						rt.Fatal(err)
					}
					for channel, id := range points {
						want, per := block.MustPoint(id).ScaledValue(), 1.0
						if strings.HasPrefix(channel, "power_factor") {
							per = 100
						}
						v, ok := got[channel]
						number, err := strconv.ParseFloat(v.String(), 64)
						if !ok || err != nil || math.Abs(number*per-want) > 1e-6*math.Abs(want)+1e-43 {
							rt.Errorf("%s is %s (%v), %s is %v", channel, v, ok, id, want)
						}
					}
				})
			})
		})
	}
}

func TestCaptures(t *testing.T) {
	hardwaretest.Captures(t, decoder(t), *update, "*")
}

func FuzzDecode(f *testing.F) {
	b := newBench(f, true, nil, emulated.NewSunSpec(40000, "4711", true, 103, 160))
	var batch hardware.Batch
	if err := b.Sense(context.Background(), &batch); err != nil {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, b.Dev, &batch.Evidence)
}

// FuzzRegisters decodes whatever stands behind the letters SunS.
func FuzzRegisters(f *testing.F) {
	for _, number := range []uint16{103, 113, 160, 203, 802} {
		part := emulated.NewSunSpec(0, "4711", false, number)
		part.Set(sunny)
		var text []byte
		for _, w := range part.Words()[2:] {
			text = binary.BigEndian.AppendUint16(text, w)
		}
		f.Add(text)
	}
	dev := decoder(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		words := []uint16{0x5375, 0x6E53}
		for i := 0; i+1 < len(body) && len(words) < 60_000; i += 2 {
			words = append(words, binary.BigEndian.Uint16(body[i:]))
		}
		var b hardware.Batch
		if err := dev.DecodeRegisters(image(0, words), &b); err != nil {
			t.Fatal(err)
		}
		for i, v := range b.Values {
			if i > 0 && v.Channel <= b.Values[i-1].Channel {
				t.Errorf("channel %d stands after %d", v.Channel, b.Values[i-1].Channel)
			}
		}
	})
}
