package street_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/cmd/internal/street"
)

const microPerWh = 1_000_000

func newModel(t testing.TB, homes int, seed uint64) *street.Street {
	t.Helper()
	clock, err := street.NewClock(street.Epoch.AddDate(0, 6, 0), 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := street.Model(street.Config{Homes: homes, Seed: seed, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestHoursAreTheData(t *testing.T) {
	const homes = 40 // each profile as it is, and scaled
	s := newModel(t, homes, 7)
	real, err := street.Profiles()
	if err != nil {
		t.Fatal(err)
	}
	week := street.Epoch.AddDate(0, 0, 7*31)
	for i, home := range s.Homes() {
		p := real[i%len(real)]
		if p.Quarters != nil {
			continue // TestQuartersAreTheData
		}
		scale, shift := s.Scale(i)
		if i < len(real) && (scale != 1000 || shift != 0) {
			t.Errorf("%s: scale %d, shift %d: a home of the data must be as it is", home.Name, scale, shift)
		}
		before := s.Totals(i, week)
		for hour := range 168 {
			after := s.Totals(i, week.Add(time.Duration(hour+1)*time.Hour))
			load := p.Load[(hour-shift+168)%168] * scale * microPerWh / 1000
			sun := p.Solar[hour] * scale * microPerWh / 1000
			if !home.Solar {
				sun = 0
			}
			net := after[0] - before[0] - (after[1] - before[1])
			if got := [2]int64{net, after[2] - before[2]}; got != [2]int64{load - sun, sun} {
				t.Fatalf("%s (%s), hour %d: net and generated are %v µWh, want %v", home.Name, home.Source, hour, got, [2]int64{load - sun, sun})
			}
			before = after
		}
	}
}

func TestQuartersAreTheData(t *testing.T) {
	s := newModel(t, 12, 7)
	real, err := street.Profiles()
	if err != nil {
		t.Fatal(err)
	}
	const home = 11
	if got := s.Homes()[home].Source; got != "OPSD residential4" {
		t.Fatalf("home 12 is %q", got)
	}
	var sum [3]int64
	day := street.Epoch.AddDate(0, 0, 100)
	for q, want := range real[home].Quarters {
		before := s.Totals(home, day.Add(time.Duration(q)*15*time.Minute))
		after := s.Totals(home, day.Add(time.Duration(q+1)*15*time.Minute))
		for i := range want {
			if got := after[i] - before[i]; got != want[i]*microPerWh {
				t.Errorf("quarter %d: register %d advanced by %d µWh, want %d Wh", q, i, got, want[i])
			}
			if q >= 16 && q < 80 { // what was measured, 04:00 to 20:00
				sum[i] += want[i]
			}
		}
	}
	// The sums that the data's description gives.
	if want := [3]int64{1_023, 12_040, 14_110}; sum != want {
		t.Errorf("imported, exported and generated %v Wh, want %v", sum, want)
	}
}

func TestDataFallsOnItsWeekdays(t *testing.T) {
	real, err := street.Profiles()
	if err != nil {
		t.Fatal(err)
	}
	if len(real) != 18 {
		t.Fatalf("%d real homes, want 18", len(real))
	}
	// Building 1: row 2 of the source, day type 1, hour 1, and row 1, day type 7, hour 24.
	if monday, sunday := real[0].Load[0], real[0].Load[167]; monday != 851 || sunday != 2276 {
		t.Errorf("Monday's first hour %d Wh and Sunday's last %d Wh, want 851 and 2276", monday, sunday)
	}
	if noon := real[0].Solar[12]; noon != 3005 { // 751.2625 W/kW x 4 kW
		t.Errorf("Monday 12:00 to 13:00 gives %d Wh, want 3005", noon)
	}
}

func TestRegistersNeverFall(t *testing.T) {
	s := newModel(t, 19, 99)
	rapid.Check(t, func(t *rapid.T) {
		home := rapid.IntRange(-1, 18).Draw(t, "home")
		at := rapid.Int64Range(0, 40*365*86_400_000).Draw(t, "ms since the epoch")
		later := at + rapid.OneOf(rapid.Int64Range(0, 20_000), rapid.Int64Range(0, 1<<35)).Draw(t, "ms later")
		before := s.Totals(home, street.Epoch.Add(time.Duration(at)*time.Millisecond))
		after := s.Totals(home, street.Epoch.Add(time.Duration(later)*time.Millisecond))
		for i := range before {
			if after[i] < before[i] {
				t.Errorf("register %d fell from %d to %d µWh", i, before[i], after[i])
			}
		}
	})
}

func TestPowerIsTheRegistersSlope(t *testing.T) {
	s := newModel(t, 12, 3)
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.Int64Range(0, 60*8640).Draw(t, "step")
		at := street.Epoch.Add(time.Duration(step) * 10 * time.Second)
		state := s.At(at.Add(5 * time.Second))
		for i, home := range append(state.Homes, state.Feeder) {
			if i == len(state.Homes) {
				i = -1
			}
			a, b := s.Totals(i, at), s.Totals(i, at.Add(10*time.Second))
			net := b[0] - a[0] - (b[1] - a[1])
			if got, want := home.Grid.TotalPower(), net*360/1000; got != want {
				t.Errorf("%s: %d mW, while its registers move at %d mW", home.Name, got, want)
			}
			if got, want := -home.Sun.TotalPower(), (b[2]-a[2])*360/1000; i >= 0 && got != want {
				t.Errorf("%s: generates %d mW, while its register moves at %d mW", home.Name, got, want)
			}
		}
	})
}

func TestFeederIsTheSum(t *testing.T) {
	s := newModel(t, 12, 5)
	start := street.Epoch.AddDate(0, 0, 7*20)
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.Int64Range(0, 7*8640-1).Draw(t, "first step")
		n := rapid.Int64Range(1, 400).Draw(t, "steps")
		from := start.Add(time.Duration(step) * 10 * time.Second)
		to := from.Add(time.Duration(n) * 10 * time.Second)
		var want int64
		for i := range 12 {
			a, b := s.Totals(i, from), s.Totals(i, to)
			imported, exported := b[0]-a[0], b[1]-a[1]
			want += imported - exported + (imported+exported)/50
		}
		for at := from; at.Before(to); at = at.Add(10 * time.Second) {
			if at.Hour() >= 18 || at.Hour() < 6 {
				want += 144 * microPerWh / 360
			}
		}
		a, b := s.Totals(-1, from), s.Totals(-1, to)
		got := b[0] - a[0] - (b[1] - a[1])
		if diff := got - want; diff < -n || diff > 12 { // each step rounds down once
			t.Errorf("from %s for %d steps the feeder counts %d µWh, the homes with losses %d", from, n, got, want)
		}
	})
}

