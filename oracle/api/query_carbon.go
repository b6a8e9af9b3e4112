package api

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// PeriodItem is a period of a site with its newest version.
type PeriodItem struct {
	Period         string     `json:"period"`
	Site           string     `json:"site"`
	Member         string     `json:"member"`
	From           string     `json:"from" format:"date-time"`
	To             string     `json:"to" format:"date-time"`
	TimeZone       string     `json:"time_zone"`
	Status         string     `json:"status" enum:"open,closed,verified"`
	Version        uint64     `json:"version,omitempty" doc:"From 1: each later one restates"`
	Leaf           uint64     `json:"leaf,omitempty" doc:"Of the statement that closed or restated it"`
	Digest         string     `json:"digest_sha256,omitempty"`
	GWPSet         string     `json:"gwp_set"`
	Packs          []string   `json:"factor_packs"`
	CO2e           string     `json:"co2e_t,omitempty" doc:"Of scope 1, by the GWP set"`
	DeclaredPPM    int64      `json:"declared_ppm" doc:"How much of it nobody measured"`
	Verifier       string     `json:"verifier,omitempty"`
	Assurance      string     `json:"assurance,omitempty"`
	MaterialityPPM int64      `json:"materiality_ppm,omitempty" doc:"What the newest restatement changed; -1 for a change from nothing"`
	Lines          []LineItem `json:"lines"`
}

// LineItem is a line of an inventory.
type LineItem struct {
	Source   string    `json:"source"`
	Kind     string    `json:"kind"`
	Class    string    `json:"class"`
	Gases    []GasItem `json:"gases" doc:"Masses are what is recorded"`
	CO2e     string    `json:"co2e_t"`
	Measured int64     `json:"measured_intervals"`
	Missing  int64     `json:"missing_intervals"`
	Scope2   *LoadItem `json:"scope2,omitempty" doc:"Three figures that are never added"`
}

// GasItem is a mass.
type GasItem struct {
	Gas  string `json:"gas"`
	Mass string `json:"mass_t"`
}

// LoadItem is what electricity comes to in scope 2, told in its three ways.
type LoadItem struct {
	LoadWh    int64  `json:"load_wh"`
	Gas       string `json:"gas"`
	Location  string `json:"location_t"`
	Market    string `json:"market_t"`
	Hourly    string `json:"hourly_t"`
	MatchedWh int64  `json:"hourly_matched_wh"`
}

// CertificateItem is a bundle of granular certificates, one a Wh.
type CertificateItem struct {
	Bundle      string `json:"bundle"`
	Issue       string `json:"issue"`
	Source      string `json:"source"`
	From        string `json:"from" format:"date-time" doc:"When the energy was given"`
	To          string `json:"to" format:"date-time"`
	First       int64  `json:"first_serial"`
	Last        int64  `json:"last_serial"`
	Wh          int64  `json:"energy_wh"`
	Status      string `json:"status"`
	Owner       string `json:"owner"`
	Beneficiary string `json:"beneficiary,omitempty"`
	Load        string `json:"load,omitempty" doc:"That a claim covers, or the storage that it went into"`
	ClaimFrom   string `json:"claim_from,omitempty" format:"date-time"`
	ClaimTo     string `json:"claim_to,omitempty" format:"date-time"`
	OriginIssue string `json:"origin_issue,omitempty" doc:"Of energy that a storage gave: the issue that it was charged from"`
}

