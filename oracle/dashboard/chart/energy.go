package chart

import (
	"fmt"
	"html"
	"strings"
	"time"

	"wattmark/oracle/dashboard/locale"
)

// Bar is what a zone or a home did with energy in one interval, in Wh.
type Bar struct {
	At time.Time
	// Shared came from neighbours, and FromGrid from the grid; Sent went to neighbours, and
	// ToGrid to the grid. Of a zone, what is sent is shared, and counted once.
	Shared, FromGrid, Sent, ToGrid int64
	// Unknown says that nothing is told of the interval.
	Unknown bool
}

// Energy draws bars, which are in order of time and an interval apart: up from the line what
// was shared and, on top of that, what came from the grid; down what was sent, and below that
// what went to the grid. An interval that nothing is told of has no bar.
// The title is of the caller's language, l.
func Energy(bars []Bar, every time.Duration, l *locale.Locale, title string) string {
	if len(bars) == 0 {
		return ""
	}
	var up, down int64
	for _, b := range bars {
		if b.Unknown {
			continue
		}
		up, down = max(up, wh(b.Shared)+wh(b.FromGrid)), max(down, wh(b.Sent)+wh(b.ToGrid))
	}
	// One scale for both directions, with the line where they meet.
	top, bottom := Top(up), int64(0)
	if down > 0 {
		bottom = Top(down)
	}
	from := bars[0].At
	slots := int64(bars[len(bars)-1].At.Sub(from)/every) + 1
	y := func(wh int64) string { return hundredths(top-wh, top+bottom) }
	box := func(slot, low, high int64) string {
		if low == high {
			return ""
		}
		// A tenth of a slot is left free on either side.
		x, wide := hundredths(10*slot+1, 10*slots), hundredths(8, 10*slots)
		return fmt.Sprintf("M%s %sh%sV%sh-%sZ", x, y(low), wide, y(high), wide)
	}
	var shared, fromGrid, sent, toGrid strings.Builder
	for _, b := range bars {
		if b.Unknown {
			continue
		}
		slot := int64(b.At.Sub(from) / every)
		shared.WriteString(box(slot, 0, wh(b.Shared)))
		fromGrid.WriteString(box(slot, wh(b.Shared), wh(b.Shared)+wh(b.FromGrid)))
		sent.WriteString(box(slot, -wh(b.Sent), 0))
		toGrid.WriteString(box(slot, -wh(b.Sent)-wh(b.ToGrid), -wh(b.Sent)))
	}
	line := y(0)
	var m strings.Builder
	fmt.Fprintf(&m, `<svg class="y" aria-hidden="true"><text x="100%%" y="0" dy="0.9em" text-anchor="end">%s</text>`+
		`<text x="100%%" y="%s%%" dy="0.35em" text-anchor="end">0</text>`, l.Decimal(wattHours(top)), html.EscapeString(line))
	if bottom > 0 {
		fmt.Fprintf(&m, `<text x="100%%" y="100%%" dy="-0.1em" text-anchor="end">%s</text>`, l.Decimal(wattHours(bottom)))
	}
	fmt.Fprintf(&m, `</svg><svg class="plot" viewBox="0 0 100 100" preserveAspectRatio="none" role="img"><title>%s</title>`+
		`<path class="shared" d="%s"/><path class="takes" d="%s"/><path class="sent" d="%s"/><path class="gives" d="%s"/>`+
		`<path class="axis" vector-effect="non-scaling-stroke" d="M0 %[6]sL100 %[6]s"/></svg>`,
		html.EscapeString(title), shared.String(), fromGrid.String(), sent.String(), toGrid.String(), line)
	to := from.Add(time.Duration(slots) * every)
	fmt.Fprintf(&m, `<svg class="x" aria-hidden="true"><text x="0" y="100%%" dy="-0.3em" text-anchor="start">%s</text>`+
		`<text x="100%%" y="100%%" dy="-0.3em" text-anchor="end">%s</text></svg>`, from.UTC().Format("15:04"), to.UTC().Format("15:04"))
	return m.String()
}

// wh is energy as it is drawn: never below nothing, and so little that sums do not wrap.
func wh(n int64) int64 { return min(max(n, 0), 1<<56) }

func wattHours(n int64) string { return watts(n) + "h" }
