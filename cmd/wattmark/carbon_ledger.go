package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// carbonFlags are those of commands that read an oracle's carbon accounts.
type carbonFlags struct {
	memberFlags
	asJSON bool
}

func (f *carbonFlags) add(c *cobra.Command) {
	f.memberFlags.add(c)
	c.Flags().BoolVar(&f.asJSON, "json", false, "print JSON, an object a line")
}

// each replays the oracle's final blocks and prints what list finds in the state.
func (f *carbonFlags) each(cmd *cobra.Command, list func(s *state.State, print func(line any, text func(*page)) error) error) error {
	m, err := f.open()
	if err != nil {
		return failed(err)
	}
	s, _, err := replayed(cmd.Context(), m.dir, m.policy)
	if err != nil {
		return failed(err)
	}
	p := newPage(cmd.OutOrStdout())
	e := json.NewEncoder(cmd.OutOrStdout())
	return failed(list(s, func(line any, text func(*page)) error {
		if f.asJSON {
			return e.Encode(line)
		}
		text(p)
		return p.err
	}))
}

// listedPeriod is what carbon inventory prints of one period.
type listedPeriod struct {
	Period   string       `json:"period"`
	Site     string       `json:"site"`
	Member   string       `json:"member"`
	From     string       `json:"from"`
	To       string       `json:"to"`
	Zone     string       `json:"time_zone"`
	Status   string       `json:"status"`
	Version  uint64       `json:"version,omitempty"`
	Leaf     uint64       `json:"leaf,omitempty"`
	Digest   string       `json:"digest,omitempty"`
	Set      string       `json:"gwp_set"`
	Packs    []string     `json:"factor_packs"`
	CO2e     string       `json:"co2e_t,omitempty"`
	Declared int64        `json:"declared_ppm"`
	Verifier string       `json:"verifier,omitempty"`
	Level    string       `json:"assurance,omitempty"`
	Changed  int64        `json:"materiality_ppm,omitempty"`
	Lines    []listedLine `json:"lines"`
}

type listedLine struct {
	Source   string      `json:"source"`
	Kind     string      `json:"kind"`
	Class    string      `json:"class"`
	Gases    []listedGas `json:"gases"`
	CO2e     string      `json:"co2e_t"`
	Measured int64       `json:"measured_intervals"`
	Missing  int64       `json:"missing_intervals"`
	Load     *listedLoad `json:"scope2,omitempty"`
}

type listedGas struct {
	Gas  string `json:"gas"`
	Mass string `json:"t"`
}

type listedLoad struct {
	Wh       int64  `json:"load_wh"`
	Gas      string `json:"gas"`
	Location string `json:"location_t"`
	Market   string `json:"market_t"`
	Hourly   string `json:"hourly_t"`
	Matched  int64  `json:"hourly_matched_wh"`
}

var periodNames = map[carbon.PeriodStatus]string{carbon.PeriodOpen: "open", carbon.PeriodClosed: "closed", carbon.PeriodVerified: "verified"}

