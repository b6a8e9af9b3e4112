package chart

import (
	"fmt"
	"html"
	"strings"
)

// Part is a piece of a figure that changes: text, or an attribute.
type Part struct {
	Name string // of its element's data-live
	Attr string // "" for text
	Text string
}

// Parts returns what a script sets to keep the figure fresh.
func (f *Figure) Parts() []Part {
	return []Part{
		{"chart.area", "d", f.MadeArea}, {"chart.made", "d", f.Made}, {"chart.using", "d", f.Using},
		{"chart.top", "", f.Top}, {"chart.half", "", f.Half},
		{"chart.from", "", f.From}, {"chart.middle", "", f.Middle}, {"chart.to", "", f.To},
	}
}

// Markup returns the figure's three SVGs. Title is a sentence that says what they
// show to who does not see them; its element's data-live is chart.title.
func (f *Figure) Markup(title string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="y" aria-hidden="true">`+
		`<text x="100%%" y="0" dy="0.9em" text-anchor="end" data-live="chart.top">%s</text>`+
		`<text x="100%%" y="50%%" dy="0.35em" text-anchor="end" data-live="chart.half">%s</text>`+
		`<text x="100%%" y="100%%" dy="-0.1em" text-anchor="end">0</text></svg>`, html.EscapeString(f.Top), html.EscapeString(f.Half))
	fmt.Fprintf(&b, `<svg class="plot" viewBox="0 0 100 100" preserveAspectRatio="none" role="img"><title data-live="chart.title">%s</title>`+
		`<path class="rule" vector-effect="non-scaling-stroke" d="M0 0L100 0M0 50L100 50"/>`+
		`<path class="area made" data-live="chart.area" d="%s"/>`+
		`<path class="line made" vector-effect="non-scaling-stroke" data-live="chart.made" d="%s"/>`+
		`<path class="line using" vector-effect="non-scaling-stroke" data-live="chart.using" d="%s"/>`+
		`<path class="axis" vector-effect="non-scaling-stroke" d="M0 100L100 100"/></svg>`,
		html.EscapeString(title), f.MadeArea, f.Made, f.Using)
	fmt.Fprintf(&b, `<svg class="x" aria-hidden="true">`+
		`<text x="0" y="100%%" dy="-0.3em" text-anchor="start" data-live="chart.from">%s</text>`+
		`<text x="50%%" y="100%%" dy="-0.3em" text-anchor="middle" data-live="chart.middle">%s</text>`+
		`<text x="100%%" y="100%%" dy="-0.3em" text-anchor="end" data-live="chart.to">%s</text></svg>`,
		html.EscapeString(f.From), html.EscapeString(f.Middle), html.EscapeString(f.To))
	return b.String()
}
