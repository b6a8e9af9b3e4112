package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// version returns the outcome that stated a version of a period before a leaf.
func (t *Trail) version(period string, version, before uint64) (*entry.Stated, uint64) {
	for _, leaf := range t.order {
		if s, ok := t.outcomes[leaf].(*entry.Stated); ok && s.Period == period && s.Version == version && s.Leaf < before {
			return s, leaf
		}
	}
	return nil, 0
}

// verified goes into the verification of a version: the newest before a leaf.
func (t *Trail) verified(s *entry.Stated, at, before uint64) []*Node {
	var found *entry.Verification
	var leaf uint64
	for _, i := range t.order {
		if v, ok := t.said[i].payload.(*entry.Verification); ok && i < before && v.Period == s.Period && v.Version == s.Version {
			found, leaf = v, i
		}
	}
	if found == nil {
		t.fault("version %d of period %q was verified by nobody in the file", s.Version, s.Period)
		return nil
	}
	_, who, n := t.entryAt(leaf, "")
	sum := sha256.Sum256(t.bodies[at])
	if string(found.Digest) != string(sum[:]) {
		t.fault("%q verified another statement of period %q: digest %s, the outcome's is %s", who, s.Period, hex.EncodeToString(found.Digest[:8]), hex.EncodeToString(sum[:8]))
	}
	n.What = fmt.Sprintf("verified with %s assurance", found.Level)
	return []*Node{n}
}

// stated goes into a version of a period: who opened and closed it, its sources, its
// factors, and the certificates that stand for its loads.
func (t *Trail) stated(leaf uint64, s *entry.Stated) *Node {
	n, fresh := t.node(fmt.Sprintf("stated %d", leaf), "period %s of site %s, version %d, %s to %s: %s t CO2e by %s, %d ppm of it declared",
		s.Period, s.Site, s.Version, instant(s.From*1000), instant(s.To*1000), unit.Mass(s.CO2e), s.Set, s.Declared)
	if !fresh {
		return n
	}
	n.at(leaf)
	t.rests[leaf] = true
	c, who, asked := t.entryAt(s.Leaf, fmt.Sprintf("version %d of period %q", s.Version, s.Period))
	if c == nil {
		return n
	}
	n.Rests = append(n.Rests, asked)
	open, at, ok := entryOf[*entry.PeriodOpen](t, "period", s.Period, s.Leaf)
	if !ok {
		t.fault("period %q is opened by no entry in the file", s.Period)
		return n
	}
	_, by, on := t.entryAt(at, "")
	n.Rests = append(n.Rests, on)
	if by != who {
		t.fault("period %q was opened by %q and stated by %q", s.Period, by, who)
	}
	version := &entry.Stated{Version: 1, Set: open.Set, Packs: open.Packs}
	var declared []entry.Declared
	var before *entry.Stated
	switch c := c.(type) {
	case *entry.PeriodClose:
		declared = c.Declared
		if c.Period != s.Period || s.Version != 1 {
			t.fault("leaf %d does not close version %d of period %q", s.Leaf, s.Version, s.Period)
		}
	case *entry.Restatement:
		declared = c.Declared
		version = &entry.Stated{Version: c.Version, Set: c.Set, Packs: c.Packs}
		asked.What = "restated: " + c.Reason
		var beforeAt uint64
		if before, beforeAt = t.version(s.Period, c.Version-1, s.Leaf); before == nil {
			t.fault("version %d of period %q, which was restated, is not in the file", c.Version-1, s.Period)
			return n
		}
		t.rests[beforeAt] = true
		if c.Period != s.Period {
			t.fault("leaf %d does not restate period %q", s.Leaf, s.Period)
		}
	default:
		t.fault("leaf %d neither closes nor restates a period", s.Leaf)
		return n
	}
	g := t.aim(fmt.Sprintf("version %d of period %s", s.Version, s.Period), s.From, s.To, s.Leaf, n, func(r *state.Recount) error {
		got, err := r.Stated(open, version, declared, before)
		if err != nil {
			return err
		}
		return sameStated(got, s)
	})
	for i := range s.Lines {
		l := &s.Lines[i]
		n.Rests = append(n.Rests, &Node{What: lineWords(l), Quality: l.Class})
	}
	for _, at := range t.order {
		if src, ok := t.said[at].payload.(*entry.CarbonSource); ok && at < s.Leaf && src.Site == s.Site {
			if src.Owner != who {
				t.fault("period %q is stated by %q, and its sources are of %q", s.Period, who, src.Owner)
			}
			t.source(g, src.ID, s.Leaf, true, n)
			if src.Kind == entry.SourceLoad {
				t.claims(g, src, s, n)
			}
		}
	}
	t.factors(g, s.Packs, s.Leaf, n)
	return n
}

func lineWords(l *entry.StatedLine) string {
	var words []string
	for _, g := range l.Gases {
		words = append(words, fmt.Sprintf("%s t %s", unit.Mass(g.Mass), g.Gas))
	}
	if l.Kind == entry.SourceLoad {
		words = append(words, fmt.Sprintf("%d Wh: location %s t, market %s t, hourly %s t %s, %d Wh matched", l.Wh, unit.Mass(l.Location), unit.Mass(l.Market), unit.Mass(l.Hourly), l.Gas, l.HourlyMatched))
	}
	text := fmt.Sprintf("line %s (%s): %s", l.Source, l.Kind, strings.Join(words, ", "))
	if l.Class == entry.ClassMeasured {
		text += fmt.Sprintf("; %s measured, %d missing", count(int(l.Measured), "interval", "intervals"), l.Missing)
	}
	return text
}

