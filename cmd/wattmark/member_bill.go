package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
	"wattmark/oracle/export"
)

// listedMember is what member list prints of one.
type listedMember struct {
	Member    string   `json:"member"`
	Zone      string   `json:"zone"`
	PowerW    int64    `json:"power_w"`
	Renewable bool     `json:"renewable"`
	Points    []string `json:"metering_points"`
	KeyID     string   `json:"key_id"`
	Leaf      uint64   `json:"leaf"`
	Ended     uint64   `json:"ended_leaf,omitempty"`
}

func newMemberList() *cobra.Command {
	var f memberFlags
	var zone string
	var waits, asJSON bool
	c := &cobra.Command{
		Use:   "list --dir DIR",
		Short: "List the members of a ledger's markets, or those who wait to be",
		Long: `List shows who was admitted to which zone, with what connection and key. It goes
through the ledger's final blocks as an audit does. With --waiting it shows the
invited ones whose devices have asked this oracle, with the words to be compared.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			e := json.NewEncoder(cmd.OutOrStdout())
			if waits {
				return failed(m.listWaiting(p, e, asJSON))
			}
			st, _, err := replayed(cmd.Context(), m.dir, m.policy)
			if err != nil {
				return failed(err)
			}
			for _, i := range st.Members() {
				if zone != "" && i.Zone != zone {
					continue
				}
				l := listedMember{Member: i.Member, Zone: i.Zone, PowerW: i.Power, Renewable: i.Renewable, Points: []string{}, KeyID: i.Key.ID().String(), Leaf: i.Admitted, Ended: i.Revoked}
				for _, c := range i.Connections {
					l.Points = append(l.Points, c.Subject)
				}
				if asJSON {
					if err := e.Encode(l); err != nil {
						return failed(err)
					}
					continue
				}
				green := ""
				if l.Renewable {
					green = ", renewable"
				}
				ended := ""
				if l.Ended != 0 {
					ended = fmt.Sprintf("; its key ended with leaf %d", l.Ended)
				}
				p.line(4, "%s  zone %s, %d W%s, metered by %s; leaf %d%s", l.Member, l.Zone, l.PowerW, green, strings.Join(l.Points, " "), l.Leaf, ended)
			}
			return failed(p.err)
		},
	}
	f.add(c)
	c.Flags().StringVar(&zone, "zone", "", "only members of a `ZONE`")
	c.Flags().BoolVar(&waits, "waiting", false, "the invited ones who wait to be admitted")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a member")
	return c
}

// billed is what member bill prints.
type billed struct {
	Member         string       `json:"member"`
	Zone           string       `json:"zone"`
	From           string       `json:"from"`
	To             string       `json:"to"`
	Total          unit.Money   `json:"total_nano"`
	Cents          unit.Cents   `json:"total_cents"`
	Carried        unit.Money   `json:"rounding_carried_out_nano"`
	Counterfactual unit.Money   `json:"counterfactual_nano"`
	Saving         unit.Money   `json:"saving_nano"`
	Local          unit.PPM     `json:"local_share_ppm"`
	Green          unit.PPM     `json:"green_share_ppm"`
	Preliminary    int          `json:"preliminary_intervals"`
	Disputed       []string     `json:"disputed_intervals"`
	Opaque         uint64       `json:"unchecked_forgotten"`
	Digest         string       `json:"csv_sha256"`
	Lines          []billedLine `json:"lines"`
}

type billedLine struct {
	Interval string      `json:"interval"`
	Run      string      `json:"run"`
	Kind     string      `json:"kind"`
	Wh       unit.Energy `json:"wh"`
	Price    unit.Price  `json:"price_micro_per_kwh"`
	Amount   unit.Money  `json:"amount_nano"`
	Quality  string      `json:"quality"`
	Block    uint64      `json:"block"`
}

func newMemberBill() *cobra.Command {
	var f memberFlags
	var month, from, to, evidence string
	var files []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "bill MEMBER --dir DIR (--month 2026-06 | --from T --to T)",
		Short: "Add up a member's bill from the ledger",
		Long: `Bill executes the ledger again, with the packs in the oracle's vault, and adds up
what a member's intervals came to: what was paid, what the same readings would
have cost with the supplier alone, and every line with the block it is from.
Lines of run R0 are preliminary; R1 is what is invoiced.

--out writes the statement to a file, in the format that its name ends with, and
may be given again: .pdf and .html to read, .xlsx and .csv to calculate with,
.xml for programs that read Green Button. The same ledger gives the same bytes.
--evidence writes a file for each settled interval that proves its lines down to
the meter's signature ('wattmark verify'), and the workbook names their digests.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: "  wattmark member bill anna --dir DIR --month 2026-06 --out anna.pdf --out anna.xlsx",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("give one MEMBER")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range files {
				if _, err := formatOf(name); err != nil {
					return err
				}
			}
			first, last, err := parseSpan(from, to)
			if err == nil && month != "" {
				first, last, err = parseMonth(month)
			}
			if err != nil {
				return err
			}
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			st, opaque, err := replayed(cmd.Context(), m.dir, m.policy)
			if err != nil {
				return failed(err)
			}
			s, err := export.Of(st, args[0], first, last)
			if err != nil {
				return failed(err)
			}
			s.Opaque = opaque
			if evidence != "" {
				if err := m.proveAll(cmd, s, evidence); err != nil {
					return failed(err)
				}
			}
			for _, name := range files {
				if err := writeStatement(s, name); err != nil {
					return failed(err)
				}
			}
			b := bill(s)
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(b))
			}
			if len(files) > 0 {
				p := newPage(cmd.OutOrStdout())
				p.line(2, "%s", s.Headline())
				p.line(2, "wrote %s", strings.Join(files, ", "))
				return failed(p.err)
			}
			return failed(b.print(newPage(cmd.OutOrStdout())))
		},
	}
	f.add(c)
	c.Flags().StringVar(&month, "month", "", "the `MONTH`, as 2026-06")
	c.Flags().StringVar(&from, "from", "", "first interval, as `2026-06-17T10:00:00Z`")
	c.Flags().StringVar(&to, "to", "", "the interval behind the last")
	c.Flags().StringArrayVar(&files, "out", nil, "write the statement to `FILE`: .pdf, .html, .xlsx, .csv or .xml")
	c.Flags().StringVar(&evidence, "evidence", "", "write the evidence of each interval into `DIR`")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// bill is a statement as member bill prints it.
