package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"wattmark/ledger/market"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/oracle/export"
	"wattmark/signer"
)

// SessionItem is what a signed request for a session gets.
type SessionItem struct {
	About
	Member  string `json:"member"`
	Enter   string `json:"enter" doc:"The path that opens the session in a browser; once, and within two minutes"`
	Expires string `json:"expires" format:"date-time" doc:"When it can be opened no more"`
}

// MemberItem is what a member's intervals came to over a period.
type MemberItem struct {
	About
	Member         string               `json:"member"`
	Zone           string               `json:"zone"`
	Points         []string             `json:"metering_points"`
	From           string               `json:"from" format:"date-time"`
	To             string               `json:"to" format:"date-time"`
	Currency       string               `json:"currency"`
	Headline       string               `json:"headline" doc:"What the period came to, in a sentence"`
	Total          string               `json:"total_amount" doc:"Above nothing the member gets it, below the member pays"`
	Counterfactual string               `json:"supplier_alone_amount" doc:"What the same meter had come to without neighbours"`
	Saving         string               `json:"saving_amount"`
	Preliminary    int                  `json:"preliminary_intervals" doc:"Not invoiced yet: they may change"`
	Disputed       []string             `json:"disputed_intervals"`
	Digest         string               `json:"statement_sha256" doc:"Of the lines as comma-separated values"`
	Intervals      []MemberIntervalItem `json:"intervals"`
}

// MemberIntervalItem is one interval of a member.
type MemberIntervalItem struct {
	Interval       string `json:"interval" format:"date-time"`
	Run            string `json:"run" enum:"R0,R1,RF"`
	Version        uint64 `json:"version"`
	Quality        string `json:"quality" enum:"measured,estimated,missing"`
	ImportWh       int64  `json:"import_wh"`
	ExportWh       int64  `json:"export_wh"`
	FromNeighbours int64  `json:"from_neighbours_wh"`
	ToNeighbours   int64  `json:"to_neighbours_wh"`
	FromGrid       int64  `json:"from_grid_wh"`
	ToGrid         int64  `json:"to_grid_wh"`
	Amount         string `json:"amount"`
	Corrected      bool   `json:"corrected"`
	Block          uint64 `json:"settled_block"`
	Root           string `json:"lines_root_sha256"`
}

var qualities = [...]string{market.Measured: "measured", market.Estimated: "estimated", market.Missing: "missing"}

// statementKinds are the files that a member's statement is written as.
var statementKinds = map[string]string{
	"csv": "text/csv; charset=utf-8", "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	"pdf": "application/pdf", "xml": "application/atom+xml", "html": "text/html; charset=utf-8",
}

// mostDays is how long the period of a request may be.
const mostDays = 366

// Statement returns a member's statement over a period; without one of the newest day that
// has anything of the member.
func (a *API) Statement(member string, from, to unit.Interval) (s *export.Statement, err error) {
	if to != 0 && (to <= from || to-from > mostDays*24*3600) {
		return nil, newProblem(problemForm, http.StatusBadRequest, "No period", "The period must end behind its beginning, and be no longer than a year.", "Give from and to as 2026-06-17T00:00:00Z.")
	}
	a.cfg.Ledger.View(func(st *state.State) {
		if to == 0 {
			now := max(st.Time()/1000, 0)
			if m, ok := st.Member(member); ok {
				for _, z := range st.Zones() {
					if z.Zone == m.Zone && z.Runs[0] > 0 {
						now = z.Runs[0].Start() - 1 // the last that is settled
					}
				}
			}
			from = unit.Interval(now - now%(24*3600))
			to = from + 24*3600
		}
		s, err = export.Of(st, member, from, to)
	})
	if errors.Is(err, export.ErrNoMember) {
		return nil, newProblem(problemThing, http.StatusNotFound, "No such member", fmt.Sprintf("%q is no member of this ledger.", shorten(member)), "The ledger's page finds members by name.")
	}
	if err != nil {
		return nil, a.unreadable("a member's statement", err)
	}
	return s, nil
}

func period(q url.Values) (from, to unit.Interval, err error) {
	if q.Get("from") == "" && q.Get("to") == "" {
		return 0, 0, nil
	}
	for name, at := range map[string]*unit.Interval{"from": &from, "to": &to} {
		if *at, err = unit.ParseInterval(q.Get(name)); err != nil {
			return 0, 0, notInterval(q.Get(name))
		}
	}
	return from, to, nil
}

