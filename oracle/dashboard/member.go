package dashboard

import (
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard/chart"
	"wattmark/oracle/dashboard/locale"
	"wattmark/oracle/export"
	"wattmark/signer/words"
)

const dayOf = unit.Interval(24 * time.Hour / time.Second)

// memberPage is what a member sees of the own home.
type memberPage struct {
	*export.Statement
	l         language
	Power     powerNow
	Chart     template.HTML
	Rows      []memberRow // the newest first
	Before    string      // days, empty for none
	After     string
	Query     template.URL // of the same period, for files
	LeastSell *string
	MostBuy   *string
}

// Disputable are the rows that can be disputed.
func (p memberPage) Disputable() (rows []memberRow) {
	for _, r := range p.Rows {
		if r.Disputable() {
			rows = append(rows, r)
		}
	}
	return rows
}

// Day is the page's.
func (p memberPage) Day() string { return p.l.Date(time.Unix(p.From.Start(), 0)) }

// Sum says what an amount is, in hundredths.
func (p memberPage) Sum(m unit.Money) string {
	c, _ := m.Cents()
	sign := ""
	if c < 0 {
		sign, c = minus, -c
	}
	return sign + p.l.Decimal(c.String()) + " " + p.Currency
}

// PreliminaryText says how much of the sum is not invoiced.
func (p memberPage) PreliminaryText() string {
	switch n := p.Preliminary(); n {
	case 0:
		return ""
	case 1:
		return p.l.Say("one quarter hour is preliminary")
	default:
		return p.l.Say("%s quarter hours are preliminary", p.l.Number(uint64(n)))
	}
}

// Sense is an amount, and which way it goes.
func (p memberPage) Sense(m unit.Money) string {
	if m < 0 {
		return p.l.Say("%s paid", p.Sum(-m))
	}
	return p.l.Say("%s earned", p.Sum(m))
}

// Headline says in a sentence what the period came to, as the statement says it in English.
func (p memberPage) Headline() string {
	total, alone, saving := p.Invoice.Total, p.Invoice.Counterfactual, p.Invoice.Saving
	said := p.l.Say("You earned %s.", p.Sum(total))
	if total < 0 {
		said = p.l.Say("You paid %s.", p.Sum(-total))
	}
	c, _ := saving.Cents()
	with, better := p.Sum(p.Abs(alone)), p.Sum(p.Abs(saving))
	switch {
	case alone < 0 && c == 0:
		return said + " " + p.l.Say("With the supplier alone you would have paid %s: that is the same.", with)
	case alone < 0 && c < 0:
		return said + " " + p.l.Say("With the supplier alone you would have paid %s: that is %s worse.", with, better)
	case alone < 0:
		return said + " " + p.l.Say("With the supplier alone you would have paid %s: that is %s better.", with, better)
	case c == 0:
		return said + " " + p.l.Say("With the supplier alone you would have earned %s: that is the same.", with)
	case c < 0:
		return said + " " + p.l.Say("With the supplier alone you would have earned %s: that is %s worse.", with, better)
	}
	return said + " " + p.l.Say("With the supplier alone you would have earned %s: that is %s better.", with, better)
}

// Abs is an amount without its direction.
func (p memberPage) Abs(m unit.Money) unit.Money {
	if m < 0 {
		return -m
	}
	return m
}

// Cost is a price of a kWh in the statement's currency.
func (p memberPage) Cost(text string) string { return p.l.price(text, p.Currency) }

// memberRow is an interval of the member's.
type memberRow struct {
	export.Spot
	l        language
	Amount   string
	Zone     string
	Disputed bool
}

// StartTime is when it began.
func (r memberRow) StartTime() time.Time { return time.Unix(r.Interval.Start(), 0).UTC() }

// Path is the page of the interval.
func (r memberRow) Path() string {
	return "/market/" + url.PathEscape(r.Zone) + "/" + r.Interval.String()
}

// Word says how sure the figures are.
func (r memberRow) Word() stateWord {
	switch {
	case r.Disputed:
		return stateWord{"!", r.l.Say("disputed"), "warn"}
	case r.Quality == market.Missing:
		return stateWord{"!", r.l.Say("no reading"), "warn"}
	case r.Quality == market.Estimated:
		return stateWord{"!", r.l.Say("estimated"), "warn"}
	case r.Corrected:
		return stateWord{"✓", r.l.Say("corrected"), "good"}
	case r.Run == market.R0:
		return stateWord{"○", r.l.Say("preliminary"), "muted"}
	}
	return stateWord{"✓", r.l.Say("invoiced"), "good"}
}

// Disputable says that the row can be disputed: it is invoiced.
func (r memberRow) Disputable() bool { return r.Run != market.R0 && !r.Disputed }

// In and Out are what came in and went out, in words.
func (r memberRow) In() string {
	return r.l.flow(r.FromNeighbours, locale.Text("%s from neighbours"), r.FromGrid, locale.Text("%s from the grid"))
}
func (r memberRow) Out() string {
	return r.l.flow(r.ToNeighbours, locale.Text("%s to neighbours"), r.ToGrid, locale.Text("%s to the grid"))
}

func (l language) flow(a unit.Energy, first string, b unit.Energy, second string) string {
	switch {
	case a == 0 && b == 0:
		return l.Say("nothing")
	case a == 0:
		return l.Say(second, l.energy(int64(b)))
	case b == 0:
		return l.Say(first, l.energy(int64(a)))
	}
	return l.Say(first, l.energy(int64(a))) + ", " + l.Say(second, l.energy(int64(b)))
}

