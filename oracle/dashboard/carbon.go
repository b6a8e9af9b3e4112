package dashboard

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"wattmark/ledger/unit"
	"wattmark/oracle/api"
)

// listedAccounts is how many rows of each kind /carbon shows.
const listedAccounts = 100

type carbonPage struct {
	Rates                  []rateRow
	Periods                []periodRow
	Sources                []sourceRow // certificates by the source of their energy
	Units                  []unitsRow
	Projects               []api.ProjectItem
	Balances               []api.AdjustmentItem
	Records                int
	MorePeriods, MoreUnits int // that are not listed

	held, retired, wh, claimed int64
}

// rateRow is what a stack gives off, as the page shows it.
type rateRow struct{ api.RateItem }

// Span is the quarter hour in which it was measured.
func (r rateRow) Span() string {
	at, err := time.Parse(time.RFC3339, r.Interval)
	if err != nil {
		return r.Interval
	}
	return at.UTC().Format("2 Jan 15:04") + " to " + at.Add(interval).UTC().Format("15:04")
}

// Hourly is a mass of the quarter hour as a rate.
func (rateRow) Hourly(t string) string {
	m, err := unit.ParseMass(t)
	if err != nil || m > 1<<60 {
		return mass(t)
	}
	return mass((4 * m).String()) + "/h"
}

// Sentence says what stands.
func (p carbonPage) Sentence() string {
	var parts []string
	if i := slices.IndexFunc(p.Periods, func(k periodRow) bool { return k.Version > 0 }); i >= 0 {
		k := p.Periods[i]
		parts = append(parts, fmt.Sprintf("Site %s emitted %s CO₂e itself in period %s", k.Site, mass(k.CO2e), k.Period))
	}
	if p.held+p.retired > 0 {
		parts = append(parts, fmt.Sprintf("%s of carbon units are held and %s are retired", tonnes(p.held), tonnes(p.retired)))
	}
	if p.wh > 0 {
		parts = append(parts, fmt.Sprintf("certificates stand for %s, %s of it used up by claims", energy(p.wh), energy(p.claimed)))
	}
	if len(parts) == 0 {
		return "No period is closed, no unit issued and no certificate made yet."
	}
	return strings.Join(parts, "; ") + "."
}

// mass writes a decimal of tonnes in the unit that suits it, with three figures.
func mass(t string) string {
	m, err := unit.ParseMass(t)
	if err != nil {
		return t + thinSpace + "t"
	}
	mg := int64(m)
	sign := ""
	if mg < 0 {
		sign, mg = minus, -max(mg, -1<<62)
	}
	for _, u := range [...]struct {
		name string
		mg   int64
	}{{"t", 1_000_000_000}, {"kg", 1_000_000}, {"g", 1000}} {
		if mg >= u.mg || u.name == "g" {
			places := 2
			for n := mg / u.mg; n >= 10 && places > 0; n /= 10 {
				places--
			}
			step := u.mg
			for range places {
				step /= 10
			}
			return sign + fixed(rounded(mg, step), places) + thinSpace + u.name
		}
	}
	return ""
}

func tonnes(n int64) string { return count(uint64(max(n, 0))) + thinSpace + "t" }

// periodRow is a period as the page shows it.
type periodRow struct{ api.PeriodItem }

// Word is its status. Nobody but a verifier calls it verified.
func (p periodRow) Word() stateWord {
	switch p.Status {
	case "verified":
		return stateWord{"✓", "verified", "good"}
	case "closed":
		return stateWord{"○", "closed", "muted"}
	}
	return stateWord{"○", "open", "muted"}
}

// Span is its time.
func (p periodRow) Span() string {
	from, to := day(p.From), day(p.To)
	if a, b, ok := sameDay(p.From, p.To); ok {
		return a + " to " + b
	}
	return from + " to " + to
}

func day(at string) string {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return at
	}
	return t.UTC().Format("2 Jan 2006 15:04")
}

