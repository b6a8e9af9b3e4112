package audit

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// split holds the parts of a block or bundle against what was asked for: they are all of
// it, in the order of serials.
func (t *Trail) split(m *entry.Moved, of string, sizes []int64) {
	if len(m.Moves) != len(sizes)+1 || m.Moves[0].ID != of || m.Moves[0].Status != carbon.Split.String() {
		t.fault("leaf %d asks to split %s into %d parts, and its outcome does not", m.Leaf, of, len(sizes))
		return
	}
	parent, next := m.Moves[0], m.Moves[0].First
	for i, v := range m.Moves[1:] {
		if v.ID != fmt.Sprintf("%s-%d-%d", partPrefix(m.What), m.Leaf, i+1) || v.First != next || v.Last != next+sizes[i]-1 || v.Owner != parent.Owner {
			t.fault("part %s of %s has serials %d to %d, where %d are asked for from %d on", v.ID, of, v.First, v.Last, sizes[i], next)
		}
		next = v.Last + 1
	}
	if next != parent.Last+1 {
		t.fault("the parts of %s end at %d and not at %d", of, next-1, parent.Last)
	}
}

// issued goes into an issuance of units: the project and its baseline, the verified version
// of the period, and how many tonnes are surely there.
func (t *Trail) issued(leaf uint64, u *entry.Issued) *Node {
	n, fresh := t.node(fmt.Sprintf("issued %d", leaf), "issuance %s of project %s: %s, the whole tonnes of %s t less %s t, vintage %d, serials %s",
		u.ID, u.Project, count(int(u.Units), "unit", "units"), unit.Mass(u.Reduced), unit.Mass(u.HalfWidth), u.Vintage, serialsOf(u))
	if !fresh {
		return n
	}
	n.at(leaf)
	t.rests[leaf] = true
	c, registry, asked := t.entryAt(u.Leaf, "issuance "+u.ID)
	if c == nil {
		return n
	}
	n.Rests = append(n.Rests, asked)
	ask, ok := c.(*entry.UnitIssue)
	if !ok || ask.Project != u.Project || ask.Period != u.Period || ask.Version != u.Version || ask.Vintage != u.Vintage {
		t.fault("issuance %s is not the one that leaf %d asks for", u.ID, u.Leaf)
		return n
	}
	project, at, ok := entryOf[*entry.CarbonProject](t, "project", u.Project, u.Leaf)
	if !ok {
		t.fault("project %q is not in the file", u.Project)
		return n
	}
	_, by, pn := t.entryAt(at, "")
	pn.What = fmt.Sprintf("project %s of %s: %s from %s kg of CO2e an hour, buffer %d basis points, %s", project.ID, project.Owner, project.Direction, project.Baseline, project.BufferBP, project.Methodology)
	n.Rests = append(n.Rests, pn)
	if by != registry {
		t.fault("units of %s are issued by %q, and %q has registered it", project.ID, registry, by)
	}
	t.blocks(u, project, registry)
	stated, statedAt := t.version(u.Period, u.Version, u.Leaf)
	if stated == nil {
		t.fault("version %d of period %q is not in the file", u.Version, u.Period)
		return n
	}
	if year := func(s int64) int64 { return int64(time.Unix(s, 0).UTC().Year()) }; u.Vintage < year(stated.From) || u.Vintage > year(stated.To-1) {
		t.fault("vintage %d is outside the period", u.Vintage)
	}
	n.Rests = append(n.Rests, t.verified(stated, statedAt, u.Leaf)...)
	n.Rests = append(n.Rests, t.outcome(statedAt, stated))
	g := t.aim("issuance "+u.ID, stated.From, stated.To, u.Leaf, n, func(r *state.Recount) error {
		mg, half, units, err := r.Reduced(project, stated)
		switch {
		case err != nil:
			return err
		case mg != u.Reduced || half != u.HalfWidth || units != u.Units:
			return fmt.Errorf("the readings give %d units of %s t less %s t, the outcome says %d of %s t less %s t",
				units, unit.Mass(mg), unit.Mass(half), u.Units, unit.Mass(u.Reduced), unit.Mass(u.HalfWidth))
		}
		return nil
	})
	for _, id := range project.Sources {
		t.source(g, id, u.Leaf, true, n)
	}
	t.factors(g, stated.Packs, u.Leaf, n)
	return n
}

func serialsOf(u *entry.Issued) string {
	last := u.Blocks[len(u.Blocks)-1].Last
	return fmt.Sprintf("%s %d to %d", u.Prefix, u.Blocks[0].First, last)
}

// blocks holds the blocks of an issuance against its units: the owner's and the buffer's
// part, one after the other.
func (t *Trail) blocks(u *entry.Issued, p *entry.CarbonProject, registry string) {
	buffer, err := carbon.BufferShare(unit.Amount(u.Units), p.BufferBP)
	if err != nil {
		t.fault("issuance %s: %w", u.ID, err)
		return
	}
	next := u.Blocks[0].First
	var want []entry.Move
	for i, part := range []entry.Move{
		{Status: carbon.Held.String(), Owner: p.Owner, Last: u.Units - int64(buffer)},
		{Status: carbon.Buffer.String(), Owner: registry, Last: int64(buffer)},
	} {
		if part.Last == 0 {
			continue
		}
		part.ID, part.First, part.Last = fmt.Sprintf("u-%d-%d", u.Leaf, i+1), next, next+part.Last-1
		next = part.Last + 1
		want = append(want, part)
	}
	if !slices.Equal(want, u.Blocks) || u.ID != fmt.Sprintf("iss-%d", u.Leaf) || u.Prefix != p.Prefix {
		t.fault("the blocks of issuance %s are not those of %d units with a buffer of %d", u.ID, u.Units, int64(buffer))
	}
}

