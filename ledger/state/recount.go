package state

import (
	"fmt"
	"maps"
	"slices"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
)

// Recount computes carbon accounts again, by the code of the rules, from the statements
// that one figure rests on and without a ledger: a verifier's, who has evidence. Who may
// say what is not asked here, nor whether a reading was plausible: its flags are given.
type Recount struct {
	s       *State
	counted map[string]bool // sources whose readings are taken
	bars    []recountBar
}

// recountBar is the reading that was the first to bar an interval.
type recountBar struct {
	source string
	slot   int64
	leaf   uint64
}

// NewRecount returns a Recount for the ledger that a charter founds.
func NewRecount(charter *entry.Charter) (*Recount, error) {
	s, err := New(charter)
	if err != nil {
		return nil, err
	}
	// Block time bounds how far ahead a reading may be. Whoever gives readings has left out
	// what was.
	s.meta.Time = 1 << 52
	return &Recount{s: s, counted: make(map[string]bool)}, nil
}

// AddPoint makes a metering point known, as it is registered.
func (r *Recount) AddPoint(p *entry.Point) {
	known := &point{Subject: p.Subject, Mode: p.Mode}
	for _, c := range p.Channels {
		known.Series = append(known.Series, series{Channel: c})
	}
	r.s.points[p.Subject] = known
}

// AddSource registers a source by the statement at a leaf. Readings are taken of those that
// are counted; others are only known.
func (r *Recount) AddSource(leaf uint64, c *entry.CarbonSource, counted bool) {
	src := &carbonSource{Source: *c, Leaf: leaf}
	books := &r.s.carbon
	books.sources[c.ID] = src
	if counted {
		r.counted[c.ID] = true
		books.on[c.Point] = insertSource(books.on[c.Point], src)
	}
}

// AddPack puts an edition of a factor pack in force. It refuses one with a unit that the
// rules do not know.
func (r *Recount) AddPack(p *entry.FactorPack) error {
	for i := range p.Rows {
		if _, err := carbon.ParseMeasure(p.Rows[i].Unit); err != nil {
			return fmt.Errorf("factor pack %s %s: %w", p.ID, p.Edition, err)
		}
	}
	r.s.carbon.packs[entry.Edition{Pack: p.ID, Edition: p.Edition}] = &carbonPack{Pack: *p}
	return nil
}

// ClaimedBundle is a bundle of certificates that stands for a load.
type ClaimedBundle struct {
	ID, Source, Load   string
	From               int64 // of the energy
	First, Last        int64 // serials
	ClaimFrom, ClaimTo int64
}

// AddBundle makes a claimed bundle known. Its source must be.
func (r *Recount) AddBundle(b ClaimedBundle) {
	r.s.carbon.bundles[b.ID] = &carbonBundle{
		ID: b.ID, Source: b.Source, From: b.From, Start: b.First, End: b.Last, Load: b.Load, ClaimFrom: b.ClaimFrom, ClaimTo: b.ClaimTo,
	}
}

// Points returns the metering points of the sources that are counted, sorted.
func (r *Recount) Points() []string { return slices.Sorted(maps.Keys(r.s.carbon.on)) }

// Read takes a reading, in the order of leaves, with the outcomes that flag it. Readings of
// other metering points do nothing, nor do those before a source was registered.
func (r *Recount) Read(leaf uint64, claims *entry.Claims, pack *entry.Pack, flagged []*entry.Outcome) {
	books := &r.s.carbon
	all := books.on[claims.Subject]
	known := slices.DeleteFunc(slices.Clone(all), func(src *carbonSource) bool { return src.Leaf >= leaf })
	if len(known) == 0 {
		return
	}
	p := &plan{claims: claims, pack: pack, point: r.s.points[claims.Subject]}
	if p.point == nil {
		p.point = &point{Subject: claims.Subject}
	}
	var flags []flag
	for _, o := range flagged {
		flags = append(flags, flag{o.Code, o.Detail})
	}
	before := r.barred(known, pack)
	books.on[claims.Subject] = known
	r.s.meterCarbon(p, leaf, flags)
	books.on[claims.Subject] = all
	clear(r.s.dirty)
	for _, id := range slices.SortedFunc(maps.Keys(before), compareCarbonDays) {
		d, was := books.days[id], before[id]
		if d == nil {
			continue
		}
		for slot := range carbonSlots {
			if d.barred(slot) && (was == nil || was[slot/8]&(1<<(slot%8)) == 0) {
				r.bars = append(r.bars, recountBar{id.source, id.day*carbonSlots + slot, leaf})
			}
		}
	}
}