func bill(s *export.Statement) *billed {
	v := &s.Invoice
	b := &billed{
		Member: s.Member, Zone: s.Zone, From: s.From.String(), To: s.To.String(), Total: v.Total, Cents: v.Cents, Carried: v.CarriedOut,
		Counterfactual: v.Counterfactual, Saving: v.Saving, Local: v.Local, Green: v.Green, Preliminary: s.Preliminary(), Opaque: s.Opaque,
		Digest: s.Digest(), Disputed: []string{}, Lines: []billedLine{},
	}
	for _, l := range s.Lines {
		b.Lines = append(b.Lines, billedLine{l.Interval.String(), l.Run.String(), l.Kind.String(), l.Energy, l.Price, l.Amount, l.Quality.String(), l.Block})
	}
	for _, at := range s.Disputed {
		b.Disputed = append(b.Disputed, at.String())
	}
	return b
}

func (b *billed) print(p *page) error {
	p.line(2, "Bill of %s in zone %s", b.Member, b.Zone)
	p.line(2, "  paid (-) or earned      %s", money(b.Total))
	p.line(2, "  with the supplier alone %s", money(b.Counterfactual))
	p.line(2, "  better by               %s", money(b.Saving))
	p.line(2, "  from neighbours         %d.%d %% of what was bought", b.Local/10_000, b.Local/1000%10)
	if b.Preliminary > 0 {
		p.line(2, "  %s preliminary (R0): they are settled again before the invoice", plural(b.Preliminary, "interval is", "intervals are"))
	}
	for _, d := range b.Disputed {
		p.line(2, "  in dispute: %s, its payment waits", d)
	}
	if b.Opaque > 0 {
		p.line(2, "  %s not in the vault: what rests on them is not in this bill", plural(b.Opaque, "pack is", "packs are"))
	}
	for _, l := range b.Lines {
		p.line(4, "%s  %-2s  %-12s %6d Wh  %s  %s  block %d", l.Interval, l.Run, l.Kind, l.Wh, money(l.Amount), l.Quality, l.Block)
	}
	return p.err
}

