package state

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// sourcesOf returns a site's sources by id.
func (s *State) sourcesOf(site string) []*carbonSource {
	var out []*carbonSource
	for _, id := range slices.Sorted(maps.Keys(s.carbon.sources)) {
		if src := s.carbon.sources[id]; src.Source.Site == site {
			out = append(out, src)
		}
	}
	return out
}

func (s *State) judgePeriodOpen(c *entry.PeriodOpen, who string) verdict {
	if s.carbon.periods[c.ID] != nil {
		return refusedFor(entry.ReasonAlreadyKnown, "%s", c.ID)
	}
	switch owner := s.siteOwner(c.Site); owner {
	case "":
		return refusedFor(entry.ReasonUnknownID, "%s", c.Site)
	case who:
	default:
		return refusedFor(entry.ReasonNotAuthorised, "%s", c.Site)
	}
	for _, id := range slices.Sorted(maps.Keys(s.carbon.periods)) {
		o := s.carbon.periods[id]
		if o.Open.Site == c.Site && o.Open.From < c.To && c.From < o.Open.To {
			return refusedFor(entry.ReasonAlreadyKnown, "%s", id)
		}
	}
	if v := s.checkPacks(c.Packs, c.From, c.To); v.reason != "" {
		return v
	}
	return allowed(func(leaf uint64) [][]byte {
		k := &carbonPeriod{Open: *c, Status: uint8(carbon.PeriodOpen), Leaf: leaf}
		s.carbon.periods[c.ID] = k
		s.touch(k)
		return nil
	})
}

// checkPacks wants editions that are in force and hold for all of the period.
func (s *State) checkPacks(packs []entry.Edition, from, to int64) verdict {
	for _, e := range packs {
		k := s.carbon.packs[e]
		if k == nil || k.Pack.From > from || k.Pack.To < to {
			return refusedFor(entry.ReasonUnknownFactor, "%s %s", e.Pack, e.Edition)
		}
	}
	return verdict{}
}

func (s *State) judgePeriodClose(c *entry.PeriodClose, who string, replay bool) verdict {
	k := s.carbon.periods[c.Period]
	switch {
	case k == nil:
		return refusedFor(entry.ReasonUnknownID, "%s", c.Period)
	case s.siteOwner(k.Open.Site) != who:
		return refusedFor(entry.ReasonNotAuthorised, "%s", c.Period)
	case !carbon.PeriodStatus(k.Status).CanBecome(carbon.PeriodClosed), s.meta.Time < k.Open.To*1000:
		return refusedFor(entry.ReasonWrongStatus, "%s", c.Period)
	}
	return s.judgeStatement(k, &entry.Stated{Version: 1, Set: k.Open.Set, Packs: k.Open.Packs}, c.Declared, replay)
}

// judgeRestatement computes a closed period again. What an issuance for it then has too
// much is cancelled from the buffer, and owed beyond that.
func (s *State) judgeRestatement(c *entry.Restatement, who string, replay bool) verdict {
	k := s.carbon.periods[c.Period]
	switch {
	case k == nil:
		return refusedFor(entry.ReasonUnknownID, "%s", c.Period)
	case s.siteOwner(k.Open.Site) != who:
		return refusedFor(entry.ReasonNotAuthorised, "%s", c.Period)
	case k.Stated == nil || c.Version != k.Stated.Version+1:
		return refusedFor(entry.ReasonWrongStatus, "%s", c.Period)
	}
	if v := s.checkPacks(c.Packs, k.Open.From, k.Open.To); v.reason != "" {
		return v
	}
	return s.judgeStatement(k, &entry.Stated{Version: c.Version, Set: c.Set, Packs: c.Packs}, c.Declared, replay)
}