func sameDay(from, to string) (a, b string, ok bool) {
	x, err := time.Parse(time.RFC3339, from)
	y, more := time.Parse(time.RFC3339, to)
	if err != nil || more != nil || x.UTC().Format(time.DateOnly) != y.UTC().Format(time.DateOnly) {
		return "", "", false
	}
	return x.UTC().Format("2 Jan 2006 15:04"), y.UTC().Format("15:04"), true
}

// Changed says what the newest version changed.
func (p periodRow) Changed() string {
	switch {
	case p.Version < 2:
		return ""
	case p.MaterialityPPM < 0:
		return fmt.Sprintf("restated as version %d: there was nothing before", p.Version)
	}
	return fmt.Sprintf("restated as version %d: changed by %s %%", p.Version, percent(p.MaterialityPPM))
}

// Declared says how much of it nobody measured.
func (p periodRow) Declared() string {
	if p.DeclaredPPM == 0 {
		return "All of it was measured."
	}
	return percent(p.DeclaredPPM) + " % of it was declared, and nobody measured it."
}

// percent writes millionths in per cent, with two places.
func percent(ppm int64) string { return fixed(rounded(max(ppm, 0), 100), 2) }

// sourceRow is what certificates of one source come to, in Wh.
type sourceRow struct {
	Source                      string
	Issued, Held, Claimed, Gone int64
}

// unitsRow is a block of units as the page shows it.
type unitsRow struct{ api.UnitsItem }

// Word is its status.
func (u unitsRow) Word() stateWord {
	switch u.Status {
	case "Held":
		return stateWord{"○", "held", "muted"}
	case "Retired":
		return stateWord{"✓", "retired", "good"}
	case "Buffer":
		return stateWord{"○", "in the buffer", "muted"}
	}
	return stateWord{"●", strings.ToLower(u.Status), "muted"}
}

func (d *Dashboard) serveCarbon(w http.ResponseWriter, r *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	all := a.Accounts()
	p := carbonPage{Projects: all.Projects, Balances: all.Adjustments, Records: len(all.Records)}
	for _, r := range all.Rates {
		p.Rates = append(p.Rates, rateRow{r})
	}
	slices.SortStableFunc(all.Periods, func(a, b api.PeriodItem) int { return strings.Compare(b.From, a.From) })
	for _, k := range all.Periods {
		p.Periods = append(p.Periods, periodRow{k})
	}
	for _, b := range all.Certificates {
		i := slices.IndexFunc(p.Sources, func(s sourceRow) bool { return s.Source == b.Source })
		if i < 0 {
			i = len(p.Sources)
			p.Sources = append(p.Sources, sourceRow{Source: b.Source})
		}
		s := &p.Sources[i]
		switch b.Status {
		case "Split":
			continue // its parts are counted
		case "Claimed":
			s.Claimed += b.Wh
		case "Active", "Locked", "Reserved":
			s.Held += b.Wh
		default:
			s.Gone += b.Wh
		}
		s.Issued += b.Wh
		p.wh += b.Wh
	}
	for _, s := range p.Sources {
		p.claimed += s.Claimed
	}
	for _, b := range all.Units {
		switch b.Status {
		case "Held", "Buffer":
			p.held += b.Units
		case "Retired":
			p.retired += b.Units
		}
		p.Units = append(p.Units, unitsRow{b})
	}
	slices.SortStableFunc(p.Units, func(a, b unitsRow) int { return int(min(max(int64(b.Leaf)-int64(a.Leaf), -1), 1)) })
	if n := len(p.Periods) - listedAccounts; n > 0 {
		p.Periods, p.MorePeriods = p.Periods[:listedAccounts], n
	}
	if n := len(p.Units) - listedAccounts; n > 0 {
		p.Units, p.MoreUnits = p.Units[:listedAccounts], n
	}
	d.write(w, http.StatusOK, frame{Title: "Carbon", Page: "carbon", Topic: topicInterval, Data: p})
}
