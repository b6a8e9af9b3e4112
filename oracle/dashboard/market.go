package dashboard

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
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
type intervalRow struct {
	l language
	api.IntervalItem
}

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
		return stateWord{"✕", i.l.Say("void"), "bad"}
	case i.State != "settled":
		return stateWord{"○", i.l.Say("cleared"), "muted"}
	case i.Run == "R0":
		return stateWord{"○", i.l.Say("settled %s", i.Run), "muted"}
	}
	return stateWord{"✓", i.l.Say("settled %s", i.Run), "good"}
}

// RunMeans says what the newest run is worth.
func (i intervalRow) RunMeans() string {
	switch i.Run {
	case "R0":
		return i.l.Say("R0, preliminary: bills are made from R1")
	case "R1":
		return i.l.Say("R1: bills are made from it; a reading that comes late corrects it in RF")
	case "RF":
		return i.l.Say("RF: no more readings count")
	}
	return i.l.Say("not settled yet")
}

// Balance says whether the feeder's meter and the members' agree.
func (i intervalRow) Balance() stateWord {
	switch {
	case i.Unaccounted == nil:
		return stateWord{"○", i.l.Say("no feeder meter, or it was not heard"), "muted"}
	case i.Alarm:
		return stateWord{"✕", i.l.Say("%s unaccounted for, more than is tolerated: theft, a faulty meter or a stolen key", i.l.energy(abs(*i.Unaccounted))), "bad"}
	}
	return stateWord{"✓", i.l.Say("%s unaccounted for, which is tolerated", i.l.energy(abs(*i.Unaccounted))), "good"}
}

// Readings says how much of it was measured.
func (i intervalRow) Readings() string {
	t := i.Totals
	text := i.l.Count(t.Measured, "%s home measured", "%s homes measured")
	if t.Estimated > 0 {
		text += ", " + i.l.Count(t.Estimated, "%s estimated", "%s estimated")
	}
	if t.Missing > 0 {
		text += ", " + i.l.Count(t.Missing, "%s missing|one", "%s missing")
	}
	return text
}

// Cost is a price of a kWh in the interval's currency.
func (i intervalRow) Cost(text string) string { return i.l.price(text, i.Currency) }

func abs(n int64) int64 {
	if n < 0 {
		return -max(n, -1<<62)
	}
	return n
}

// energy writes Wh for people.
func (l language) energy(wh int64) string { return l.power(wh) + "h" }

// price writes a price of a kWh without the noughts at its end.
func (l language) price(text, currency string) string {
	return l.tidy(text) + thinSpace + currency + "/kWh"
}

// tidy takes the noughts at the end of a decimal away, down to two places.
func (l language) tidy(text string) string {
	whole, places, ok := strings.Cut(text, ".")
	if !ok {
		return text
	}
	for len(places) > 2 && strings.HasSuffix(places, "0") {
		places = places[:len(places)-1]
	}
	return strings.Replace(whole, "-", minus, 1) + l.Decimal(".") + places
}

// intervalPage is an interval with the orders that stood at its gate.
type intervalPage struct {
	intervalRow
	Book *api.BookItem
}

// NoSteps says why there is nothing to draw, where there is not.
func (p intervalPage) NoSteps() string {
	switch {
	case p.Book.Far:
		return p.l.Say("Some of the orders lie too far back to be drawn: wattmark market replay has them all.")
	case len(p.Book.Bids)+len(p.Book.Offers) == 0:
		return p.l.Say("There were no orders.")
	}
	return ""
}

// Steps draws what was asked for and what was offered.
func (p intervalPage) Steps() template.HTML {
	side := func(items []api.StepItem) (out []chart.Step) {
		for _, s := range items {
			out = append(out, chart.Step{Price: int64(s.Price), Wh: s.Wh})
		}
		return out
	}
	var price *int64
	if p.AuctionPrice != nil {
		if at, err := unit.ParsePrice(*p.AuctionPrice); err == nil {
			n := int64(at)
			price = &n
		}
	}
	label := func(n int64) string { return p.l.tidy(unit.Price(n).String()) }
	return template.HTML(chart.Steps(side(p.Book.Bids), side(p.Book.Offers), price, label,
		p.l.Say("What was asked for, from the dearest, and what was offered, from the cheapest, by price and energy.")))
}

// Rationed says how many got less than they asked for.
func (p intervalPage) Rationed() string {
	if p.Book.Rationed == 0 {
		return p.l.Say("Every order with a good price got all of it.")
	}
	return p.l.Count(uint64(p.Book.Rationed), "%s order at the price got less than it asked for: what was left was shared in proportion to what each wanted.",
		"%s orders at the price got less than they asked for: what was left was shared in proportion to what each wanted.")
}

