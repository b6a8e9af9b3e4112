package dashboard

import (
	"html/template"
	"slices"
	"strings"
	"time"

	"wattmark/oracle/api"
	"wattmark/oracle/dashboard/chart"
)

// powerChannel is the power of a meter; others are of its phases.
const powerChannel = "active_power"

// powerNow is what a member's meters said last.
type powerNow struct {
	Sentence string
	Chart    template.HTML
	Rows     []powerRow // the newest first
}

// powerRow is the power of a period as the page shows it.
type powerRow struct {
	l language
	api.PowerItem
}

// Name is the meter's: the ledger has no other than those of points and channels.
func (r powerRow) Name() string {
	name := r.l.Say("connection")
	if r.Device {
		name = r.l.Say("device %s", shorten(r.Point, 24))
	}
	if r.Channel != powerChannel {
		name += ", " + r.Channel
	}
	return name
}

// whole says that it is what goes through the connection, and not a part of it.
func (r powerRow) whole() bool { return !r.Device && r.Channel == powerChannel }

// Mean is the power of the period, and which way.
func (r powerRow) Mean() string { return r.l.direction(rounded(r.Power, 1000)) }

// Span is the least and the most in it.
func (r powerRow) Span() string {
	if r.Least == nil || r.Most == nil {
		return ""
	}
	return r.l.Say("%s to %s", r.l.power(rounded(*r.Least, 1000)), r.l.power(rounded(*r.Most, 1000)))
}

// Word says whether it is final.
func (r powerRow) Word() stateWord { return r.l.finality(r.State == "final") }

func powerOf(l language, items []api.PowerItem) (p powerNow) {
	if len(items) == 0 {
		p.Sentence = l.Say("Your meter has told no power yet. It appears here when the first statement of your gateway is on the ledger.")
		return p
	}
	var samples []chart.Sample
	var latest []powerRow // of each meter
	for _, i := range items {
		row := powerRow{l, i}
		p.Rows = append(p.Rows, row)
		if k := slices.IndexFunc(latest, func(r powerRow) bool { return r.Channel == i.Channel && r.Point == i.Point }); k >= 0 {
			latest[k] = row
		} else {
			latest = append(latest, row)
		}
		if row.whole() {
			w := rounded(i.Power, 1000)
			samples = append(samples, chart.Sample{At: i.Time(), Using: max(w, 0), Made: max(-w, 0)})
		}
	}
	slices.Reverse(p.Rows)
	p.Sentence = l.powerSentence(latest)
	if len(samples) > 1 {
		for i := 2; i < len(samples); i++ { // what is further apart than usual has a hole between
			samples[i].Gap = samples[i].At.Sub(samples[i-1].At) > 3*samples[1].At.Sub(samples[0].At)
		}
		f := chart.Power(samples, samples[0].At, samples[len(samples)-1].At, l.Locale)
		p.Chart = template.HTML(f.Markup(l.Say("Power at your connection: %s", p.Sentence)))
	}
	return p
}

func (l language) powerSentence(latest []powerRow) string {
	var parts []string
	at := time.Time{}
	for _, r := range latest {
		if t := r.Time(); t.After(at) {
			at = t
		}
		w := rounded(r.Power, 1000)
		switch {
		case r.Channel != powerChannel:
		case r.Device && w < 0:
			parts = append(parts, l.Say("a device behind your meter gives %s", l.power(-w)))
		case r.Device:
			parts = append(parts, l.Say("a device behind your meter takes %s", l.power(w)))
		case w < balancedW && w > -balancedW:
			parts = append([]string{l.Say("your home is balanced")}, parts...)
		case w > 0:
			parts = append([]string{l.Say("your home takes %s", l.power(w))}, parts...)
		default:
			parts = append([]string{l.Say("your home gives %s", l.power(-w))}, parts...)
		}
	}
	return l.Say("At %s UTC %s.", clock(at), strings.Join(parts, "; "))
}
