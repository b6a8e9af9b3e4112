package unit_test

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/unit"
)

const june unit.Interval = 1_780_308_000 // 2026-06-01T10:00:00Z

func TestInterval(t *testing.T) {
	if got, want := june.String(), "2026-06-01T10:00:00Z"; got != want {
		t.Errorf("String: got %s, want %s", got, want)
	}
	if got := june.Day().String(); got != "2026-06-01T00:00:00Z" {
		t.Errorf("Day: got %s", got)
	}
	if got := june.Since(june.Day()); got != 40 {
		t.Errorf("intervals since midnight: got %d, want 40", got)
	}
	if !june.Contains(june.Start()) || june.Contains(june.End()) || !june.Contains(june.End()-1) || june.Contains(june.Start()-1) {
		t.Error("an interval must hold its start, its last second and neither neighbour")
	}
	if got, want := june.EndMilli()-june.StartMilli(), int64(900_000); got != want {
		t.Errorf("length: got %d ms, want %d", got, want)
	}
	for _, end := range []unit.Interval{0, unit.LastInterval} {
		if err := end.Check(); err != nil {
			t.Errorf("%s: %v", end, err)
		}
	}
	if got := unit.LastInterval.String(); got != "9999-12-31T23:45:00Z" {
		t.Errorf("last interval: got %s", got)
	}
	for _, bad := range []unit.Interval{1, 899, 901, -900, unit.LastInterval + 900, math.MaxInt64, math.MinInt64} {
		if bad.Check() == nil {
			t.Errorf("%d: want an error", int64(bad))
		}
	}
}

func TestIntervalAt(t *testing.T) {
	for second, want := range map[int64]unit.Interval{0: 0, 899: 0, 900: 900, june.End() - 1: june, unit.LastInterval.End() - 1: unit.LastInterval} {
		if got, err := unit.IntervalAt(second); err != nil || got != want {
			t.Errorf("IntervalAt(%d) = %d, %v; want %d", second, got, err, want)
		}
	}
	for _, second := range []int64{-1, unit.LastInterval.End(), math.MaxInt64, math.MinInt64} {
		if got, err := unit.IntervalAt(second); err == nil {
			t.Errorf("IntervalAt(%d) = %d, want an error", second, got)
		}
	}
}

func TestIntervalPlus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		start := unit.Interval(rapid.Int64Range(0, int64(unit.LastInterval)/900).Draw(t, "start") * 900)
		n := rapid.OneOf(rapid.Int64Range(-1000, 1000), amount()).Draw(t, "n")
		got, err := start.Plus(n)
		inside := n >= -int64(start)/900 && n <= int64(unit.LastInterval-start)/900
		switch {
		case !inside && err == nil:
			t.Fatalf("%s plus %d = %s, want an error", start, n, got)
		case inside && (err != nil || got.Check() != nil || got.Since(start) != n):
			t.Fatalf("%s plus %d = %d, %v", start, n, int64(got), err)
		}
	})
}

func TestParseIntervalRefuses(t *testing.T) {
	for _, s := range []string{"", "2026-06-01", "2026-06-01T10:00:00", "2026-06-01T10:00:00+00:00", "2026-06-01T10:00:00.000Z",
		"2026-06-01T10:00:00,0Z", "2026-06-01t10:00:00z", "2026-02-29T10:00:00Z", "2026-06-01T24:00:00Z", "2026-06-01T10:00:60Z", " 2026-06-01T10:00:00Z"} {
		if got, err := unit.ParseInterval(s); !errors.Is(err, unit.ErrSyntax) {
			t.Errorf("%q: got %s, %v; want a syntax error", s, got, err)
		}
	}
	for _, s := range []string{"2026-06-01T10:01:00Z", "1969-12-31T23:45:00Z"} {
		if got, err := unit.ParseInterval(s); err == nil {
			t.Errorf("%q: got %s, want an error", s, got)
		}
	}
}

func FuzzParseInterval(f *testing.F) {
	f.Add("2026-06-01T10:15:00Z")
	f.Add("9999-12-31T23:45:00Z")
	f.Add("2026-06-01T10:15:00.5Z")
	f.Fuzz(func(t *testing.T, s string) {
		i, err := unit.ParseInterval(s)
		if err != nil {
			return
		}
		if i.Check() != nil || i.String() != s {
			t.Errorf("%q was read as %d, which prints as %s", s, int64(i), i)
		}
	})
}