// signIn is what who is not signed in sees.
type signIn struct {
	Members []string      // whose page a demonstration shows
	Far     bool          // that who asks sits at another machine than the demonstration, which shows them nothing
	Refused template.HTML // why a code was not taken
	Remedy  template.HTML
	URL     string // of this server
}

func (d *Dashboard) serveMember(w http.ResponseWriter, r *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	member, err := a.Member(r)
	if err != nil {
		d.askSignIn(w, r, http.StatusOK, nil)
		return
	}
	l := spoken(w)
	var from, to unit.Interval
	if text := r.URL.Query().Get("day"); text != "" {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			d.missing(w, http.StatusNotFound, l.Say("There is no day %q.", shorten(text, 40)), l.Say("Days are written as 2026-06-17."))
			return
		}
		from = unit.Interval(at.Unix())
		to = from + dayOf
		if from.Check() != nil || to.Check() != nil {
			d.missing(w, http.StatusNotFound, l.Say("There is no day %q.", shorten(text, 40)), l.Say("Days are written as 2026-06-17."))
			return
		}
	}
	s, err := a.Statement(member, from, to)
	if err != nil {
		d.problem(w, err)
		return
	}
	p := d.memberPage(l, a, s)
	readings, err := a.Power(member)
	if err != nil {
		d.problem(w, err)
		return
	}
	p.Power = powerOf(l, readings)
	d.write(w, http.StatusOK, frame{Title: l.Say("Member %s", member), Page: "member", Topic: topicInterval + "," + topicMe, Script: "member.js", Data: p})
}

func (d *Dashboard) memberPage(l language, a *api.API, s *export.Statement) memberPage {
	p := memberPage{
		Statement: s, l: l,
		Before: "/member?day=" + time.Unix(s.From.Start()-int64(dayOf), 0).UTC().Format(time.DateOnly),
		Query:  template.URL(url.Values{"from": {s.From.String()}, "to": {s.To.String()}}.Encode()),
	}
	if s.To.StartMilli() <= s.Time {
		p.After = "/member?day=" + time.Unix(s.To.Start(), 0).UTC().Format(time.DateOnly)
	}
	p.LeastSell, p.MostBuy = a.Limits(s.Member)
	disputed := make(map[unit.Interval]bool)
	for _, i := range s.Disputed {
		disputed[i] = true
	}
	amounts := api.Amounts(s)
	var bars []chart.Bar
	for _, i := range s.Spots {
		row := memberRow{i, l, strings.TrimSuffix(p.Sum(amounts[i.Interval]), " "+s.Currency), s.Zone, disputed[i.Interval]}
		bars = append(bars, chart.Bar{
			At: row.StartTime(), Shared: int64(i.FromNeighbours), FromGrid: int64(i.FromGrid), Sent: int64(i.ToNeighbours), ToGrid: int64(i.ToGrid), Unknown: i.Quality == market.Missing,
		})
		p.Rows = append([]memberRow{row}, p.Rows...)
	}
	p.Chart = template.HTML(chart.Energy(bars, interval, l.Locale, l.Say("Energy by quarter hour, from and to neighbours and the grid.")+" "+p.Headline()))
	return p
}

// askSignIn says how a member comes to the own page.
func (d *Dashboard) askSignIn(w http.ResponseWriter, r *http.Request, status int, refused error) {
	l, scheme := spoken(w), "https"
	if r.TLS == nil && r.Header.Get("X-Forwarded-Proto") != "https" {
		scheme = "http"
	}
	p := signIn{URL: scheme + "://" + r.Host}
	if d.options.OpenMembers {
		if p.Far = !api.SessionsOver(r); !p.Far {
			p.Members = d.options.API.Members()
		}
	}
	if refused != nil {
		_, what, remedy := api.Explain(refused)
		p.Refused, p.Remedy = l.known(what), l.known(remedy)
	}
	d.write(w, status, frame{Title: l.Say("Member"), Page: "member-sign-in", Script: "member.js", Data: p})
}

// serveJoin is where an invitation leads. What it says is behind the #, and comes to no server
// before the member's own key has signed it.
func (d *Dashboard) serveJoin(w http.ResponseWriter, r *http.Request) {
	if _, ok := d.queries(w); !ok {
		return
	}
	d.write(w, http.StatusOK, frame{Title: spoken(w).Say("Join"), Page: "member-join", Script: "member.js", Data: strings.Join(words.List(), " ")})
}

// serveEnter shows who comes with a code a button: what only looks at links uses up no code.
func (d *Dashboard) serveEnter(w http.ResponseWriter, r *http.Request) {
	if _, ok := d.queries(w); !ok {
		return
	}
	d.write(w, http.StatusOK, frame{Title: spoken(w).Say("Sign in"), Page: "member-enter", Data: shorten(r.URL.Query().Get("code"), 64)})
}

func (d *Dashboard) takeCode(w http.ResponseWriter, r *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1024)
	code := r.PostFormValue("code")
	if name := r.PostFormValue("as"); name != "" && d.options.OpenMembers {
		var err error
		if code, err = a.Invite(name); err != nil {
			d.problem(w, err)
			return
		}
	}
	c, err := a.Enter(r, code)
	if err != nil {
		status, _, _ := api.Explain(err)
		d.askSignIn(w, r, status, err)
		return
	}
	http.SetCookie(w, c)
	http.Redirect(w, r, "/member", http.StatusSeeOther)
}

func (d *Dashboard) serveLeave(w http.ResponseWriter, r *http.Request) {
	a, ok := d.queries(w)
	if !ok {
		return
	}
	http.SetCookie(w, a.Leave(r))
	http.Redirect(w, r, "/member", http.StatusSeeOther)
}
