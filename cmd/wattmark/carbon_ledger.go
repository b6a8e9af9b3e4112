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
	"wattmark/oracle/api"
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
				for _, l := range api.PeriodsOf(s) {
					if site != "" && l.Site != site {
						continue
					}
					if err := print(l, func(p *page) { printPeriod(p, &l) }); err != nil {
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

// seconds writes Unix seconds.
func seconds(t int64) string { return time.Unix(t, 0).UTC().Format(time.RFC3339) }

func printPeriod(p *page, l *api.PeriodItem) {
	p.line(2, "%s of site %s (%s), %s to %s: %s", l.Period, l.Site, l.Member, l.From, l.To, l.Status)
	if l.Version == 0 {
		return
	}
	p.line(4, "  version %d, leaf %d: %s t CO2e by %s, %d ppm of it declared", l.Version, l.Leaf, l.CO2e, l.GWPSet, l.DeclaredPPM)
	if l.Verifier != "" {
		p.line(4, "  verified by %s, %s assurance", l.Verifier, l.Assurance)
	}
	if l.Version > 1 {
		p.line(4, "  restated: changed by %d ppm", l.MaterialityPPM)
	}
	for _, k := range l.Lines {
		var gases []string
		for _, g := range k.Gases {
			gases = append(gases, g.Mass+" t "+g.Gas)
		}
		if e := k.Scope2; e != nil {
			gases = append(gases, fmt.Sprintf("%d Wh: location %s t, market %s t, hourly %s t %s, %d Wh matched", e.LoadWh, e.Location, e.Market, e.Hourly, e.Gas, e.MatchedWh))
		}
		p.line(4, "  %s (%s, %s): %s", k.Source, k.Kind, k.Class, strings.Join(gases, ", "))
		if k.Class == entry.ClassMeasured {
			p.line(6, "    %s measured, %d missing", plural(int(k.Measured), "interval", "intervals"), k.Missing)
		}
	}
	p.line(4, "  digest %s", l.Digest)
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
				for _, l := range api.CertificatesOf(s) {
					if owner != "" && l.Owner != owner || !all && l.Status == carbon.CertificateSplit.String() {
						continue
					}
					if err := print(l, func(p *page) { printBundle(p, &l) }); err != nil {
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

func printBundle(p *page, l *api.CertificateItem) {
	p.line(2, "%s: %d Wh of %s from %s, %s, %s", l.Bundle, l.Wh, l.Source, l.From, l.Owner, l.Status)
	switch {
	case l.Load != "":
		p.line(4, "  stands for %s from %s to %s", l.Load, l.ClaimFrom, l.ClaimTo)
	case l.Beneficiary != "":
		p.line(4, "  for %s", l.Beneficiary)
	}
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
			for _, l := range api.UnitsOf(s) {
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
	l := api.UnitsItemOf(&b)
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
