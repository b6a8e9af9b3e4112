package atm90e32_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/atm90e32"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
)

// load is a house that sells on phase 2.
var load = emulated.Load{
	Voltage: [3]float64{230.01, 229.5, 231.99}, Current: [3]float64{5.123, 10, 0.25},
	Active: [3]float64{1150.4, -2290, 40.00032}, Reactive: [3]float64{-125.12, 100, 0},
	Frequency: 49.98, Temperature: -3,
}

// measured is what it gives.
var measured = []string{
	"voltage_l1 230.01 V gauge ok", "voltage_l2 229.50 V gauge ok", "voltage_l3 231.99 V gauge ok",
	"current_l1 5.123 A gauge ok", "current_l2 10.000 A gauge ok", "current_l3 0.250 A gauge ok",
	"frequency 49.98 Hz gauge ok",
	"active_power -1099.59968 W gauge ok", "active_power_l1 1150.40000 W gauge ok", "active_power_l2 -2290.00000 W gauge ok", "active_power_l3 40.00032 W gauge ok",
	"reactive_power -25.12000 var gauge ok", "reactive_power_l1 -125.12000 var gauge ok", "reactive_power_l2 100.00000 var gauge ok", "reactive_power_l3 0.00000 var gauge ok",
	"power_factor -1.000 / gauge ok", "power_factor_l1 0.994 / gauge ok", "power_factor_l2 -0.999 / gauge ok", "power_factor_l3 1.000 / gauge ok",
	"temperature -3 Cel gauge ok",
}

var totals = []string{"active_energy_import", "active_energy_export", "reactive_energy_import", "reactive_energy_export"}

// meter is an emulated part and a driver on a port of their own.
type meter struct {
	*atm90e32.Dev
	port *emulated.SPIPort
	chip *emulated.ATM90E32
}

// newMeter goes by the time that passes in a bubble, unless opts say otherwise.
func newMeter(t testing.TB, opts atm90e32.Opts) *meter {
	t.Helper()
	m := &meter{port: emulated.NewSPIPort("spi-0.0"), chip: emulated.NewATM90E32()}
	m.chip.Set(load)
	m.port.Attach(m.chip)
	m.Dev = m.again(t, opts)
	return m
}

// again is another driver of the same part, as of a program that was started again.
func (m *meter) again(t testing.TB, opts atm90e32.Opts) *atm90e32.Dev {
	t.Helper()
	if opts.Now == nil {
		start := time.Now()
		opts.Now = func() time.Duration { return time.Since(start) }
	}
	port := emulated.NewSPIPort("spi-0.0")
	if m.Dev == nil {
		port = m.port
	}
	port.Attach(m.chip)
	dev, err := atm90e32.NewSPI(port, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

func TestConformance(t *testing.T) {
	hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
		// No two settings in a row are the same: a write that is lost is then noticed, even
		// if it would have changed nothing.
		m := newMeter(t, atm90e32.Opts{Now: now, VoltageGain: [3]uint16{0x7F00, 0x7F01, 0x7F02}, CurrentGain: [3]uint16{0x7F03, 0x7F04, 0x7F05}})
		b := hardwaretest.OnSPI(m.Dev, m.port, m.chip)
		b.Kept = totals
		return b
	})
}

func TestEveryChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, atm90e32.Opts{})
		hardwaretest.Sample(t, m.Dev)
		for _, e := range []byte{emulated.ActiveImport, emulated.ActiveExport, emulated.ReactiveImport, emulated.ReactiveExport} {
			m.chip.Count(e, float64(e))
		}
		want := append(measured[:len(measured):len(measured)],
			"active_energy_import 128.000000 Wh counter ok", "active_energy_export 132.000000 Wh counter ok",
			"reactive_energy_import 136.000000 varh counter ok", "reactive_energy_export 140.000000 varh counter ok")
		for range 2 { // counted once
			b := hardwaretest.Sample(t, m.Dev)
			if diff := cmp.Diff(want, hardwaretest.Rows(m.Describe(), b)); diff != "" || len(b.Warnings) != 0 {
				t.Errorf("warnings %q (-want +got):\n%s", b.Warnings, diff)
			}
		}
	})
}

