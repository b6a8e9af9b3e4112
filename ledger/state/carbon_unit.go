package state

import (
	"cmp"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

// amountOf returns what a project came to in a version of a period: in mg, with the
// half-width of its 95 % interval, and the whole tonnes that are surely there.
func (s *State) amountOf(project *entry.CarbonProject, stated *entry.Stated) (reduced, half int64, units unit.Amount, ok bool) {
	set, err := carbon.ParseSet(stated.Set)
	must(0, err)
	sign := int64(1)
	if project.Direction == entry.DirectionReduction {
		sign = -1
	}
	var terms []carbon.Term
	hours := make(map[int64]int) // sources that were measured, by interval
	for _, id := range project.Sources {
		src := s.carbon.sources[id]
		at := stated.From
		for ; at < stated.To; at += unit.IntervalSeconds {
			b, measured := s.booked(src, 0, at)
			if !measured {
				continue
			}
			gases := carbon.Gases{{Gas: src.Source.Gas, Mass: unit.Mass(b.amount)}}
			if src.Source.Kind == entry.SourceFuel {
				if gases, err = s.burn(&src.Source, stated.Packs, b.amount); err != nil {
					return 0, 0, 0, false
				}
			}
			e, err := gases.Equivalence(set)
			if err != nil {
				return 0, 0, 0, false
			}
			hours[at]++
			terms = append(terms, carbon.Term{
				X: tonnes(sign * int64(e.Mass)), Percent: ratOf(src.Source.Random), Bias: id, BiasPercent: ratOf(src.Source.Bias),
			})
		}
	}
	if sign < 0 {
		whole := int64(0)
		for _, at := range slices.Sorted(maps.Keys(hours)) {
			if hours[at] == len(project.Sources) {
				whole++
			}
		}
		// kg for an hour, of quarters of which everything was measured.
		baseline := new(big.Rat).Mul(ratOf(project.Baseline), big.NewRat(whole*unit.IntervalSeconds, 3600*1000))
		terms = append(terms, carbon.Term{X: baseline, Percent: new(big.Rat)})
	}
	d := carbon.SumDoubt(terms)
	units, err = d.Issuable()
	x, w := unit.Down.Scaled(d.X, 9), unit.Up.Scaled(d.HalfWidth, 9)
	if err != nil || !x.IsInt64() || !w.IsInt64() {
		return 0, 0, 0, false
	}
	return x.Int64(), w.Int64(), units, true
}

// tonnes returns mg as tonnes.
func tonnes(mg int64) *big.Rat { return big.NewRat(mg, 1_000_000_000) }

// judgeUnitIssue issues what a verified period surely has, once, and part of it into the
// buffer.
func (s *State) judgeUnitIssue(p *plan, c *entry.UnitIssue, who string, replay bool) verdict {
	project, period := s.carbon.projects[c.Project], s.carbon.periods[c.Period]
	switch {
	case project == nil:
		return refusedFor(entry.ReasonUnknownID, "%s", c.Project)
	case period == nil:
		return refusedFor(entry.ReasonUnknownID, "%s", c.Period)
	case project.Registry != who:
		return refusedFor(entry.ReasonNotAuthorised, "%s", c.Project)
	case carbon.PeriodStatus(period.Status) != carbon.PeriodVerified || period.Stated.Version != c.Version:
		return refusedFor(entry.ReasonWrongStatus, "%s", c.Period)
	case c.Vintage < yearOf(period.Open.From) || c.Vintage > yearOf(period.Open.To-1):
		return refusedFor(entry.ReasonTooMuch, "D8 %d", c.Vintage)
	}
	for _, debtor := range []string{c.Project, who} {
		if d := s.carbon.debts[debtor]; d != nil && d.Tonnes > 0 {
			return refusedFor(entry.ReasonOwing, "%s %d", debtor, d.Tonnes)
		}
	}
	opaque := false
	var claims []carbon.Claim
	for _, id := range project.Project.Sources {
		src := s.carbon.sources[id]
		if src.Source.Site != period.Open.Site {
			return refusedFor(entry.ReasonNotAuthorised, "%s", id)
		}
		opaque = opaque || replay && s.opaqueSource(src)
		claims = append(claims, carbon.Claim{ID: refusedID(p), Kind: carbon.ClaimOffset, Device: deviceOf(&src.Source), From: period.Open.From, To: period.Open.To})
	}
	if v, is := s.twice(claims...); is {
		return v
	}
	reduced, half, units, ok := s.amountOf(&project.Project, period.Stated)
	if !opaque && (!ok || units < 1) {
		return refusedFor(entry.ReasonNotMeasured, "%s", c.Project)
	}
	n := &carbonPrefixes{Registry: who, Prefix: carbon.NormalPrefix(project.Project.Prefix)}
	if have := s.carbon.prefixes[n.storeKey()]; have != nil {
		*n = *have
	}
	if _, err := unit.Add(unit.Amount(n.Last), units); err != nil {
		return refusedFor(entry.ReasonTooMuch, "%s", c.Project)
	}
	return allowed(func(leaf uint64) [][]byte {
		out := &entry.Issued{
			Leaf: leaf, ID: numbered("iss", leaf), Project: c.Project, Period: c.Period, Version: c.Version, Vintage: c.Vintage,
			Reduced: reduced, HalfWidth: half, Units: int64(units), Prefix: project.Project.Prefix,
		}
		if opaque {
			if r, ok := recordedOutcome(s, func(b *entry.Issued) uint64 { return b.Leaf }, leaf); ok {
				out.Reduced, out.HalfWidth, out.Units = r.Reduced, r.HalfWidth, r.Units
			}
		}
		for i := range claims {
			claims[i].ID = out.ID
		}
		s.enterClaims(claims...)
		s.issueBlocks(project, n, out)
		n.Last += out.Units
		s.carbon.prefixes[n.storeKey()] = n
		s.touch(n)
		k := &carbonIssuance{Issued: *out}
		s.carbon.issues[out.ID] = k
		s.touch(k)
		return s.said(out)
	})
}

func yearOf(seconds int64) int64 { return int64(time.Unix(seconds, 0).UTC().Year()) }

// issueBlocks makes the blocks of an issuance: the owner's, and the buffer's.
func (s *State) issueBlocks(project *carbonProject, n *carbonPrefixes, out *entry.Issued) {
	buffer, err := carbon.BufferShare(unit.Amount(out.Units), project.Project.BufferBP)
	must(0, err)
	first := n.Last + 1
	for i, part := range []struct {
		units  int64
		status carbon.Status
		owner  string
	}{
		{out.Units - int64(buffer), carbon.Held, memberAccount(project.Project.Owner)},
		{int64(buffer), carbon.Buffer, registryAccount(project.Registry)},
	} {
		if part.units == 0 {
			continue
		}
		b := &carbonBlock{
			ID: parts("u", out.Leaf, 2)[i], Registry: project.Registry, Project: project.Project.ID, Issuance: out.ID, Vintage: out.Vintage,
			Prefix: project.Project.Prefix, Program: project.Project.Program, Start: first, End: first + part.units - 1,
			Status: uint8(carbon.Issued), Owner: part.owner, Age: out.Leaf, Leaf: out.Leaf,
		}
		first += part.units
		o := b.rules()
		legs, err := o.Create()
		must(0, err)
		after, more, err := o.Become(part.status, part.owner)
		must(0, err)
		s.postCarbon(append(legs, more...))
		b.set(after)
		s.putBlock(b)
		out.Blocks = append(out.Blocks, movedBlock(b))
	}
}

func (s *State) putBlock(b *carbonBlock) {
	s.carbon.blocks[b.ID] = b
	s.carbon.checked[b.Issuance] = true
	s.touch(b)
}

func movedBlock(b *carbonBlock) entry.Move {
	return entry.Move{ID: b.ID, Status: carbon.Status(b.Status).String(), Owner: ownerOf(b.Owner), First: b.Start, Last: b.End}
}

// ownBlock returns a block that a member has.
func (s *State) ownBlock(id, who string) (*carbonBlock, verdict) {
	b := s.carbon.blocks[id]
	switch {
	case b == nil:
		return nil, refusedFor(entry.ReasonUnknownID, "%s", id)
	case b.Owner != memberAccount(who):
		return nil, refusedFor(entry.ReasonNotAuthorised, "%s", id)
	}
	return b, verdict{}
}

func (s *State) judgeUnitSplit(c *entry.UnitSplit, who string) verdict {
	b, v := s.ownBlock(c.Block, who)
	if b == nil {
		return v
	}
	sizes := amounts(c.Sizes)
	if _, _, _, err := b.rules().Divide(make([]string, len(sizes)), sizes); err != nil {
		return refusedFor(entry.ReasonWrongStatus, "%s", c.Block)
	}
	return allowed(func(leaf uint64) [][]byte {
		m := &entry.Moved{Leaf: leaf, What: entry.MovedBlock}
		for _, k := range s.divide(b, leaf, parts("u", leaf, len(sizes)), sizes) {
			m.Moves = append(m.Moves, movedBlock(k))
		}
		return s.said(m)
	})
}

// divide splits a block, and returns it and its parts.
func (s *State) divide(b *carbonBlock, leaf uint64, ids []string, sizes []unit.Amount) []*carbonBlock {
	parent, children, legs, err := b.rules().Divide(ids, sizes)
	must(0, err)
	s.postCarbon(legs)
	out := []*carbonBlock{b}
	for _, child := range children {
		k := *b
		k.set(child)
		k.Leaf = leaf
		s.putBlock(&k)
		out = append(out, &k)
	}
	b.set(parent)
	b.Leaf = leaf
	s.putBlock(b)
	return out
}

// blockVerdict has a block become what the rules allow.
func (s *State) blockVerdict(b *carbonBlock, to carbon.Status, owner string, note func()) verdict {
	after, legs, err := b.rules().Become(to, owner)
	if err != nil {
		return refusedFor(entry.ReasonWrongStatus, "%s", b.ID)
	}
	return allowed(func(leaf uint64) [][]byte {
		s.postCarbon(legs)
		b.set(after)
		b.Leaf = leaf
		m := &entry.Moved{Leaf: leaf, What: entry.MovedBlock}
		if note != nil {
			note()
		}
		s.putBlock(b)
		m.Moves = append(m.Moves, movedBlock(b))
		return s.said(m)
	})
}

func (s *State) judgeUnitTransfer(c *entry.UnitTransfer, who string) verdict {
	b, v := s.ownBlock(c.Block, who)
	if b == nil {
		return v
	}
	if s.members[c.To] == nil {
		return refusedFor(entry.ReasonUnknownID, "%s", c.To)
	}
	return s.blockVerdict(b, carbon.Held, memberAccount(c.To), nil)
}

func (s *State) judgeUnitRetire(c *entry.UnitRetire, who string) verdict {
	b, v := s.ownBlock(c.Block, who)
	if b == nil {
		return v
	}
	if carbon.Status(b.Status) == carbon.Retired {
		return refusedFor(entry.ReasonCountedTwice, "%s %s", b.ID, strings.ToLower(carbon.Retired.String()))
	}
	return s.blockVerdict(b, carbon.Retired, b.Owner, func() {
		b.Beneficiary, b.Reason, b.From, b.To = c.Beneficiary, c.Reason, c.From, c.To
	})
}

// judgeUnitCancel ends a block, and pays a debt with it where it says so.
func (s *State) judgeUnitCancel(c *entry.UnitCancel, who string) verdict {
	b, v := s.ownBlock(c.Block, who)
	if b == nil {
		return v
	}
	after, legs, err := b.rules().Become(carbon.Cancelled, b.Owner)
	if err != nil {
		return refusedFor(entry.ReasonWrongStatus, "%s", c.Block)
	}
	n := b.End - b.Start + 1
	debt := s.carbon.debts[c.Settles]
	if c.Settles != "" && (debt == nil || debt.Tonnes < n) {
		return refusedFor(entry.ReasonTooMuch, "%s", c.Settles)
	}
	return allowed(func(leaf uint64) [][]byte {
		s.postCarbon(legs)
		b.set(after)
		b.Reason, b.Leaf = c.Reason, leaf
		s.putBlock(b)
		m := &entry.Moved{Leaf: leaf, What: entry.MovedBlock, Moves: []entry.Move{movedBlock(b)}}
		if c.Settles != "" {
			s.owe(c.Settles, -n)
			m.Debtor, m.Owed = c.Settles, s.Owed(c.Settles)
		}
		return s.said(m)
	})
}

// owe adds to what somebody owes.
func (s *State) owe(debtor string, tonnes int64) {
	d := s.carbon.debts[debtor]
	if d == nil {
		d = &carbonDebt{Debtor: debtor}
		s.carbon.debts[debtor] = d
	}
	d.Tonnes += tonnes
	s.touch(d)
}

// Owed returns how many tonnes a project or a registry owes.
func (s *State) Owed(debtor string) int64 {
	if d := s.carbon.debts[debtor]; d != nil {
		return d.Tonnes
	}
	return 0
}

// judgeReversal cancels from the buffer of a registry, oldest first, what was emitted
// after all; the project owes the rest.
func (s *State) judgeReversal(c *entry.Reversal, who string) verdict {
	project := s.carbon.projects[c.Project]
	switch {
	case project == nil:
		return refusedFor(entry.ReasonUnknownID, "%s", c.Project)
	case project.Registry != who:
		return refusedFor(entry.ReasonNotAuthorised, "%s", c.Project)
	}
	if _, err := unit.Add(unit.Amount(s.Owed(c.Project)), unit.Amount(c.Tonnes)); err != nil {
		return refusedFor(entry.ReasonTooMuch, "%s", c.Project)
	}
	return allowed(func(leaf uint64) [][]byte { return s.cover(leaf, 0, c.Tonnes, c.Project, who) })
}

// bufferOf returns a registry's blocks in the buffer, oldest first.
func (s *State) bufferOf(registry string) []*carbonBlock {
	var out []*carbonBlock
	for _, id := range slices.Sorted(maps.Keys(s.carbon.blocks)) {
		if b := s.carbon.blocks[id]; b.Registry == registry && carbon.Status(b.Status) == carbon.Buffer {
			out = append(out, b)
		}
	}
	slices.SortStableFunc(out, func(a, b *carbonBlock) int { return cmp.Or(compare(a.Age, b.Age), cmp.Compare(a.Start, b.Start)) })
	return out
}

// cover cancels tonnes from a registry's buffer as far as it goes, and has somebody owe
// the rest. It is the nth time that the statement at the leaf does so, from 0.
func (s *State) cover(leaf uint64, nth int, tonnes int64, debtor, registry string) [][]byte {
	buffer := s.bufferOf(registry)
	rules := make([]carbon.Block, len(buffer))
	for i, b := range buffer {
		rules[i] = b.rules().Block
	}
	cuts, owed := carbon.Reverse(unit.Amount(tonnes), rules)
	m := &entry.Moved{Leaf: leaf, What: entry.MovedBlock}
	for i, cut := range cuts {
		b := buffer[i]
		if !cut.Whole {
			all := s.divide(b, leaf, parts("u", leaf, 2*nth+2)[2*nth:],
				[]unit.Amount{cut.Count(), unit.Amount(b.End-b.Start+1) - cut.Count()})
			m.Moves = append(m.Moves, movedBlock(all[0]), movedBlock(all[2]))
			b = all[1]
		}
		after, legs, err := b.rules().Become(carbon.Cancelled, b.Owner)
		must(0, err)
		s.postCarbon(legs)
		b.set(after)
		b.Leaf = leaf
		s.putBlock(b)
		m.Moves = append(m.Moves, movedBlock(b))
	}
	if owed > 0 {
		s.owe(debtor, int64(owed))
	}
	m.Debtor, m.Owed = debtor, s.Owed(debtor)
	return s.said(m)
}

// loweredIssuance is an issuance that a restatement leaves less for than was issued.
type loweredIssuance struct {
	issuance *carbonIssuance
	by       int64
	registry string
}

// lower finds what of the period's issuances a version does not bear, and what was
// covered before is not covered again.
func (s *State) lower(stated *entry.Stated) ([]loweredIssuance, verdict) {
	var out []loweredIssuance
	for _, id := range slices.Sorted(maps.Keys(s.carbon.issues)) {
		k := s.carbon.issues[id]
		if k.Issued.Period != stated.Period {
			continue
		}
		project := s.carbon.projects[k.Issued.Project]
		_, _, units, ok := s.amountOf(&project.Project, stated)
		if !ok {
			return nil, refusedFor(entry.ReasonUnknownFactor, "%s", k.Issued.Project)
		}
		if by := k.Issued.Units - k.Lowered - int64(units); by > 0 {
			out = append(out, loweredIssuance{k, by, project.Registry})
		}
	}
	return out, verdict{}
}
