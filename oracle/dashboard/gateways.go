package dashboard

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"wattmark/oracle/api"
)

// gatewayRow is a gateway as the operator's pages show it.
type gatewayRow struct{ *api.FleetGateway }

// State is the worst of its troubles, or that there is none.
func (g gatewayRow) State() stateWord {
	if len(g.Trouble) == 0 {
		return stateWord{"✓", "well", "good"}
	}
	words := map[string]stateWord{
		"silent": {"✕", "silent", "bad"}, "never_heard": {"✕", "never heard", "bad"}, "offline": {"✕", "off line", "bad"},
		"firmware_not_logged": {"✕", "firmware not logged", "bad"}, "update_fell_back": {"!", "update not kept", "warn"},
		"update_refused": {"!", "update refused", "warn"}, "went_back": {"!", "went back", "warn"}, "clock": {"!", "clock", "warn"}, "late": {"!", "late", "warn"},
	}
	return words[g.Trouble[0].Kind]
}

// On is the firmware that it signs on, in words.
func (g gatewayRow) On() string {
	switch {
	case g.Release != nil:
		return fmt.Sprintf("release %d for %s", g.Release.Version, g.Release.Board)
	case g.Root != "":
		return "firmware that no release names"
	}
	return "no image"
}

// Last says what became of its last update.
func (g gatewayRow) Last() string {
	u := g.Update
	if u == nil {
		return "none told"
	}
	text := fmt.Sprintf("version %d %s", u.Version, map[string]string{"kept": "kept", "refused": "refused", "fell_back": "tried and not kept"}[u.Result])
	if u.Reason != "" {
		text += ": " + u.Reason
	}
	return text
}

// Uncertainty is how far its clock may be off.
func (g gatewayRow) Uncertainty() string { return took(time.Duration(g.ClockNS)) }

// Age says how long ago it was heard.
func (g gatewayRow) Age() string {
	if g.Heard == "" {
		return "never"
	}
	return api.Age(g.AgeS) + " ago"
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
type backupRow struct{ api.Backup }

// What says what it is of.
func (b backupRow) What() string {
	switch b.Of {
	case "ledger":
		return "Copy of the ledger"
	case "vault":
		return "Copy of the vault"
	}
	return "A copy was checked"
}

// oldBackup is how old a copy may be, in seconds, before the page says so: a week and a day,
// as the alarm does.
const oldBackup = 8 * 24 * 60 * 60

// Age says how long ago it was, and whether that is too long.
func (b backupRow) Age() stateWord {
	switch {
	case b.At == "":
		return stateWord{"!", "never noted", "warn"}
	case b.AgeS > oldBackup:
		return stateWord{"!", api.Age(b.AgeS) + " ago", "warn"}
	}
	return stateWord{"✓", api.Age(b.AgeS) + " ago", "good"}
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
	return fixed(rounded(abs(*b.Unaccounted)*1000, through), 1) + thinSpace + "%"
}

// listedBalances is how many intervals the operator's page compares.
const listedBalances = 8

// operate adds what an operator wants to know besides the gateways.
func (p *gatewaysPage) operate(o *Options) error {
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
			p.Backups = append(p.Backups, backupRow{b})
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
				p.Balances = append(p.Balances, balanceRow{intervalRow{english, i}})
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
		d.missing(w, http.StatusNotFound, "This page server does not tell of gateways.", "Ask on the operator's listener of an oracle (http.admin), or run: wattmark gateway list "+quoted(d.options.Dir))
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
	var p gatewaysPage
	for i := range list {
		p.Rows = append(p.Rows, gatewayRow{&list[i]})
		if len(list[i].Trouble) == 0 {
			p.Well++
		}
	}
	p.Releases = releases(p.Rows)
	if d.options.Trouble != nil {
		p.Told, p.Trouble = true, d.options.Trouble()
	}
	if err := p.operate(&d.options); err != nil {
		d.problem(w, err)
		return
	}
	verb := "are"
	if p.Well == 1 {
		verb = "is"
	}
	p.Sum = fmt.Sprintf("%d of %d gateways %s well.", p.Well, len(list), verb)
	switch bad := len(list) - p.Well; {
	case len(list) == 0:
		p.Sum = "No gateway has a key on this ledger yet."
	case bad == 1:
		p.Sum += " One is in trouble: it stands first."
	case bad > 1:
		p.Sum += fmt.Sprintf(" %d are in trouble: they stand first.", bad)
	}
	d.write(w, http.StatusOK, frame{Title: "Gateways", Page: "gateways", Topic: topicGateway, Data: p})
}

func (d *Dashboard) serveGateway(w http.ResponseWriter, r *http.Request) {
	list, ok := d.fleet(w)
	if !ok {
		return
	}
	name := r.PathValue("name")
	for i := range list {
		if list[i].Gateway == name {
			d.write(w, http.StatusOK, frame{Title: "Gateway " + name, Page: "gateways-one", Topic: topicGateway, Data: gatewayRow{&list[i]}})
			return
		}
	}
	d.missing(w, http.StatusNotFound, "No gateway "+strconv.Quote(shorten(name, 80))+" has a key on this ledger.",
		"Names are those of the enrolment; one whose key was revoked is not listed: wattmark gateway show "+quoted(d.options.Dir))
}
