package sdm_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/modbus"
	"wattmark/hardware/sdm"
)

var update = flag.Bool("update", false, "rewrite what captures decode to")

var models = []string{"sdm72", "sdm120", "sdm230", "sdm630"}

// supply has another number in each register.
var supply = emulated.Supply{
	Phases: [3]emulated.Phase{
		{Voltage: 230.2, Current: 2, Power: -460, Reactive: 12.5},
		{Voltage: 231, Current: 0.25, Power: 57.75, Reactive: -3},
		{Voltage: 229.9, Current: 10, Power: 2000, Reactive: 1100},
	},
	Frequency: 49.98,
	ImportWh:  12_345_678, ExportWh: 5_004, ImportVarh: 1_500_000, ExportVarh: 1,
}

// patience is for a meter to answer: a busy machine is no slow meter. Tests that have
// a meter keep silent run in a bubble, where it passes at once.
const patience = 10 * time.Second

// meter is an emulated meter and a driver on a line of their own.
type meter struct {
	*sdm.Dev
	line *emulated.Line
	part *emulated.Meter
}

func newMeter(t testing.TB, is string, opts sdm.Opts) *meter {
	t.Helper()
	m := &meter{line: emulated.NewLine(), part: emulated.NewMeter(is, 4711)}
	m.line.Slowness = patience + time.Second // too slow, and within the grace
	m.line.Attach(7, m.part)
	m.part.Set(supply)
	if opts.Model == "" {
		opts.Model = is
	}
	dev, err := sdm.NewModbus(modbus.NewRTU(m.line.Conn(), modbus.RTUOpts{Timeout: patience}), 7, &opts)
	if err != nil {
		t.Fatal(err)
	}
	m.Dev = dev
	return m
}

func TestConformance(t *testing.T) {
	for _, model := range models {
		t.Run(model, func(t *testing.T) {
			hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
				m := newMeter(t, model, sdm.Opts{Now: now})
				return hardwaretest.OnModbus(m.Dev, m.line, 7)
			})
		})
	}
}

// row is a value as a person reads it.
func row(about hardware.Descriptor, v hardware.Value) string {
	c := about.Channels[v.Channel]
	return fmt.Sprintf("%s %s %s %s %s", c.Name, v, c.Unit, c.Kind, v.Quality)
}

func rows(about hardware.Descriptor, b *hardware.Batch) (all []string) {
	for _, v := range b.Values {
		all = append(all, row(about, v))
	}
	return all
}

