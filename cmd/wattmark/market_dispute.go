package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"

	"github.com/spf13/cobra"

	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// listedDispute is what the commands print of a dispute.
type listedDispute struct {
	Member   string      `json:"member"`
	Zone     string      `json:"zone"`
	Interval string      `json:"interval"`
	Import   unit.Energy `json:"claimed_import_wh"`
	Export   unit.Energy `json:"claimed_export_wh"`
	Evidence string      `json:"evidence_sha256"`
	Leaf     uint64      `json:"leaf"`
	Block    uint64      `json:"block,omitempty"`
	// Status is open, read (a new reading has come) or decided.
	Status string       `json:"status"`
	Ended  uint64       `json:"ended_leaf,omitempty"`
	DecIn  *unit.Energy `json:"decided_import_wh,omitempty"`
	DecOut *unit.Energy `json:"decided_export_wh,omitempty"`
}

func listDispute(d *state.DisputeInfo) *listedDispute {
	l := &listedDispute{Member: d.Member, Zone: d.Zone, Interval: d.Interval.String(), Import: d.Import, Export: d.Export,
		Evidence: hex.EncodeToString(d.Evidence), Leaf: d.Leaf, Status: "open", Ended: d.Ended}
	switch {
	case d.Read:
		l.Status = "read"
	case d.Ended != 0:
		l.Status = "decided"
	}
	if d.Decided != nil {
		l.DecIn, l.DecOut = &d.Decided.Import, &d.Decided.Export
	}
	return l
}

func (l *listedDispute) print(p *page) {
	p.line(4, "%s  %s claims %d Wh in, %d Wh out; leaf %d", l.Interval, l.Member, int64(l.Import), int64(l.Export), l.Leaf)
	switch {
	case l.Status == "open":
		p.line(4, "  open: its payment waits for a new reading, or for the oracles:")
		p.line(4, "  wattmark ledger propose decision %s --interval %s --dir DIR", l.Member, l.Interval)
	case l.Status == "read":
		p.line(4, "  ended by a new reading, leaf %d: the last run settles by it", l.Ended)
	case l.DecIn == nil:
		p.line(4, "  decided with leaf %d: it stands as it was settled", l.Ended)
	default:
		p.line(4, "  decided with leaf %d: the last run settles by %d Wh in, %d Wh out", l.Ended, int64(*l.DecIn), int64(*l.DecOut))
	}
}

func newMarketDispute() *cobra.Command {
	var f traderFlags
	var interval, evidence string
	var imported, exported int64
	var asJSON bool
	c := &cobra.Command{
		Use:   "dispute --dir DIR --key FILE --interval T --import WH --export WH --evidence FILE",
		Short: "Dispute a line of a bill that was invoiced",
		Long: `Dispute says what the member's meter should have shown in an interval that run R1
has invoiced, within 60 days of that. Payment of that one line waits until a new
reading comes or a quorum of oracles decides; all other lines stand. The ledger
keeps the SHA-256 of the evidence: show the file itself to whoever decides.

Exit status: 0 done, 1 failed or refused, 2 wrong usage.`,
		Example: "  wattmark market dispute --dir DIR --key anna.pem --interval 2026-06-17T10:00:00Z --import 120 --export 0 --evidence photo.jpg",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if interval == "" || evidence == "" || !cmd.Flags().Changed("import") || !cmd.Flags().Changed("export") {
				return errors.New("give --interval, --import, --export and --evidence: what the meter should have shown, and the file that shows it")
			}
			at, err := unit.ParseInterval(interval)
			if err != nil {
				return err
			}
			shown, err := readLimited(evidence, 64<<20)
			if err != nil {
				return failed(err)
			}
			t, err := f.open(cmd.Context())
			if err != nil {
				return failed(err)
			}
			sum := sha256.Sum256(shown)
			d := &entry.Dispute{Member: t.about.Member, Interval: at, Import: unit.Energy(imported), Export: unit.Energy(exported), Evidence: sum[:]}
			payload, err := d.Encode()
			if err != nil {
				return err
			}
			leaf, height, err := t.put(cmd.Context(), entry.TypeDispute, payload)
			if err != nil {
				return failed(err)
			}
			l := listDispute(&state.DisputeInfo{Dispute: *d, Zone: t.about.Zone, Leaf: leaf})
			l.Block = height
			if asJSON {
				return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(l))
			}
			p := newPage(cmd.OutOrStdout())
			p.line(2, "In dispute: %s of %s, leaf %d, final in block %d.", l.Interval, l.Member, leaf, height)
			p.line(2, "  Its payment waits. Keep %s: its SHA-256 is on the ledger.", evidence)
			return failed(p.err)
		},
	}
	f.add(c)
	c.Flags().StringVar(&interval, "interval", "", "the interval's start, as `2026-06-17T10:00:00Z`")
	c.Flags().Int64Var(&imported, "import", 0, "what was taken from the grid, in `WH`")
	c.Flags().Int64Var(&exported, "export", 0, "what was given to it, in `WH`")
	c.Flags().StringVar(&evidence, "evidence", "", "`FILE` that shows it")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