func (a *API) queryMember(h huma.API) {
	errs := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusInternalServerError}
	huma.Register(h, huma.Operation{
		OperationID: "session", Method: http.MethodPost, Path: "/api/v1/session", Summary: "Begin a session for a browser", Errors: errs,
		Description: "The request is signed with the member's key (RFC 9421): it covers @method and @target-uri, and has created, nonce, keyid and the tag " + signatureTag + ".",
		Middlewares: huma.Middlewares{a.asMember(true)}, DefaultStatus: http.StatusOK,
	}, func(ctx context.Context, _ *struct{}) (*output[SessionItem], error) {
		who := ctx.Value(asked{}).(asked)
		code, err := a.code(who.member, who.key)
		if err != nil {
			return nil, err
		}
		return &output[SessionItem]{CacheControl: "no-store", Body: SessionItem{a.about("session"), who.member, "/member/enter?code=" + code, a.cfg.Now().Add(enterWithin).UTC().Format(time.RFC3339)}}, nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "signing", Method: http.MethodGet, Path: "/api/v1/signing", Summary: "What a member's next entry is signed with", Errors: errs,
		Description: "The device signs the entry (ledger/entry/FORMAT.md) and sends it to /api/v1/entries.", Middlewares: huma.Middlewares{a.asMember(false)},
	}, func(ctx context.Context, _ *struct{}) (*output[SigningItem], error) {
		s, err := a.signing(ctx.Value(asked{}).(asked))
		if err != nil {
			return nil, err
		}
		return &output[SigningItem]{CacheControl: "no-store", Body: *s}, nil
	})
	huma.Register(h, huma.Operation{
		OperationID: "member", Method: http.MethodGet, Path: "/api/v1/member", Summary: "A member's own intervals", Errors: errs,
		Description: "For who signs the request as for a session, or has one. Without from and to it is of the newest day that is settled.",
		Middlewares: huma.Middlewares{a.asMember(false)},
	}, func(ctx context.Context, in *struct {
		From string `query:"from" maxLength:"40" example:"2026-06-17T00:00:00Z"`
		To   string `query:"to" maxLength:"40" doc:"The interval behind the last"`
	}) (*output[MemberItem], error) {
		from, to, err := period(url.Values{"from": {in.From}, "to": {in.To}})
		if err != nil {
			return nil, err
		}
		s, err := a.Statement(ctx.Value(asked{}).(asked).member, from, to)
		if err != nil {
			return nil, err
		}
		return &output[MemberItem]{CacheControl: "private, no-cache", Body: a.memberItem(s)}, nil
	})
}

// SigningItem is what a member's next entry is signed with.
type SigningItem struct {
	About
	Member   string  `json:"member"`
	KeyID    string  `json:"key_id" doc:"Of the key that the request was signed with, or the session"`
	Boot     uint64  `json:"boot_count"`
	Count    uint64  `json:"sequence_number" doc:"The next that is free"`
	IssuedAt int64   `json:"issued_at" doc:"The ledger's time, Unix seconds"`
	From     int64   `json:"next_interval" doc:"The first interval that a standing entry may hold from, Unix seconds"`
	Currency string  `json:"currency"`
	MaxBuy   *string `json:"max_buy_per_kwh,omitempty" doc:"In force for that interval"`
	MinSell  *string `json:"min_sell_per_kwh,omitempty"`
}

// signing tells who signs by a device what it signs with.
func (a *API) signing(who asked) (*SigningItem, error) {
	out := &SigningItem{About: a.about("signing"), Member: who.member, KeyID: signer.KeyID(who.key).String(), Boot: 1}
	a.cfg.Ledger.View(func(s *state.State) {
		now := a.cfg.Clock().UnixMilli()
		if s.Charter().Simulated {
			now = s.Time()
		}
		out.Count, out.IssuedAt = s.NextCount(signer.KeyID(who.key), out.Boot), now/1000
		// The interval at hand and the next one are too near: their gates may be closing.
		out.From = now/1000/intervalSeconds*intervalSeconds + 2*intervalSeconds
		m, ok := s.Member(who.member)
		for _, z := range s.Zones() {
			if ok && z.Zone == m.Zone {
				out.Currency = z.Tariffs[0].Currency
			}
		}
		if l := s.Standing(who.member, unit.Interval(out.From)); l != nil {
			out.MinSell, out.MaxBuy = priceText(l.MinSell), priceText(l.MaxBuy)
		}
	})
	return out, nil
}

func priceText(p *unit.Price) *string {
	if p == nil {
		return nil
	}
	t := p.String()
	return &t
}

