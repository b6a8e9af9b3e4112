package dashboard

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"wattmark/ledger/unit"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard/chart"
)

const (
	chartedIntervals = 96 // a day
	listedIntervals  = 24 // on a page of /market
	interval         = 15 * time.Minute
)

// intervalRow is an interval as the pages show it.
type intervalRow struct{ api.IntervalItem }

// Start is when it began.
func (i intervalRow) Start() time.Time {
	at, err := time.Parse(time.RFC3339, i.Interval)
	if err != nil {
		return time.Time{}
	}
	return at
}

// End is when it ended.
func (i intervalRow) End() time.Time { return i.Start().Add(interval) }

// Path is the page that tells all of it.
func (i intervalRow) Path() string {
	return "/market/" + url.PathEscape(i.Zone) + "/" + i.Interval
}

// Word says how far it is settled. A later run corrects an earlier one.
func (i intervalRow) Word() stateWord {
	switch {
	case i.Void != "":
		return stateWord{"✕", "void", "bad"}
	case i.State != "settled":
		return stateWord{"○", "cleared", "muted"}
	case i.Run == "R0":
		return stateWord{"○", "settled R0", "muted"}
	}
	return stateWord{"✓", "settled " + i.Run, "good"}
}

// RunMeans says what the newest run is worth.
func (i intervalRow) RunMeans() string {
	switch i.Run {
	case "R0":
		return "R0, preliminary: bills are made from R1"
	case "R1":
		return "R1: bills are made from it; a reading that comes late corrects it in RF"
	case "RF":
		return "RF: no more readings count"
	}
	return "not settled yet"
}

// Balance says whether the feeder's meter and the members' agree.
func (i intervalRow) Balance() stateWord {
	switch {
	case i.Unaccounted == nil:
		return stateWord{"○", "no feeder meter, or it was not heard", "muted"}
	case i.Alarm:
		return stateWord{"✕", energy(abs(*i.Unaccounted)) + " unaccounted for, more than is tolerated: theft, a faulty meter or a stolen key", "bad"}
	}
	return stateWord{"✓", energy(abs(*i.Unaccounted)) + " unaccounted for, which is tolerated", "good"}
}

// Readings says how much of it was measured.
func (i intervalRow) Readings() string {
	t := i.Totals
	text := counted(t.Measured, "home measured", "homes measured")
	if t.Estimated > 0 {
		text += ", " + count(t.Estimated) + " estimated"
	}
	if t.Missing > 0 {
		text += ", " + count(t.Missing) + " missing"
	}
	return text
}

// Cost is a price of a kWh in the interval's currency.
func (i intervalRow) Cost(text string) string { return price(text, i.Currency) }

func abs(n int64) int64 {
	if n < 0 {
		return -max(n, -1<<62)
	}
	return n
}

// energy writes Wh for people.
func energy(wh int64) string { return power(wh) + "h" }

// price writes a price of a kWh without the noughts at its end.
func price(text, currency string) string {
	return tidy(text) + thinSpace + currency + "/kWh"
}

// tidy takes the noughts at the end of a decimal away, down to two places.
func tidy(text string) string {
	whole, places, ok := strings.Cut(text, ".")
	if !ok {
		return text
	}
	for len(places) > 2 && strings.HasSuffix(places, "0") {
		places = places[:len(places)-1]
	}
	return strings.Replace(whole, "-", minus, 1) + "." + places
}

type marketPage struct {
	Zone    api.ZoneItem
	Others  []string // zones
	Last    *intervalRow
	Chart   template.HTML
	Charted int
	Rows    []intervalRow
	From    string // the page's first row, empty for the newest
	Older   string
	Newest  string
}

// Sentence says what the market came to last.
func (p marketPage) Sentence() string {
	l := p.Last
	if l == nil {
		return "No interval is settled yet: the first one is when its readings have come."
	}
	span := fmt.Sprintf("From %s to %s UTC ", l.Start().Format("15:04"), l.End().Format("15:04"))
	if l.Totals == nil {
		return span + "the market was settled. " + l.Why
	}
	t := l.Totals
	text := span + "neighbours shared nothing"
	if t.LocalWh > 0 {
		text = span + fmt.Sprintf("neighbours shared %s at %s", energy(t.LocalWh), l.Cost(t.LocalPrice))
	}
	return text + fmt.Sprintf("; %s came from the grid, %s went to it.", energy(t.GridImportWh), energy(t.GridExportWh))
}

// Terms is the tariff in force.
func (p marketPage) Terms() *api.TariffItem { return p.Zone.Tariff }

