package pulse_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/hardwaretest"
	"wattmark/hardware/pulse"
)

// input is an emulated meter's pulse output and the counter on it.
type input struct {
	*pulse.Dev
	line *emulated.PulseLine
}

// newInput goes by the time that passes in a bubble, unless opts say otherwise.
func newInput(t testing.TB, opts pulse.Opts) *input {
	t.Helper()
	if opts.Now == nil {
		start := time.Now().Add(-time.Hour)
		opts.Now = func() time.Duration { return time.Since(start) }
	}
	line := emulated.NewPulseLine("GPIO17", opts.Now)
	dev, err := pulse.New(line, &opts)
	if err != nil {
		t.Fatal(err)
	}
	return &input{dev, line}
}

// sense returns the values as text, and the warnings.
func (in *input) sense(t testing.TB) (rows []string, warnings []string) {
	t.Helper()
	var b hardware.Batch
	if err := in.Sense(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	about := in.Describe()
	for _, v := range b.Values {
		c := about.Channels[v.Channel]
		rows = append(rows, fmt.Sprintf("%s %s %s %s", c.Name, v, c.Unit, v.Quality))
	}
	return rows, append([]string(nil), b.Warnings...)
}

// expect senses, and compares.
func (in *input) expect(t testing.TB, when string, rows []string, warnings ...string) {
	t.Helper()
	gotRows, gotWarnings := in.sense(t)
	if diff := cmp.Diff(rows, gotRows) + cmp.Diff(warnings, gotWarnings); diff != "" {
		t.Errorf("%s (-want +got):\n%s", when, diff)
	}
}

func TestConformance(t *testing.T) {
	hardwaretest.Run(t, func(t testing.TB, now hardware.Clock) *hardwaretest.Bench {
		in := newInput(t, pulse.Opts{PulsesPerKWh: "1000", Now: now})
		return &hardwaretest.Bench{
			Device: in.Dev, Faults: in.line.SetFaults, Attach: in.line.Attach, Exchanges: in.line.Requests,
			Classes: map[emulated.Fault]error{
				emulated.Silence: hardware.ErrAbsent, emulated.NACK: hardware.ErrAbsent, emulated.StuckBus: hardware.ErrPermission, emulated.Slow: nil,
			},
		}
	})
}

// A contact that bounces counts once, when it closes; one that does not rest does not
// count at all.
func TestBounces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInput(t, pulse.Opts{})
		in.expect(t, "at first", []string{"pulses 0 count ok"})
		chatter := func(times int, every time.Duration) {
			for range times {
				in.line.Contact(true)
				time.Sleep(every)
				in.line.Contact(false)
				time.Sleep(every)
			}
		}
		chatter(7, 2*time.Millisecond)
		in.line.Contact(true)
		time.Sleep(35 * time.Millisecond)
		chatter(7, 2*time.Millisecond)
		time.Sleep(35 * time.Millisecond)
		in.expect(t, "after one pulse", []string{"pulses 1 count ok"})
		chatter(50, 9*time.Millisecond)
		time.Sleep(time.Second)
		in.expect(t, "after noise", []string{"pulses 1 count ok"})
		for range 20 {
			in.line.Pulse(30 * time.Millisecond)
		}
		in.expect(t, "after the fastest pulses", []string{"pulses 21 count ok"})
		in.line.Contact(true)
		time.Sleep(time.Minute)
		in.expect(t, "with a contact that stays closed", []string{"pulses 22 count ok"})
	})
}

// What the kernel's queue lost is counted, and said once.
func TestLostEdgesAreAdded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInput(t, pulse.Opts{PulsesPerKWh: "500"})
		in.sense(t)
		in.line.Pulse(30 * time.Millisecond)
		in.line.Stall(true)
		for range 40 {
			in.line.Pulse(30 * time.Millisecond)
		}
		in.expect(t, "while edges wait", []string{"pulses 1 count ok", "active_energy_import 2 Wh ok"})
		in.line.Stall(false)
		in.expect(t, "after the gap", []string{"pulses 41 count ok", "active_energy_import 82 Wh ok"},
			"resync: 24 pulses lost before line sequence 26 were added")
		in.expect(t, "once more", []string{"pulses 41 count ok", "active_energy_import 82 Wh ok"})
	})
}