// Bit 12 of MMODE0 is the line's frequency, and a wrong one falsifies all.
func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		opts  atm90e32.Opts
		hertz float64
		want  map[byte]uint16
	}{
		"50 Hz": {atm90e32.Opts{}, 50, map[byte]uint16{0x00: 1, 0x31: 0x0861, 0x32: 0xC468, 0x33: 0x0087, 0x34: 0, 0x61: 0x8000, 0x6A: 0x8000, 0x7F: 0}},
		"60 Hz": {atm90e32.Opts{LineHz: 60, Amplification: 4}, 60, map[byte]uint16{0x33: 0x1087, 0x34: 0x2A}},
		"gains": {atm90e32.Opts{LineHz: 50, Amplification: 2, VoltageGain: [3]uint16{1, 2, 3}, CurrentGain: [3]uint16{4, 5, 6}}, 50,
			map[byte]uint16{0x33: 0x0087, 0x34: 0x15, 0x61: 1, 0x65: 2, 0x69: 3, 0x62: 4, 0x66: 5, 0x6A: 6}},
	} {
		synctest.Test(t, func(t *testing.T) {
			m := newMeter(t, c.opts)
			l := load
			l.Frequency = c.hertz
			m.chip.Set(l)
			b := hardwaretest.Sample(t, m.Dev)
			for address, want := range c.want {
				if got := m.chip.Setting(address); got != want {
					t.Errorf("%s: register %#02x is %#04x, want %#04x", name, address, got, want)
				}
			}
			if c.opts.VoltageGain == [3]uint16{} && b.Values[0].String() != "230.01" {
				t.Errorf("%s: %v", name, b.Values[0])
			}
		})
	}
	for name, opts := range map[string]atm90e32.Opts{"55 Hz": {LineHz: 55}, "amplification": {Amplification: 3}} {
		if d, err := atm90e32.NewSPI(nil, &opts); err == nil {
			t.Errorf("%s: %s was made", name, d)
		}
	}
	port := emulated.NewSPIPort("taken")
	if _, err := port.Connect(physic.KiloHertz, spi.Mode0, 8); err != nil {
		t.Fatal(err)
	}
	if d, err := atm90e32.NewSPI(port, nil); err == nil {
		t.Errorf("%s was made on a port that is taken", d)
	}
}

// Other gains in the configuration reach a part that kept those of the last life.
func TestNewSettingsReachAPartThatRan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, atm90e32.Opts{})
		hardwaretest.Sample(t, m.Dev)
		next := m.again(t, atm90e32.Opts{CurrentGain: [3]uint16{0, 0, 0x4000}})
		if b := hardwaretest.Sample(t, next); m.chip.Setting(0x6A) != 0x4000 || b.Values[5].String() != "0.125" {
			t.Errorf("the gain is %#04x, and the current %s A", m.chip.Setting(0x6A), b.Values[5])
		}
	})
}

// energy returns the total of energy i in b, in Wh.
func energy(b *hardware.Batch, i int) string {
	return strings.TrimSuffix(b.Values[len(measured)+i].String(), ".000000")
}