// issueOf returns the issue that a bundle is part of.
func (t *Trail) issueOf(id string, upto uint64) *entry.Certified {
	for range maxSplits {
		all := t.history(entry.MovedBundle, id, upto)
		if len(all) == 0 {
			break
		}
		first := all[0]
		if first.moved == nil {
			return t.outcomes[first.leaf].(*entry.Certified)
		}
		parent := ""
		for _, p := range first.moved.Moves {
			if p.Status == carbon.CertificateSplit.String() && p.First <= first.move.First && first.move.Last <= p.Last {
				parent = p.ID
			}
		}
		if parent == "" || parent == id {
			break
		}
		id, upto = parent, first.moved.Leaf
	}
	t.fault("no outcome in the file says where the certificates of %s are from", id)
	return nil
}

// maxSplits bounds how often a bundle was split, for files in which that goes round.
const maxSplits = 1 << 10

// certified goes into an issue of certificates: the energy that its generator's register
// tells.
func (t *Trail) certified(leaf uint64, c *entry.Certified) *Node {
	n, fresh := t.node(fmt.Sprintf("certified %d", leaf), "certificates %s: %d Wh of %s from %s to %s, serials from %d, issued to %s", c.ID, c.Wh, c.Source, instant(c.From*1000), instant(c.To*1000), c.First, c.Owner)
	if !fresh {
		return n
	}
	n.at(leaf).Quality = entry.ClassMeasured
	t.rests[leaf] = true
	e, who, asked := t.entryAt(c.Leaf, "issue "+c.ID)
	if e == nil {
		return n
	}
	n.Rests = append(n.Rests, asked)
	if d, ok := e.(*entry.StorageDischarge); ok {
		t.discharged(n, c, d, who)
		return n
	}
	ask, ok := e.(*entry.GCIssue)
	if !ok {
		t.fault("leaf %d asks for no certificates", c.Leaf)
		return n
	}
	if ask.Source != c.Source || ask.From != c.From || ask.To != c.To || c.ID != fmt.Sprintf("gc-%d", c.Leaf) || c.Owner != who {
		t.fault("issue %s is not the one that leaf %d asks for", c.ID, c.Leaf)
	}
	g := t.aim("issue "+c.ID, c.From, c.To, c.Leaf, n, func(r *state.Recount) error {
		wh, readings, err := r.Certified(c.Source, c.From, c.To)
		switch {
		case err != nil:
			return err
		case wh != c.Wh:
			return fmt.Errorf("the register advanced by %d Wh, the outcome says %d", wh, c.Wh)
		case !slices.Equal(readings, c.Readings):
			return fmt.Errorf("the outcome names other readings than those that tell it")
		}
		return nil
	})
	if src := t.source(g, c.Source, c.Leaf, true, n); src != nil {
		if src.Owner != c.Owner {
			t.fault("certificates %s are of %q, and the source is of %q", c.ID, c.Owner, src.Owner)
		}
		if _, err := carbon.IssueCertificates(c.ID, c.Source, c.From, c.To, unit.Energy(c.Wh), src.CapacityW, c.First-1); err != nil {
			t.fault("%w", err)
		}
	}
	return n
}

// discharged goes into certificates of what a storage gave: its register, what it cost of
// the energy that was stored, and where that energy came from. That no more was drawn than
// was charged, the rules have seen to: it rests on all discharges before, and is not shown.
func (t *Trail) discharged(n *Node, c *entry.Certified, d *entry.StorageDischarge, who string) {
	if d.Storage != c.Source || d.From != c.From || d.To != c.To || !strings.HasPrefix(c.ID, fmt.Sprintf("gc-%d-", c.Leaf)) || c.Owner != who || c.Origin == "" {
		t.fault("issue %s is not what leaf %d asks for", c.ID, c.Leaf)
		return
	}
	g := t.aim("issue "+c.ID, c.From, c.To, c.Leaf, n, func(r *state.Recount) error {
		gave, readings, err := r.Certified(c.Source, c.From, c.To)
		switch {
		case err != nil:
			return err
		case c.Wh > gave:
			return fmt.Errorf("the storage gave %d Wh, the outcome says %d", gave, c.Wh)
		case !slices.Equal(readings, c.Readings):
			return fmt.Errorf("the outcome names other readings than those that tell it")
		}
		return nil
	})
	if src := t.source(g, c.Source, c.Leaf, true, n); src != nil {
		if src.Kind != entry.SourceStorage || src.Owner != c.Owner {
			t.fault("certificates %s are of %q, and the source is a %s of %q", c.ID, c.Owner, src.Kind, src.Owner)
			return
		}
		if gone, err := unit.MulDiv(unit.Energy(c.Wh), 10_000, src.EfficiencyBP, unit.Up); err != nil || int64(gone) != c.Consumed {
			t.fault("%d Wh of %s are gone for %d Wh, not %d at %d basis points", int64(gone), c.Origin, c.Wh, c.Consumed, src.EfficiencyBP)
		}
	}
	n.What += fmt.Sprintf("; stored energy of %s, of which %d Wh are gone", c.Origin, c.Consumed)
	n.Rests = append(n.Rests, t.life(entry.MovedBundle, c.Origin, c.Leaf))
}
