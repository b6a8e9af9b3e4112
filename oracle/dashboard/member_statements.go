package dashboard

import (
	"html/template"
	"net/http"
	"net/url"
	"time"

	"wattmark/ledger/unit"
	"wattmark/oracle/export"
)

// shownMonths is how far back statements are looked for.
const shownMonths = 12

// statementsPage lists what a member's months came to, the newest first.
type statementsPage struct {
	Member string
	Months []monthRow
}

// Count is how many there are.
func (p statementsPage) Count() int64 { return int64(len(p.Months)) }

// monthRow is a month as the page shows it.
type monthRow struct {
	*export.Statement
	page memberPage // for its words
}

// ID and Name are the month.
func (m monthRow) ID() string   { return m.start().Format("2006-01") }
func (m monthRow) Name() string { return m.page.l.Month(m.start()) }

func (m monthRow) start() time.Time { return time.Unix(m.From.Start(), 0).UTC() }

// Query asks for the same period.
func (m monthRow) Query() template.URL {
	return template.URL(url.Values{"from": {m.From.String()}, "to": {m.To.String()}}.Encode())
}

// Way, Amount and Better say what it came to.
func (m monthRow) Way() string {
	if m.Invoice.Total < 0 {
		return m.page.l.Say("Paid")
	}
	return m.page.l.Say("Earned")
}

// Headline says in a sentence what the month came to.
func (m monthRow) Headline() string { return m.page.Headline() }

func (m monthRow) Amount() string { return m.page.Sum(m.page.Abs(m.Invoice.Total)) }
func (m monthRow) Better() string { return m.page.Sum(m.Invoice.Saving) }

// Quarters is how many intervals it has, and Open what may change.
func (m monthRow) Quarters() string { return m.page.l.Number(uint64(len(m.Spots))) }
func (m monthRow) Open() string     { return m.page.PreliminaryText() }

// Digest is that of the lines.
func (m monthRow) Digest() string { return m.Statement.Digest() }

func (d *Dashboard) serveStatements(w http.ResponseWriter, r *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	member, err := a.Member(r)
	if err != nil {
		d.askSignIn(w, r, http.StatusOK, nil)
		return
	}
	newest, err := a.Statement(member, 0, 0) // of the newest day that has anything
	if err != nil {
		d.problem(w, err)
		return
	}
	l := spoken(w)
	p := statementsPage{Member: member}
	day := time.Unix(newest.From.Start(), 0).UTC()
	for from := time.Date(day.Year(), day.Month(), 1, 0, 0, 0, 0, time.UTC); len(p.Months) < shownMonths && from.After(day.AddDate(-1, 0, 0)); from = from.AddDate(0, -1, 0) {
		s, err := a.Statement(member, unit.Interval(from.Unix()), unit.Interval(from.AddDate(0, 1, 0).Unix()))
		if err != nil {
			d.problem(w, err)
			return
		}
		if len(s.Spots) > 0 {
			p.Months = append(p.Months, monthRow{s, memberPage{Statement: s, l: l}})
		}
	}
	d.write(w, http.StatusOK, frame{Title: l.Say("Statements of %s", member), Page: "member-statements", Topic: topicInterval, Data: p})
}