// A program that is started again goes on where it was, and so does the part, which
// counted in between.
func TestTotalsOutliveTheProgram(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, atm90e32.Opts{})
		hardwaretest.Sample(t, m.Dev)
		m.chip.Count(emulated.ActiveImport, 100)
		hardwaretest.Sample(t, m.Dev)
		saved := m.Snapshot()
		if err := m.Restore(saved); err == nil {
			t.Error("restored after the first Sense")
		}
		if err := m.Halt(); err != nil {
			t.Fatal(err)
		}
		m.chip.Count(emulated.ActiveImport, 20)
		next := m.again(t, atm90e32.Opts{})
		if err := next.Restore(saved); err != nil || !bytes.Equal(next.Snapshot(), saved) {
			t.Fatal(err)
		}
		writes := m.chip.Settings()
		var b hardware.Batch
		if err := next.Sense(t.Context(), &b); err != nil || energy(&b, 0) != "120" || m.chip.Settings() != writes {
			t.Errorf("%v, %v Wh, %d settings written", err, energy(&b, 0), m.chip.Settings()-writes)
		}
	})
}

// After a brown-out the part counts from nothing, and the total goes on.
func TestBrownOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, atm90e32.Opts{LineHz: 60})
		hardwaretest.Sample(t, m.Dev)
		m.chip.Count(emulated.ActiveExport, 100)
		hardwaretest.Sample(t, m.Dev)
		m.chip.PowerCycle()
		var b hardware.Batch
		if err := m.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrNoData) || len(b.Values) != 0 {
			t.Errorf("right after it: %v, %v", b.Values, err)
		}
		hardwaretest.Sample(t, m.Dev)
		m.chip.Count(emulated.ActiveExport, 1)
		if got := hardwaretest.Sample(t, m.Dev); energy(got, 1) != "101" {
			t.Errorf("the total is %s Wh", energy(got, 1))
		}
	})
}

// Whichever transfer goes wrong, and however: what the part counted is in the total once.
func TestNoFaultOnTheWireLosesEnergy(t *testing.T) {
	for _, fault := range []emulated.Fault{emulated.Silence, emulated.FlippedBit, emulated.Truncated, emulated.StuckBus} {
		for before := 0; ; before++ {
			struck := false
			synctest.Test(t, func(t *testing.T) {
				m := newMeter(t, atm90e32.Opts{})
				hardwaretest.Sample(t, m.Dev)
				n := 0
				m.port.SetFaults(func() emulated.Fault {
					if n++; n == before+1 {
						struck = true
						return fault
					}
					return emulated.NoFault
				})
				m.chip.Count(emulated.ActiveImport, 10)
				m.chip.Count(emulated.ActiveExport, 20)
				m.chip.Count(emulated.ReactiveImport, 30)
				m.chip.Count(emulated.ReactiveExport, 40)
				var b hardware.Batch
				err := m.Sense(t.Context(), &b)
				if rows := hardwaretest.Rows(m.Describe(), &b); err == nil && !cmp.Equal(measured, rows[:len(measured)]) {
					t.Errorf("%s in transfer %d: a sample of %q", fault, before, rows)
				}
				m.chip.Count(emulated.ReactiveExport, 1)
				got := hardwaretest.Sample(t, m.Dev)
				if sum := energy(got, 0) + " " + energy(got, 1) + " " + energy(got, 2) + " " + energy(got, 3); sum != "10 20 30 41" || len(got.Warnings) != 0 {
					t.Errorf("%s in transfer %d (%v): totals %s, warnings %q", fault, before, err, sum, got.Warnings)
				}
			})
			if !struck {
				break
			}
			if t.Failed() {
				return
			}
		}
	}
}

