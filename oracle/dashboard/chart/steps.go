package chart

import (
	"fmt"
	"html"
	"strings"
)

// Step is energy that is asked for or offered at a price: in Wh, and in millionths of the
// currency a kWh.
type Step struct{ Price, Wh int64 }

// Steps draws what was asked for, from the dearest down, and what was offered, from the
// cheapest up, over the energy that each adds up to; where the two meet is the price, which
// is drawn where there is one. Label writes a price.
func Steps(bids, offers []Step, price *int64, label func(int64) string, title string) string {
	var most, least, wide int64
	for _, side := range [][]Step{bids, offers} {
		var sum int64
		for _, s := range side {
			most, least = max(most, tamed(s.Price)), min(least, tamed(s.Price))
			sum += wh(s.Wh)
		}
		wide = max(wide, min(sum, 1<<56))
	}
	if wide == 0 {
		return ""
	}
	top, bottom := Top(most), int64(0)
	if least < 0 {
		bottom = Top(-least)
	}
	x := func(n int64) string { return hundredths(min(n, wide), wide) }
	y := func(p int64) string { return hundredths(top-tamed(p), top+bottom) }
	draw := func(side []Step) string {
		var b strings.Builder
		var sum int64
		for i, s := range side {
			if i == 0 {
				fmt.Fprintf(&b, "M0 %s", y(s.Price))
			} else {
				fmt.Fprintf(&b, "V%s", y(s.Price))
			}
			sum = min(sum+wh(s.Wh), 1<<56)
			fmt.Fprintf(&b, "H%s", x(sum))
		}
		return b.String()
	}
	at := ""
	if price != nil {
		at = fmt.Sprintf(`<path class="rule" vector-effect="non-scaling-stroke" d="M0 %[1]sL100 %[1]s"/>`, y(*price))
	}
	zero := y(0)
	var m strings.Builder
	fmt.Fprintf(&m, `<svg class="y" aria-hidden="true"><text x="100%%" y="0" dy="0.9em" text-anchor="end">%s</text>`+
		`<text x="100%%" y="%s%%" dy="-0.1em" text-anchor="end">0</text></svg>`, html.EscapeString(label(top)), zero)
	fmt.Fprintf(&m, `<svg class="plot" viewBox="0 0 100 100" preserveAspectRatio="none" role="img"><title>%s</title>%s`+
		`<path class="line using" vector-effect="non-scaling-stroke" d="%s"/><path class="line made" vector-effect="non-scaling-stroke" d="%s"/>`+
		`<path class="axis" vector-effect="non-scaling-stroke" d="M0 %[5]sL100 %[5]s"/></svg>`, html.EscapeString(title), at, draw(bids), draw(offers), zero)
	fmt.Fprintf(&m, `<svg class="x" aria-hidden="true"><text x="0" y="100%%" dy="-0.3em" text-anchor="start">0</text>`+
		`<text x="100%%" y="100%%" dy="-0.3em" text-anchor="end">%s</text></svg>`, wattHours(wide))
	return m.String()
}

// tamed is a price as it is drawn: so near nothing that sums do not wrap.
func tamed(p int64) int64 { return min(max(p, -1<<56), 1<<56) }
