package dashboard

import (
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
	"wattmark/oracle/api"
	"wattmark/oracle/dashboard/chart"
	"wattmark/oracle/export"
	"wattmark/signer/words"
)

const dayOf = unit.Interval(24 * time.Hour / time.Second)

// memberPage is what a member sees of the own home.
type memberPage struct {
	*export.Statement
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
func (p memberPage) Day() string { return time.Unix(p.From.Start(), 0).UTC().Format("2 January 2006") }

// Sum says what an amount is, in hundredths.
func (p memberPage) Sum(m unit.Money) string {
	c, _ := m.Cents()
	sign := ""
	if c < 0 {
		sign, c = minus, -c
	}
	return sign + c.String() + " " + p.Currency
}

// PreliminaryText says how much of the sum is not invoiced.
func (p memberPage) PreliminaryText() string {
	switch n := p.Preliminary(); n {
	case 0:
		return ""
	case 1:
		return "one quarter hour is preliminary"
	default:
		return count(uint64(n)) + " quarter hours are preliminary"
	}
}

// Sense says which way an amount goes.
func (p memberPage) Sense(m unit.Money) string {
	if m < 0 {
		return "paid"
	}
	return "earned"
}

// Abs is an amount without its direction.
func (p memberPage) Abs(m unit.Money) unit.Money {
	if m < 0 {
		return -m
	}
	return m
}

// Cost is a price of a kWh in the statement's currency.
func (p memberPage) Cost(text string) string { return price(text, p.Currency) }

// memberRow is an interval of the member's.
type memberRow struct {
	export.Spot
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
		return stateWord{"!", "disputed", "warn"}
	case r.Quality == market.Missing:
		return stateWord{"!", "no reading", "warn"}
	case r.Quality == market.Estimated:
		return stateWord{"!", "estimated", "warn"}
	case r.Corrected:
		return stateWord{"✓", "corrected", "good"}
	case r.Run == market.R0:
		return stateWord{"○", "preliminary", "muted"}
	}
	return stateWord{"✓", "invoiced", "good"}
}

// Disputable says that the row can be disputed: it is invoiced.
func (r memberRow) Disputable() bool { return r.Run != market.R0 && !r.Disputed }

// In and Out are what came in and went out, in words.
func (r memberRow) In() string {
	return flow(r.FromNeighbours, "from neighbours", r.FromGrid, "from the grid")
}
func (r memberRow) Out() string {
	return flow(r.ToNeighbours, "to neighbours", r.ToGrid, "to the grid")
}

func flow(a unit.Energy, first string, b unit.Energy, second string) string {
	switch {
	case a == 0 && b == 0:
		return "nothing"
	case a == 0:
		return energy(int64(b)) + " " + second
	case b == 0:
		return energy(int64(a)) + " " + first
	}
	return energy(int64(a)) + " " + first + ", " + energy(int64(b)) + " " + second
}

// signIn is what who is not signed in sees.
type signIn struct {
	Members []string // whose page a demonstration shows
	Far     bool     // that who asks sits at another machine than the demonstration, which shows them nothing
	Refused string   // why a code was not taken
	Remedy  string
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
	var from, to unit.Interval
	if text := r.URL.Query().Get("day"); text != "" {
		at, err := time.Parse(time.DateOnly, text)
		if err != nil {
			d.missing(w, http.StatusNotFound, "There is no day "+strconv.Quote(shorten(text, 40))+".", "Days are written as 2026-06-17.")
			return
		}
		from = unit.Interval(at.Unix())
		to = from + dayOf
		if from.Check() != nil || to.Check() != nil {
			d.missing(w, http.StatusNotFound, "There is no day "+strconv.Quote(shorten(text, 40))+".", "Days are written as 2026-06-17.")
			return
		}
	}
	s, err := a.Statement(member, from, to)
	if err != nil {
		d.problem(w, err)
		return
	}
	p := d.memberPage(a, s)
	readings, err := a.Power(member)
	if err != nil {
		d.problem(w, err)
		return
	}
	p.Power = powerOf(readings)
	d.write(w, http.StatusOK, frame{now: d.page(), Title: "Member " + member, Page: "member", Topic: topicInterval + "," + topicMe, Script: "member.js", Data: p})
}

func (d *Dashboard) memberPage(a *api.API, s *export.Statement) memberPage {
	p := memberPage{
		Statement: s,
		Before:    "/member?day=" + time.Unix(s.From.Start()-int64(dayOf), 0).UTC().Format(time.DateOnly),
		Query:     template.URL(url.Values{"from": {s.From.String()}, "to": {s.To.String()}}.Encode()),
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
		row := memberRow{i, strings.TrimSuffix(p.Sum(amounts[i.Interval]), " "+s.Currency), s.Zone, disputed[i.Interval]}
		bars = append(bars, chart.Bar{
			At: row.StartTime(), Shared: int64(i.FromNeighbours), FromGrid: int64(i.FromGrid), Sent: int64(i.ToNeighbours), ToGrid: int64(i.ToGrid), Unknown: i.Quality == market.Missing,
		})
		p.Rows = append([]memberRow{row}, p.Rows...)
	}
	p.Chart = template.HTML(chart.Energy(bars, interval, "Energy by quarter hour, from and to neighbours and the grid. "+s.Headline()))
	return p
}

// askSignIn says how a member comes to the own page.
func (d *Dashboard) askSignIn(w http.ResponseWriter, r *http.Request, status int, refused error) {
	scheme := "https"
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
		_, p.Refused, p.Remedy = api.Explain(refused)
	}
	d.write(w, status, frame{now: d.page(), Title: "Member", Page: "member-sign-in", Script: "member.js", Data: p})
}

// serveJoin is where an invitation leads. What it says is behind the #, and comes to no server
// before the member's own key has signed it.
func (d *Dashboard) serveJoin(w http.ResponseWriter, r *http.Request) {
	if _, ok := d.queries(w); !ok {
		return
	}
	d.write(w, http.StatusOK, frame{now: d.page(), Title: "Join", Page: "member-join", Script: "member.js", Data: strings.Join(words.List(), " ")})
}

// serveEnter shows who comes with a code a button: what only looks at links uses up no code.
func (d *Dashboard) serveEnter(w http.ResponseWriter, r *http.Request) {
	if _, ok := d.queries(w); !ok {
		return
	}
	d.write(w, http.StatusOK, frame{now: d.page(), Title: "Sign in", Page: "member-enter", Data: shorten(r.URL.Query().Get("code"), 64)})
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