// Also those before the first edge that arrives.
func TestLostFirstEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInput(t, pulse.Opts{})
		in.sense(t)
		in.line.Stall(true)
		for range 20 {
			in.line.Pulse(30 * time.Millisecond)
		}
		in.line.Stall(false)
		in.expect(t, "after the gap", []string{"pulses 20 count ok"}, "resync: 4 pulses lost before line sequence 5 were added")
	})
}

// handLine is a line whose edges the test makes by hand, as no kernel should.
type handLine struct{ edge func(hardware.Pulse) }

func (*handLine) String() string { return "GPIO5" }
func (l *handLine) Watch(_ time.Duration, edge func(hardware.Pulse)) error {
	l.edge = edge
	return nil
}
func (*handLine) Closed() (bool, error) { return false, nil }
func (*handLine) Close() error          { return nil }

// counted makes a counter at time zero see edges, and returns count and warnings.
func counted(t *testing.T, edges ...hardware.Pulse) (int64, []string) {
	t.Helper()
	line := &handLine{}
	d, err := pulse.New(line, &pulse.Opts{Now: func() time.Duration { return time.Hour }})
	if err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	if err := d.Sense(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	for _, e := range edges {
		e.At += time.Hour
		line.edge(e)
	}
	if err := d.Sense(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Values[0].Mantissa, b.Warnings
}

// Numbers that cannot be are not believed: a register must not jump by a fault of a
// driver.
func TestImpossibleNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		edges []hardware.Pulse
		count int64
		warns string
	}{
		"a jump":             {[]hardware.Pulse{{At: time.Second, Sequence: 1}, {At: 2 * time.Second, Sequence: 2_000_000_000}}, 52, "only 50 of 1999999998"},
		"the same again":     {[]hardware.Pulse{{At: time.Second, Sequence: 1}, {At: 2 * time.Second, Sequence: 1}}, 1, "1 came after 1"},
		"backwards":          {[]hardware.Pulse{{At: time.Second, Sequence: 1}, {At: 2 * time.Second, Sequence: 2}, {At: 3 * time.Second, Sequence: 1}}, 2, "1 came after 2"},
		"a gap back in time": {[]hardware.Pulse{{At: time.Second, Sequence: 1}, {At: time.Millisecond, Sequence: 9}}, 2, "only 0 of 7"},
	} {
		count, warnings := counted(t, c.edges...)
		if count != c.count || len(warnings) != 1 || !strings.Contains(warnings[0], c.warns) {
			t.Errorf("%s: counted %d, %q, want %d, %q", name, count, warnings, c.count, c.warns)
		}
	}
}

// A line sequence is 32 bits and goes on from zero.
func TestSequenceWraps(t *testing.T) {
	line := &handLine{}
	d, err := pulse.New(line, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	if err := d.Sense(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	at := hardware.Monotonic()
	for _, sequence := range []uint32{1, math.MaxInt32, math.MaxUint32 - 1, math.MaxUint32, 0, 1} {
		at += time.Second
		line.edge(hardware.Pulse{At: at, Sequence: sequence})
	}
	if err := d.Sense(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	// Two gaps of two thousand million, in a second each, of which 50 fit; six edges.
	if got := b.Values[0].Mantissa; got != 106 {
		t.Errorf("counted %d, want 106; %q", got, b.Warnings)
	}
}

// Whatever is lost, and whenever it is read: the count is that of the pulses.
func TestCountIsThatOfPulses(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		type step struct{ pulses, kind int }
		steps := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
			return step{rapid.IntRange(0, 60).Draw(t, "pulses"), rapid.IntRange(0, 2).Draw(t, "kind")}
		}), 1, 8).Draw(rt, "steps")
		synctest.Test(t, func(t *testing.T) {
			in := newInput(t, pulse.Opts{})
			in.sense(t)
			total := 0
			for _, s := range steps {
				in.line.Stall(s.kind == 0)
				for range s.pulses {
					in.line.Pulse(31 * time.Millisecond)
				}
				total += s.pulses
				if s.kind == 1 {
					in.sense(t)
				}
			}
			in.line.Stall(false)
			in.line.Pulse(31 * time.Millisecond) // what was lost last is told by the next
			rows, _ := in.sense(t)
			if want := fmt.Sprintf("pulses %d count ok", total+1); rows[0] != want {
				rt.Errorf("%v: got %s, want %s", steps, rows[0], want)
			}
			if err := in.Halt(); err != nil {
				rt.Error(err)
			}
		})
	})
}

