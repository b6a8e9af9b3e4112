package sampler_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/gateway/sampler"
	"wattmark/hardware"
	"wattmark/ledger/entry"
)

// clock is the machine's clock with a monotonic part that synctest moves.
type clock struct {
	*sampler.MachineClock
	start time.Time
	shift time.Duration // by which the wall's clock was moved
}

func newClock() *clock { return &clock{sampler.TimerClock(), time.Now(), 0} }

func (c *clock) Now() time.Time           { return c.MachineClock.Now().Add(c.shift) }
func (c *clock) Monotonic() time.Duration { return time.Since(c.start) }

// meter is a device whose answers a test gives.
type meter struct {
	about  hardware.Descriptor
	clock  *clock
	answer func(due time.Time) ([]hardware.Value, error)
	takes  time.Duration
	serial string // what it says of itself
}

func newMeter(c *clock, names ...string) *meter {
	m := &meter{clock: c, about: hardware.Descriptor{Model: "test", Part: "Test Meter"}, takes: 100 * time.Millisecond}
	for _, n := range names {
		m.about.Channels = append(m.about.Channels, hardware.NewChannel(n, hardware.Limits{}))
	}
	return m
}

func (m *meter) String() string                                     { return "test meter" }
func (m *meter) Halt() error                                        { return nil }
func (m *meter) Describe() hardware.Descriptor                      { return m.about }
func (m *meter) Sense(ctx context.Context, b *hardware.Batch) error { return errors.New("unused") }

// SenseDue makes a meter its own bus.
func (m *meter) SenseDue(ctx context.Context, _ hardware.Device, due time.Time, b *hardware.Batch) error {
	b.Reset()
	begin := m.clock.Monotonic()
	select {
	case <-time.After(m.takes):
	case <-ctx.Done():
		return &hardware.Error{Class: hardware.ErrTimeout, Err: ctx.Err()}
	}
	b.Span(begin, m.clock.Monotonic())
	values, err := m.answer(due)
	b.Values = append(b.Values, values...)
	b.Identity.Serial = m.serial
	return err
}

func value(channel uint8, mantissa int64, exponent int8) hardware.Value {
	return hardware.Value{Channel: channel, Mantissa: mantissa, Exponent: exponent}
}

func device(m *meter, name, subject string, period time.Duration) sampler.Device {
	return sampler.Device{Name: name, Device: m, Bus: m, Subject: subject, Period: period}
}

// run samples for a while, from a whole interval on, and returns all packs.
func run(t *testing.T, c *clock, cfg sampler.Config, lasting time.Duration) []*sampler.Pack {
	t.Helper()
	cfg.Clock, cfg.Monotonic = c, c.Monotonic
	s, err := sampler.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return runFor(t, s, lasting)
}

func runFor(t *testing.T, s *sampler.Sampler, lasting time.Duration) []*sampler.Pack {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), lasting)
	defer cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	return drain(t, s)
}

func drain(t *testing.T, s *sampler.Sampler) (packs []*sampler.Pack) {
	t.Helper()
	for {
		p, more := s.Head()
		if p == nil {
			if more {
				t.Error("a sampler that has ended promises more packs")
			}
			return packs
		}
		if b, err := p.Encode(); err != nil {
			t.Fatalf("pack does not encode: %v", err)
		} else if back, err := entry.ParsePack(b); err != nil || !cmp.Equal(back, &p.Pack) {
			t.Fatalf("pack does not survive its encoding: %v\n%s", err, cmp.Diff(&p.Pack, back))
		}
		packs = append(packs, p)
		s.Done(p)
	}
}

// lines shows a pack: seconds since 2000-01-01, name without base, value.
func lines(p *sampler.Pack) string {
	var b strings.Builder
	for _, r := range p.Records {
		text := r.Text
		if text == "" {
			text = r.Value.String() + " " + r.Unit
		}
		fmt.Fprintf(&b, "%s %s = %s\n", seconds(r.Time), strings.TrimPrefix(r.Name, p.Base), strings.TrimSpace(text))
	}
	return b.String()
}

// synctest's clock starts at midnight UTC 2000-01-01.
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

func seconds(ms int64) string { return fmt.Sprintf("%.3f", float64(ms-epoch)/1000) }

