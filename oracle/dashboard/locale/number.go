package locale

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const minus = "\u2212"

// Number writes a whole number with its thousands parted.
func (l *Locale) Number(n uint64) string {
	s := strconv.FormatUint(n, 10)
	var b strings.Builder
	for i, c := range s {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteString(l.thousands)
		}
		b.WriteRune(c)
	}
	return b.String()
}

// Fixed writes n with its last digits after the decimal point.
func (l *Locale) Fixed(n int64, places int) string {
	sign, size := "", uint64(n)
	if n < 0 {
		sign, size = minus, -size
	}
	if places == 0 {
		return sign + l.Number(size)
	}
	scale := uint64(1)
	for range places {
		scale *= 10
	}
	return fmt.Sprintf("%s%s%s%0*d", sign, l.Number(size/scale), l.point, places, size%scale)
}

// Decimal writes a number that is in plain digits, with a point if it has decimals.
func (l *Locale) Decimal(digits string) string { return strings.Replace(digits, ".", l.point, 1) }

// Date writes the day of a time, in UTC: 27 November 2026.
func (l *Locale) Date(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf("%d%s %s %d", t.Day(), l.day, l.months[t.Month()-1], t.Year())
}

// Day writes a day of a year that is known, in UTC: 27 Nov.
func (l *Locale) Day(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf("%d%s %s", t.Day(), l.day, l.short[t.Month()-1])
}

// DayMonth writes a day of this year, in UTC: 27 November.
func (l *Locale) DayMonth(t time.Time) string {
	t = t.UTC()
	return fmt.Sprintf("%d%s %s", t.Day(), l.day, l.months[t.Month()-1])
}

// Month writes the month of a time, in UTC: November 2026.
func (l *Locale) Month(t time.Time) string {
	t = t.UTC()
	return l.months[t.Month()-1] + " " + strconv.Itoa(t.Year())
}

// Clock writes a time of day to the second, in UTC. Who shows it names the zone.
func (l *Locale) Clock(t time.Time) string { return t.UTC().Format("15:04:05") }

// Minute writes a time of day to the minute, in UTC.
func (l *Locale) Minute(t time.Time) string { return t.UTC().Format("15:04") }
