package dashboard

import (
	"fmt"
	"html/template"
	"strconv"
	"time"

	"wattmark/oracle/dashboard/chart"
)

// maxHomes is how many homes the page lists; the sums have all of them.
const maxHomes = 48

// maxLines is how many oracles and reasons the page lists.
const maxLines = 32

// now is what the page / shows. It does not change once it is made, so that one
// serves every request until the next.
type now struct {
	language language
	Options  Options
	Event    uint64    // the newest event that it has in it
	Built    time.Time // wall clock
	View     View
	More     int // homes that are not listed
	Homes    []homeRow
	Others   []otherRow // gateways that are in no home
	Oracles  []oracleRow
	Blocks   []blockRow
	// Receipts and Notices are the rows of those tables.
	Receipts []receiptLine
	Notices  []noticeLine
	Samples  []chart.Sample // newest first, for the table
	Figure   chart.Figure

	text map[string]string            // by data-live
	attr map[string]map[string]string // by data-live
}

type homeRow struct {
	Index int
	Home
	m *now
}

// Live returns the row's named element, kept fresh by the script.
func (r homeRow) Live(name string) template.HTML {
	return r.m.Live("home." + strconv.Itoa(r.Index) + "." + name)
}

// Attr returns an attribute of the row's named element, and its name.
func (r homeRow) Attr(name, attr string) string {
	return r.m.attr["home."+strconv.Itoa(r.Index)+"."+name][attr]
}

// otherRow is the gateway of the feeder or of the stack.
type otherRow struct {
	ID, Name string
	State    State
	m        *now
}

// Live returns the row's named element, kept fresh by the script.
func (r otherRow) Live(name string) template.HTML { return r.m.Live(r.ID + "." + name) }

type oracleRow struct {
	Index int
	Oracle
	m *now
}

// Live returns the row's named element, kept fresh by the script.
func (r oracleRow) Live(name string) template.HTML {
	return r.m.Live("oracle." + strconv.Itoa(r.Index) + "." + name)
}

type blockRow struct {
	Block
	Links bool
}

type receiptLine struct {
	receiptRow
	Links bool
}

type noticeLine struct {
	noticeRow
	Links bool
}

// LeafIndex returns the leaf that proves the notice.
func (n noticeLine) LeafIndex() uint64 {
	if n.Leaf == nil {
		return 0
	}
	return *n.Leaf
}

// build makes the page of a view, of what was told, and of the samples so far.
func (d *Dashboard) build(l language, v View, s snapshot, samples []chart.Sample, wall time.Time) *now {
	m := &now{
		language: l, Options: d.options, Built: wall, View: v,
		text: make(map[string]string), attr: make(map[string]map[string]string),
	}
	links := d.options.Ledger != nil
	for _, b := range s.blocks {
		m.Blocks = append(m.Blocks, blockRow{b, links})
	}
	for _, r := range s.receipts {
		m.Receipts = append(m.Receipts, receiptLine{r, links})
	}
	for _, n := range s.notices {
		m.Notices = append(m.Notices, noticeLine{n, links})
	}
	m.fillStreet(&v)
	m.fillLedger(&v, &s)
	m.fillHomes(v.Homes)
	m.fillOthers(&v)
	m.fillOracles(v.Oracles)
	m.fillChart(samples)
	m.View.Refusals = m.View.Refusals[:min(len(m.View.Refusals), maxLines)]
	return m
}

// outline returns the names of all that the page has elements for, and the states
// of its rows: homes, others, oracles. Pages of one outline have as many states.
func (m *now) outline() (names []string, states []State) {
	names = append(names, fmt.Sprintf("%d %d %d %d", len(m.Homes), m.More, len(m.Others), len(m.Oracles)))
	for _, h := range m.Homes {
		names, states = append(names, h.Name), append(states, h.State)
	}
	for _, o := range m.Others {
		names, states = append(names, o.Name), append(states, o.State)
	}
	for _, o := range m.Oracles {
		names, states = append(names, o.Name), append(states, o.State)
	}
	return names, states
}

func (m *now) fillStreet(v *View) {
	l, s := m.language, total(v.Homes)
	m.text["street"], m.text["doubt"] = l.streetSentence(v.Homes), l.doubt(v.Homes)
	m.text["clock"] = clock(v.At)
	m.text["date"] = l.Date(v.At)
	m.text["using"], m.text["made"] = l.power(s.using), l.power(s.made)
	m.text["grid"], m.text["grid.label"] = l.power(max(s.grid, -s.grid)), l.Say("From the grid")
	if s.grid < 0 {
		m.text["grid.label"] = l.Say("To the grid")
	}
	if f := v.Feeder; f != nil {
		m.text["feeder"] = l.Say("the feeder meter %s", l.direction(f.GridW))
	}
	if k := v.Stack; k != nil {
		m.text["co2"] = l.Number(uint64(max(k.CO2PPM, 0))) + thinSpace + "ppm"
		m.text["air"] = l.Fixed(rounded(k.TemperatureCenti, 10), 1) + thinSpace + "°C, " + l.Say("%s humidity", l.Fixed(rounded(k.HumidityCenti, 100), 0)+thinSpace+"%")
	}
}

