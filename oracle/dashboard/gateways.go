package dashboard

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"time"

	"wattmark/oracle/api"
	"wattmark/oracle/dashboard/locale"
)

// gatewayRow is a gateway as the operator's pages show it.
type gatewayRow struct {
	l language
	*api.FleetGateway
}

// State is the worst of its troubles, or that there is none.
func (g gatewayRow) State() stateWord {
	if len(g.Trouble) == 0 {
		return stateWord{"✓", g.l.Say("well"), "good"}
	}
	s := troubleWords[g.Trouble[0].Kind]
	s.Word = g.l.Say(s.Word)
	return s
}

// troubleWords are the states by kind of trouble.
var troubleWords = map[string]stateWord{
	"silent": {"✕", locale.Text("silent"), "bad"}, "never_heard": {"✕", locale.Text("never heard"), "bad"}, "offline": {"✕", locale.Text("off line"), "bad"},
	"firmware_not_logged": {"✕", locale.Text("firmware not logged"), "bad"}, "update_fell_back": {"!", locale.Text("update not kept"), "warn"},
	"update_refused": {"!", locale.Text("update refused"), "warn"}, "went_back": {"!", locale.Text("went back"), "warn"},
	"certificate": {"!", locale.Text("certificate ends"), "warn"}, "oracles": {"!", locale.Text("behind the oracles"), "warn"},
	"clock": {"!", locale.Text("clock"), "warn"}, "late": {"!", locale.Text("late"), "warn"},
}

// Said is one of its troubles in words. The API has them in English.
func (g gatewayRow) Said(t api.Trouble) template.HTML {
	said := ""
	switch t.Kind {
	case "silent":
		said = g.l.Say("its last statement is %s old: see that it has power and its line", g.l.age(g.AgeS))
	case "late":
		said = g.l.Say("its last statement came %s after it was signed: it sends a backlog, or its line is bad", g.l.age(g.DelayS))
	case "clock":
		said = g.l.Say("its clock is %s: let it reach a time server", g.Clock)
	case "certificate":
		said = g.l.Say("its certificate for the broker ends on %s: see that the oracle with the broker's authority runs, which renews it", g.CertificateEnds)
	case "went_back":
		said = g.l.Say("it has signed on version %d and signs on it no more", g.WentBack)
	case "update_fell_back":
		said = g.l.Say("version %d was tried and not kept: %s: stop the roll-out until it is known why", g.Update.Version, g.Update.Reason)
	case "update_refused":
		said = g.l.Say("version %d was refused: %s", g.Update.Version, g.Update.Reason)
	default:
		return g.l.known(t.Text)
	}
	return template.HTML(template.HTMLEscapeString(said))
}

// age says a time span in words, roughly, as api.Age does in English.
func (l language) age(seconds int64) string {
	if seconds < 2*24*3600 {
		return api.Age(seconds)
	}
	return l.Say("%d days", seconds/(24*3600))
}

// ago says how long ago something was.
func (l language) ago(seconds int64) string {
	if seconds < 2*24*3600 {
		return l.Say("%s ago", api.Age(seconds))
	}
	return l.Say("%d days ago", seconds/(24*3600))
}

// On is the firmware that it signs on, in words.
func (g gatewayRow) On() string {
	switch {
	case g.Release != nil:
		return g.l.Say("release %d for %s", g.Release.Version, g.Release.Board)
	case g.Root != "":
		return g.l.Say("firmware that no release names")
	}
	return g.l.Say("no image")
}

// Last says what became of its last update.
func (g gatewayRow) Last() string {
	u := g.Update
	if u == nil {
		return g.l.Say("none told")
	}
	text := g.l.Say(map[string]string{"kept": locale.Text("version %d kept"), "refused": locale.Text("version %d refused"), "fell_back": locale.Text("version %d tried and not kept")}[u.Result], u.Version)
	if u.Reason != "" {
		text += ": " + u.Reason
	}
	return text
}

// Uncertainty is how far its clock may be off.
func (g gatewayRow) Uncertainty() string { return g.l.took(time.Duration(g.ClockNS)) }

// Age says how long ago it was heard.
func (g gatewayRow) Age() string {
	if g.Heard == "" {
		return g.l.Say("never")
	}
	return g.l.ago(g.AgeS)
}

type gatewaysPage struct {
	Told     bool         // whether this oracle tells of itself
	Trouble  []api.Reason // of it, the worst first
	Releases []releaseRow
	Rows     []gatewayRow
	Well     int
	Sum      string
	Refused  []refusedRow
	Balances []balanceRow // of the last intervals, the newest first
	Changes  []api.ChangeItem
	Newest   uint64 // block
	Backups  []backupRow
	// Unread says why what was noted of backups could not be read.
	Unread string
}

// backupRow is a backup as the page shows it.
type backupRow struct {
	l language
	api.Backup
}

// What says what it is of.
func (b backupRow) What() string {
	switch b.Of {
	case "ledger":
		return b.l.Say("Copy of the ledger")
	case "vault":
		return b.l.Say("Copy of the vault")
	}
	return b.l.Say("A copy was checked")
}

// oldBackup is how old a copy may be, in seconds, before the page says so: a week and a day,
// as the alarm does.
const oldBackup = 8 * 24 * 60 * 60

// Age says how long ago it was, and whether that is too long.
func (b backupRow) Age() stateWord {
	switch {
	case b.At == "":
		return stateWord{"!", b.l.Say("never noted"), "warn"}
	case b.AgeS > oldBackup:
		return stateWord{"!", b.l.ago(b.AgeS), "warn"}
	}
	return stateWord{"✓", b.l.ago(b.AgeS), "good"}
}