// judgeStatement computes a version of a period, of which set and packs are given.
func (s *State) judgeStatement(k *carbonPeriod, stated *entry.Stated, declared []entry.Declared, replay bool) verdict {
	opaque := false
	for _, src := range s.sourcesOf(k.Open.Site) {
		opaque = opaque || replay && s.opaqueSource(src)
	}
	stated.Period, stated.Site, stated.From, stated.To = k.Open.ID, k.Open.Site, k.Open.From, k.Open.To
	if v := s.state(k, stated, declared); v.reason != "" && !opaque {
		return v
	}
	var lowered []loweredIssuance
	if k.Stated != nil && !opaque {
		var v verdict
		if lowered, v = s.lower(stated); v.reason != "" {
			return v
		}
	}
	return allowed(func(leaf uint64) [][]byte {
		stated.Leaf = leaf
		if opaque {
			if r, ok := recordedOutcome(s, func(b *entry.Stated) uint64 { return b.Leaf }, leaf); ok {
				stated = r
			}
		}
		o, err := entry.Bodied(stated)
		var body entry.Body
		if err == nil {
			body, err = o.ParseBody() // as a replay of the leaf alone would have it, to the byte
		}
		if err != nil {
			s.carbon.broken = fmt.Errorf("internal error: %w", err)
			return nil
		}
		stated = body.(*entry.Stated)
		sum := sha256.Sum256(o.Body)
		k.Stated, k.Digest, k.Status, k.Verifier, k.Level = stated, sum[:], uint8(carbon.PeriodClosed), "", ""
		s.touch(k)
		out := [][]byte{o.Encode()}
		for nth, l := range lowered {
			l.issuance.Lowered += l.by
			s.touch(l.issuance)
			out = append(out, s.cover(leaf, nth, l.by, l.registry, l.registry)...)
		}
		return out
	})
}

// state fills in lines, sums and ranges.
func (s *State) state(k *carbonPeriod, stated *entry.Stated, declared []entry.Declared) verdict {
	set, err := carbon.ParseSet(stated.Set)
	must(0, err)
	var total carbon.Line
	for _, src := range s.sourcesOf(stated.Site) {
		var line *entry.StatedLine
		var v verdict
		switch src.Source.Kind {
		case entry.SourceMass, entry.SourceFuel:
			line, v = s.emissionLine(src, stated, set, &total)
		case entry.SourceLoad:
			line, v = s.loadLine(src, stated, set)
		default:
			continue
		}
		if v.reason != "" {
			return v
		}
		stated.Lines = append(stated.Lines, *line)
	}
	for _, d := range declared {
		var line carbon.Line
		gas := carbon.GasMass{Gas: d.Gas, Mass: unit.Mass(d.Mass)}
		if line.Add(set, carbon.Declared, gas) != nil || total.Add(set, carbon.Declared, gas) != nil {
			return refusedFor(entry.ReasonUnknownFactor, "%s", d.Gas)
		}
		stated.Lines = append(stated.Lines, entry.StatedLine{
			Source: d.Label, Kind: entry.LineDeclared, Class: entry.ClassDeclared,
			Gases: []entry.GasMass{{Gas: d.Gas, Mass: d.Mass}}, CO2e: int64(line.Equivalence.Mass),
		})
	}
	stated.CO2e, stated.Declared = int64(total.Equivalence.Mass), int64(total.Share(carbon.Declared))
	if k.Stated != nil {
		ppm, err := carbon.Materiality(unit.Mass(k.Stated.CO2e), unit.Mass(stated.CO2e))
		if stated.Materiality = int64(ppm); err != nil {
			stated.Materiality = -1
		}
	}
	ranges, v := s.rangesOf(stated.Site)
	if v.reason != "" {
		return v
	}
	stated.Ranges = ranges
	if len(stated.Lines) > entry.MostLines || len(stated.Ranges) > entry.MostRanges {
		return refusedFor(entry.ReasonTooMuch, "%s", stated.Period)
	}
	return verdict{}
}

// emissions calls fn with what each measured interval of a source came to, and counts
// intervals.
func (s *State) emissions(src *carbonSource, stated *entry.Stated, fn func(carbon.Gases) error) (measured, missing int64, err error) {
	for at := stated.From; at < stated.To; at += unit.IntervalSeconds {
		b, ok := s.booked(src, 0, at)
		if !ok {
			missing++
			continue
		}
		measured++
		gases := carbon.Gases{{Gas: src.Source.Gas, Mass: unit.Mass(b.amount)}}
		if src.Source.Kind == entry.SourceFuel {
			if gases, err = s.burn(&src.Source, stated.Packs, b.amount); err != nil {
				return 0, 0, err
			}
		}
		if err := fn(gases); err != nil {
			return 0, 0, err
		}
	}
	return measured, missing, nil
}