func TestEveryChannel(t *testing.T) {
	single := []string{
		"voltage_l1 230.2 V gauge ok", "current_l1 2 A gauge ok", "active_power -460 W gauge ok", "apparent_power 460.4 VA gauge ok",
		"reactive_power 12.5 var gauge ok", "power_factor -0.9991312 / gauge ok", "frequency 49.98 Hz gauge ok",
	}
	three := []string{
		"voltage_l1 230.2 V gauge ok", "voltage_l2 231 V gauge ok", "voltage_l3 229.9 V gauge ok",
		"current_l1 2 A gauge ok", "current_l2 0.25 A gauge ok", "current_l3 10 A gauge ok",
		"active_power_l1 -460 W gauge ok", "active_power_l2 57.75 W gauge ok", "active_power_l3 2000 W gauge ok",
		"apparent_power_l1 460.4 VA gauge ok", "apparent_power_l2 57.75 VA gauge ok", "apparent_power_l3 2299 VA gauge ok",
		"reactive_power_l1 12.5 var gauge ok", "reactive_power_l2 -3 var gauge ok", "reactive_power_l3 1100 var gauge ok",
		"power_factor_l1 -0.9991312 / gauge ok", "power_factor_l2 1 / gauge ok", "power_factor_l3 0.86994344 / gauge ok",
		"active_power 1597.75 W gauge ok", "frequency 49.98 Hz gauge ok",
	}
	energies := []string{
		"active_energy_import 12345678 Wh counter ok", "active_energy_export 5004 Wh counter ok",
		"reactive_energy_import 1500000 varh counter ok", "reactive_energy_export 1 varh counter ok",
		"active_energy_absolute 12350682 Wh counter ok",
	}
	for _, model := range models {
		want := slices.Concat(three, energies)
		if model == "sdm120" || model == "sdm230" {
			want = slices.Concat(single, energies)
		}
		m := newMeter(t, model, sdm.Opts{})
		var b hardware.Batch
		if err := m.Sense(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, rows(m.Describe(), &b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", model, diff)
		}
		if len(b.Values) != len(m.Describe().Channels) || len(b.Warnings) != 0 {
			t.Errorf("%s: %d values of %d channels, warnings %q", model, len(b.Values), len(m.Describe().Channels), b.Warnings)
		}
		for _, v := range b.Values { // registers are whole, not 12345678.0 and not 12.345678 x 10^6
			if c := m.Describe().Channels[v.Channel]; c.Kind == hardware.Counter && v.Exponent != 0 {
				t.Errorf("%s: %s is %d x 10^%d", model, c.Name, v.Mantissa, v.Exponent)
			}
		}
	}
}

// A register of whole Wh goes through a float32 of kWh. What comes out is what the
// float says, as short as it can be said, and coarse from a step of more than 100 Wh.
func TestRegistersOfEnergy(t *testing.T) {
	m := newMeter(t, "sdm120", sdm.Opts{Channels: []string{"active_energy_import", "active_energy_export"}})
	for _, c := range []struct {
		wh      int64
		want    string
		quality hardware.Quality
	}{
		{0, "0", 0},
		{1, "1", 0},
		{999, "999", 0},
		{1_000, "1000", 0},
		{16_383_999, "16383999", 0}, // steps of 1 Wh end here
		{16_384_001, "16384002", 0}, // half a step is 1 Wh
		{16_384_002, "16384002", 0},
		{99_999_990, "99999990", 0},      // what the display of an sdm630 ends at
		{1_048_575_940, "1048575940", 0}, // the last step of 62.5 Wh
		{1_048_576_000, "1048576000", hardware.Coarse},
		{1_048_576_063, "1048576100", hardware.Coarse}, // a step of 125 Wh, of which 1048576.1 is the shortest name
		{9_999_999_000, "9999999000", hardware.Coarse},
	} {
		m.part.SetEnergy(c.wh, 0)
		var b hardware.Batch
		if err := m.Sense(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if v := b.Values[0]; v.String() != c.want || v.Quality != c.quality {
			t.Errorf("%d Wh: got %s %s, want %s %s", c.wh, v, v.Quality, c.want, c.quality)
		}
	}
	// A meter that was made to count backwards is not believed without a mark.
	m.part.SetEnergy(-1_000, 0)
	var b hardware.Batch
	if err := m.Sense(t.Context(), &b); err != nil || b.Values[0].String() != "-1000" || b.Values[0].Quality != hardware.OutOfRange {
		t.Errorf("a negative total: %v, %v", b.Values, err)
	}
}

// reply is an intact recording of registers read from address on.
func reply(function modbus.Function, address uint16, words ...uint16) *hardware.Transcript {
	var t hardware.Transcript
	appendReply(&t, function, address, words...)
	return &t
}

func appendReply(t *hardware.Transcript, function modbus.Function, address uint16, words ...uint16) {
	t.Send(modbus.Request{Unit: 7, Function: function, Address: address, Count: uint16(len(words))}.AppendRTU(nil))
	frame := []byte{7, byte(function), byte(2 * len(words))}
	for _, w := range words {
		frame = binary.BigEndian.AppendUint16(frame, w)
	}
	t.Receive(binary.LittleEndian.AppendUint16(frame, modbus.CRC(frame)))
}

// checkFloat checks that v is a name of exactly the float32 with those bits, moved by
// scale.
func checkFloat(t interface{ Errorf(string, ...any) }, v hardware.Value, bits uint32, scale int8) {
	v.Exponent -= scale
	back, err := strconv.ParseFloat(v.String(), 32)
	if want := math.Float32frombits(bits); err != nil || float32(back) != want {
		t.Errorf("%s came from %v and reads back as %v, %v", v, want, back, err)
	}
}

// Whatever bits a register holds, its value reads back as the same float32.
func TestValuesAreExact(t *testing.T) {
	m := newMeter(t, "sdm120", sdm.Opts{Channels: []string{"voltage_l1", "active_energy_import"}})
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.Uint32().Draw(t, "bits")
		high, low := uint16(bits>>16), uint16(bits)
		recorded := reply(modbus.ReadInput, 0x0000, high, low)
		appendReply(recorded, modbus.ReadInput, 0x0048, high, low)
		var b hardware.Batch
		if err := m.Decode(recorded, &b); err != nil {
			t.Fatal(err)
		}
		if f := float64(math.Float32frombits(bits)); math.IsNaN(f) || math.IsInf(f, 0) {
			want := []string{"not_a_number: voltage_l1", "not_a_number: active_energy_import"}
			if diff := cmp.Diff(want, b.Warnings); diff != "" || len(b.Values) != 0 {
				t.Errorf("%v is %v, warnings (-want +got):\n%s", f, b.Values, diff)
			}
			return
		}
		if len(b.Values) != 2 {
			t.Fatalf("%d values, warnings %q", len(b.Values), b.Warnings)
		}
		checkFloat(t, b.Values[0], bits, 0)
		checkFloat(t, b.Values[1], bits, 3)
		step := math.Abs(float64(math.Nextafter32(math.Float32frombits(bits&^(1<<31)), math.MaxFloat32)) - math.Abs(float64(math.Float32frombits(bits))))
		if math.Float32frombits(bits&^(1<<31)) < math.MaxFloat32 && (step > 0.1) != (b.Values[1].Quality&hardware.Coarse != 0) {
			t.Errorf("a step of %v kWh is %s", step, b.Values[1].Quality)
		}
		if b.Values[0].Quality&hardware.Coarse != 0 {
			t.Errorf("a voltage is coarse")
		}
	})
}