func newMarketDisputes() *cobra.Command {
	var f memberFlags
	var zone, who string
	var open, asJSON bool
	c := &cobra.Command{
		Use:   "disputes --dir DIR",
		Short: "List what members dispute, and what came of it",
		Long: `Disputes executes the ledger again and lists those of intervals that are not
settled for good: open ones, and what ended the others.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			st, _, err := replayed(cmd.Context(), m.dir, m.policy)
			if err != nil {
				return failed(err)
			}
			p := newPage(cmd.OutOrStdout())
			e := json.NewEncoder(cmd.OutOrStdout())
			n := 0
			for _, d := range st.Disputes() {
				if zone != "" && d.Zone != zone || who != "" && d.Member != who || open && d.Ended != 0 {
					continue
				}
				n++
				l := listDispute(&d)
				if !asJSON {
					l.print(p)
				} else if err := e.Encode(l); err != nil {
					return failed(err)
				}
			}
			if n == 0 && !asJSON {
				p.line(2, "nothing is in dispute")
			}
			return failed(p.err)
		},
	}
	f.add(c)
	c.Flags().StringVar(&zone, "zone", "", "only those of a `ZONE`")
	c.Flags().StringVar(&who, "member", "", "only those of a `MEMBER`")
	c.Flags().BoolVar(&open, "open", false, "only those that are open")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a dispute")
	return c
}

func newProposeDecision() *cobra.Command {
	var f proposing
	var interval string
	var imported, exported int64
	c := &cobra.Command{
		Use:   "decision MEMBER --interval T [--import WH --export WH] --dir DIR",
		Short: "Decide a member's dispute",
		Long: `Decision ends the dispute of a member about an interval: with --import and
--export, the last run settles the member by these; without, the line stands as
it was settled. Energy of neighbours is not settled again.`,
		Example: "  wattmark ledger propose decision anna --interval 2026-06-17T10:00:00Z --import 120 --export 0 --in 100 --dir DIR",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if interval == "" {
				return errors.New("give --interval, as 2026-06-17T10:00:00Z")
			}
			at, err := unit.ParseInterval(interval)
			if err != nil {
				return err
			}
			d := entry.Decision{Member: args[0], Interval: at}
			in, out := cmd.Flags().Changed("import"), cmd.Flags().Changed("export")
			if in != out {
				return errors.New("give --import and --export both, or neither where the line stands")
			}
			if in {
				d.Energy = &entry.DecidedEnergy{Import: unit.Energy(imported), Export: unit.Energy(exported)}
			}
			body, err := d.Encode()
			if err != nil {
				return err
			}
			return failed(f.propose(cmd, entry.MotionDecision, body))
		},
	}
	f.flags(c)
	c.Flags().StringVar(&interval, "interval", "", "the interval's start, as `2026-06-17T10:00:00Z`")
	c.Flags().Int64Var(&imported, "import", 0, "what the meter should have shown, in `WH`")
	c.Flags().Int64Var(&exported, "export", 0, "what it should have shown the other way, in `WH`")
	return c
}