func (a *API) memberItem(s *export.Statement) MemberItem {
	amounts := Amounts(s)
	out := MemberItem{
		About: a.about("member"), Member: s.Member, Zone: s.Zone, Points: append([]string{}, s.Points...), From: s.From.String(), To: s.To.String(), Currency: s.Currency,
		Headline: s.Headline(), Total: s.Invoice.Total.String(), Counterfactual: s.Invoice.Counterfactual.String(), Saving: s.Invoice.Saving.String(),
		Preliminary: s.Preliminary(), Disputed: []string{}, Digest: s.Digest(), Intervals: []MemberIntervalItem{},
	}
	for _, d := range s.Disputed {
		out.Disputed = append(out.Disputed, d.String())
	}
	for _, i := range s.Spots {
		out.Intervals = append(out.Intervals, MemberIntervalItem{
			i.Interval.String(), runNames[i.Run], i.Version, qualities[i.Quality], int64(i.Import), int64(i.Export), int64(i.FromNeighbours), int64(i.ToNeighbours),
			int64(i.FromGrid), int64(i.ToGrid), amounts[i.Interval].String(), i.Corrected, i.Block, fmt.Sprintf("%x", i.Root),
		})
	}
	return out
}

// Amounts are what the lines of a statement come to, by interval.
func Amounts(s *export.Statement) map[unit.Interval]unit.Money {
	out := make(map[unit.Interval]unit.Money)
	for i := range s.Lines {
		out[s.Lines[i].Interval] += s.Lines[i].Amount
	}
	return out
}

// asked is who has asked, as a request's context has it.
type asked struct {
	member string
	key    [16]byte
}

// asMember lets members through, where signed asks for a signature and not for a session.
func (a *API) asMember(signed bool) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		var who asked
		var err error
		if signed {
			who.member, who.key, err = a.authenticate(r)
		} else {
			who.member, who.key, err = a.who(r)
		}
		if err != nil {
			serveError(w, err)
			return
		}
		next(huma.WithValue(ctx, asked{}, who))
	}
}

func serveError(w http.ResponseWriter, err error) {
	if p, ok := errors.AsType[*problem](err); ok {
		p.serve(w)
		return
	}
	newProblem(problemInside, http.StatusInternalServerError, "Not answered", "This oracle could not answer.", "Ask another oracle.").serve(w)
}

// serveStatementFile gives a member the own statement as a file.
func (a *API) serveStatementFile(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "private, no-store")
	member, err := a.Member(r)
	if err != nil {
		serveError(w, err)
		return
	}
	name := r.PathValue("file")
	kind, ok := strings.CutPrefix(name, "statement.")
	if !ok || statementKinds[kind] == "" {
		newProblem(problemPath, http.StatusNotFound, "No such file", fmt.Sprintf("There is no file %q.", shorten(name)), "There are statement.csv, .xlsx, .pdf, .xml (Green Button) and .html.").serve(w)
		return
	}
	from, to, err := period(r.URL.Query())
	var s *export.Statement
	if err == nil {
		s, err = a.Statement(member, from, to)
	}
	if err != nil {
		serveError(w, err)
		return
	}
	var b []byte
	switch kind {
	case "csv":
		b = s.CSV()
	case "xlsx":
		b, err = s.XLSX()
	case "pdf":
		b, err = s.PDF()
	case "xml":
		b, err = s.GreenButton()
	case "html":
		// The page has its styles in it, and is for keeping.
		b, err = s.Page()
	}
	if err != nil {
		a.inside(w, "writing a member's statement", err)
		return
	}
	a.write(w, r, answer{kind: statementKinds[kind], cache: "private, no-store", name: fmt.Sprintf("%s-%s.%s", s.Member, s.From.String()[:10], kind), body: b})
}

// Limits are what a member wants of the next interval: prices of a kWh, nil for none.
func (a *API) Limits(member string) (leastSell, mostBuy *string) {
	a.cfg.Ledger.View(func(s *state.State) {
		m, ok := s.Member(member)
		if !ok {
			return
		}
		for _, z := range s.Zones() {
			if z.Zone != m.Zone {
				continue
			}
			if l := s.Standing(member, z.Next); l != nil {
				leastSell, mostBuy = priceText(l.MinSell), priceText(l.MaxBuy)
			}
		}
	})
	return leastSell, mostBuy
}

// Members are the names of those whose key is in force.
func (a *API) Members() (names []string) {
	a.cfg.Ledger.View(func(s *state.State) {
		for _, m := range s.Members() {
			if m.Revoked == 0 {
				names = append(names, m.Member)
			}
		}
	})
	return names
}
