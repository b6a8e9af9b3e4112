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
	s := total(v.Homes)
	m.text["street"], m.text["doubt"] = streetSentence(v.Homes), doubt(v.Homes)
	m.text["clock"] = clock(v.At)
	m.text["date"] = date(v.At)
	m.text["using"], m.text["made"] = power(s.using), power(s.made)
	m.text["grid"], m.text["grid.label"] = power(max(s.grid, -s.grid)), "From the grid"
	if s.grid < 0 {
		m.text["grid.label"] = "To the grid"
	}
	if f := v.Feeder; f != nil {
		m.text["feeder"] = "the feeder meter " + direction(f.GridW)
	}
	if k := v.Stack; k != nil {
		m.text["co2"] = count(uint64(max(k.CO2PPM, 0))) + thinSpace + "ppm"
		m.text["air"] = fixed(rounded(k.TemperatureCenti, 10), 1) + thinSpace + "°C, " + fixed(rounded(k.HumidityCenti, 100), 0) + thinSpace + "% humidity"
	}
}

func (m *now) fillOthers(v *View) {
	if f := v.Feeder; f != nil {
		m.text["feeder.reads"], m.text["feeder.waiting"] = direction(f.GridW), kept(f.Waiting)
		m.Others = append(m.Others, otherRow{"feeder", "Feeder meter", f.State, m})
	}
	if k := v.Stack; k != nil {
		m.text["stack.reads"], m.text["stack.waiting"] = m.text["co2"]+" CO₂, "+m.text["air"], kept(k.Waiting)
		m.Others = append(m.Others, otherRow{"stack", "Stack", k.State, m})
	}
}

func (m *now) fillOracles(oracles []Oracle) {
	for i, o := range oracles[:min(len(oracles), maxLines)] {
		o.Name = shorten(o.Name, 64)
		key := "oracle." + strconv.Itoa(i) + "."
		m.text[key+"height"], m.text[key+"final"] = count(o.Height), count(o.Final)
		if o.State == StateStarting {
			m.text[key+"height"], m.text[key+"final"] = "none", "none"
		}
		m.Oracles = append(m.Oracles, oracleRow{i, o, m})
	}
}

// kept says how many statements wait in an outbox; it is empty where none does.
func kept(waiting uint64) string {
	if waiting == 0 {
		return ""
	}
	return count(waiting) + " kept"
}

func (m *now) fillLedger(v *View, s *snapshot) {
	m.text["ledger"] = ledgerSentence(v, s)
	m.text["height"], m.text["leaves"], m.text["final"] = "none", "no leaves", "none final yet"
	if len(s.blocks) > 0 {
		m.text["height"] = count(s.blocks[0].Height)
		m.text["leaves"] = counted(s.blocks[0].Size, "leaf", "leaves")
	}
	if s.anyFinal {
		m.text["final"] = "final up to " + count(s.final)
	}
	m.text["acknowledged"] = count(v.Acknowledged)
	m.text["signed"] = "of " + counted(v.Signed, "statement", "statements") + " signed"
	m.text["waiting"] = count(v.Waiting) + " waiting"
	m.text["refused"] = count(refusedOf(v))
}

// barHalf is half the width of a home's bar, in tenths of its view box's units.
const barHalf = 1000

func (m *now) fillHomes(homes []Home) {
	m.More = max(len(homes)-maxHomes, 0)
	homes = homes[:min(len(homes), maxHomes)]
	var most int64
	for i := range homes {
		w := tame(homes[i].GridW)
		most = max(most, w, -w)
	}
	top := chart.Top(most)
	m.text["bar"] = power(top)
	for i := range homes {
		h := homes[i]
		h.Name, h.GridW, h.SolarW = shorten(h.Name, 40), tame(h.GridW), tame(max(h.SolarW, 0))
		m.Homes = append(m.Homes, homeRow{i, h, m})
		key := "home." + strconv.Itoa(i) + "."
		m.text[key+"grid"] = direction(h.GridW)
		m.text[key+"solar"] = "none"
		if h.Solar {
			m.text[key+"solar"] = power(h.SolarW)
		}
		m.text[key+"waiting"] = kept(h.Waiting)
		takes, gives := max(h.GridW, 0)*barHalf/top, max(-h.GridW, 0)*barHalf/top
		m.attr[key+"takes"] = map[string]string{"width": tenths(takes)}
		m.attr[key+"gives"] = map[string]string{"x": tenths(barHalf - gives), "width": tenths(gives)}
	}
}

func tenths(n int64) string { return fmt.Sprintf("%d.%d", n/10, n%10) }

func (m *now) fillChart(samples []chart.Sample) {
	to := m.View.At
	m.Figure = chart.Power(samples, to.Add(-m.Options.Window), to, m.language.Locale)
	m.text["chart.title"] = "Power of the last " + m.Window() + ": " + m.text["street"]
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

// Window says how long the chart's stretch of time is.
func (m *now) Window() string {
	w := m.Options.Window
	switch {
	case w >= 2*time.Hour && w%time.Hour == 0:
		return fmt.Sprintf("%d hours", w/time.Hour)
	case w >= 2*time.Minute && w%time.Minute == 0:
		return fmt.Sprintf("%d minutes", w/time.Minute)
	}
	return w.String()
}

// Quorum says how many oracles make a block final.
func (m *now) Quorum() string {
	if m.Options.Quorum <= 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d oracles make a block final.", m.Options.Quorum, max(len(m.Oracles), m.Options.Quorum))
}