func TestChannelsThatAreChosen(t *testing.T) {
	m := newMeter(t, "sdm630", sdm.Opts{Channels: []string{"pulse1_width", "frequency", "voltage_l2"}})
	var b hardware.Batch
	for range 2 {
		if err := m.Sense(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"voltage_l2 231 V gauge ok", "frequency 49.98 Hz gauge ok", "pulse1_width 100 ms gauge ok"}
	if diff := cmp.Diff(want, rows(m.Describe(), &b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if b.Evidence.Len() != 3 { // too far apart for one request, and in two tables
		t.Errorf("%d exchanges:\n%s", b.Evidence.Len(), b.Evidence.String())
	}
}

func TestNewModbusRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		unit byte
		opts *sdm.Opts
	}{
		"no options":    {1, nil},
		"no model":      {1, &sdm.Opts{}},
		"another model": {1, &sdm.Opts{Model: "sdm54"}},
		"broadcast":     {0, &sdm.Opts{Model: "sdm120"}},
		"unit 248":      {248, &sdm.Opts{Model: "sdm120"}},
		"a phase more":  {1, &sdm.Opts{Model: "sdm120", Channels: []string{"voltage_l2"}}},
		"twice":         {1, &sdm.Opts{Model: "sdm120", Channels: []string{"frequency", "frequency"}}},
	} {
		if d, err := sdm.NewModbus(nil, c.unit, c.opts); err == nil {
			t.Errorf("%s: %s was made", name, d)
		}
	}
}

// A meter of another model has other quantities in the same registers, or zeros.
func TestWrongDevice(t *testing.T) {
	for _, is := range models {
		for _, told := range models {
			m := newMeter(t, is, sdm.Opts{Model: told})
			var b hardware.Batch
			err := m.Sense(t.Context(), &b)
			_, sure, probed := m.Probe(t.Context())
			if is == told {
				if err != nil || sure != hardware.Certain || probed != nil {
					t.Errorf("an %s: %v, probed %s, %v", is, err, sure, probed)
				}
				continue
			}
			if !errors.Is(err, hardware.ErrWrongDevice) || len(b.Values) != 0 {
				t.Errorf("an %s taken for an %s: %v, %v", is, told, b.Values, err)
			}
			if sure != hardware.NotFound || !errors.Is(probed, hardware.ErrWrongDevice) {
				t.Errorf("an %s probed as an %s: %s, %v", is, told, sure, probed)
			}
			if _, err := hardwaretest.CheckDecode(t, m.Dev, &b.Evidence); !errors.Is(err, hardware.ErrWrongDevice) {
				t.Errorf("an %s recorded and decoded as an %s: %v", is, told, err)
			}
		}
	}
}

func TestProbeTellsTheSerialNumber(t *testing.T) {
	id, _, err := newMeter(t, "sdm630", sdm.Opts{}).Probe(t.Context())
	want := hardware.Identity{Manufacturer: "Eastron", Model: "Eastron SDM630", Serial: "4711"}
	if diff := cmp.Diff(want, id); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// altered is a line on which some requests have another answer.
type altered struct {
	modbus.Requester
	answer func(q modbus.Request) (words []uint16, exception byte, is bool)
	asked  int // requests for the meter's code
}

func (a *altered) Exchange(ctx context.Context, q modbus.Request, t *hardware.Transcript) ([]byte, error) {
	if q.Address == 0xFC02 {
		a.asked++
	}
	words, exception, is := a.answer(q)
	if !is {
		return a.Requester.Exchange(ctx, q, t)
	}
	t.Send(q.AppendRTU(nil))
	frame := []byte{q.Unit, byte(q.Function) | 0x80, exception}
	if exception == 0 {
		frame = []byte{q.Unit, byte(q.Function), byte(2 * len(words))}
		for _, w := range words {
			frame = binary.BigEndian.AppendUint16(frame, w)
		}
	}
	frame = binary.LittleEndian.AppendUint16(frame, modbus.CRC(frame))
	t.Receive(frame)
	return modbus.ParseReply(q, frame)
}

// alter returns a driver of a meter some of whose answers are others.
func alter(t *testing.T, answer func(q modbus.Request) ([]uint16, byte, bool)) (*sdm.Dev, *altered, *meter) {
	t.Helper()
	m := newMeter(t, "sdm120", sdm.Opts{})
	a := &altered{Requester: modbus.NewRTU(m.line.Conn(), modbus.RTUOpts{Timeout: patience}), answer: answer}
	dev, err := sdm.NewModbus(a, 7, &sdm.Opts{Model: "sdm120"})
	if err != nil {
		t.Fatal(err)
	}
	return dev, a, m
}

// Older meters do not say what they are, and variants have codes we do not know: both
// are read, and asked once.
func TestMetersWithoutAKnownCode(t *testing.T) {
	for name, code := range map[string]struct {
		word      uint16
		exception byte
		sure      hardware.Confidence
	}{"older": {0, 2, hardware.Likely}, "variant": {0x0999, 0, hardware.Likely}} {
		dev, line, m := alter(t, func(q modbus.Request) ([]uint16, byte, bool) {
			return []uint16{code.word}, code.exception, q.Address == 0xFC02 || q.Address == 0xFC00 && code.exception != 0
		})
		var b hardware.Batch
		for range 3 {
			if err := dev.Sense(t.Context(), &b); err != nil || len(b.Values) != 12 {
				t.Errorf("%s: %d values, %v", name, len(b.Values), err)
			}
			decoded, err := hardwaretest.CheckDecode(t, dev, &b.Evidence)
			if err != nil || len(decoded.Values) != 12 {
				t.Errorf("%s: decoded %d values, %v", name, len(decoded.Values), err)
			}
		}
		if line.asked != 1 {
			t.Errorf("%s: it was asked for its code %d times", name, line.asked)
		}
		if _, sure, err := dev.Probe(t.Context()); sure != code.sure || err != nil {
			t.Errorf("%s: probed %s, %v", name, sure, err)
		}
		m.part.Set(emulated.Supply{}) // nothing speaks for a meter without supply
		if _, sure, err := dev.Probe(t.Context()); sure != hardware.Possible || err != nil {
			t.Errorf("%s without supply: probed %s, %v", name, sure, err)
		}
	}
}

// A meter that does not answer the question for its code at all costs one sample.
func TestMeterThatIsSilentOnItsCode(t *testing.T) {
	m := newMeter(t, "sdm120", sdm.Opts{})
	silent := &silentOnCode{modbus.NewRTU(m.line.Conn(), modbus.RTUOpts{Timeout: patience}), 0}
	dev, err := sdm.NewModbus(silent, 7, &sdm.Opts{Model: "sdm120"})
	if err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	if err := dev.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrAbsent) || len(b.Values) != 0 {
		t.Errorf("the first sample: %v", err)
	}
	for range 3 {
		if err := dev.Sense(t.Context(), &b); err != nil || silent.asked != 1 {
			t.Errorf("another sample: %v, asked %d times", err, silent.asked)
		}
	}
}

type silentOnCode struct {
	modbus.Requester
	asked int
}

func (s *silentOnCode) Exchange(ctx context.Context, q modbus.Request, t *hardware.Transcript) ([]byte, error) {
	if q.Address != 0xFC02 {
		return s.Requester.Exchange(ctx, q, t)
	}
	s.asked++
	t.Send(q.AppendRTU(nil))
	return nil, &hardware.Error{Class: hardware.ErrAbsent}
}

// A meter says its serial number when it is met, so that one in its place is known for
// another.
func TestSerialNumberAtFirst(t *testing.T) {
	dev, _, m := alter(t, func(q modbus.Request) ([]uint16, byte, bool) { return nil, 0, false })
	var b hardware.Batch
	for i, want := range []string{"4711", "", "4711"} {
		if err := dev.Sense(t.Context(), &b); err != nil || b.Identity.Serial != want {
			t.Errorf("sample %d: serial number %q, %v; want %q", i, b.Identity.Serial, err, want)
		}
		if i == 1 { // its cable is pulled, and put back
			m.line.SetFaults(7, emulated.Always(emulated.BadCRC))
			if err := dev.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrChecksum) {
				t.Errorf("a damaged answer: %v", err)
			}
			m.line.SetFaults(7, nil)
		}
	}
}