func TestSameSeedSameStreet(t *testing.T) {
	at := street.Epoch.AddDate(0, 5, 3).Add(11*time.Hour + 1234*time.Millisecond)
	a, b := newModel(t, 14, 1), newModel(t, 14, 1)
	a.At(at.Add(-100 * time.Hour)) // what was asked before must not matter
	if diff := cmp.Diff(a.At(at), b.At(at)); diff != "" {
		t.Errorf("two streets of one seed differ:\n%s", diff)
	}
	if cmp.Equal(a.At(at), newModel(t, 14, 2).At(at)) {
		t.Error("two seeds give the same street")
	}
}

func TestSevenOfTwelveHomesHaveSun(t *testing.T) {
	n := 0
	for _, h := range newModel(t, 12, 1).Homes() {
		if h.Solar {
			n++
		}
	}
	if n != 7 {
		t.Errorf("%d homes generate, want 7", n)
	}
}

func TestElectricalIsPlausible(t *testing.T) {
	s := newModel(t, 18, 11)
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, 365*86_400_000).Draw(t, "ms")
		state := s.At(street.Epoch.Add(time.Duration(ms) * time.Millisecond))
		if c := state.Stack.CO2; c < 400 || c > 3200 {
			t.Errorf("stack has %d ppm", c)
		}
		if a := state.Stack; a.Temperature < 2000 || a.Temperature > 5000 || a.Humidity < 1500 || a.Humidity > 5500 {
			t.Errorf("stack is %+v", a)
		}
		for _, h := range append(state.Homes, state.Feeder) {
			for i := range h.Grid.Phases {
				v, a, p, q := h.Grid.Voltage[i], h.Grid.Current[i], h.Grid.Power[i], h.Grid.Reactive[i]
				if v < 207_000 || v > 253_000 { // EN 50160: 230 V, 10 per cent either way
					t.Errorf("%s: %d mV", h.Name, v)
				}
				// V x A and the root of P² + Q² are both the apparent power.
				if va := v * a / 1000; max(va-h.Grid.Apparent[i], h.Grid.Apparent[i]-va) > v/1000+1 {
					t.Errorf("%s: %d mVA from current and voltage, %d shown", h.Name, va, h.Grid.Apparent[i])
				}
				if s2, a2 := p*p+q*q, h.Grid.Apparent[i]*h.Grid.Apparent[i]; max(s2-a2, a2-s2) > a2/100+10_000_000 {
					t.Errorf("%s: P %d Q %d S %d", h.Name, p, q, h.Grid.Apparent[i])
				}
			}
			if f := h.Grid.Frequency; f < 49_900 || f > 50_100 {
				t.Errorf("%s: %d mHz", h.Name, f)
			}
		}
	})
}

func TestModelRefuses(t *testing.T) {
	clock, err := street.NewClock(street.Epoch.AddDate(0, 0, -1), 1)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]street.Config{
		"no homes":           {Homes: 0, Clock: clock},
		"too many":           {Homes: 501, Clock: clock},
		"no clock":           {Homes: 1},
		"before the epoch":   {Homes: 1, Clock: clock},
		"epoch on a Tuesday": {Homes: 1, Clock: clock, Epoch: street.Epoch.AddDate(0, 0, -6)},
		"epoch at noon":      {Homes: 1, Clock: clock, Epoch: street.Epoch.AddDate(0, 0, -7).Add(12 * time.Hour)},
	} {
		if _, err := street.Model(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := street.Model(street.Config{Homes: 1, Clock: clock, Epoch: street.Epoch.AddDate(0, 0, -7)}); err != nil {
		t.Errorf("an earlier epoch: %v", err)
	}
}