func TestScheduleIsAlignedAndWindowsAreWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(3 * time.Second) // starts between two boundaries
		c := newClock()
		m := newMeter(c, "active_power", "active_energy_import")
		var dues []string
		n := int64(0)
		m.answer = func(due time.Time) ([]hardware.Value, error) {
			dues = append(dues, seconds(due.UnixMilli()))
			n++
			return []hardware.Value{value(0, 1000+n, -1), value(1, 5000+n, 0)}, nil
		}
		packs := run(t, c, sampler.Config{PackMaxAge: 30 * time.Second, Devices: []sampler.Device{device(m, "grid", "mp-1", 10*time.Second)}}, 65*time.Second)
		want := []string{"10.000", "20.000", "30.000", "40.000", "50.000", "60.000"}
		if diff := cmp.Diff(want, dues); diff != "" {
			t.Errorf("due times (-want +got):\n%s", diff)
		}
		if len(packs) != 3 {
			t.Fatalf("%d packs, want 3", len(packs))
		}
		// The first register after an interval's end came 10 s late, as sampling began then.
		// Means of 100.1 and 100.2; 100.3, 100.4 and 100.5; then one sample.
		for i, want := range []string{`20.050 active_power = 100.2 W
20.050 active_power.min = 100.1 W
20.050 active_power.max = 100.2 W
20.050 active_power.count = 2 count
10.050 active_energy_import = 5001 Wh
10.050 active_energy_import.quality = late
`, `50.050 active_power = 100.4 W
50.050 active_power.min = 100.3 W
50.050 active_power.max = 100.5 W
50.050 active_power.count = 3 count
30.050 active_energy_import = 5003 Wh
`, `60.050 active_power = 100.6 W
60.050 active_energy_import = 5006 Wh
`} {
			if diff := cmp.Diff(want, lines(packs[i])); diff != "" {
				t.Errorf("pack %d (-want +got):\n%s", i, diff)
			}
		}
	})
}

func TestMeanIsExactAndRoundedHalfAwayFromZero(t *testing.T) {
	for _, test := range []struct {
		in   []hardware.Value
		want string
	}{
		{[]hardware.Value{value(0, 1, 0), value(0, 2, 0)}, "2"},
		{[]hardware.Value{value(0, -1, 0), value(0, -2, 0)}, "-2"},
		{[]hardware.Value{value(0, 1, 0), value(0, 1, 0), value(0, 2, 0)}, "1"},
		{[]hardware.Value{value(0, 2301, -1), value(0, 23015, -2)}, "230.13"},
		{[]hardware.Value{value(0, 1<<62, 0), value(0, 1<<62, 0), value(0, 1<<62, 0)}, "4611686018427387904"},
		{[]hardware.Value{value(0, 9e17, 0), value(0, 1, -9)}, "450000000000000000.0"},
		{[]hardware.Value{value(0, 3, 5), value(0, 1, 5)}, "200000"},
		{[]hardware.Value{value(0, 15, -20), value(0, 15, -20)}, "0.000000000000000000"},
		{[]hardware.Value{value(0, 150, -20), value(0, 150, -20)}, "0.000000000000000002"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClock()
			m := newMeter(c, "active_power")
			i := 0
			m.answer = func(time.Time) ([]hardware.Value, error) {
				i++
				return test.in[(i-1)%len(test.in) : (i-1)%len(test.in)+1], nil
			}
			period := 60 * time.Second / time.Duration(len(test.in))
			packs := run(t, c, sampler.Config{Devices: []sampler.Device{device(m, "grid", "mp-1", period)}}, 119*time.Second)
			// The first window misses its first sample, which was due at the start.
			if got := packs[1].Records[0].Value.String(); got != test.want && len(test.in) > 0 {
				t.Errorf("mean of %v is %s, want %s", test.in, got, test.want)
			}
		})
	}
}

func TestGapsAreSaidWithTheirReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		m := newMeter(c, "active_power", "frequency")
		m.answer = func(due time.Time) ([]hardware.Value, error) {
			switch seconds(due.UnixMilli()) {
			case "20.000", "30.000":
				return nil, &hardware.Error{Class: hardware.ErrAbsent}
			case "40.000":
				return nil, fmt.Errorf("frame: %w", hardware.ErrChecksum)
			case "50.000":
				return []hardware.Value{value(1, 50, 0)}, nil
			}
			return []hardware.Value{value(0, 5, 0), {Channel: 1, Mantissa: 50, Quality: hardware.OutOfRange | hardware.Estimated}}, nil
		}
		since := map[string]time.Time{"mp-1": time.UnixMilli(epoch - 25_000)}
		packs := run(t, c, sampler.Config{Since: since, Devices: []sampler.Device{device(m, "grid", "mp-1", 10*time.Second)}}, 55*time.Second)
		if len(packs) != 1 {
			t.Fatalf("%d packs, want 1", len(packs))
		}
		at := func(s int64) int64 { return epoch + s*1000 }
		want := fmt.Sprintf(`10.050 active_power = 5 W
-20.000 active_power.gap = %d %d 3 power_off
20.000 active_power.gap = %d %d 2 absent
40.000 active_power.gap = %d %d 1 checksum
50.000 active_power.gap = %d %d 1 no_data
50.050 frequency = 50 Hz
50.050 frequency.min = 50 Hz
50.050 frequency.max = 50 Hz
50.050 frequency.count = 2 count
50.050 frequency.quality = out_of_range,estimated
-20.000 frequency.gap = %d %d 3 power_off
20.000 frequency.gap = %d %d 2 absent
40.000 frequency.gap = %d %d 1 checksum
`, at(-20), at(0), at(20), at(30), at(40), at(40), at(50), at(50), at(-20), at(0), at(20), at(30), at(40), at(40))
		if diff := cmp.Diff(want, lines(packs[0])); diff != "" {
			t.Errorf("pack (-want +got):\n%s", diff)
		}
	})
}

// A part that says that it may take longer is waited for.
func TestPatienceIsThePartsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		m := newMeter(c, "active_power")
		m.about.Settle = 10 * time.Second // a telegram in so many, met in the middle
		m.takes = 15 * time.Second
		m.answer = func(time.Time) ([]hardware.Value, error) { return []hardware.Value{value(0, 7, 0)}, nil }
		packs := run(t, c, sampler.Config{Devices: []sampler.Device{device(m, "grid", "mp-1", 30*time.Second)}}, 59*time.Second)
		if len(packs) != 1 || !strings.HasPrefix(lines(packs[0]), "37.500 active_power = 7 W\n") {
			t.Errorf("%d packs: %s", len(packs), lines(packs[0]))
		}
	})
}

func TestSlowDeviceMissesAndHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		quick, slow := newMeter(c, "active_power"), newMeter(c, "active_power")
		slow.takes = 24 * time.Second // beyond the sampler's patience of 10 s
		ok := func(time.Time) ([]hardware.Value, error) { return []hardware.Value{value(0, 7, 0)}, nil }
		quick.answer, slow.answer = ok, ok
		packs := run(t, c, sampler.Config{Devices: []sampler.Device{
			device(quick, "quick", "mp-1", 5*time.Second), device(slow, "slow", "mp-2", 5*time.Second),
		}}, 60*time.Second)
		counts := map[string]string{}
		for _, p := range packs {
			for _, r := range p.Records {
				counts[r.Name] += r.Value.String() + r.Text + ";"
			}
		}
		if counts["mp-1/active_power.count"] != "11;" {
			t.Errorf("the quick device has %q samples, want all 11 that were due before the end", counts["mp-1/active_power.count"])
		}
		if got := counts["mp-2/active_power.gap"]; !strings.Contains(got, "timeout") || !strings.Contains(got, "missed") {
			t.Errorf("the slow device's gaps are %q, want timeouts and missed ones", got)
		}
	})
}

func TestTwoDevicesOnAPointAreNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		a, b := newMeter(c, "co2"), newMeter(c, "co2")
		a.answer = func(time.Time) ([]hardware.Value, error) { return []hardware.Value{value(0, 400, 0)}, nil }
		b.answer = func(time.Time) ([]hardware.Value, error) { return []hardware.Value{value(0, 410, 0)}, nil }
		packs := run(t, c, sampler.Config{Devices: []sampler.Device{
			device(a, "low", "mp-1", 60*time.Second), device(b, "high", "mp-1", 60*time.Second),
		}}, 61*time.Second)
		if len(packs) != 1 {
			t.Fatalf("%d packs, want 1", len(packs))
		}
		if diff := cmp.Diff("60.050 low.co2 = 400 ppm\n60.050 high.co2 = 410 ppm\n", lines(packs[0])); diff != "" {
			t.Errorf("pack (-want +got):\n%s", diff)
		}
	})
}

func TestRegisterAtIntervalEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		m := newMeter(c, "active_energy_import")
		n := int64(1000)
		m.answer = func(due time.Time) ([]hardware.Value, error) {
			n++
			m.takes = 100 * time.Millisecond
			if seconds(due.UnixMilli()) == "1790.000" {
				m.takes = 5 * time.Second // of the exchange after this one
			}
			return []hardware.Value{value(0, n, 0)}, nil
		}
		packs := run(t, c, sampler.Config{Devices: []sampler.Device{device(m, "grid", "mp-1", 10*time.Second)}}, 1860*time.Second)
		if len(packs) != 31 {
			t.Fatalf("%d packs, want 31", len(packs))
		}
		var ends int
		for _, p := range packs {
			if p.EndsInterval() {
				ends++
			}
		}
		if ends != 2 {
			t.Errorf("%d packs end an interval, want 2", ends)
		}
		if got := lines(packs[15]); got != "900.050 active_energy_import = 1090 Wh\n" {
			t.Errorf("pack after the first interval: %q", got)
		}
		if got := lines(packs[30]); got != "1802.500 active_energy_import = 1180 Wh\n1802.500 active_energy_import.quality = late\n" {
			t.Errorf("pack after the second interval: %q", got)
		}
	})
}

func TestRegisterThatFalls(t *testing.T) {
	for _, test := range []struct {
		before, after int64
		wrap          hardware.Value
		why           string
	}{
		{500_000, 3, hardware.Value{}, "reset"},
		{99_999_990, 12, hardware.Value{}, "reset"},
		{99_999_990, 12, value(0, 1, 8), "rollover"},
		{4294967290, 7, value(0, 1<<32, 0), "rollover"},
		{4294967290, 7, value(0, 1<<33, 0), "reset"},
		{99_999_990, 12_000_000, value(0, 1, 8), "implausible"},
		{500_000, 499_000, hardware.Value{}, "implausible"},
		{500_000, -7, hardware.Value{}, "implausible"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newClock()
			m := newMeter(c, "active_energy_import")
			m.about.Channels[0].Wrap = test.wrap
			n := 0
			m.answer = func(time.Time) ([]hardware.Value, error) {
				n++
				if n < 3 {
					return []hardware.Value{value(0, test.before-3+int64(n), 0)}, nil
				}
				return []hardware.Value{value(0, test.after+int64(n)-3, 0)}, nil
			}
			packs := run(t, c, sampler.Config{Devices: []sampler.Device{device(m, "grid", "mp-1", 10*time.Second)}}, 45*time.Second)
			want := fmt.Sprintf(`10.050 active_energy_import = %d Wh
10.050 active_energy_import.quality = late
20.050 active_energy_import = %d Wh
30.050 active_energy_import = %d Wh
30.050 active_energy_import.quality = %s
`, test.before-2, test.before-1, test.after, test.why)
			if diff := cmp.Diff(want, lines(packs[0])); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.why, diff)
			}
		})
	}
}

func TestPacksThatDoNotFitBecomeGaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		m := newMeter(c, "active_power")
		m.answer = func(time.Time) ([]hardware.Value, error) { return []hardware.Value{value(0, 7, 0)}, nil }
		cfg := sampler.Config{
			Clock: c, Monotonic: c.Monotonic, PackMaxAge: 10 * time.Second, QueueBytes: 300,
			Devices: []sampler.Device{device(m, "grid", "mp-1", 10*time.Second)},
		}
		s, err := sampler.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(95 * time.Second) // nobody signs
		var got []string
		for {
			p, _ := s.Head()
			if p == nil {
				break
			}
			got = append(got, lines(p))
			s.Done(p)
		}
		lost := s.Stats().Forfeited
		if len(got) == 0 || lost == 0 || uint64(len(got))+lost != 9 {
			t.Fatalf("%d packs and %d forfeited of 9", len(got), lost)
		}
		time.Sleep(10 * time.Second)
		p, _ := s.Head()
		at := func(n int64) int64 { return epoch + n*10_000 }
		want := fmt.Sprintf("100.050 active_power = 7 W\n%s active_power.gap = %d %d %d full\n",
			seconds(at(int64(len(got))+1)), at(int64(len(got))+1), at(9), lost)
		if diff := cmp.Diff(want, lines(p)); diff != "" {
			t.Errorf("pack after the loss (-want +got):\n%s", diff)
		}
		// A pack that cannot be signed is said in the next one too.
		s.Forfeit(p)
		time.Sleep(10 * time.Second)
		p, _ = s.Head()
		want = fmt.Sprintf("110.050 active_power = 7 W\n%s active_power.gap = %d %d %d full\n",
			seconds(at(int64(len(got))+1)), at(int64(len(got))+1), at(10), lost+1)
		if diff := cmp.Diff(want, lines(p)); diff != "" {
			t.Errorf("pack after one was forfeited (-want +got):\n%s", diff)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestClockThatIsMovedEndsTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		m := newMeter(c, "active_power")
		m.answer = func(due time.Time) ([]hardware.Value, error) {
			if seconds(due.UnixMilli()) == "30.000" {
				c.shift = 5 * time.Second
			}
			return []hardware.Value{value(0, 7, 0)}, nil
		}
		packs := run(t, c, sampler.Config{Devices: []sampler.Device{device(m, "grid", "mp-1", 10*time.Second)}}, 59*time.Second)
		if len(packs) != 2 {
			t.Fatalf("%d packs, want 2: one up to the step, one behind it", len(packs))
		}
		if got := lines(packs[1]); !strings.HasPrefix(got, fmt.Sprintf("35.100 clock.step = %d %d\n", epoch+30_100, epoch+35_100)) {
			t.Errorf("pack behind the step:\n%s", got)
		}
	})
}

