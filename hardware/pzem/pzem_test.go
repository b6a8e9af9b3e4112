package pzem_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/modbus"
	"wattmark/hardware/pzem"
)

var update = flag.Bool("update", false, "rewrite what captures decode to")

// patience is for a meter to answer: a busy machine is no slow meter.
const patience = 10 * time.Second

// newMeter returns an emulated meter at unit 3 and a driver that asks unit.
func newMeter(t testing.TB, unit byte, now hardware.Clock) (*pzem.Dev, *emulated.Line, *emulated.PZEM) {
	t.Helper()
	line, part := emulated.NewLine(), emulated.NewPZEM()
	line.Slowness = patience + time.Second
	line.Attach(3, part)
	part.Set(2312, 70_005, 160_123, 499, 99)
	part.SetEnergy(1_234_567)
	dev, err := pzem.NewModbus(modbus.NewRTU(line.Conn(), modbus.RTUOpts{Timeout: patience}), unit, &pzem.Opts{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return dev, line, part
}

func TestConformance(t *testing.T) {
	for name, unit := range map[string]byte{"own address": 3, "any address": pzem.AnyAddress} {
		t.Run(name, func(t *testing.T) {
			hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
				dev, line, part := newMeter(t, unit, now)
				b := hardwaretest.OnModbus(dev, line, 3)
				b.Changes = part.Resets
				return b
			})
		})
	}
}