// What is lost for good is said, once: the word, and all that the part says of it, come
// damaged in ways of their own.
func TestLostEnergyIsSaid(t *testing.T) {
	lost := 0
	for before := range 100 {
		synctest.Test(t, func(t *testing.T) {
			m := newMeter(t, atm90e32.Opts{})
			hardwaretest.Sample(t, m.Dev)
			for _, e := range []byte{emulated.ActiveImport, emulated.ActiveExport, emulated.ReactiveImport, emulated.ReactiveExport} {
				m.chip.Count(e, 10)
			}
			n := 0
			m.port.SetFaults(func() emulated.Fault {
				switch n++; {
				case n == before+1:
					return emulated.FlippedBit
				case n == before+2:
					return emulated.StuckBus
				case n > before+2 && n < before+6:
					return emulated.Silence
				}
				return emulated.NoFault
			})
			var b hardware.Batch
			err := m.Sense(t.Context(), &b)
			got := hardwaretest.Sample(t, m.Dev)
			for i, name := range totals {
				if energy(got, i) == "10" {
					continue
				}
				lost++
				if want := []string{"skipped: " + name + ": what the part counted was lost on the wire"}; energy(got, i) != "0" || !cmp.Equal(want, got.Warnings) || !errors.Is(err, hardware.ErrChecksum) {
					t.Errorf("transfer %d: %v, %s of 10 Wh, warnings %q", before, err, energy(got, i), got.Warnings)
				}
			}
			if again := hardwaretest.Sample(t, m.Dev); len(again.Warnings) != 0 {
				t.Errorf("said again: %q", again.Warnings)
			}
		})
	}
	if lost < len(totals) {
		t.Errorf("%d rows of faults lost something, want one for each total", lost)
	}
}

// Power that changes between its two words is not put together from old and new.
func TestPowerIsOfOneMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// One step below and one above a carry from the low word to the high one.
		const below, above = (1<<16 - 1) * 0.00032, (1 << 16) * 0.00032
		for at := range 110 {
			m := newMeter(t, atm90e32.Opts{})
			l := load
			l.Active, l.Reactive = [3]float64{below, below, below}, [3]float64{below, below, below}
			m.chip.Set(l)
			hardwaretest.Sample(t, m.Dev)
			l.Active, l.Reactive = [3]float64{above, above, above}, [3]float64{above, above, above}
			m.chip.After(func(n int) {
				if n == at {
					m.chip.Set(l)
				}
			})
			var b hardware.Batch
			err := m.Sense(t.Context(), &b)
			if errors.Is(err, hardware.ErrChecksum) {
				continue // the averages moved on between a word and its repetition
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range []int{8, 9, 10, 12, 13, 14} {
				if got := b.Values[i].String(); got != "20.97120" && got != "20.97152" {
					t.Fatalf("changed after transfer %d: %s is %s", at, m.Describe().Channels[i].Name, got)
				}
			}
		}
	})
}

func TestProbe(t *testing.T) {
	m := newMeter(t, atm90e32.Opts{})
	id, sure, err := m.Probe(t.Context())
	if want := (hardware.Identity{Manufacturer: "Microchip", Model: "Microchip ATM90E32AS"}); id != want || sure != hardware.Likely || err != nil {
		t.Errorf("%+v, %s, %v", id, sure, err)
	}
	// The registers of energy clear when they are read.
	synctest.Test(t, func(t *testing.T) {
		m := newMeter(t, atm90e32.Opts{})
		hardwaretest.Sample(t, m.Dev)
		m.chip.Count(emulated.ActiveImport, 10)
		if _, _, err := m.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := hardwaretest.Sample(t, m.Dev); energy(got, 0) != "10" {
			t.Errorf("probing cost %s of 10 Wh", energy(got, 0))
		}
	})
}