func TestManyChannelsAreSplit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock()
		var names []string
		for _, n := range []string{"active_power", "reactive_power", "apparent_power"} {
			for _, p := range []string{"_l1", "_l2", "_l3"} {
				names = append(names, n+p)
			}
		}
		var devices []sampler.Device
		for i := range 30 {
			m := newMeter(c, names...)
			n := int64(0)
			m.answer = func(time.Time) ([]hardware.Value, error) {
				n++
				var all []hardware.Value
				for k := range names {
					all = append(all, value(uint8(k), n, 0))
				}
				return all, nil
			}
			devices = append(devices, device(m, fmt.Sprintf("panel%02d", i), "mp-1", 10*time.Second))
		}
		packs := run(t, c, sampler.Config{Devices: devices}, 65*time.Second)
		total := 0
		for _, p := range packs[:len(packs)-1] {
			total += len(p.Records)
		}
		if want := 30 * 9 * 4; total != want || len(packs) < 3 {
			t.Errorf("%d records in %d packs, want %d in at least 2 and one more", total, len(packs)-1, want)
		}
	})
}

func TestConfigurationIsChecked(t *testing.T) {
	c := newClock()
	m := newMeter(c, "active_energy_import")
	good := device(m, "grid", "mp-1", 10*time.Second)
	for name, change := range map[string]func(*sampler.Config){
		"period that does not divide 900 s": func(g *sampler.Config) { g.Devices[0].Period = 7 * time.Second },
		"no period":                         func(g *sampler.Config) { g.Devices[0].Period = 0 },
		"negative period":                   func(g *sampler.Config) { g.Devices[0].Period = -10 * time.Second },
		"offset of a whole period":          func(g *sampler.Config) { g.Devices[0].Offset = 10 * time.Second },
		"registers far from interval's end": func(g *sampler.Config) { g.Devices[0].Offset = 3 * time.Second },
		"pack age that does not divide":     func(g *sampler.Config) { g.PackMaxAge = 50 * time.Second * 7 },
		"subject SenML does not allow":      func(g *sampler.Config) { g.Devices[0].Subject = "mp 1" },
		"no devices":                        func(g *sampler.Config) { g.Devices = nil },
		"one name twice on a point":         func(g *sampler.Config) { g.Devices = append(g.Devices, good) },
	} {
		cfg := sampler.Config{Clock: c, Monotonic: c.Monotonic, Devices: []sampler.Device{good}}
		change(&cfg)
		if _, err := sampler.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestMachineClock(t *testing.T) {
	c := sampler.NewMachineClock()
	known := []string{entry.ClockUnsynced, entry.ClockRTC, entry.ClockHoldover, entry.ClockNTP}
	if q := c.Quality(); !cmp.Equal(true, strings.Contains(strings.Join(known, " "), q)) {
		t.Errorf("quality %q", q)
	}
	if c.Monotonic() <= 0 || c.Uncertainty() < 0 {
		t.Errorf("monotonic %s, uncertainty %s", c.Monotonic(), c.Uncertainty())
	}
}

// The machine's clock rings at whole periods of the wall's clock, not before, and ends
// with its context.
func TestMachineClockRings(t *testing.T) {
	c := sampler.NewMachineClock()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	times := c.Every(ctx, time.Second, 0)
	before := c.Now()
	for range 2 {
		due := <-times
		if now := c.Now(); due.Nanosecond() != 0 || now.Before(due) || !due.After(before) {
			t.Errorf("at %s it rang for %s, after %s", now, due, before)
		}
		before = due
	}
	cancel()
	for range times { // one may be on its way
	}
}