// Time in which nobody held the line is said, and nothing is made up for it.
func TestUnwatchedTimeIsSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInput(t, pulse.Opts{})
		in.sense(t)
		in.line.Pulse(30 * time.Millisecond)
		if err := in.Halt(); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			in.line.Pulse(30 * time.Millisecond)
		}
		in.expect(t, "after Halt", []string{"pulses 1 count ok"}, "skipped: the line was not held for 6s: what came then is not counted")
		in.line.Attach(false)
		var b hardware.Batch
		if err := in.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrAbsent) || len(b.Values) != 0 {
			t.Errorf("a chip that has gone: %v, %v", b.Values, err)
		}
		time.Sleep(2 * time.Second)
		in.line.Attach(true)
		in.expect(t, "after the chip came back", []string{"pulses 1 count ok"}, "skipped: the line was not held for 2s: what came then is not counted")
		in.line.Pulse(30 * time.Millisecond)
		in.expect(t, "and another pulse", []string{"pulses 2 count ok"})
	})
}

func TestPulsesAreToldOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInput(t, pulse.Opts{})
		ctx, cancel := context.WithCancel(t.Context())
		ch, err := in.Pulses(ctx)
		if err != nil {
			t.Fatal(err)
		}
		second, err := in.Pulses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var want []hardware.Pulse
		for i := range 3 {
			// The contact has rested 20 ms after it closed.
			want = append(want, hardware.Pulse{At: time.Hour + time.Since(start) + 20*time.Millisecond, Sequence: uint32(i + 1)})
			in.line.Pulse(500 * time.Millisecond)
		}
		for _, w := range want {
			if got := <-ch; got != w {
				t.Errorf("got %+v, want %+v", got, w)
			}
		}
		cancel()
		if p, open := <-ch; open {
			t.Errorf("a pulse after the end of ctx: %+v", p)
		}
		in.line.Pulse(30 * time.Millisecond)
		for range 4 {
			<-second
		}
		in.expect(t, "at last", []string{"pulses 4 count ok"})
	})
}

// A receiver that takes nothing loses pulses; the count does not.
func TestSlowReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInput(t, pulse.Opts{})
		ch, err := in.Pulses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			in.line.Pulse(30 * time.Millisecond)
		}
		in.expect(t, "unheard", []string{"pulses 300 count ok"})
		last := uint32(0)
		for len(ch) > 0 {
			last = (<-ch).Sequence
		}
		in.line.Pulse(30 * time.Millisecond)
		if p := <-ch; last == 300 || p.Sequence != 301 {
			t.Errorf("after sequence %d came %d: the gap does not show", last, p.Sequence)
		}
	})
}

func TestPulsesNeedsTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInput(t, pulse.Opts{})
		in.line.SetFaults(emulated.Always(emulated.StuckBus))
		if _, err := in.Pulses(t.Context()); !errors.Is(err, hardware.ErrPermission) || !strings.Contains(err.Error(), "s0 on GPIO17") {
			t.Errorf("a line that another process holds: %v", err)
		}
	})
}

