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
	l                      language
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
type rateRow struct {
	l language
	api.RateItem
}

// Span is the quarter hour in which it was measured.
func (r rateRow) Span() string {
	at, err := time.Parse(time.RFC3339, r.Interval)
	if err != nil {
		return r.Interval
	}
	return r.l.Say("%s to %s", r.l.Day(at)+" "+r.l.Minute(at), r.l.Minute(at.Add(interval)))
}

// Hourly is a mass of the quarter hour as a rate.
func (r rateRow) Hourly(t string) string {
	m, err := unit.ParseMass(t)
	if err != nil || m > 1<<60 {
		return r.l.mass(t)
	}
	return r.l.mass((4 * m).String()) + "/h"
}

// Sentence says what stands.
func (p carbonPage) Sentence() string {
	var parts []string
	if i := slices.IndexFunc(p.Periods, func(k periodRow) bool { return k.Version > 0 }); i >= 0 {
		k := p.Periods[i]
		parts = append(parts, p.l.Say("Site %s emitted %s CO₂e itself in period %s", k.Site, p.l.mass(k.CO2e), k.Period))
	}
	if p.held+p.retired > 0 {
		parts = append(parts, p.l.Say("%s of carbon units are held and %s are retired", p.l.tonnes(p.held), p.l.tonnes(p.retired)))
	}
	if p.wh > 0 {
		parts = append(parts, p.l.Say("certificates stand for %s, %s of it used up by claims", p.l.energy(p.wh), p.l.energy(p.claimed)))
	}
	if len(parts) == 0 {
		return p.l.Say("No period is closed, no unit issued and no certificate made yet.")
	}
	return strings.Join(parts, "; ") + "."
}

// mass writes a decimal of tonnes in the unit that suits it, with three figures.
func (l language) mass(t string) string {
	m, err := unit.ParseMass(t)
	if err != nil {
		return l.Decimal(t) + thinSpace + "t"
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
			return sign + l.Fixed(rounded(mg, step), places) + thinSpace + u.name
		}
	}
	return ""
}

func (l language) tonnes(n int64) string { return l.Number(uint64(max(n, 0))) + thinSpace + "t" }

// periodRow is a period as the page shows it.
type periodRow struct {
	l language
	api.PeriodItem
}

// Word is its status. Nobody but a verifier calls it verified.
func (p periodRow) Word() stateWord {
	switch p.Status {
	case "verified":
		return stateWord{"✓", p.l.Say("verified"), "good"}
	case "closed":
		return stateWord{"○", p.l.Say("closed"), "muted"}
	}
	return stateWord{"○", p.l.Say("open"), "muted"}
}

// Span is its time.
func (p periodRow) Span() string {
	from, err := time.Parse(time.RFC3339, p.From)
	to, more := time.Parse(time.RFC3339, p.To)
	if err != nil || more != nil {
		return p.l.Say("%s to %s", p.From, p.To)
	}
	end := p.l.Minute(to)
	if from.UTC().Format(time.DateOnly) != to.UTC().Format(time.DateOnly) {
		end = p.l.moment(to)
	}
	return p.l.Say("%s to %s", p.l.moment(from), end)
}

// moment writes a minute of whatever year.
func (l language) moment(t time.Time) string {
	return fmt.Sprintf("%s %d %s", l.Day(t), t.UTC().Year(), l.Minute(t))
}

// Changed says what the newest version changed.
func (p periodRow) Changed() string {
	switch {
	case p.Version < 2:
		return ""
	case p.MaterialityPPM < 0:
		return p.l.Say("restated as version %d: there was nothing before", p.Version)
	}
	return p.l.Say("restated as version %d: changed by %s %%", p.Version, p.l.percent(p.MaterialityPPM))
}

// Declared says how much of it nobody measured.
func (p periodRow) Declared() string {
	if p.DeclaredPPM == 0 {
		return p.l.Say("All of it was measured.")
	}
	return p.l.Say("%s %% of it was declared, and nobody measured it.", p.l.percent(p.DeclaredPPM))
}

// percent writes millionths in per cent, with two places.
func (l language) percent(ppm int64) string { return l.Fixed(rounded(max(ppm, 0), 100), 2) }

// sourceRow is what certificates of one source come to, in Wh.
type sourceRow struct {
	Source                      string
	Issued, Held, Claimed, Gone int64
}

// unitsRow is a block of units as the page shows it.
type unitsRow struct {
	l language
	api.UnitsItem
}

// Word is its status.
func (u unitsRow) Word() stateWord {
	switch u.Status {
	case "Held":
		return stateWord{"○", u.l.Say("held"), "muted"}
	case "Retired":
		return stateWord{"✓", u.l.Say("retired"), "good"}
	case "Buffer":
		return stateWord{"○", u.l.Say("in the buffer"), "muted"}
	}
	return stateWord{"●", u.l.Say(strings.ToLower(u.Status)), "muted"}
}

func (d *Dashboard) serveCarbon(w http.ResponseWriter, r *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	all := a.Accounts()
	l := spoken(w)
	p := carbonPage{l: l, Projects: all.Projects, Balances: all.Adjustments, Records: len(all.Records)}
	for _, r := range all.Rates {
		p.Rates = append(p.Rates, rateRow{l, r})
	}
	slices.SortStableFunc(all.Periods, func(a, b api.PeriodItem) int { return strings.Compare(b.From, a.From) })
	for _, k := range all.Periods {
		p.Periods = append(p.Periods, periodRow{l, k})
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
		p.Units = append(p.Units, unitsRow{l, b})
	}
	slices.SortStableFunc(p.Units, func(a, b unitsRow) int { return int(min(max(int64(b.Leaf)-int64(a.Leaf), -1), 1)) })
	if n := len(p.Periods) - listedAccounts; n > 0 {
		p.Periods, p.MorePeriods = p.Periods[:listedAccounts], n
	}
	if n := len(p.Units) - listedAccounts; n > 0 {
		p.Units, p.MoreUnits = p.Units[:listedAccounts], n
	}
	d.write(w, http.StatusOK, frame{Title: l.Say("Carbon"), Page: "carbon", Topic: topicInterval, Data: p})
}