func newCarbonInventory() *cobra.Command {
	var f carbonFlags
	var site string
	c := &cobra.Command{
		Use:   "inventory --dir DIR",
		Short: "List periods with their lines, as the ledger has them",
		Long: `Inventory replays the oracle's final blocks and prints each period of a site: its
status, and of its newest version the tonnes of each source, how many intervals
were measured and how many are missing, what was declared, who verified it, and
what a restatement changed. Electricity has its three figures apart: none is
added to another, nor to emissions of one's own.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.each(cmd, func(s *state.State, print func(any, func(*page)) error) error {
				for _, k := range s.Periods() {
					if site != "" && k.Site != site {
						continue
					}
					l := listPeriod(&k)
					if err := print(l, l.print); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f.add(c)
	c.Flags().StringVar(&site, "site", "", "only those of a `SITE`")
	return c
}

func listPeriod(k *state.PeriodInfo) *listedPeriod {
	l := &listedPeriod{
		Period: k.ID, Site: k.Site, Member: k.Owner, From: seconds(k.From), To: seconds(k.To), Zone: k.Zone,
		Status: periodNames[k.Status], Set: k.Set, Packs: []string{}, Lines: []listedLine{}, Verifier: k.Verifier, Level: k.Level,
	}
	packs := k.Packs
	if st := k.Stated; st != nil {
		l.Version, l.Leaf, l.Digest, l.Set, packs = st.Version, st.Leaf, hex.EncodeToString(k.Digest), st.Set, st.Packs
		l.CO2e, l.Declared, l.Changed = unit.Mass(st.CO2e).String(), st.Declared, st.Materiality
		for i := range st.Lines {
			l.Lines = append(l.Lines, listLine(&st.Lines[i]))
		}
	}
	for _, e := range packs {
		l.Packs = append(l.Packs, e.Pack+" "+e.Edition)
	}
	return l
}

func listLine(st *entry.StatedLine) listedLine {
	l := listedLine{
		Source: st.Source, Kind: st.Kind, Class: st.Class, Gases: []listedGas{}, CO2e: unit.Mass(st.CO2e).String(), Measured: st.Measured, Missing: st.Missing,
	}
	for _, g := range st.Gases {
		l.Gases = append(l.Gases, listedGas{g.Gas, unit.Mass(g.Mass).String()})
	}
	if st.Kind == entry.SourceLoad {
		l.Load = &listedLoad{st.Wh, st.Gas, unit.Mass(st.Location).String(), unit.Mass(st.Market).String(), unit.Mass(st.Hourly).String(), st.HourlyMatched}
	}
	return l
}

// seconds writes Unix seconds.
func seconds(t int64) string { return time.Unix(t, 0).UTC().Format(time.RFC3339) }

func (l *listedPeriod) print(p *page) {
	p.line(2, "%s of site %s (%s), %s to %s: %s", l.Period, l.Site, l.Member, l.From, l.To, l.Status)
	if l.Version == 0 {
		return
	}
	p.line(4, "  version %d, leaf %d: %s t CO2e by %s, %d ppm of it declared", l.Version, l.Leaf, l.CO2e, l.Set, l.Declared)
	if l.Verifier != "" {
		p.line(4, "  verified by %s, %s assurance", l.Verifier, l.Level)
	}
	if l.Version > 1 {
		p.line(4, "  restated: changed by %d ppm", l.Changed)
	}
	for _, k := range l.Lines {
		var gases []string
		for _, g := range k.Gases {
			gases = append(gases, g.Mass+" t "+g.Gas)
		}
		if k.Load != nil {
			gases = append(gases, fmt.Sprintf("%d Wh: location %s t, market %s t, hourly %s t %s, %d Wh matched", k.Load.Wh, k.Load.Location, k.Load.Market, k.Load.Hourly, k.Load.Gas, k.Load.Matched))
		}
		p.line(4, "  %s (%s, %s): %s", k.Source, k.Kind, k.Class, strings.Join(gases, ", "))
		if k.Class == entry.ClassMeasured {
			p.line(6, "    %s measured, %d missing", plural(int(k.Measured), "interval", "intervals"), k.Missing)
		}
	}
	p.line(4, "  digest %s", l.Digest)
}

// listedBundle is what carbon certificates prints of one bundle.
type listedBundle struct {
	Bundle      string `json:"bundle"`
	Issue       string `json:"issue"`
	Source      string `json:"source"`
	From        string `json:"from"`
	To          string `json:"to"`
	First       int64  `json:"first_serial"`
	Last        int64  `json:"last_serial"`
	Wh          int64  `json:"wh"`
	Status      string `json:"status"`
	Owner       string `json:"owner"`
	Beneficiary string `json:"beneficiary,omitempty"`
	Load        string `json:"load,omitempty"`
	ClaimFrom   string `json:"claim_from,omitempty"`
	ClaimTo     string `json:"claim_to,omitempty"`
}

func newCarbonCertificates() *cobra.Command {
	var f carbonFlags
	var owner string
	var all bool
	c := &cobra.Command{
		Use:   "certificates --dir DIR",
		Short: "List granular certificates, and what they stand for",
		Long: `Certificates replays the oracle's final blocks and prints the bundles of granular
certificates, one certificate a Wh: whose they are, when the energy was given,
and for which load a claimed one stands. Bundles that were split are left out
unless --all is given: their parts have their certificates.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.each(cmd, func(s *state.State, print func(any, func(*page)) error) error {
				for _, b := range s.Bundles() {
					if owner != "" && b.Member != owner || !all && b.Status == carbon.CertificateSplit {
						continue
					}
					l := &listedBundle{
						Bundle: b.ID, Issue: b.Issue, Source: b.Source, From: seconds(b.EnergyFrom), To: seconds(b.EnergyTo),
						First: b.Start, Last: b.Serials.End, Wh: int64(b.Count()), Status: b.Status.String(), Owner: b.Member, Beneficiary: b.Beneficiary, Load: b.Load,
					}
					if b.Load != "" {
						l.ClaimFrom, l.ClaimTo = seconds(b.ClaimFrom), seconds(b.ClaimTo)
					}
					if err := print(l, l.print); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	f.add(c)
	c.Flags().StringVar(&owner, "owner", "", "only those of a `MEMBER`")
	c.Flags().BoolVar(&all, "all", false, "bundles that were split, too")
	return c
}

func (l *listedBundle) print(p *page) {
	p.line(2, "%s: %d Wh of %s from %s, %s, %s", l.Bundle, l.Wh, l.Source, l.From, l.Owner, l.Status)
	switch {
	case l.Load != "":
		p.line(4, "  stands for %s from %s to %s", l.Load, l.ClaimFrom, l.ClaimTo)
	case l.Beneficiary != "":
		p.line(4, "  for %s", l.Beneficiary)
	}
}

// listedBlock is what carbon units prints of one block.
type listedBlock struct {
	Block       string `json:"block"`
	Registry    string `json:"registry"`
	Program     string `json:"program"`
	Project     string `json:"project"`
	Issuance    string `json:"issuance"`
	Vintage     int    `json:"vintage"`
	Serial      string `json:"serial"`
	Units       int64  `json:"units"`
	Status      string `json:"status"`
	Holder      string `json:"holder"`
	Beneficiary string `json:"beneficiary,omitempty"`
	Reason      string `json:"reason,omitempty"`
	Leaf        uint64 `json:"leaf"`
}

// listUnits makes units a command of its own, besides a noun for files.
func listUnits(c *cobra.Command) *cobra.Command {
	var f carbonFlags
	c.Use, c.Short, c.Args = "units --dir DIR", "List carbon units, or check a file of them", cobra.NoArgs
	c.Long = `Units replays the oracle's final blocks and prints the blocks of carbon units that
stand: who holds them, and of retired ones for whom and why. Blocks that were
split are left out: their parts have their units.

Exit status: 0 done, 1 failed, 2 wrong usage.`
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.each(cmd, func(s *state.State, print func(any, func(*page)) error) error {
			for _, b := range s.Blocks() {
				if !b.Status.Standing() {
					continue
				}
				l := listBlock(&b)
				if err := print(l, func(p *page) {
					p.line(2, "%s: %s of %s, %s, %s, %s", l.Block, plural(int(l.Units), "unit", "units"), l.Project, l.Serial, l.Holder, l.Status)
					if l.Beneficiary != "" {
						p.line(4, "  for %s: %s", l.Beneficiary, l.Reason)
					}
				}); err != nil {
					return err
				}
			}
			return nil
		})
	}
	f.add(c)
	return c
}

func listBlock(b *state.BlockInfo) *listedBlock {
	return &listedBlock{
		Block: b.ID, Registry: b.Registry, Program: b.Program, Project: b.Project, Issuance: b.Issuance, Vintage: b.Vintage,
		Serial: fmt.Sprintf("%s-%d-%d", b.Prefix, b.Start, b.End), Units: int64(b.Count()), Status: b.Status.String(), Holder: b.Holder,
		Beneficiary: b.Beneficiary, Reason: b.Reason, Leaf: b.Leaf,
	}
}

// retiring is the command line of retire.
type retiring struct {
	traderFlags
	beneficiary, reason, from, to string
	asJSON                        bool
}

func newCarbonRetire() *cobra.Command {
	var r retiring
	c := &cobra.Command{
		Use:   "retire BLOCK --dir DIR --key FILE --for NAME --reason TEXT --from T --to T",
		Short: "Retire a block of your units, for good",
		Long: `Retire ends a block of units for a claim: whose, why, and for which time. It signs
with the member's key, puts the statement onto the ledger over the oracle's
broker, and waits until it is final. A retired unit is never held again. To
retire part of a block, split it first.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd, args[0]) },
	}
	r.add(c)
	c.Flags().StringVar(&r.beneficiary, "for", "", "the `NAME` of whose claim it is")
	c.Flags().StringVar(&r.reason, "reason", "", "why, in a few words")
	c.Flags().StringVar(&r.from, "from", "", "the time that is claimed, as `2026-01-01T00:00:00Z`")
	c.Flags().StringVar(&r.to, "to", "", "its end")
	c.Flags().BoolVar(&r.asJSON, "json", false, "print one JSON object")
	return c
}

func (r *retiring) run(cmd *cobra.Command, block string) error {
	from, err := time.Parse(time.RFC3339, r.from)
	if err != nil {
		return fmt.Errorf("--from %q is no time: give it as 2026-01-01T00:00:00Z", r.from)
	}
	to, err := time.Parse(time.RFC3339, r.to)
	if err != nil {
		return fmt.Errorf("--to %q is no time: give it as 2026-12-31T00:00:00Z", r.to)
	}
	u := &entry.UnitRetire{Block: block, Beneficiary: r.beneficiary, Reason: r.reason, From: from.Unix(), To: to.Unix()}
	payload, err := entry.EncodeCarbon(u)
	if err != nil {
		return err
	}
	t, err := r.open(cmd.Context())
	if err != nil {
		return failed(err)
	}
	blocks := t.state.Blocks()
	i := slices.IndexFunc(blocks, func(b state.BlockInfo) bool { return b.ID == block })
	if i < 0 {
		return failed(fmt.Errorf("there is no block %q on the ledger: 'wattmark carbon units' lists them", block))
	}
	leaf, height, err := t.put(cmd.Context(), u.Type(), payload)
	if err != nil {
		return failed(err)
	}
	b := blocks[i]
	b.Status, b.Beneficiary, b.Reason, b.Leaf = carbon.Retired, r.beneficiary, r.reason, leaf
	l := listBlock(&b)
	if r.asJSON {
		return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(l))
	}
	p := newPage(cmd.OutOrStdout())
	p.line(2, "Retired %s (%s) for %s: leaf %d, final in block %d", plural(int(l.Units), "unit", "units"), l.Serial, l.Beneficiary, leaf, height)
	return failed(p.err)
}

// listedConflict is a claim that was refused since another one stands.
type listedConflict struct {
	Leaf      uint64 `json:"leaf"` // of the refusal
	Statement string `json:"refused_statement"`
	Rule      string `json:"rule,omitempty"`
	Standing  string `json:"standing_claim,omitempty"`
	Refused   string `json:"refused_claim,omitempty"`
	From      string `json:"from,omitempty"`
	To        string `json:"to,omitempty"`
	Device    string `json:"device,omitempty"`
	Detail    string `json:"detail"`
}

func newCarbonConflicts() *cobra.Command {
	var f carbonFlags
	c := &cobra.Command{
		Use:   "conflicts --dir DIR",
		Short: "List what was counted twice, or may be, with both sides",
		Long: `Conflicts reads the refusals in the oracle's final blocks and prints those of
claims on an interval, a bundle or a block that another claim had already: the
one that stands, the one that was refused, and what both wanted. Among the
records of registries it finds candidates: projects of two registries that may
be one (D3), and issuances for overlapping dates in one sector and country
(D4), for a person to look at.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			e := json.NewEncoder(cmd.OutOrStdout())
			err = m.finalLeaves(func(i uint64, leaf []byte) error {
				if entry.KindOf(leaf) != entry.LeafOutcome {
					return nil
				}
				o, err := entry.ParseOutcome(leaf)
				if err != nil || o.Kind != entry.OutcomeRefused || o.Code != string(entry.ReasonCountedTwice) {
					return nil
				}
				l := listConflict(i, o)
				if f.asJSON {
					return e.Encode(l)
				}
				if l.Standing == "" {
					p.line(2, "leaf %d: statement %s refused: %s", l.Leaf, l.Statement[:16], l.Detail)
					return p.err
				}
				p.line(2, "leaf %d: %s has %s from %s to %s, which %s wanted too (%s)", l.Leaf, l.Standing, l.Device, l.From, l.To, l.Refused, l.Rule)
				return p.err
			})
			if err != nil {
				return failed(err)
			}
			found, err := m.candidates(cmd)
			if err != nil {
				return failed(err)
			}
			for i := range found {
				x := &found[i]
				if f.asJSON {
					err = e.Encode(x)
				} else {
					p.line(2, "candidate %s (%s): %s", strings.Join(x.Records, " and "), x.Rule, x.Note)
					err = p.err
				}
				if err != nil {
					return failed(err)
				}
			}
			return nil
		},
	}
	f.add(c)
	return c
}

// candidates are what registries' records may count twice.
func (m *member) candidates(cmd *cobra.Command) ([]checkedFinding, error) {
	s, _, err := replayed(cmd.Context(), m.dir, m.policy)
	if err != nil {
		return nil, err
	}
	records, err := m.records(s)
	if err != nil {
		return nil, err
	}
	found, err := doubts(s, records)
	return slices.DeleteFunc(found, func(f checkedFinding) bool { return f.Severity != string(carbon.Candidate) }), err
}

func listConflict(leaf uint64, o *entry.Outcome) *listedConflict {
	l := &listedConflict{Leaf: leaf, Statement: hex.EncodeToString(o.Hash[:]), Detail: o.Detail}
	var from, to int64
	if n, _ := fmt.Sscanf(o.Detail, "%s %s %s %d %d %s", &l.Rule, &l.Standing, &l.Refused, &from, &to, &l.Device); n == 6 {
		l.From, l.To = seconds(from), seconds(to)
	} else {
		l.Rule, l.Standing, l.Refused, l.Device = "", "", "", ""
	}
	return l
}