func TestEveryChannel(t *testing.T) {
	dev, _, part := newMeter(t, 3, nil)
	var b hardware.Batch
	if err := dev.Sense(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"voltage_l1 231.2 V gauge ok", "current_l1 70.005 A gauge ok", "active_power 16012.3 W gauge no_sign",
		"active_energy_import 1234567 Wh counter no_sign", "frequency 49.9 Hz gauge ok", "power_factor 0.99 / gauge ok", "alarm 0 / gauge ok",
	}
	if diff := cmp.Diff(want, hardwaretest.Report(dev.Describe(), &b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if w := dev.Describe().Channels[3].Wrap; w.String() != "4294967296" {
		t.Errorf("32 bits of 1 Wh start again at %s", w)
	}
	part.SetThreshold(100)
	if err := dev.Sense(t.Context(), &b); err != nil || b.Values[6].String() != "1" {
		t.Errorf("above the threshold: %v, %v", b.Values, err)
	}
}

// lone is a reply of a PZEM with nothing sent.
func lone(unit byte, words ...uint16) string {
	frame := []byte{unit, 4, byte(2 * len(words))}
	for _, w := range words {
		frame = binary.BigEndian.AppendUint16(frame, w)
	}
	var t hardware.Transcript
	t.Receive(binary.LittleEndian.AppendUint16(frame, modbus.CRC(frame)))
	return t.String()
}

// ask is the request for all measurements of a unit.
func ask(unit byte) string {
	var t hardware.Transcript
	t.Send(modbus.Request{Unit: unit, Function: modbus.ReadInput, Count: 10}.AppendRTU(nil))
	return t.String()
}

func TestDecode(t *testing.T) {
	dev, err := pzem.NewModbus(nil, pzem.AnyAddress, nil)
	if err != nil {
		t.Fatal(err)
	}
	words := []uint16{2200, 0x0001, 0x0002, 3, 4, 5, 6, 500, 100, 0xFFFF}
	rows := []string{
		"voltage_l1 220.0 V gauge ok", "current_l1 131.073 A gauge out_of_range", "active_power 26214.7 W gauge out_of_range,no_sign",
		"active_energy_import 393221 Wh counter no_sign", "frequency 50.0 Hz gauge ok", "power_factor 1.00 / gauge ok", "alarm 1 / gauge ok",
	}
	for name, c := range map[string]struct {
		text string
		rows []string
		is   error
	}{
		"a lone reply":           {lone(0xF8, words...), rows, nil},
		"one from its address":   {lone(7, words...), rows, nil},
		"asked by any address":   {ask(0xF8) + lone(0xF8, words...), rows, nil},
		"asked by its address":   {ask(7) + lone(7, words...), rows, nil},
		"another answers":        {ask(7) + lone(8, words...), nil, hardware.ErrWrongDevice},
		"nine registers":         {lone(0xF8, words[:9]...), nil, hardware.ErrWrongReply},
		"twice":                  {lone(0xF8, words...) + lone(0xF8, words...), nil, hardware.ErrStale},
		"cut off":                {lone(0xF8, words...)[:31], nil, hardware.ErrTruncated},
		"bad checksum":           {strings.Replace(lone(0xF8, words...), "08 98", "08 99", 1), nil, hardware.ErrChecksum},
		"an exception":           {"< F8 84 02 12 F0", nil, hardware.ErrDevice},
		"an answer to a reset":   {"> F8 42 C2 41\n< F8 42 C2 41", nil, hardware.ErrTruncated},
		"an alarm that is none":  {lone(0xF8, append(words[:9:9], 7)...), append(rows[:6:6], "warning not_a_number: alarm is 0x0007"), nil},
		"a setting and no value": {"> 07 03 00 01 00 01 D5 AC\n< 07 03 02 59 D8 0A 4E", nil, nil},
	} {
		recorded, err := hardware.ParseTranscript([]byte(c.text))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, err := hardwaretest.CheckDecode(t, dev, recorded)
		if (err == nil) != (c.is == nil) || !errors.Is(err, c.is) {
			t.Errorf("%s: got %v, want %v", name, err, c.is)
		}
		if diff := cmp.Diff(c.rows, hardwaretest.Report(dev.Describe(), b)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestDecodeRegisters(t *testing.T) {
	dev, _, _ := newMeter(t, 3, nil)
	r, err := hardware.ParseRegisters([]byte("0: 0908\ninput 5: 0005 0001\n9: ffff"))
	if err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	if err := dev.DecodeRegisters(r, &b); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"voltage_l1 231.2 V gauge ok", "active_energy_import 65541 Wh counter no_sign", "alarm 1 / gauge ok",
		"warning skipped: current_l1", "warning skipped: active_power", "warning skipped: frequency", "warning skipped: power_factor",
	}
	if diff := cmp.Diff(want, hardwaretest.Report(dev.Describe(), &b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Whatever the registers hold, low words first, comes out in digits.
func TestWordOrder(t *testing.T) {
	dev, _, part := newMeter(t, 3, nil)
	rapid.Check(t, func(t *rapid.T) {
		energy := rapid.Uint32().Draw(t, "Wh")
		part.SetEnergy(energy)
		var b hardware.Batch
		if err := dev.Sense(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		if v := b.Values[3]; v.Mantissa != int64(energy) || v.Exponent != 0 || v.Quality&hardware.NoSign == 0 {
			t.Errorf("%d Wh is %s %s", energy, v, v.Quality)
		}
	})
}

func TestNewModbusRefuses(t *testing.T) {
	for _, unit := range []byte{0, 249, 254, 255} {
		if d, err := pzem.NewModbus(nil, unit, nil); err == nil {
			t.Errorf("%s was made", d)
		}
	}
}

// Two meters cannot share the address of any.
func TestAnyAddressIsForOne(t *testing.T) {
	dev, line, _ := newMeter(t, pzem.AnyAddress, nil)
	line.Attach(4, emulated.NewPZEM())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var b hardware.Batch
	if err := dev.Sense(ctx, &b); err == nil || len(b.Values) != 0 {
		t.Errorf("got %v, %v", b.Values, err)
	}
}

func TestCaptures(t *testing.T) {
	dev, _, _ := newMeter(t, 3, nil)
	hardwaretest.Captures(t, dev, *update, "*")
}

func FuzzDecode(f *testing.F) {
	dev, _, _ := newMeter(f, 3, nil)
	var b hardware.Batch
	if err := dev.Sense(context.Background(), &b); err != nil {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, dev, &b.Evidence)
}
