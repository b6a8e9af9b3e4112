// Package chart draws the pages' charts: pure functions from series to SVG markup,
// so that a chart is there without a script and the same figures give the same
// bytes.
//
// A figure is three SVGs in a grid. The plot has a view box of 100 by 100 that
// stretches to any width, with strokes that do not scale; the labels' SVGs have
// none and place text by per cent, so that type is never stretched. A script that
// keeps a chart fresh sets the d of the paths and the text of the labels, which
// Figure gives by name.
package chart

import (
	"fmt"
	"strings"
	"time"

	"wattmark/oracle/dashboard/locale"
)

// Sample is the street's power at one moment, in W.
type Sample struct {
	At          time.Time
	Using, Made int64
	// Gap says that nothing is known between the sample before and this one.
	Gap bool
}

// Figure is a chart of power over a stretch of time.
type Figure struct {
	// Using is the path of what is used; Made and MadeArea those of what is made,
	// as a line and as the area below it.
	Using, Made, MadeArea string
	// Top and Half label the y axis, which starts at 0.
	Top, Half string
	// From, Middle and To label the x axis.
	From, Middle, To string
}

// Power draws samples, which are in order of time, between from and to. Samples
// outside are left out. Its labels are numbers as the locale writes them.
func Power(samples []Sample, from, to time.Time, l *locale.Locale) Figure {
	var most int64
	inside := make([]Sample, 0, len(samples))
	for _, s := range samples {
		if s.At.Before(from) || s.At.After(to) {
			continue
		}
		inside = append(inside, s)
		most = max(most, s.Using, s.Made)
	}
	top := Top(most)
	span := to.Sub(from)
	f := Figure{
		Top: l.Decimal(watts(top)), Half: l.Decimal(watts(top / 2)),
		From: from.UTC().Format("15:04"), Middle: from.Add(span / 2).UTC().Format("15:04"), To: to.UTC().Format("15:04"),
	}
	if span < 3*time.Minute {
		f.From, f.Middle, f.To = from.UTC().Format("15:04:05"), from.Add(span/2).UTC().Format("15:04:05"), to.UTC().Format("15:04:05")
	}
	x := func(s Sample) string { return hundredths(int64(s.At.Sub(from)), int64(span)) }
	y := func(w int64) string { return hundredths(top-min(max(w, 0), top), top) }
	f.Using = line(inside, x, func(s Sample) string { return y(s.Using) })
	f.Made = line(inside, x, func(s Sample) string { return y(s.Made) })
	f.MadeArea = area(inside, x, func(s Sample) string { return y(s.Made) })
	return f
}

// Top returns the end of the y axis for a greatest value in W: the next of 1,
// 1.5, 2, 3, 4, 5, 6, 8 times a power of ten that is not below 105 % of it, at
// least 100 and at most 3e17, which no power is above.
func Top(most int64) int64 {
	for ten := int64(100); ; ten *= 10 {
		for _, tenths := range [...]int64{10, 15, 20, 30, 40, 50, 60, 80} {
			top := ten / 10 * tenths
			if top*20/21 >= most || top > 1<<58 {
				return top
			}
		}
	}
}

func watts(w int64) string {
	if w < 1000 {
		return fmt.Sprintf("%d W", w)
	}
	s := fmt.Sprintf("%d.%03d", w/1000, w%1000)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".") + " kW"
}

// hundredths returns 100 n / of with two decimals.
func hundredths(n, of int64) string {
	if of <= 0 {
		return "0.00"
	}
	if of > 1<<40 { // keep the product below from wrapping
		n, of = n>>20, of>>20
	}
	h := n * 10_000 / of
	return fmt.Sprintf("%d.%02d", h/100, h%100)
}

func line(samples []Sample, x, y func(Sample) string) string {
	var b strings.Builder
	for i, s := range samples {
		c := "L"
		if i == 0 || s.Gap {
			c = "M"
		}
		fmt.Fprintf(&b, "%s%s %s", c, x(s), y(s))
	}
	return b.String()
}

// area closes each stretch between gaps down to the axis.
func area(samples []Sample, x, y func(Sample) string) string {
	var b strings.Builder
	for i, s := range samples {
		if i == 0 || s.Gap {
			if i > 0 {
				fmt.Fprintf(&b, "L%s 100.00Z", x(samples[i-1]))
			}
			fmt.Fprintf(&b, "M%s 100.00", x(s))
		}
		fmt.Fprintf(&b, "L%s %s", x(s), y(s))
	}
	if len(samples) > 0 {
		fmt.Fprintf(&b, "L%s 100.00Z", x(samples[len(samples)-1]))
	}
	return b.String()
}