type marketPage struct {
	l       language
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

// Gate says until when orders are taken.
func (p marketPage) Gate() string {
	closes, err := time.Parse(time.RFC3339, p.Zone.Gate)
	at, wrong := time.Parse(time.RFC3339, p.Zone.Trading)
	if err != nil || wrong != nil {
		return ""
	}
	return p.l.Say("Trading for %s to %s closes at %s UTC.", at.Format("15:04"), at.Add(interval).Format("15:04"), closes.UTC().Format("15:04"))
}

// Sentence says what the market came to last.
func (p marketPage) Sentence() string {
	i := p.Last
	if i == nil {
		return p.l.Say("No interval is settled yet: the first one is when its readings have come.")
	}
	from, to := p.l.Minute(i.Start()), p.l.Minute(i.End())
	t := i.Totals
	switch {
	case t == nil:
		return p.l.Say("From %s to %s UTC the market was settled.", from, to) + " " + p.l.Say(i.Why)
	case t.LocalWh > 0:
		return p.l.Say("From %s to %s UTC neighbours shared %s at %s; %s came from the grid, %s went to it.", from, to,
			p.l.energy(t.LocalWh), i.Cost(t.LocalPrice), p.l.energy(t.GridImportWh), p.l.energy(t.GridExportWh))
	}
	return p.l.Say("From %s to %s UTC neighbours shared nothing; %s came from the grid, %s went to it.", from, to, p.l.energy(t.GridImportWh), p.l.energy(t.GridExportWh))
}

// Terms is the tariff in force.
func (p marketPage) Terms() *api.TariffItem { return p.Zone.Tariff }

// Cost is a price of a kWh in the tariff's currency.
func (p marketPage) Cost(text string) string { return p.l.price(text, p.Zone.Tariff.Currency) }

func (d *Dashboard) serveMarket(w http.ResponseWriter, r *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	l := spoken(w)
	zones := a.Zones()
	if len(zones) == 0 {
		d.missing(w, http.StatusNotFound, l.Say("There is no market on this ledger."), l.Say("It begins with a tariff for a zone: see wattmark market tariff --help."))
		return
	}
	p := marketPage{l: l, Zone: zones[0]}
	if name := r.URL.Query().Get("zone"); name != "" {
		i := slices.IndexFunc(zones, func(z api.ZoneItem) bool { return z.Zone == name })
		if i < 0 {
			d.missing(w, http.StatusNotFound, l.Say("There is no zone %q on this ledger.", shorten(name, 40)), l.Say("The market’s page names those that there are."))
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
		row := intervalRow{l, day[i]}
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
		p.Chart = template.HTML(chart.Energy(bars, interval, l.Locale, l.Say("Energy by quarter hour: shared among neighbours, from the grid and to the grid.")+" "+p.Sentence()))
	}
	listed := day
	if from := r.URL.Query().Get("from"); from != "" {
		at, err := unit.ParseInterval(from)
		if err != nil {
			d.missing(w, http.StatusNotFound, l.Say("The list starts at an interval, and %q is none.", shorten(from, 40)), l.Say("Start again from the newest one."))
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
		p.Rows = append(p.Rows, intervalRow{l, listed[i]})
	}
	if more {
		before := p.Rows[len(p.Rows)-1].Start().Add(-interval)
		p.Older = "/market?zone=" + url.QueryEscape(p.Zone.Zone) + "&from=" + before.Format(time.RFC3339)
	}
	d.write(w, http.StatusOK, frame{Title: l.Say("Market"), Page: "market", Topic: topicInterval, Data: p})
}

func (d *Dashboard) serveInterval(w http.ResponseWriter, r *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	l := spoken(w)
	at, err := unit.ParseInterval(r.PathValue("start"))
	if err != nil {
		d.missing(w, http.StatusNotFound, l.Say("There is no interval %q.", shorten(r.PathValue("start"), 40)), l.Say("Intervals begin at each quarter hour, in UTC, and are written as 2026-06-17T10:00:00Z."))
		return
	}
	item, err := a.Interval(r.PathValue("zone"), at)
	if err != nil {
		d.problem(w, err)
		return
	}
	book, err := a.Book(item)
	if err != nil {
		d.problem(w, err)
		return
	}
	d.write(w, http.StatusOK, frame{Title: l.Say("Interval %s", item.Interval), Page: "market-interval", Topic: topicInterval, Data: intervalPage{intervalRow{l, *item}, book}})
}

// queries returns what the pages of market and carbon read, or answers that there is nothing.
func (d *Dashboard) queries(w http.ResponseWriter) (*api.API, bool) {
	if d.options.API == nil {
		l := spoken(w)
		d.missing(w, http.StatusNotFound, l.Say("This page server has no accounts to read."), l.Say("Ask an oracle's, or run: %s", "wattmark market intervals --dir "+quoted(d.options.Dir)))
		return nil, false
	}
	return d.options.API, true
}

// problem answers with what a question to the API came to.
func (d *Dashboard) problem(w http.ResponseWriter, err error) {
	l := spoken(w)
	status, what, remedy := api.Explain(err)
	d.missing(w, status, l.known(what), l.known(remedy))
}