// refusedRow is a reason as the page shows it.
type refusedRow struct{ api.Refused }

// Senders are the last that were refused, the newest first.
func (r refusedRow) Senders() (list []string) {
	for _, l := range r.Last {
		text := shorten(l.Gateway, 64)
		if l.Count > 0 {
			text += fmt.Sprintf(" %d-%d", l.Boot, l.Count)
		}
		list = append(list, text+", "+clock(time.UnixMilli(l.At)))
	}
	return list
}

// balanceRow compares a feeder's meter with the members' over an interval.
type balanceRow struct{ intervalRow }

// Share is what is unaccounted for of all that members took and gave.
func (b balanceRow) Share() string {
	if b.Totals == nil || b.Unaccounted == nil {
		return ""
	}
	through := b.Totals.LocalWh + b.Totals.GridImportWh + b.Totals.GridExportWh
	if through <= 0 {
		return ""
	}
	return b.l.Fixed(rounded(abs(*b.Unaccounted)*1000, through), 1) + thinSpace + "%"
}

// listedBalances is how many intervals the operator's page compares.
const listedBalances = 8

// operate adds what an operator wants to know besides the gateways.
func (p *gatewaysPage) operate(l language, o *Options) error {
	if o.Refused != nil {
		for _, r := range o.Refused() {
			p.Refused = append(p.Refused, refusedRow{r})
		}
	}
	if o.Backups != nil {
		list, err := o.Backups()
		if err != nil {
			p.Unread = err.Error()
		}
		for _, b := range list {
			p.Backups = append(p.Backups, backupRow{l, b})
		}
	}
	if o.API == nil {
		return nil
	}
	p.Changes, p.Newest = o.API.Changes()
	for _, z := range o.API.Zones() {
		list, _, err := o.API.Intervals(z.Zone, 0, 0, chartedIntervals)
		if err != nil {
			return err
		}
		n := 0
		for _, i := range list {
			if i.State == "settled" && n < listedBalances {
				p.Balances = append(p.Balances, balanceRow{intervalRow{l, i}})
				n++
			}
		}
	}
	return nil
}

// releaseRow is how many gateways run a firmware.
type releaseRow struct {
	On    string
	Count uint64
}

// releases counts gateways by what they run, the most first: how far a roll-out has come.
func releases(rows []gatewayRow) (out []releaseRow) {
	for _, r := range rows {
		i := slices.IndexFunc(out, func(o releaseRow) bool { return o.On == r.On() })
		if i < 0 {
			i = len(out)
			out = append(out, releaseRow{On: r.On()})
		}
		out[i].Count++
	}
	slices.SortStableFunc(out, func(a, b releaseRow) int { return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.On, b.On)) })
	return out
}

// fleet reads the gateways, or answers that there is nothing.
func (d *Dashboard) fleet(w http.ResponseWriter) ([]api.FleetGateway, bool) {
	if d.options.Fleet == nil {
		l := spoken(w)
		d.missing(w, http.StatusNotFound, l.Say("This page server does not tell of gateways."), l.Say("Ask on the operator's listener of an oracle (http.admin), or run: %s", "wattmark gateway list "+quoted(d.options.Dir)))
		return nil, false
	}
	list, err := d.options.Fleet()
	if err != nil {
		d.unreadable(w, err)
		return nil, false
	}
	return list, true
}

func (d *Dashboard) serveGateways(w http.ResponseWriter, _ *http.Request) {
	list, ok := d.fleet(w)
	if !ok {
		return
	}
	l := spoken(w)
	var p gatewaysPage
	for i := range list {
		p.Rows = append(p.Rows, gatewayRow{l, &list[i]})
		if len(list[i].Trouble) == 0 {
			p.Well++
		}
	}
	p.Releases = releases(p.Rows)
	if d.options.Trouble != nil {
		p.Told, p.Trouble = true, d.options.Trouble()
	}
	if err := p.operate(l, &d.options); err != nil {
		d.problem(w, err)
		return
	}
	p.Sum = l.Count(uint64(p.Well), "%s of %s gateways is well.", "%s of %s gateways are well.", l.Number(uint64(len(list))))
	switch bad := len(list) - p.Well; {
	case len(list) == 0:
		p.Sum = l.Say("No gateway has a key on this ledger yet.")
	case bad == 1:
		p.Sum += " " + l.Say("One is in trouble: it stands first.")
	case bad > 1:
		p.Sum += " " + l.Say("%d are in trouble: they stand first.", bad)
	}
	d.write(w, http.StatusOK, frame{Title: l.Say("Gateways"), Page: "gateways", Topic: topicGateway, Data: p})
}

func (d *Dashboard) serveGateway(w http.ResponseWriter, r *http.Request) {
	list, ok := d.fleet(w)
	if !ok {
		return
	}
	l, name := spoken(w), r.PathValue("name")
	for i := range list {
		if list[i].Gateway == name {
			d.write(w, http.StatusOK, frame{Title: l.Say("Gateway %s", name), Page: "gateways-one", Topic: topicGateway, Data: gatewayRow{l, &list[i]}})
			return
		}
	}
	d.missing(w, http.StatusNotFound, l.Say("No gateway %q has a key on this ledger.", shorten(name, 80)),
		l.Say("Names are those of the enrolment; one whose key was revoked is not listed: %s", "wattmark gateway show "+quoted(d.options.Dir)))
}