// The count goes on from what was saved, through as many lives as one likes.
func TestCountOutlivesTheProgram(t *testing.T) {
	var saved []byte
	for life := range 4 {
		synctest.Test(t, func(t *testing.T) {
			in := newInput(t, pulse.Opts{PulsesPerKWh: "1000"})
			if saved != nil {
				if err := in.Restore(saved); err != nil {
					t.Fatal(err)
				}
			}
			in.expect(t, "restored", []string{fmt.Sprintf("pulses %d count ok", 5*life), fmt.Sprintf("active_energy_import %d Wh ok", 5*life)})
			for range 5 {
				in.line.Pulse(30 * time.Millisecond)
			}
			saved = in.Snapshot()
			// It is killed here: neither Halt nor anything else.
			in.line.Pulse(30 * time.Millisecond)
		})
	}
}

func TestSnapshotForm(t *testing.T) {
	// Version 1; never regenerated.
	const vector = "\x73\x30\x01\x00\x00\x00\x00\x00\x01\xe2\x40\x5c\x9c\x26\xea"
	in := newInput(t, pulse.Opts{})
	if err := in.Restore([]byte(vector)); err != nil {
		t.Fatal(err)
	}
	in.expect(t, "restored", []string{"pulses 123456 count ok"})
	if got := string(in.Snapshot()); got != vector {
		t.Errorf("the snapshot of 123456 is %q, want %q", got, vector)
	}
	for name, c := range map[string]struct{ snapshot, want string }{
		"empty": {"", "0 bytes are no snapshot"}, "short": {vector[:14], "no snapshot"}, "long": {vector + "x", "no snapshot"},
		"another driver": {"atm90" + vector[5:], "no snapshot"}, "version 2": {"s0\x02" + vector[3:], "no snapshot"},
		"damaged": {vector[:10] + "\x41" + vector[11:], "checksum"}, "its checksum": {vector[:14] + "\x00", "checksum"},
		"negative": {"\x73\x30\x01\x80\x00\x00\x00\x00\x00\x00\x00\xd0\xbd\xd0\x5d", "above"},
		"too late": {vector, "counts already"},
	} {
		fresh := newInput(t, pulse.Opts{})
		want := "pulses 0 count ok"
		if name == "too late" {
			fresh.sense(t)
		}
		if err := fresh.Restore([]byte(c.snapshot)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q in it", name, err, c.want)
		}
		fresh.expect(t, name, []string{want})
	}
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte("\x73\x30\x01\x00\x00\x00\x00\x00\x01\xe2\x40\x5c\x9c\x26\xea"))
	f.Add([]byte("s0"))
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		in := newInput(t, pulse.Opts{})
		if err := in.Restore(snapshot); err == nil && string(in.Snapshot()) != string(snapshot) {
			t.Errorf("%x came back as %x", snapshot, in.Snapshot())
		}
	})
}

func TestEnergy(t *testing.T) {
	for _, c := range []struct {
		constant string
		count    int64
		want     string
	}{
		{"1000", 0, "0"}, {"1000", 1, "1"}, {"1000", 12345, "12345"}, {"10000", 12345, "1234.5"}, {"800", 3, "3.75"},
		{"2000", 1, "0.5"}, {"500", 7, "14"}, {"100", 1, "10"}, {"10", 1, "100"}, {"0.1", 3, "30000"}, {"1.25", 1, "800"},
		{"600", 1, "1.667"}, {"600", 2, "3.333"}, {"600", 3, "5.000"}, {"375", 1, "2.667"}, {"6400", 1, "0.15625"},
		{"1024", 1, "0.976563"}, {"999999999", 1, "0.000"}, {"1", math.MaxInt64 / 1000, "9223372036854775000"},
	} {
		in := newInput(t, pulse.Opts{PulsesPerKWh: c.constant})
		if err := in.Restore(pulse.SnapshotOf(c.count)); err != nil {
			t.Fatal(err)
		}
		rows, _ := in.sense(t)
		quality := "ok"
		if len(c.constant) == 1 || c.constant[1] == '.' { // above 100 Wh a pulse
			quality = "coarse"
		}
		if want := fmt.Sprintf("active_energy_import %s Wh %s", c.want, quality); rows[1] != want {
			t.Errorf("%d pulses at %s a kWh: got %s, want %s", c.count, c.constant, rows[1], want)
		}
	}
}