// sameStated compares what was computed with what an outcome says; which statements a
// gateway sent is not computed.
func sameStated(got, said *entry.Stated) error {
	if len(got.Lines) != len(said.Lines) {
		return fmt.Errorf("there are %d lines, the outcome has %d", len(got.Lines), len(said.Lines))
	}
	for i := range got.Lines {
		if a, b := lineWords(&got.Lines[i]), lineWords(&said.Lines[i]); a != b || got.Lines[i].CO2e != said.Lines[i].CO2e {
			return fmt.Errorf("the readings and factors give %q, %s t CO2e, the outcome says %q, %s t", a, unit.Mass(got.Lines[i].CO2e), b, unit.Mass(said.Lines[i].CO2e))
		}
	}
	switch {
	case got.Version != said.Version || got.Site != said.Site || got.From != said.From || got.To != said.To || got.Set != said.Set || !slices.Equal(got.Packs, said.Packs):
		return fmt.Errorf("it is not of the period, the potentials and the factors that were asked for")
	case got.CO2e != said.CO2e || got.Declared != said.Declared:
		return fmt.Errorf("the lines add up to %s t with %d ppm declared, the outcome says %s t with %d", unit.Mass(got.CO2e), got.Declared, unit.Mass(said.CO2e), said.Declared)
	case got.Materiality != said.Materiality:
		return fmt.Errorf("it changes the version before by %d ppm, the outcome says %d", got.Materiality, said.Materiality)
	}
	return nil
}

// aim begins what is computed again from readings before a leaf.
func (t *Trail) aim(what string, from, to int64, before uint64, n *Node, again func(*state.Recount) error) *target {
	r, err := state.NewRecount(t.charter)
	if err != nil {
		t.fault("%w", err)
		r = nil
	}
	g := &target{what: what, recount: r, from: from, to: to, before: before, again: again, node: n, formulas: make(map[string]bool)}
	if r != nil {
		for i := range t.points {
			r.AddPoint(&t.points[i])
		}
		t.targets = append(t.targets, g)
	}
	return g
}

// source goes into the registration of a source before a leaf.
func (t *Trail) source(g *target, id string, before uint64, counted bool, on *Node) *entry.CarbonSource {
	src, at, ok := entryOf[*entry.CarbonSource](t, "source", id, before)
	if !ok {
		t.fault("source %q is not in the file", id)
		return nil
	}
	if g.recount != nil {
		g.recount.AddSource(at, src, counted)
	}
	n, fresh := t.node("source "+id, "source %s (%s) of %s: %s of metering point %s", id, src.Kind, src.Owner, strings.Join(src.Channels, " "), src.Point)
	if fresh {
		_, _, by := t.entryAt(at, "")
		n.at(at).Signer = by.Signer
		n.Uncertainty = fmt.Sprintf("%s%% random, %s%% bias", src.Random, src.Bias)
	}
	t.rests[at] = true
	on.Rests = append(on.Rests, n)
	return src
}

// factors goes into the editions that a figure is computed with: the oracles' statements of
// the one that was put in force.
func (t *Trail) factors(g *target, editions []entry.Edition, before uint64, on *Node) {
	for _, e := range editions {
		found := false
		for _, at := range t.order {
			p, ok := t.said[at].payload.(*entry.FactorPack)
			if !ok || at >= before || p.ID != e.Pack || p.Edition != e.Edition {
				continue
			}
			agreed := t.adopted[sha256.Sum256(t.said[at].message.Payload)]
			if len(agreed) == 0 || agreed[0] < at {
				continue
			}
			t.rests[at], t.rests[agreed[0]] = true, true
			if found {
				continue
			}
			found = true
			if g.recount != nil {
				if err := g.recount.AddPack(p); err != nil {
					t.fault("%w", err)
				}
			}
			n, fresh := t.node("pack "+e.Pack+" "+e.Edition, "factors %s %s, region %s, from %s", e.Pack, e.Edition, p.Region, p.Source)
			if fresh {
				n.at(agreed[0]).Signer = "oracles"
				for i := range p.Rows {
					r := &p.Rows[i]
					n.Rests = append(n.Rests, &Node{What: strings.TrimSpace(fmt.Sprintf("%s: %s %s %s", r.Key, r.Value, r.Unit, r.Gas))})
				}
			}
			on.Rests = append(on.Rests, n)
		}
		if !found {
			t.fault("factors %s %s were put in force by nothing in the file", e.Pack, e.Edition)
		}
	}
}

// claims goes into the certificates that stand for a load within a period.
func (t *Trail) claims(g *target, load *entry.CarbonSource, s *entry.Stated, on *Node) {
	for _, at := range t.order {
		c, ok := t.said[at].payload.(*entry.GCClaim)
		if !ok || at >= s.Leaf || c.Load != load.ID || c.From < s.From || c.To > s.To {
			continue
		}
		for _, id := range c.Bundles {
			all := t.history(entry.MovedBundle, id, at)
			if len(all) == 0 || all[len(all)-1].moved == nil || all[len(all)-1].moved.Leaf != at {
				t.fault("no outcome in the file says that %s stands for %s", id, load.ID)
				continue
			}
			last := all[len(all)-1]
			on.Rests = append(on.Rests, t.life(entry.MovedBundle, id, at))
			issue := t.issueOf(id, at)
			if issue == nil {
				continue
			}
			if t.source(g, issue.Source, s.Leaf, false, on) != nil && g.recount != nil {
				g.recount.AddBundle(state.ClaimedBundle{
					ID: id, Source: issue.Source, Load: load.ID, From: issue.From, First: last.move.First, Last: last.move.Last, ClaimFrom: c.From, ClaimTo: c.To,
				})
			}
		}
	}
}