// burn returns what a quantity of fuel in millionths of a cubic metre came to.
func (s *State) burn(src *entry.CarbonSource, packs []entry.Edition, millionths int64) (carbon.Gases, error) {
	m3, err := carbon.ParseMeasure("m3")
	must(0, err)
	f := carbon.Fuel{Quantity: carbon.Amount{Value: big.NewRat(millionths, 1_000_000), Unit: m3}}
	for _, e := range packs {
		pack := s.carbon.packs[e]
		for i := range pack.Pack.Rows {
			switch r := &pack.Pack.Rows[i]; r.Key {
			case entry.FactorFuel + src.Fuel:
				f.Factors = append(f.Factors, factorOf(r))
			case entry.FactorHHV + src.Fuel:
				if f.HHV == nil {
					hhv := factorOf(r).Amount
					f.HHV = &hhv
				}
			}
		}
		if len(f.Factors) > 0 {
			break
		}
	}
	if len(f.Factors) == 0 {
		return nil, &carbon.Fault{Field: src.Fuel, Reason: "no factor"}
	}
	b, err := f.Burn()
	return b.Gases, err
}

func factorOf(r *entry.FactorRow) carbon.Factor {
	m, err := carbon.ParseMeasure(r.Unit)
	must(0, err) // looked at before it came into force
	return carbon.Factor{Gas: r.Gas, Amount: carbon.Amount{Value: ratOf(r.Value), Unit: m}}
}

func (s *State) emissionLine(src *carbonSource, stated *entry.Stated, set carbon.Set, total *carbon.Line) (*entry.StatedLine, verdict) {
	var line carbon.Line
	measured, missing, err := s.emissions(src, stated, func(g carbon.Gases) error {
		if err := line.Add(set, carbon.Measured, g...); err != nil {
			return err
		}
		return total.Add(set, carbon.Measured, g...)
	})
	if err != nil {
		return nil, refusedFor(entry.ReasonUnknownFactor, "%s", src.Source.ID)
	}
	out := &entry.StatedLine{Source: src.Source.ID, Kind: src.Source.Kind, Class: entry.ClassMeasured, CO2e: int64(line.Equivalence.Mass), Measured: measured, Missing: missing}
	for _, g := range line.Gases {
		out.Gases = append(out.Gases, entry.GasMass{Gas: g.Gas, Mass: int64(g.Mass)})
	}
	return out, verdict{}
}

// perJoule returns the grid's or the residual mix's factor and its gas.
func (s *State) perJoule(packs []entry.Edition, key, gas, set string) (factor *big.Rat, of string) {
	for _, e := range packs {
		pack := s.carbon.packs[e]
		for i := range pack.Pack.Rows {
			r := &pack.Pack.Rows[i]
			if r.Key != key || gas != "" && r.Gas != gas || r.Gas == carbon.Equivalent && pack.Pack.Set != set {
				continue
			}
			if f, err := factorOf(r).PerJoule(); err == nil {
				return f, r.Gas
			}
		}
	}
	return nil, ""
}