// money writes an amount in currency units, exactly.
func money(m unit.Money) string {
	sign, v := "", int64(m)
	if v < 0 {
		sign, v = "-", -v
	}
	return fmt.Sprintf("%s%d.%09d", sign, v/1_000_000_000, v%1_000_000_000)
}

func newMemberPrefs() *cobra.Command {
	var f traderFlags
	var minSell, maxBuy, premium int64
	var prefer []string
	var from string
	var show, asJSON bool
	c := &cobra.Command{
		Use:   "prefs --dir DIR --key FILE [--min-sell P] [--max-buy P]",
		Short: "Set once what a member sells and buys for",
		Long: `Prefs puts a standing entry of the member onto the ledger: the least to sell for
and the most to pay, in millionths of the currency unit per kWh, fee included,
and for the orders of a gateway or an app a premium for green energy and the
neighbours to trade with first. It holds from the next interval on, or from
--from, until another takes its place; without limits it takes them back. With
--show it prints what is in force and signs nothing.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := f.open(cmd.Context())
			if err != nil {
				return failed(err)
			}
			next, err := unit.IntervalAt(t.now()/1000 + 2*unit.IntervalSeconds)
			if err == nil && from != "" {
				next, err = unit.ParseInterval(from)
			}
			if err != nil {
				return err
			}
			e := &entry.Standing{Member: t.about.Member, Premium: unit.Price(premium), Prefer: prefer, From: next}
			if cmd.Flags().Changed("min-sell") {
				p := unit.Price(minSell)
				e.MinSell = &p
			}
			if cmd.Flags().Changed("max-buy") {
				p := unit.Price(maxBuy)
				e.MaxBuy = &p
			}
			if show {
				if e = t.state.Standing(t.about.Member, next); e == nil {
					e = &entry.Standing{Member: t.about.Member}
				}
				return failed(printPrefs(cmd, e, 0, 0, asJSON))
			}
			payload, err := e.Encode()
			if err != nil {
				return err
			}
			leaf, height, err := t.put(cmd.Context(), entry.TypeStanding, payload)
			if err != nil {
				return failed(err)
			}
			return failed(printPrefs(cmd, e, leaf, height, asJSON))
		},
	}
	f.add(c)
	c.Flags().Int64Var(&minSell, "min-sell", 0, "the least to sell for")
	c.Flags().Int64Var(&maxBuy, "max-buy", 0, "the most to pay, fee included")
	c.Flags().Int64Var(&premium, "premium", 0, "what green energy may cost above a bid")
	c.Flags().StringSliceVar(&prefer, "prefer", nil, "`MEMBERS` to trade with first")
	c.Flags().StringVar(&from, "from", "", "first interval, as `2026-06-17T10:00:00Z`")
	c.Flags().BoolVar(&show, "show", false, "print what is in force, and change nothing")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// shownPrefs is what member prefs prints.
type shownPrefs struct {
	Member  string      `json:"member"`
	From    string      `json:"from,omitempty"`
	MinSell *unit.Price `json:"min_sell"`
	MaxBuy  *unit.Price `json:"max_buy"`
	Premium unit.Price  `json:"premium"`
	Prefer  []string    `json:"prefer"`
	Leaf    uint64      `json:"leaf,omitempty"`
	Block   uint64      `json:"block,omitempty"`
}

func printPrefs(cmd *cobra.Command, e *entry.Standing, leaf, height uint64, asJSON bool) error {
	s := shownPrefs{Member: e.Member, MinSell: e.MinSell, MaxBuy: e.MaxBuy, Premium: e.Premium, Prefer: append([]string{}, e.Prefer...), Leaf: leaf, Block: height}
	if e.From != 0 {
		s.From = e.From.String()
	}
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
	}
	p := newPage(cmd.OutOrStdout())
	limit := func(v *unit.Price, otherwise string) string {
		if v == nil {
			return otherwise
		}
		return fmt.Sprintf("%d millionths per kWh", int64(*v))
	}
	p.line(2, "%s sells from %s", s.Member, limit(s.MinSell, "what the supplier pays"))
	p.line(2, "  and buys up to %s", limit(s.MaxBuy, "what the supplier charges"))
	if s.From != "" {
		p.line(2, "  from %s on", s.From)
	}
	if leaf != 0 {
		p.line(2, "  leaf %d, final in block %d", leaf, height)
	}
	return p.err
}