func (m *now) fillOthers(v *View) {
	l := m.language
	if f := v.Feeder; f != nil {
		m.text["feeder.reads"], m.text["feeder.waiting"] = l.direction(f.GridW), l.kept(f.Waiting)
		m.Others = append(m.Others, otherRow{"feeder", l.Say("Feeder meter"), f.State, m})
	}
	if k := v.Stack; k != nil {
		m.text["stack.reads"], m.text["stack.waiting"] = m.text["co2"]+" CO₂, "+m.text["air"], l.kept(k.Waiting)
		m.Others = append(m.Others, otherRow{"stack", l.Say("Stack"), k.State, m})
	}
}

func (m *now) fillOracles(oracles []Oracle) {
	l := m.language
	for i, o := range oracles[:min(len(oracles), maxLines)] {
		o.Name = shorten(o.Name, 64)
		key := "oracle." + strconv.Itoa(i) + "."
		m.text[key+"height"], m.text[key+"final"] = l.Number(o.Height), l.Number(o.Final)
		if o.State == StateStarting {
			m.text[key+"height"], m.text[key+"final"] = l.Say("none"), l.Say("none")
		}
		m.Oracles = append(m.Oracles, oracleRow{i, o, m})
	}
}

// kept says how many statements wait in an outbox; it is empty where none does.
func (l language) kept(waiting uint64) string {
	if waiting == 0 {
		return ""
	}
	return l.Count(waiting, "%s kept", "%s kept")
}

func (m *now) fillLedger(v *View, s *snapshot) {
	l := m.language
	m.text["ledger"] = l.ledgerSentence(v, s)
	m.text["height"], m.text["leaves"], m.text["final"] = l.Say("none"), l.Say("no leaves"), l.Say("none final yet")
	if len(s.blocks) > 0 {
		m.text["height"] = l.Number(s.blocks[0].Height)
		m.text["leaves"] = l.Count(s.blocks[0].Size, "%s leaf", "%s leaves")
	}
	if s.anyFinal {
		m.text["final"] = l.Say("final up to %s", l.Number(s.final))
	}
	m.text["acknowledged"] = l.Number(v.Acknowledged)
	m.text["signed"] = l.Count(v.Signed, "of %s statement signed", "of %s statements signed")
	m.text["waiting"] = l.Count(v.Waiting, "%s waiting|one", "%s waiting")
	m.text["refused"] = l.Number(refusedOf(v))
}

// barHalf is half the width of a home's bar, in tenths of its view box's units.
const barHalf = 1000

func (m *now) fillHomes(homes []Home) {
	l := m.language
	m.More = max(len(homes)-maxHomes, 0)
	homes = homes[:min(len(homes), maxHomes)]
	var most int64
	for i := range homes {
		w := tame(homes[i].GridW)
		most = max(most, w, -w)
	}
	top := chart.Top(most)
	m.text["bar"] = l.power(top)
	for i := range homes {
		h := homes[i]
		h.Name, h.GridW, h.SolarW = shorten(h.Name, 40), tame(h.GridW), tame(max(h.SolarW, 0))
		m.Homes = append(m.Homes, homeRow{i, h, m})
		key := "home." + strconv.Itoa(i) + "."
		m.text[key+"grid"] = l.direction(h.GridW)
		m.text[key+"solar"] = l.Say("none|roof")
		if h.Solar {
			m.text[key+"solar"] = l.power(h.SolarW)
		}
		m.text[key+"waiting"] = l.kept(h.Waiting)
		takes, gives := max(h.GridW, 0)*barHalf/top, max(-h.GridW, 0)*barHalf/top
		m.attr[key+"takes"] = map[string]string{"width": tenths(takes)}
		m.attr[key+"gives"] = map[string]string{"x": tenths(barHalf - gives), "width": tenths(gives)}
	}
}

func tenths(n int64) string { return fmt.Sprintf("%d.%d", n/10, n%10) }

func (m *now) fillChart(samples []chart.Sample) {
	to := m.View.At
	m.Figure = chart.Power(samples, to.Add(-m.Options.Window), to, m.language.Locale)
	m.text["chart.title"] = m.Last() + ": " + m.text["street"]
	for _, p := range m.Figure.Parts() {
		if p.Attr == "" {
			m.text[p.Name] = p.Text
		} else {
			m.attr[p.Name] = map[string]string{p.Attr: p.Text}
		}
	}
	for i := len(samples) - 1; i >= 0; i-- {
		m.Samples = append(m.Samples, samples[i])
	}
}

// Live returns the element that carries a value by name, which the script keeps
// fresh.
func (m *now) Live(name string) template.HTML {
	return template.HTML(`<span data-live="` + name + `">` + template.HTMLEscapeString(m.text[name]) + `</span>`)
}

// Chart returns the chart's markup.
func (m *now) Chart() template.HTML {
	return template.HTML(m.Figure.Markup(m.text["chart.title"]))
}

// Last says what the chart shows.
func (m *now) Last() string {
	l, w := m.language, m.Options.Window
	switch {
	case w >= 2*time.Hour && w%time.Hour == 0:
		return l.Say("Power of the last %d hours", w/time.Hour)
	case w >= 2*time.Minute && w%time.Minute == 0:
		return l.Say("Power of the last %d minutes", w/time.Minute)
	}
	return l.Say("Power of the last %s", w)
}

// Quorum says how many oracles make a block final.
func (m *now) Quorum() string {
	if m.Options.Quorum <= 0 {
		return ""
	}
	return m.language.Say("%d of %d oracles make a block final.", m.Options.Quorum, max(len(m.Oracles), m.Options.Quorum))
}