// barred returns which intervals are barred of the days that a pack tells of, and of the
// days before, nil for a day of which nothing is known.
func (r *Recount) barred(sources []*carbonSource, pack *entry.Pack) map[carbonDayID][]byte {
	out := make(map[carbonDayID][]byte)
	for i := range pack.Records {
		n := pack.Records[i].Time / slotMilli
		for _, day := range [2]int64{n / carbonSlots, (n - 1) / carbonSlots} {
			for _, src := range sources {
				id := carbonDayID{src.Source.ID, day}
				if _, ok := out[id]; ok {
					continue
				}
				out[id] = nil
				if d := r.s.carbon.days[id]; d != nil {
					out[id] = slices.Clone(d.Barred)
				}
			}
		}
	}
	return out
}

// Needs returns the leaves of the readings that tell what the counted sources came to in
// [from, to): of each interval's beginning and of the end, and the first that bars each
// interval. The same readings alone give the same figures.
func (r *Recount) Needs(from, to int64) []uint64 {
	var out []uint64
	for _, m := range r.Marks(from, to) {
		out = append(out, m.Leaf)
	}
	for _, b := range r.bars {
		if at := b.slot * slotMilli / 1000; from <= at && at < to {
			out = append(out, b.leaf)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// RecountMark is a register at the beginning of an interval, in whole Units.
type RecountMark struct {
	Source string
	Time   int64 // of the reading, Unix milliseconds
	Value  int64
	Unit   string // "Wh", "mg", or "cm3" of fuel
	Leaf   uint64
}

// Marks returns the registers of the counted sources at the beginnings of the intervals of
// [from, to], by source, register and time.
func (r *Recount) Marks(from, to int64) []RecountMark {
	var out []RecountMark
	for _, id := range slices.SortedFunc(maps.Keys(r.s.carbon.days), compareCarbonDays) {
		if !r.counted[id.source] {
			continue
		}
		unit := map[string]string{entry.SourceMass: "mg", entry.SourceFuel: "cm3"}[r.s.carbon.sources[id.source].Source.Kind]
		if unit == "" {
			unit = "Wh"
		}
		for _, marks := range r.s.carbon.days[id].Marks {
			for _, m := range marks {
				n := id.day*carbonSlots + int64(m.Slot)
				if at := n * slotMilli / 1000; from <= at && at <= to {
					out = append(out, RecountMark{id.source, n*slotMilli + m.Millis, m.Value, unit, m.Leaf})
				}
			}
		}
	}
	return out
}

// Stated returns what a version of a period says, but for its leaf and the ranges of
// statements: before is the version that it replaces, nil for none.
func (r *Recount) Stated(open *entry.PeriodOpen, version *entry.Stated, declared []entry.Declared, before *entry.Stated) (*entry.Stated, error) {
	out := &entry.Stated{
		Period: open.ID, Version: version.Version, Site: open.Site, From: open.From, To: open.To, Set: version.Set, Packs: version.Packs,
	}
	if _, err := carbon.ParseSet(out.Set); err != nil {
		return nil, err
	}
	v := r.s.checkPacks(out.Packs, out.From, out.To)
	if v.reason == "" {
		v = r.s.state(&carbonPeriod{Open: *open, Stated: before}, out, declared)
	}
	if v.reason != "" {
		return nil, fmt.Errorf("the rules refuse it: %s (%s)", v.reason, v.detail)
	}
	return out, nil
}

// Reduced returns what a project came to in a version of a period, in mg, with the
// half-width of its doubt, and the units that are surely there.
func (r *Recount) Reduced(project *entry.CarbonProject, stated *entry.Stated) (mg, half, units int64, err error) {
	if stated.To-stated.From > entry.MaxPeriod {
		return 0, 0, 0, fmt.Errorf("a period of %d s, over the limit of %d", stated.To-stated.From, entry.MaxPeriod)
	}
	if _, err := carbon.ParseSet(stated.Set); err != nil {
		return 0, 0, 0, err
	}
	for _, id := range project.Sources {
		if r.s.carbon.sources[id] == nil {
			return 0, 0, 0, fmt.Errorf("source %q is not known", id)
		}
	}
	mg, half, n, ok := r.s.amountOf(project, stated)
	if !ok {
		return 0, 0, 0, fmt.Errorf("what the project %q came to cannot be computed", project.ID)
	}
	return mg, half, int64(n), nil
}

// Certified returns how much energy a source gave in [from, to), and the leaves that tell
// it.
func (r *Recount) Certified(source string, from, to int64) (wh int64, readings []uint64, err error) {
	src := r.s.carbon.sources[source]
	if src == nil {
		return 0, nil, fmt.Errorf("source %q is not known", source)
	}
	n, readings, ok := r.s.bookedSpan(src, 0, from, to)
	if !ok {
		return 0, nil, fmt.Errorf("the readings at hand do not measure all of it")
	}
	return int64(n), readings, nil
}