func TestRestoreRefuses(t *testing.T) {
	d, err := atm90e32.NewSPI(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	good := d.Snapshot()
	rapid.Check(t, func(t *rapid.T) {
		bad := bytes.Clone(good)
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			bad = bad[:rapid.IntRange(0, len(bad)-1).Draw(t, "length")]
		case 1:
			bad = append(bad, rapid.Byte().Draw(t, "more"))
		case 2:
			bad[rapid.IntRange(0, len(bad)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		}
		if err := d.Restore(bad); err == nil || !bytes.Equal(d.Snapshot(), good) {
			t.Errorf("% x was restored", bad)
		}
	})
	if err := d.Restore(good); err != nil {
		t.Error(err)
	}
}

func FuzzRestore(f *testing.F) {
	d, err := atm90e32.NewSPI(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(d.Snapshot())
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		if d.Restore(snapshot) == nil && !bytes.Equal(d.Snapshot(), snapshot) {
			t.Errorf("% x came back as % x", snapshot, d.Snapshot())
		}
	})
}

func TestDecodeRegisters(t *testing.T) {
	d, err := atm90e32.NewSPI(nil, &atm90e32.Opts{LineHz: 60})
	if err != nil {
		t.Fatal(err)
	}
	const full = `0x80: 1234 0001 0002 0003              # increments
0xb0: ffcb 0036 ff92 0001 fffe fffa 0004 0000   # P, Q
0xbc: fc18 03e2 fc19 03e8
0xc0: 9127 daf8 cde6 e849 cd5c 08a8 c4b4 0000
0xd9: 59d9 59a6 5a9f
0xdd: 1403 2710 00fa
0xf8: 1386
0xfc: fffd
0x33: 1087
`
	r, err := hardware.ParseRegisters([]byte(full))
	if err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	if err := d.DecodeRegisters(r, &b); err != nil || len(b.Warnings) != 0 {
		t.Fatal(err, b.Warnings)
	}
	if diff := cmp.Diff(measured, hardwaretest.Rows(d.Describe(), &b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for name, c := range map[string]struct {
		text     string
		rows     []string
		warnings int
		class    error
	}{
		"one step below nothing": {"0xb0: ffff\n0xc0: ffff", []string{"active_power -0.00032 W gauge ok"}, 19, nil},
		"the lowest":             {"0xb0: 8000\n0xc0: 0000", []string{"active_power -687194.76736 W gauge ok"}, 19, nil},
		"no low word":            {"0xb0: ffff\n0xd9: 0001", []string{"voltage_l1 0.01 V gauge ok"}, 19, nil},
		"factor above one":       {"0xbc: 03e9", []string{"power_factor 1.001 / gauge out_of_range"}, 19, nil},
		"45 Hz and less":         {"0xf8: 1193", []string{"frequency 44.99 Hz gauge out_of_range"}, 19, nil},
		"settings":               {"0x33: 1087", nil, 0, nil},
		"energy":                 {"0x80: 0001 0002", nil, 0, nil},
		"nothing":                {"", nil, 0, nil},
		"two digits":             {"0xd9: 59", nil, 0, hardware.ErrMalformed},
	} {
		r, err := hardware.ParseRegisters([]byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		b := hardware.Batch{Values: []hardware.Value{{Mantissa: 7}}, Warnings: []string{"old"}}
		err = d.DecodeRegisters(r, &b)
		if diff := cmp.Diff(c.rows, hardwaretest.Rows(d.Describe(), &b)); diff != "" || hardware.Class(err) != c.class || len(b.Warnings) != c.warnings {
			t.Errorf("%s: %v, warnings %q (-want +got):\n%s", name, err, b.Warnings, diff)
		}
	}
}

func TestDecode(t *testing.T) {
	d, err := atm90e32.NewSPI(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	volts := []string{"voltage_l1 230.01 V gauge ok"}
	for name, c := range map[string]struct {
		text  string
		rows  []string
		class error
	}{
		"four bytes each way":    {"> 80 d9 00 00\n< ff ff 59 d9", volts, nil},
		"address and data alone": {"> 80 d9\n< 59 d9", volts, nil},
		"address, then both":     {"> 80 d9 00 00\n< 59 d9", volts, nil},
		"read back":              {"> 80 d9 00 00\n< ff ff 59 d9\n> 80 78 00 00\n< ff ff 59 d9", volts, nil},
		"read back otherwise":    {"> 80 d9 00 00\n< ff ff 59 d9\n> 80 78 00 00\n< ff ff 59 d8", nil, hardware.ErrChecksum},
		"written":                {"> 00 33 10 87\n< ff ff ff ff\n> 80 78\n< 10 87", nil, nil},
		"written otherwise":      {"> 00 33 10 87\n> 80 78\n< 00 87", nil, hardware.ErrChecksum},
		"energy read back":       {"> 80 80\n< 00 05\n> 80 78\n< 00 04\n> 80 d9\n< 59 d9", volts, nil},
		"a later one":            {"> 80 d9\n< 00 00\n> 80 d9\n< 59 d9", volts, nil},
		"no answer":              {"> 80 d9", nil, hardware.ErrTruncated},
		"one byte":               {"> 80 d9\n< 59", nil, hardware.ErrTruncated},
		"six bytes":              {"> 80 d9\n< 59 d9 59 d9 59 d9", nil, hardware.ErrWrongReply},
		"no address":             {"59 d9", nil, hardware.ErrMalformed},
		"half an address":        {"> 80\n< 59 d9", nil, hardware.ErrMalformed},
		"beyond the last":        {"> 81 d9\n< 59 d9", nil, hardware.ErrMalformed},
		"half a write":           {"> 00 33", nil, hardware.ErrMalformed},
		"a write that answers":   {"> 00 33 10 87\n< 10 87", nil, hardware.ErrMalformed},
	} {
		b, err := hardwaretest.CheckDecode(t, d, hardwaretest.Recording(t, c.text))
		if diff := cmp.Diff(c.rows, hardwaretest.Rows(d.Describe(), b)); diff != "" || !errors.Is(err, c.class) || (err == nil) != (c.class == nil) {
			t.Errorf("%s: got %v, want %v (-want +got):\n%s", name, err, c.class, diff)
		}
	}
}

func TestRecording(t *testing.T) {
	text, err := os.ReadFile("testdata/atm90e32.transcript")
	if err != nil {
		t.Fatal(err)
	}
	d, err := atm90e32.NewSPI(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := hardwaretest.CheckDecode(t, d, hardwaretest.Recording(t, string(text)))
	if diff := cmp.Diff(measured, hardwaretest.Rows(d.Describe(), b)); diff != "" || err != nil || len(b.Warnings) != 0 {
		t.Errorf("%v, %q (-want +got):\n%s", err, b.Warnings, diff)
	}
}

func FuzzDecode(f *testing.F) {
	m := newMeter(f, atm90e32.Opts{Now: func() time.Duration { return time.Hour }})
	var b hardware.Batch
	if err := m.Sense(f.Context(), &b); !errors.Is(err, hardware.ErrNoData) {
		f.Fatal(err)
	}
	hardwaretest.FuzzDecode(f, m.Dev, &b.Evidence, hardwaretest.Recording(f, "> 80 b0\n< ff ff\n> 80 c0\n< ff ff"))
}

// FuzzWords turns the value of each register back into its words.
func FuzzWords(f *testing.F) {
	d, err := atm90e32.NewSPI(nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(0xB0), uint16(0xFFCB), uint16(0x9AB4))
	f.Add(byte(0xBC), uint16(0xFC18), uint16(0))
	f.Fuzz(func(t *testing.T, address byte, high, low uint16) {
		r, err := hardware.ParseRegisters([]byte(fmt.Sprintf("%d: %04x\n", address, high)))
		if err != nil {
			t.Fatal(err)
		}
		isPair := address >= 0xB0 && address <= 0xB7
		if isPair {
			r.Set(hardware.TableDefault, uint16(address)+0x10, low)
		}
		var b hardware.Batch
		if err := d.DecodeRegisters(r, &b); err != nil {
			t.Fatal(err)
		}
		for _, v := range b.Values {
			switch name := d.Describe().Channels[v.Channel].Name; {
			case isPair && v.Mantissa != int64(int32(uint32(high)<<16|uint32(low)))*32:
				t.Errorf("%s from %#04x %#04x is %s", name, high, low, v)
			case !isPair && v.Mantissa != int64(high) && v.Mantissa != int64(int16(high)):
				t.Errorf("%s from %#04x is %s", name, high, v)
			}
		}
	})
}
