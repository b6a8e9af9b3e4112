package dashboard

import (
	"time"

	"wattmark/oracle/dashboard/chart"
)

// chartPoints is into how many samples the chart's stretch of time is parted.
const chartPoints = 120

// history is the street's power over the last stretch of its clock. Run owns it.
type history struct {
	window time.Duration
	kept   []chart.Sample
	tip    chart.Sample // newer than what is kept by less than a part of the window
	seen   time.Time    // wall time of the tip
}

// add takes in the power at a moment of the street's clock and of ours. A silence
// of ours, or a leap of the street's, leaves a gap.
func (h *history) add(at time.Time, s sums, wall time.Time) {
	if at.IsZero() {
		return
	}
	last := h.tip.At
	if at.Before(last) { // the street's clock was set back: it is another day
		h.kept, h.tip = nil, chart.Sample{}
		last = time.Time{}
	}
	if at.Equal(last) { // it stands still, and only the newest figures count
		h.tip.Using, h.tip.Made, h.seen = s.using, s.made, wall
		return
	}
	part := h.window / chartPoints
	if !last.IsZero() && (len(h.kept) == 0 || last.Sub(h.kept[len(h.kept)-1].At) >= part || h.tip.Gap) {
		h.kept = append(h.kept, h.tip)
	}
	gap := !last.IsZero() && (wall.Sub(h.seen) > 10*time.Second || at.Sub(last) > h.window/4)
	h.tip = chart.Sample{At: at, Using: s.using, Made: s.made, Gap: gap}
	h.seen = wall
	old := 0
	for old < len(h.kept) && h.kept[old].At.Before(at.Add(-h.window)) {
		old++
	}
	// A tenth more than fits, as parts are not equal; older ones go in bulk.
	if over := len(h.kept) - (chartPoints + chartPoints/10); over > old {
		old = over
	}
	h.kept = append(h.kept[:0], h.kept[old:]...)
}

// samples returns a copy, oldest first.
func (h *history) samples() []chart.Sample {
	if h.tip.At.IsZero() {
		return nil
	}
	out := make([]chart.Sample, 0, len(h.kept)+1)
	return append(append(out, h.kept...), h.tip)
}
