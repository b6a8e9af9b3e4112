package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"wattmark/gateway/enrol"
	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/store"
	"wattmark/signer"
)

func newGateway() *cobra.Command {
	return noun("gateway", "See how gateways are, their keys and calibrations", newGatewayList(), newGatewayShow())
}

// shownMoment is where something took effect.
type shownMoment struct {
	Leaf   uint64 `json:"leaf"`
	Height uint64 `json:"height"`
	Time   string `json:"time"`
}

func shown(m ledger.Moment) shownMoment { return shownMoment{m.Leaf, m.Height, utc(m.Time)} }

// shownGateway is what a ledger says of one gateway.
type shownGateway struct {
	Gateway      string             `json:"gateway"`
	Keys         []shownKey         `json:"keys"`
	Calibrations []shownCalibration `json:"calibrations"`
	Waiting      []shownWaiting     `json:"waiting,omitempty"`
}

type shownKey struct {
	KeyID      string       `json:"key_id"`
	Alg        string       `json:"algorithm"`
	Words      string       `json:"words"`
	Proven     bool         `json:"proven"`
	From       shownMoment  `json:"from"`
	To         *shownMoment `json:"to,omitempty"`
	ReplacedBy string       `json:"replaced_by,omitempty"`
	Reason     string       `json:"reason,omitempty"`
	Points     []shownPoint `json:"metering_points"`
}

type shownCalibration struct {
	shownMoment
	Identity  string   `json:"identity"`
	Point     string   `json:"metering_point"`
	Device    string   `json:"device"`
	Model     string   `json:"model"`
	Serial    string   `json:"serial,omitempty"`
	Channels  []string `json:"channels"`
	Method    string   `json:"method"`
	Person    string   `json:"person"`
	Reference string   `json:"reference,omitempty"`
	Undoes    string   `json:"undoes,omitempty"`
	KeyID     string   `json:"key_id"`
}

type shownWaiting struct {
	What    string      `json:"what"`
	Oracles int         `json:"oracles"`
	Wanted  uint64      `json:"oracles_wanted"`
	Since   shownMoment `json:"since"`
}

func newGatewayShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "show DIR [NAME]",
		Short: "Show a gateway's keys, from when to when, and its calibrations",
		Long: `Show tells of the gateway NAME, or of all, what the ledger in DIR says: with
which keys it has signed, from which block to which, how each came and ended,
and which calibrations it has stated. A key signs from the block after its
enrolment; what it signs after its end is refused.

Nothing is verified: 'wattmark ledger audit' does that.

Exit status: 0 done, 1 it could not be read or is not there, 2 wrong usage,
3 it is damaged.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("give one DIR with a ledger, and the NAME of a gateway or none, not %d arguments", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) == 2 {
				name = args[1]
			}
			return checkedFalse(showGateways(cmd.OutOrStdout(), args[0], name, asJSON))
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, a gateway a line")
	return c
}

func showGateways(w io.Writer, dir, name string, asJSON bool) error {
	dirs, err := storesOf(dir)
	if err != nil {
		return err
	}
	r, _, err := store.OpenReader(dirs[0])
	if err != nil {
		return err
	}
	defer r.Close()
	charter, err := charterOf(r)
	if err != nil {
		return err
	}
	lives, err := ledger.LivesOf(r, r.Size())
	if err != nil {
		return err
	}
	var names []string
	for _, k := range lives.Keys {
		if !slices.Contains(names, k.Gateway) && (name == "" || k.Gateway == name) {
			names = append(names, k.Gateway)
		}
	}
	if len(names) == 0 && name != "" {
		return fmt.Errorf("no gateway %q has ever had a key on this ledger", name)
	}
	p := newPage(w)
	for _, n := range names {
		g := gatewayOf(lives, n, charter)
		if asJSON {
			if err := json.NewEncoder(w).Encode(g); err != nil {
				return err
			}
			continue
		}
		g.print(p)
	}
	return p.err
}

// gatewayOf collects what is said of one gateway.
func gatewayOf(l *ledger.Lives, name string, charter *entry.Charter) *shownGateway {
	g := &shownGateway{Gateway: name, Keys: []shownKey{}, Calibrations: []shownCalibration{}}
	ours := make(map[signer.KeyID]bool)
	for _, k := range l.Keys {
		if k.Gateway != name {
			continue
		}
		id := k.Key.ID()
		ours[id] = true
		s := shownKey{
			KeyID: id.String(), Alg: k.Key.Algorithm().String(), Words: strings.Join(enrol.Words(id), " "), Proven: k.Proven,
			From: shown(k.From), Reason: k.Reason, Points: []shownPoint{},
		}
		if k.To != nil {
			to := shown(*k.To)
			s.To = &to
		}
		if k.ReplacedBy != nil {
			s.ReplacedBy = k.ReplacedBy.ID().String()
		}
		for _, pt := range k.Points {
			s.Points = append(s.Points, pointOf(&pt))
		}
		g.Keys = append(g.Keys, s)
	}
	for _, c := range l.Calibrations {
		if ours[c.Key] {
			g.Calibrations = append(g.Calibrations, calibrationOf(&c))
		}
	}
	for _, w := range l.Waiting {
		s := shownWaiting{Oracles: len(w.Oracles), Wanted: charter.Governance, Since: shown(w.Since)}
		switch {
		case !w.Begins.IsZero() && w.Gateway == name:
			s.What = fmt.Sprintf("enrol key %v", w.Begins.ID())
		case w.Begins.IsZero() && ours[w.Ends]:
			s.What = fmt.Sprintf("end key %v: %s", w.Ends, w.Reason)
		default:
			continue
		}
		g.Waiting = append(g.Waiting, s)
	}
	return g
}

func pointOf(pt *entry.Point) shownPoint {
	s := shownPoint{Subject: pt.Subject, Mode: pt.Mode, Channels: []string{}}
	for _, c := range pt.Channels {
		s.Channels = append(s.Channels, c.Name)
	}
	return s
}

func calibrationOf(c *ledger.CalibrationAt) shownCalibration {
	s := shownCalibration{
		shownMoment: shown(c.Moment), Identity: entry.CalibrationText(c.Identity), Point: c.Point, Device: c.Device, Model: c.Model, Serial: c.Serial,
		Method: c.Method, Person: c.Person, KeyID: c.Key.String(),
	}
	for _, k := range c.Corrections {
		s.Channels = append(s.Channels, k.Channel)
	}
	if r := c.Reference; r != nil {
		s.Reference = strings.Join(slices.DeleteFunc([]string{r.Maker, r.Model, r.Serial, r.Certificate}, func(t string) bool { return t == "" }), ", ")
	}
	if len(c.Undoes) > 0 {
		s.Undoes = fmt.Sprintf("%x", c.Undoes)
	}
	return s
}

func (m shownMoment) String() string {
	return fmt.Sprintf("block %d (leaf %d), %s", m.Height, m.Leaf, m.Time)
}

func (g *shownGateway) print(p *page) {
	p.line(2, "%s", g.Gateway)
	for _, k := range g.Keys {
		p.line(4, "  key %s, %s", k.KeyID, k.Alg)
		p.line(6, "    words %s", k.Words)
		how := "an oracle vouched for it"
		if k.Proven {
			how = "it has signed for itself"
		}
		p.line(6, "    from  %v: %s", k.From, how)
		switch {
		case k.To == nil:
			p.line(6, "    to    now")
		case k.ReplacedBy != "":
			p.line(6, "    to    %v: replaced", k.To)
		default:
			p.line(6, "    to    %v: ended, %q", k.To, k.Reason)
		}
		for _, pt := range k.Points {
			p.line(6, "    point %s, %s, %s", pt.Subject, pt.Mode, plural(len(pt.Channels), "channel", "channels"))
		}
	}
	for _, c := range g.Calibrations {
		p.line(4, "  calibration of %s at %s (%s): %s", c.Device, c.Point, c.Model, strings.Join(c.Channels, ", "))
		p.line(6, "    from  %v", c.shownMoment)
		p.line(6, "    by    %s, %s", c.Person, c.Method)
		if c.Reference != "" {
			p.line(6, "    with  %s", c.Reference)
		}
		if c.Undoes != "" {
			p.line(6, "    undoes")
			p.line(6, "      %s", c.Undoes)
		}
		p.line(6, "    readings name it")
		p.line(6, "      %s", c.Identity)
	}
	for _, w := range g.Waiting {
		p.line(4, "  waits: %s", w.What)
		p.line(6, "    %d of %d oracles since %v", w.Oracles, w.Wanted, w.Since)
	}
}