// A meter that is swapped while nobody answers is asked what it is.
func TestSwappedMeterIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		code := uint16(0x0020)
		dev, _, m := alter(t, func(q modbus.Request) ([]uint16, byte, bool) { return []uint16{code}, 0, q.Address == 0xFC02 })
		var b hardware.Batch
		if err := dev.Sense(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		m.line.SetFaults(7, emulated.Always(emulated.Silence))
		if err := dev.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrAbsent) {
			t.Fatal(err)
		}
		code = 0x0070
		m.line.SetFaults(7, nil)
		if err := dev.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrWrongDevice) || len(b.Values) != 0 {
			t.Errorf("an sdm630 in its place: %v, %v", b.Values, err)
		}
	})
}

// The reply to one sample's request comes while the next one waits: its old values
// must not be taken for new ones.
func TestLateReplyIsNoNewSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, "sdm120", sdm.Opts{Channels: []string{"voltage_l1"}})
		var b hardware.Batch
		if err := m.Sense(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		m.line.SetFaults(7, emulated.Sequence(emulated.Late))
		if err := m.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrAbsent) {
			t.Fatalf("got %v", err)
		}
		m.part.Set(emulated.Supply{Phases: [3]emulated.Phase{{Voltage: 111}}})
		if err := m.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrStale) || len(b.Values) != 0 {
			t.Errorf("got %v, %v, want ErrStale", b.Values, err)
		}
		if err := m.Sense(t.Context(), &b); err != nil || b.Values[0].String() != "111" {
			t.Errorf("then: %v, %v", b.Values, err)
		}
	})
}