// loadLine is used electricity: by place, by what was bought, and interval by interval.
// A certificate that a claim names counts as free of emissions.
func (s *State) loadLine(src *carbonSource, stated *entry.Stated, set carbon.Set) (*entry.StatedLine, verdict) {
	grid, gas := s.perJoule(stated.Packs, entry.FactorGrid, "", stated.Set)
	if grid == nil {
		return nil, refusedFor(entry.ReasonUnknownFactor, "%s", entry.FactorGrid)
	}
	residual, _ := s.perJoule(stated.Packs, entry.FactorResidual, gas, stated.Set)
	e := carbon.Electricity{Boundary: src.Source.Boundary, Grid: grid, Residual: residual}
	out := &entry.StatedLine{Source: src.Source.ID, Kind: src.Source.Kind, Class: entry.ClassMeasured, Gas: gas}
	for at := stated.From; at < stated.To; at += unit.IntervalSeconds {
		b, ok := s.booked(src, 0, at)
		if !ok {
			out.Missing++
			continue
		}
		out.Measured++
		e.Load = append(e.Load, carbon.Load{From: at, To: at + unit.IntervalSeconds, Energy: unit.Energy(b.amount)})
	}
	for _, id := range slices.Sorted(maps.Keys(s.carbon.bundles)) {
		b := s.carbon.bundles[id]
		if b.Load != src.Source.ID || b.ClaimFrom < stated.From || b.ClaimTo > stated.To {
			continue
		}
		from := b.From
		e.Instruments = append(e.Instruments, carbon.Instrument{
			ID: id, Boundary: s.carbon.sources[b.Source].Source.Boundary, Energy: unit.Energy(b.End - b.Start + 1), From: &from, Factor: new(big.Rat),
		})
	}
	sum, err := e.Scope2()
	if err != nil {
		return nil, refusedFor(entry.ReasonTooMuch, "%s", src.Source.ID)
	}
	out.Wh, out.Location, out.Market, out.Hourly, out.HourlyMatched = int64(sum.Load), int64(sum.Location), int64(sum.Market), int64(sum.Hourly), int64(sum.HourlyMatched)
	return out, verdict{}
}

// rangesOf returns the statements of the gateways that a site's sources are read by, and
// refuses where a number is missing and nobody has said that it never was.
func (s *State) rangesOf(site string) ([]entry.StatedRange, verdict) {
	on := make(map[string]bool)
	for _, src := range s.sourcesOf(site) {
		on[src.Source.Point] = true
	}
	var out []entry.StatedRange
	for _, id := range slices.SortedFunc(maps.Keys(s.seen), compareSeenIDs) {
		k := s.keys[id.key]
		if k == nil || !slices.ContainsFunc(k.Points, func(p string) bool { return on[p] }) {
			continue
		}
		used := s.seen[id].Used
		if len(used) == 0 {
			continue
		}
		if skips := s.carbon.skips[id]; !explained(used, skips) {
			return nil, refusedFor(entry.ReasonSequenceGap, "%s %d", signer.KeyID(id.key), id.boot)
		}
		out = append(out, entry.StatedRange{Key: id.key[:], Boot: id.boot, First: used[0].First, Last: used[len(used)-1].Last})
	}
	return out, verdict{}
}

// explained reports whether every hole between the numbers of a boot, and before the
// first, lies within what was told to be skipped.
func explained(used []entry.Range, skips *carbonSkips) bool {
	all := slices.Clone(used)
	if skips != nil {
		all = append(all, skips.Ranges...)
	}
	slices.SortFunc(all, func(a, b entry.Range) int {
		if c := compare(a.First, b.First); c != 0 {
			return c
		}
		return compare(a.Last, b.Last)
	})
	next := uint64(1)
	for _, r := range all {
		if r.First > next {
			return false
		}
		next = max(next, r.Last+1)
	}
	return true
}

// judgeVerification lets a verifier stand for what the newest version says, byte by byte.
func (s *State) judgeVerification(c *entry.Verification, who string) verdict {
	k := s.carbon.periods[c.Period]
	switch {
	case k == nil:
		return refusedFor(entry.ReasonUnknownID, "%s", c.Period)
	case !carbon.PeriodStatus(k.Status).CanBecome(carbon.PeriodVerified) || k.Stated.Version != c.Version || string(k.Digest) != string(c.Digest):
		return refusedFor(entry.ReasonWrongStatus, "%s", c.Period)
	case s.siteOwner(k.Open.Site) == who:
		return refusedFor(entry.ReasonNotAuthorised, "%s", c.Period)
	}
	return allowed(func(uint64) [][]byte {
		k.Status, k.Verifier, k.Level = uint8(carbon.PeriodVerified), who, c.Level
		s.touch(k)
		return nil
	})
}