// Energy is the count's exact multiple, to the decimals that are given.
func TestEnergyIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		digits := rapid.StringMatching(`[1-9][0-9]{0,3}(\.[0-9]{1,3})?`).Draw(t, "constant")
		count := rapid.Int64Range(0, 1<<40).Draw(t, "count")
		v, ok, err := pulse.Energy(digits, count)
		if err != nil || !ok {
			t.Fatalf("%q: %v, %v", digits, ok, err)
		}
		constant, _ := new(big.Rat).SetString(digits)
		exact := new(big.Rat).Quo(new(big.Rat).SetInt64(1000), constant)
		exact.Mul(exact, new(big.Rat).SetInt64(count))
		got, _ := new(big.Rat).SetString(v.String())
		half := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Mul(big.NewInt(2), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-v.Exponent)), nil)))
		if off := new(big.Rat).Sub(got, exact); off.Abs(off).Cmp(half) > 0 {
			t.Fatalf("%d pulses at %s: got %s, exactly %s", count, digits, v, exact.FloatString(9))
		}
	})
}

func TestEnergyOverflow(t *testing.T) {
	in := newInput(t, pulse.Opts{PulsesPerKWh: "1"})
	if err := in.Restore(pulse.SnapshotOf(math.MaxInt64 / 999)); err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	if err := in.Sense(t.Context(), &b); !errors.Is(err, hardware.ErrOverflow) || len(b.Values) != 0 {
		t.Errorf("%v, %v", b.Values, err)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]pulse.Opts{
		"zero": {PulsesPerKWh: "0"}, "zeros": {PulsesPerKWh: "0.00"}, "negative": {PulsesPerKWh: "-1000"}, "exponent": {PulsesPerKWh: "1e3"}, "sign": {PulsesPerKWh: "+5"},
		"bare point": {PulsesPerKWh: "."}, "point at the end": {PulsesPerKWh: "5."}, "point at the start": {PulsesPerKWh: ".5"}, "leading zero": {PulsesPerKWh: "01"},
		"too long": {PulsesPerKWh: "1234567890"}, "words": {PulsesPerKWh: "many"}, "no energy": {Energy: "pulses"}, "a gauge": {Energy: "active_power"}, "no channel": {Energy: "energy"},
	} {
		if d, err := pulse.New(&handLine{}, &o); err == nil {
			t.Errorf("%s: %s was made", name, d)
		}
	}
	d, err := pulse.New(&handLine{}, &pulse.Opts{PulsesPerKWh: "1000", Energy: "active_energy_generated"})
	if err != nil || d.Describe().Channels[1].Name != "active_energy_generated" {
		t.Errorf("an inverter's meter: %v", err)
	}
}

// The real lines of a machine that has none of that label.
func TestNoSuchChip(t *testing.T) {
	line := pulse.NewGPIO(pulse.GPIO{Chip: "pinctrl-of-no-board", Line: 17})
	d, err := pulse.New(line, nil)
	if err != nil {
		t.Fatal(err)
	}
	var b hardware.Batch
	err = d.Sense(t.Context(), &b)
	if class := hardware.Class(err); class != hardware.ErrAbsent && class != hardware.ErrPermission || !strings.Contains(err.Error(), "s0 on GPIO17") {
		t.Errorf("got %v", err)
	}
	if _, err := line.Closed(); err == nil {
		t.Error("a line that is not held has a level")
	}
	if err := line.Close(); err != nil {
		t.Errorf("closing a line that is not held: %v", err)
	}
}
