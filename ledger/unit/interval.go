package unit

import (
	"fmt"
	"time"
)

// Interval is one settlement interval of 900 s, written as its start in Unix
// seconds: a multiple of 900, UTC, from 1970 to the end of the year 9999. It is
// half open: it holds its start and not its end, which is the next one's start.
type Interval int64

const (
	// IntervalSeconds is the length of an interval.
	IntervalSeconds = 900
	// IntervalsPerDay is the number of intervals of a UTC day.
	IntervalsPerDay = 96
	// LastInterval is the last interval of the year 9999, the last that RFC 3339
	// can write.
	LastInterval Interval = 253_402_300_800 - IntervalSeconds
)

const intervalLayout = "2006-01-02T15:04:05Z"

// IntervalAt returns the interval that holds the given time in Unix seconds, or
// an error if the time is before 1970 or after the year 9999.
func IntervalAt(unixSeconds int64) (Interval, error) {
	if unixSeconds < 0 || unixSeconds >= int64(LastInterval)+IntervalSeconds {
		return 0, fmt.Errorf("unit: time %d is outside the years 1970 to 9999", unixSeconds)
	}
	return Interval(unixSeconds - unixSeconds%IntervalSeconds), nil
}

// ParseInterval reads the start of an interval in RFC 3339, UTC, whole seconds,
// as in 2026-06-01T10:15:00Z.
func ParseInterval(s string) (Interval, error) {
	t, err := time.Parse(intervalLayout, s)
	// The comparison refuses what time.Parse forgives, such as a fraction.
	if err != nil || t.Format(intervalLayout) != s {
		return 0, fmt.Errorf("unit: interval %q, want the form 2026-06-01T10:15:00Z: %w", clip(s), ErrSyntax)
	}
	i := Interval(t.Unix())
	if err := i.Check(); err != nil {
		return 0, err
	}
	return i, nil
}

// String returns the start in RFC 3339, as [ParseInterval] reads it.
func (i Interval) String() string {
	return time.Unix(int64(i), 0).UTC().Format(intervalLayout)
}

// Check returns an error unless i is aligned to 900 s and in the years 1970 to
// 9999.
func (i Interval) Check() error {
	if i < 0 || i > LastInterval {
		return fmt.Errorf("unit: interval %d is outside the years 1970 to 9999", int64(i))
	}
	if i%IntervalSeconds != 0 {
		return fmt.Errorf("unit: interval %d is not aligned to %d s", int64(i), IntervalSeconds)
	}
	return nil
}

// Start returns the first second of i, in Unix seconds.
func (i Interval) Start() int64 { return int64(i) }

// End returns the first second after i, in Unix seconds.
func (i Interval) End() int64 { return int64(i) + IntervalSeconds }

// StartMilli returns the start of i in Unix milliseconds, as blocks count time.
func (i Interval) StartMilli() int64 { return int64(i) * 1000 }

// EndMilli returns the end of i in Unix milliseconds.
func (i Interval) EndMilli() int64 { return i.End() * 1000 }

// Contains reports whether the given time in Unix seconds lies in i.
func (i Interval) Contains(unixSeconds int64) bool {
	return i.Start() <= unixSeconds && unixSeconds < i.End()
}

// Plus returns the interval n after i, or before it for a negative n. It returns
// an error if that one is outside the years 1970 to 9999.
func (i Interval) Plus(n int64) (Interval, error) {
	distance, err := mulInt(n, IntervalSeconds)
	if err != nil {
		return 0, fmt.Errorf("unit: %d intervals after %s: %w", n, i, err)
	}
	sum := int64(i) + distance
	if (sum > int64(i)) != (distance > 0) || sum < 0 || sum > int64(LastInterval) {
		return 0, fmt.Errorf("unit: %d intervals after %s is outside the years 1970 to 9999", n, i)
	}
	return Interval(sum), nil
}

// Since returns the number of intervals from the earlier one to i; it is negative
// if the other is the later one.
func (i Interval) Since(earlier Interval) int64 {
	return (int64(i) - int64(earlier)) / IntervalSeconds
}

// Day returns the first interval of the UTC day that holds i.
func (i Interval) Day() Interval {
	return i - i%(IntervalSeconds*IntervalsPerDay)
}