// UnitsItem is a block of carbon units that stands.
type UnitsItem struct {
	Block       string `json:"block"`
	Registry    string `json:"registry"`
	Program     string `json:"program"`
	Project     string `json:"project"`
	Issuance    string `json:"issuance"`
	Vintage     int    `json:"vintage"`
	Serial      string `json:"serial"`
	Units       int64  `json:"units" doc:"Tonnes of CO2e"`
	Status      string `json:"status"`
	Holder      string `json:"holder"`
	Beneficiary string `json:"beneficiary,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Acquirer    string `json:"acquirer_country,omitempty"`
	Leaf        uint64 `json:"leaf" doc:"Of the newest statement about it"`
}

// ProjectItem is what units are issued for.
type ProjectItem struct {
	Project     string   `json:"project"`
	Member      string   `json:"member"`
	Program     string   `json:"program"`
	Methodology string   `json:"methodology"`
	Direction   string   `json:"direction"`
	Sources     []string `json:"sources"`
	Country     string   `json:"country"`
	BufferBP    int64    `json:"buffer_bp"`
}

// RecordItem is a record of CAD Trust as it stands.
type RecordItem struct {
	Table    string `json:"table"`
	Key      string `json:"key"`
	Registry string `json:"registry"`
	Version  uint64 `json:"version"`
	Digest   string `json:"digest_sha256"`
	Leaf     uint64 `json:"leaf"`
}

// AdjustmentItem is what corresponding adjustments come to for a country.
type AdjustmentItem struct {
	Country string `json:"country"`
	Tonnes  int64  `json:"adjustment_t" doc:"To be added to what it reports: of the host more than 0, of who acquired less"`
}

// RateItem is what a stack gave off in the last quarter hour that was measured.
type RateItem struct {
	Source    string `json:"source"`
	Site      string `json:"site"`
	Interval  string `json:"interval" format:"date-time" doc:"Its start; it is 900 s long"`
	Gas       string `json:"gas"`
	Mass      string `json:"mass_t" doc:"Of the interval; four times it is the rate an hour"`
	HalfWidth string `json:"half_width_t" doc:"Of the 95 % interval of the mass"`
	Leaf      uint64 `json:"leaf" doc:"Of the reading that ended it"`
}

// GridItem is what a kWh from the grid emits.
type GridItem struct {
	Pack   string `json:"factor_pack"`
	Gas    string `json:"gas"`
	PerKWh string `json:"mass_t_per_kwh"`
	Leaf   uint64 `json:"leaf" doc:"Of the factor pack, the last one put in force"`
}

// periodNames are the words for where a period stands.
var periodNames = map[carbon.PeriodStatus]string{carbon.PeriodOpen: "open", carbon.PeriodClosed: "closed", carbon.PeriodVerified: "verified"}

func listPeriod(k *state.PeriodInfo) PeriodItem {
	l := PeriodItem{
		Period: k.ID, Site: k.Site, Member: k.Owner, From: second(k.From), To: second(k.To), TimeZone: k.Zone,
		Status: periodNames[k.Status], GWPSet: k.Set, Packs: []string{}, Lines: []LineItem{}, Verifier: k.Verifier, Assurance: k.Level,
	}
	packs := k.Packs
	if st := k.Stated; st != nil {
		l.Version, l.Leaf, l.Digest, l.GWPSet, packs = st.Version, st.Leaf, hex.EncodeToString(k.Digest), st.Set, st.Packs
		l.CO2e, l.DeclaredPPM, l.MaterialityPPM = unit.Mass(st.CO2e).String(), st.Declared, st.Materiality
		for i := range st.Lines {
			l.Lines = append(l.Lines, listLine(&st.Lines[i]))
		}
	}
	for _, e := range packs {
		l.Packs = append(l.Packs, e.Pack+" "+e.Edition)
	}
	return l
}

func listLine(st *entry.StatedLine) LineItem {
	l := LineItem{
		Source: st.Source, Kind: st.Kind, Class: st.Class, Gases: []GasItem{}, CO2e: unit.Mass(st.CO2e).String(), Measured: st.Measured, Missing: st.Missing,
	}
	for _, g := range st.Gases {
		l.Gases = append(l.Gases, GasItem{g.Gas, unit.Mass(g.Mass).String()})
	}
	if st.Kind == entry.SourceLoad {
		l.Scope2 = &LoadItem{st.Wh, st.Gas, unit.Mass(st.Location).String(), unit.Mass(st.Market).String(), unit.Mass(st.Hourly).String(), st.HourlyMatched}
	}
	return l
}

func listBundle(b *state.BundleInfo) CertificateItem {
	l := CertificateItem{
		Bundle: b.ID, Issue: b.Issue, Source: b.Source, From: second(b.EnergyFrom), To: second(b.EnergyTo),
		First: b.Start, Last: b.Serials.End, Wh: int64(b.Count()), Status: b.Status.String(), Owner: b.Member, Beneficiary: b.Beneficiary, Load: b.Load,
	}
	if b.Load != "" {
		l.ClaimFrom, l.ClaimTo = second(b.ClaimFrom), second(b.ClaimTo)
	}
	if b.Origin != nil {
		l.OriginIssue = b.Origin.Issue
	}
	return l
}

// UnitsItemOf tells of a block of units.
func UnitsItemOf(b *state.BlockInfo) UnitsItem {
	return UnitsItem{
		Block: b.ID, Registry: b.Registry, Program: b.Program, Project: b.Project, Issuance: b.Issuance, Vintage: b.Vintage,
		Serial: fmt.Sprintf("%s-%d-%d", b.Prefix, b.Start, b.End), Units: int64(b.Count()), Status: b.Status.String(), Holder: b.Holder,
		Beneficiary: b.Beneficiary, Reason: b.Reason, Acquirer: b.Acquirer, Leaf: b.Leaf,
	}
}

// Accounts are all carbon accounts at one height.
type Accounts struct {
	Periods      []PeriodItem
	Certificates []CertificateItem
	Units        []UnitsItem
	Projects     []ProjectItem
	Records      []RecordItem
	Adjustments  []AdjustmentItem
	Rates        []RateItem
	Grid         []GridItem // none or one
}

// Accounts tells of the carbon accounts.
func (a *API) Accounts() (out Accounts) {
	a.cfg.Ledger.View(func(s *state.State) {
		out = Accounts{PeriodsOf(s), CertificatesOf(s), UnitsOf(s), listProjects(s), listRecords(s), listAdjustments(s), listRates(s), listGrid(s)}
	})
	return out
}

// PeriodsOf are the periods of a state with their inventories, in the order of their names.
func PeriodsOf(s *state.State) []PeriodItem { return each(s.Periods(), listPeriod) }

// CertificatesOf are all bundles of a state, those that were split too, in the order of
// their names.
func CertificatesOf(s *state.State) []CertificateItem { return each(s.Bundles(), listBundle) }

// UnitsOf are the blocks of units that stand in a state, in the order of their names.
func UnitsOf(s *state.State) []UnitsItem {
	out := []UnitsItem{}
	for _, b := range s.Blocks() {
		if b.Status.Standing() {
			out = append(out, UnitsItemOf(&b))
		}
	}
	return out
}

func listProjects(s *state.State) []ProjectItem {
	return each(s.Projects(), func(p *entry.CarbonProject) ProjectItem {
		return ProjectItem{p.ID, p.Owner, p.Program, p.Methodology, p.Direction, p.Sources, p.Country, p.BufferBP}
	})
}

func listRecords(s *state.State) []RecordItem {
	return each(s.Records(), func(r *state.RecordInfo) RecordItem {
		return RecordItem{r.Table, r.Key, r.Registry, r.Version, hex.EncodeToString(r.Digest), r.Leaf}
	})
}

func listAdjustments(s *state.State) []AdjustmentItem {
	return each(s.Adjustments(), func(c *state.CountryBalance) AdjustmentItem { return AdjustmentItem{c.Country, c.Tonnes} })
}

func listRates(s *state.State) []RateItem {
	return each(s.Rates(), func(r *state.RateInfo) RateItem {
		return RateItem{r.Source, r.Site, second(r.At), r.Gas, r.Mass.String(), r.HalfWidth.String(), r.Leaf}
	})
}

func listGrid(s *state.State) []GridItem {
	g, ok := s.Grid()
	if !ok {
		return []GridItem{}
	}
	return []GridItem{{g.Pack + " " + g.Edition.Edition, g.Gas, g.PerKWh.String(), g.Leaf}}
}

func (a *API) queryCarbon(h huma.API, m *http.ServeMux) {
	list(a, h, m, "periods", "Periods of sites, with their inventories", PeriodsOf, func(k *PeriodItem) string { return k.Period })
	list(a, h, m, "certificates", "Granular certificates, in bundles", CertificatesOf, func(b *CertificateItem) string { return b.Bundle })
	list(a, h, m, "units", "Carbon units that stand, in blocks", UnitsOf, func(b *UnitsItem) string { return b.Block })
	list(a, h, m, "projects", "Projects that units are issued for", listProjects, func(p *ProjectItem) string { return p.Project })
	list(a, h, m, "records", "Records of CAD Trust, as they stand", listRecords, func(r *RecordItem) string { return r.Table + "\x00" + r.Key })
	list(a, h, m, "adjustments", "Corresponding adjustments, by country", listAdjustments, func(c *AdjustmentItem) string { return c.Country })
	list(a, h, m, "rates", "What stacks gave off in the last quarter hour that was measured", listRates, func(r *RateItem) string { return r.Source })
	list(a, h, m, "grid", "What a kWh from the grid emits", listGrid, func(g *GridItem) string { return g.Pack })
}

// list registers a list of the carbon accounts, whose items are in the order of their keys.
func list[T any](a *API, h huma.API, m *http.ServeMux, name, summary string, items func(*state.State) []T, key func(*T) string) {
	path := "/api/v1/carbon/" + name
	a.tables(m, path, summary, func(*http.Request) (any, error) {
		var all []T
		a.cfg.Ledger.View(func(s *state.State) { all = items(s) })
		return all, nil
	})
	get(h, "carbon-"+name, path, summary, "", func(_ context.Context, in *ListInput) (*output[Page[T]], error) {
		return page(a, path, "carbon-"+name, in, items, key)
	})
}

func each[F, T any](from []F, to func(*F) T) []T {
	out := make([]T, len(from))
	for i := range from {
		out[i] = to(&from[i])
	}
	return out
}