// Registers that are not there, exceptions and NaN: the example of Eastron's protocol
// documents and what a meter could do to it.
func TestDecode(t *testing.T) {
	m := newMeter(t, "sdm120", sdm.Opts{Channels: []string{"voltage_l1", "frequency"}})
	for name, c := range map[string]struct {
		text     string
		rows     []string
		warnings []string
		class    error
	}{
		"the documents' example": {"> 01 04 00 00 00 02 71 CB\n< 01 04 04 43 66 33 34 1B 38",
			[]string{"voltage_l1 230.20001 V gauge ok"}, nil, nil}, // they round; 230.2 is 43 66 33 33
		"a later one replaces it": {reply(modbus.ReadInput, 0, 0x4366, 0x3334).String() + reply(modbus.ReadInput, 0, 0x4366, 0).String(),
			[]string{"voltage_l1 230 V gauge ok"}, nil, nil},
		"not a number": {reply(modbus.ReadInput, 0, 0x7FC0, 0).String(), nil, []string{"not_a_number: voltage_l1"}, nil},
		"infinity":     {reply(modbus.ReadInput, 0, 0xFF80, 0).String(), nil, []string{"not_a_number: voltage_l1"}, nil},
		"high voltage": {reply(modbus.ReadInput, 0, 0x43FA, 0).String(), []string{"voltage_l1 500 V gauge out_of_range"}, nil, nil},
		"half a value": {reply(modbus.ReadInput, 0, 0x4366).String(), nil, []string{"skipped: voltage_l1"}, nil},
		"two halves":   {reply(modbus.ReadInput, 1, 0x3333).String() + reply(modbus.ReadInput, 0, 0x4366).String(), []string{"voltage_l1 230.2 V gauge ok"}, nil, nil},
		"holding":      {reply(modbus.ReadHolding, 0, 0x4366, 0).String(), nil, nil, nil},
		"nothing":      {"", nil, nil, hardware.ErrTruncated},
		"an exception": {"> 01 04 00 00 00 02 71 CB\n< 01 84 02 C2 C1", nil, nil, hardware.ErrDevice},
		"no answer":    {"> 01 04 00 00 00 02 71 CB", nil, nil, hardware.ErrStale},
		"no request":   {"< 01 04 04 43 66 33 34 1B 38", nil, nil, modbus.ErrNoRequest},
		"two units":    {reply(modbus.ReadInput, 0, 0x4366, 0).String() + "> 01 04 00 00 00 02 71 CB\n< 01 04 04 43 66 33 34 1B 38", nil, nil, hardware.ErrWrongDevice},
		"doubled":      {"> 01 04 00 00 00 02 71 CB\n< 01 04 04 43 66 33 34 1B 38\n< 01 04 04 43 66 33 34 1B 38", nil, nil, hardware.ErrStale},
		"unanswered":   {"> 01 04 00 00 00 02 71 CB\n> 01 04 00 00 00 02 71 CB\n< 01 04 04 43 66 33 34 1B 38", nil, nil, hardware.ErrStale},
		"other table":  {"> 01 04 00 00 00 02 71 CB\n< 01 03 04 43 66 33 34 1A 8F", nil, nil, hardware.ErrWrongReply},
		"other count":  {"> 01 04 00 00 00 02 71 CB\n< 01 04 02 43 66 08 2A", nil, nil, hardware.ErrWrongReply},
		"cut off":      {"> 01 04 00 00 00 02 71 CB\n< 01 04 04 43 66", nil, nil, hardware.ErrTruncated},
		"bad checksum": {"> 01 04 00 00 00 02 71 CB\n< 01 04 04 43 66 33 34 1B 39", nil, nil, hardware.ErrChecksum},
		"another unit": {"> 02 04 00 00 00 02 71 F8\n< 01 04 04 43 66 33 34 1B 38", nil, nil, hardware.ErrWrongDevice},
	} {
		recorded, err := hardware.ParseTranscript([]byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := hardwaretest.CheckDecode(t, m.Dev, recorded)
		if (err == nil) != (c.class == nil) || !errors.Is(err, c.class) {
			t.Errorf("%s: got %v, want %v", name, err, c.class)
		}
		if diff := cmp.Diff(c.rows, rows(m.Describe(), b)); diff != "" {
			t.Errorf("%s: values (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(c.warnings, append([]string(nil), b.Warnings...)); c.class == nil && diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", name, diff)
		}
	}
}

// dump decodes registers as a person wrote them down, with a meter that only decodes.
func dump(t *testing.T, model, text string) (*sdm.Dev, *hardware.Batch, error) {
	t.Helper()
	dev, err := sdm.NewModbus(nil, 1, &sdm.Opts{Model: model})
	if err != nil {
		t.Fatal(err)
	}
	r, err := hardware.ParseRegisters([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	err = dev.DecodeRegisters(r, &b)
	return dev, &b, err
}

func TestDecodeRegisters(t *testing.T) {
	dev, b, err := dump(t, "sdm120", "0: 4366 3333\n0x0046: 4247 eb85\n0x0048: 4980 0000\nholding 0x000c: 42c8 0000\nholding 0xfc00: 0001 0002 0020")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"voltage_l1 230.2 V gauge ok", "frequency 49.98 Hz gauge ok", "active_energy_import 1048576000 Wh counter coarse", "pulse1_width 100 ms gauge ok",
	}
	if diff := cmp.Diff(want, rows(dev.Describe(), b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	missing := []string{
		"skipped: current_l1", "skipped: active_power", "skipped: apparent_power", "skipped: reactive_power", "skipped: power_factor",
		"skipped: active_energy_export", "skipped: reactive_energy_import", "skipped: reactive_energy_export", "skipped: active_energy_absolute",
	}
	if diff := cmp.Diff(missing, b.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(hardware.Identity{Manufacturer: "Eastron", Model: "Eastron SDM120", Serial: "65538"}, b.Identity); diff != "" {
		t.Errorf("identity (-want +got):\n%s", diff)
	}
}

// A word of the input table is no setting, though it has the setting's address.
func TestTablesAreApart(t *testing.T) {
	_, b, err := dump(t, "sdm630", "0x000c: 42c8 0000")
	if err != nil || len(b.Values) != 1 || b.Values[0].String() != "100" || slices.Contains(b.Warnings, "skipped: pulse1_width") {
		t.Errorf("%v, %q, %v", b.Values, b.Warnings, err)
	}
	for text, want := range map[string]error{
		"": hardware.ErrTruncated, "0: 12 34": hardware.ErrMalformed, "holding 0xfc02: 0070": hardware.ErrWrongDevice,
	} {
		if _, b, err := dump(t, "sdm120", text); !errors.Is(err, want) || len(b.Values) != 0 {
			t.Errorf("%q: got %v, want %v", text, err, want)
		}
	}
}

// A recording of a measurement and one of a setting are one picture of a meter.
func TestSettingsAndMeasurementsMerge(t *testing.T) {
	dev, err := sdm.NewModbus(nil, 7, &sdm.Opts{Model: "sdm630"})
	if err != nil {
		t.Fatal(err)
	}
	recorded := reply(modbus.ReadHolding, 0x000C, 0x42C8, 0)
	appendReply(recorded, modbus.ReadInput, 0x0046, 0x4247, 0xEB85)
	b, err := hardwaretest.CheckDecode(t, dev, recorded)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"frequency 49.98 Hz gauge ok", "pulse1_width 100 ms gauge ok"}
	if diff := cmp.Diff(want, rows(dev.Describe(), b)); diff != "" || len(b.Warnings) != 0 {
		t.Errorf("warnings %q (-want +got):\n%s", b.Warnings, diff)
	}
}

func TestCaptures(t *testing.T) {
	dev, err := sdm.NewModbus(nil, 7, &sdm.Opts{Model: "sdm630"})
	if err != nil {
		t.Fatal(err)
	}
	hardwaretest.Captures(t, dev, *update, "*")
}

func FuzzDecode(f *testing.F) {
	m := newMeter(f, "sdm630", sdm.Opts{})
	var b hardware.Batch
	if err := m.Sense(context.Background(), &b); err != nil {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, m.Dev, &b.Evidence)
}

// FuzzRegisters decodes intact frames with any registers, and turns the values back
// into them.
func FuzzRegisters(f *testing.F) {
	m := newMeter(f, "sdm630", sdm.Opts{Channels: []string{"voltage_l1", "active_power", "active_energy_import", "pulse1_width"}})
	places := map[string]struct {
		table   modbus.Function
		address int
		scale   int8
	}{
		"voltage_l1": {modbus.ReadInput, 0, 0}, "active_power": {modbus.ReadInput, 0x34, 0},
		"active_energy_import": {modbus.ReadInput, 0x48, 3}, "pulse1_width": {modbus.ReadHolding, 0xC, 0},
	}
	f.Add(false, uint16(0), []byte{0x43, 0x66, 0x33, 0x34})
	f.Add(false, uint16(0x34), slices.Repeat([]byte{0x47, 0xFF}, 30))
	f.Add(true, uint16(0xC), []byte{0x42, 0xC8, 0, 0})
	f.Fuzz(func(t *testing.T, holding bool, address uint16, data []byte) {
		words := make([]uint16, min(len(data)/2, modbus.MaxCount))
		for i := range words {
			words[i] = binary.BigEndian.Uint16(data[2*i:])
		}
		if len(words) == 0 || int(address)+len(words) > 1<<16 {
			return
		}
		table := modbus.ReadInput
		if holding {
			table = modbus.ReadHolding
		}
		b, err := hardwaretest.CheckDecode(t, m.Dev, reply(table, address, words...))
		if err != nil {
			if !errors.Is(err, hardware.ErrWrongDevice) {
				t.Errorf("an intact frame: %v", err)
			}
			return
		}
		about := m.Describe()
		got := map[string]hardware.Value{}
		for _, v := range b.Values {
			got[about.Channels[v.Channel].Name] = v
		}
		for _, name := range slices.Sorted(maps.Keys(places)) {
			p := places[name]
			at := p.address - int(address)
			v, has := got[name]
			if p.table != table || at < 0 || at+1 >= len(words) {
				if has {
					t.Errorf("%s is %s, and was not read", name, v)
				}
				continue
			}
			bits := uint32(words[at])<<16 | uint32(words[at+1])
			if number := bits>>23&0xFF != 0xFF; number != has {
				t.Errorf("%s from %#08x: there %v", name, bits, has)
			} else if has {
				checkFloat(t, v, bits, p.scale)
			}
		}
	})
}