// Cost is a price of a kWh in the tariff's currency.
func (p marketPage) Cost(text string) string { return price(text, p.Zone.Tariff.Currency) }

func (d *Dashboard) serveMarket(w http.ResponseWriter, r *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	zones := a.Zones()
	if len(zones) == 0 {
		d.missing(w, http.StatusNotFound, "There is no market on this ledger.", "It begins with a tariff for a zone: see wattmark market tariff --help.")
		return
	}
	p := marketPage{Zone: zones[0]}
	if name := r.URL.Query().Get("zone"); name != "" {
		i := slices.IndexFunc(zones, func(z api.ZoneItem) bool { return z.Zone == name })
		if i < 0 {
			d.missing(w, http.StatusNotFound, "There is no zone "+strconv.Quote(shorten(name, 40))+" on this ledger.", "The market’s page names those that there are.")
			return
		}
		p.Zone = zones[i]
	}
	for _, z := range zones {
		if z.Zone != p.Zone.Zone {
			p.Others = append(p.Others, z.Zone)
		}
	}
	day, more, err := a.Intervals(p.Zone.Zone, 0, 0, chartedIntervals)
	if err != nil {
		d.problem(w, err)
		return
	}
	var bars []chart.Bar
	for i := range day {
		row := intervalRow{day[i]}
		if p.Last == nil && row.State == "settled" {
			p.Last = &row
		}
		bar := chart.Bar{At: row.Start(), Unknown: row.Totals == nil}
		if t := row.Totals; t != nil {
			bar.Shared, bar.FromGrid, bar.ToGrid = t.LocalWh, t.GridImportWh, t.GridExportWh
			p.Charted++
		}
		bars = append(bars, bar)
	}
	if p.Charted > 0 {
		slices.Reverse(bars)
		p.Chart = template.HTML(chart.Energy(bars, interval, "Energy by quarter hour: shared among neighbours, from the grid and to the grid. "+p.Sentence()))
	}
	listed := day
	if from := r.URL.Query().Get("from"); from != "" {
		at, err := unit.ParseInterval(from)
		if err != nil {
			d.missing(w, http.StatusNotFound, "The list starts at an interval, and "+strconv.Quote(shorten(from, 40))+" is none.", "Start again from the newest one.")
			return
		}
		if listed, more, err = a.Intervals(p.Zone.Zone, 0, at+unit.Interval(interval/time.Second), listedIntervals); err != nil {
			d.problem(w, err)
			return
		}
		p.From, p.Newest = from, "/market?zone="+url.QueryEscape(p.Zone.Zone)
	} else if len(listed) > listedIntervals {
		listed, more = listed[:listedIntervals], true
	}
	for i := range listed {
		p.Rows = append(p.Rows, intervalRow{listed[i]})
	}
	if more {
		before := p.Rows[len(p.Rows)-1].Start().Add(-interval)
		p.Older = "/market?zone=" + url.QueryEscape(p.Zone.Zone) + "&from=" + before.Format(time.RFC3339)
	}
	d.write(w, http.StatusOK, frame{now: d.page(), Title: "Market", Page: "market", Topic: topicInterval, Data: p})
}

func (d *Dashboard) serveInterval(w http.ResponseWriter, r *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	at, err := unit.ParseInterval(r.PathValue("start"))
	if err != nil {
		d.missing(w, http.StatusNotFound, "There is no interval "+strconv.Quote(shorten(r.PathValue("start"), 40))+".", "Intervals begin at each quarter hour, in UTC, and are written as 2026-06-17T10:00:00Z.")
		return
	}
	item, err := a.Interval(r.PathValue("zone"), at)
	if err != nil {
		d.problem(w, err)
		return
	}
	d.write(w, http.StatusOK, frame{now: d.page(), Title: "Interval " + item.Interval, Page: "market-interval", Topic: topicInterval, Data: intervalRow{*item}})
}

// queries returns what the pages of market and carbon read, or answers that there is nothing.
func (d *Dashboard) queries(w http.ResponseWriter) (*api.API, bool) {
	if d.options.API == nil {
		d.missing(w, http.StatusNotFound, "This page server has no accounts to read.", "Ask an oracle's, or run: wattmark market intervals --dir "+quoted(d.options.Dir))
		return nil, false
	}
	return d.options.API, true
}

// problem answers with what a question to the API came to.
func (d *Dashboard) problem(w http.ResponseWriter, err error) {
	status, what, remedy := api.Explain(err)
	d.missing(w, status, what, remedy)
}
