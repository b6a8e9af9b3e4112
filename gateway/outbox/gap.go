package outbox

import "slices"

// gap is a Gap on its way to the ledger: open, said by a statement, and
// forgotten when that statement is receipted.
type gap struct {
	Gap
	seg    uint32 // where its record lies
	size   int
	by     Number // the statement that says it; zero while it is open
	toldBy Number // Skipped only: the number that NextSeq told it to
	over   bool   // the receipt is logged, and forgetting waits for the sync
}

// key is what makes a later record of a gap the same gap.
func (g *gap) key() Gap { return Gap{Range: Range{Boot: g.Boot, First: g.First}, Reason: g.Reason} }

// among tells whether the appender names the gap among those its statement
// says. One that has grown since it asked is not said.
func (g *gap) among(gaps []Gap) bool { return slices.Contains(gaps, g.said()) }

// said is the gap as Gaps returns it. Numbers that were skipped in a boot that
// is over have nobody to carry them as a skipped range.
func (g *gap) said() Gap {
	said := g.Gap
	if said.Reason == Skipped {
		said.Reason = PowerOff
	}
	return said
}

// Gaps returns the gaps that no statement says yet, oldest first, but for the
// skipped numbers of this boot, which NextSeq tells. Call it after RaiseBoot. The sampler makes a signed record of
// each and names them in Record.Covers of that statement; until then, and
// again if that statement is dropped before it is receipted, they are returned.
func (o *Outbox) Gaps() []Gap {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Gap
	for _, g := range o.gaps {
		if g.by == (Number{}) && (g.Reason != Skipped || g.Boot != o.boot) {
			out = append(out, g.said())
		}
	}
	return out
}

// openGap logs a gap.
func (o *Outbox) openGap(g Gap) {
	g = o.joined(g, o.nothingWaits)
	r := gapRecord(g)
	at := o.log(r)
	o.putGap(g, at.seg, r.size())
	o.counts.gaps++
}

// joined extends the open gap before g, if clear says of the numbers between
// the two that none of them is to be sent: an outbox that stays full has one
// growing gap. Skipped numbers are joined only where nothing lies between.
func (o *Outbox) joined(g Gap, clear func(Range) bool) Gap {
	for _, old := range o.gaps {
		if old.by != (Number{}) || old.Reason != g.Reason || old.Boot != g.Boot || old.Last >= g.First {
			continue
		}
		between := Range{g.Boot, old.Last + 1, g.First - 1}
		adjacent := between.First > between.Last
		if adjacent || (g.Reason == Full || g.Reason == Corrupt) && clear(between) {
			g.First, g.Count = old.First, g.Count+old.Count
			break
		}
	}
	return g
}

// nothingWaits tells whether no statement of the range is to be sent.
func (o *Outbox) nothingWaits(r Range) bool {
	for i := o.index.after(Number{r.Boot, r.First - 1}); i < len(o.index.places); i++ {
		p := &o.index.places[i]
		if !r.Contains(p.number()) {
			break
		}
		if p.waits() {
			return false
		}
	}
	return true
}

// putGap enters a gap that is in the log, in place of one with the same key.
func (o *Outbox) putGap(g Gap, seg uint32, size int) *gap {
	n := &gap{Gap: g, seg: seg, size: size}
	o.keep(seg, 1, size)
	for i, old := range o.gaps {
		if old.key() == n.key() {
			o.keep(old.seg, -1, old.size)
			o.dropped = slices.DeleteFunc(o.dropped, func(d *gap) bool { return d == old })
			if old.Gap == g {
				n.by, n.toldBy, n.over = old.by, old.toldBy, old.over
			}
			o.gaps[i] = n
			return n
		}
	}
	o.gaps = append(o.gaps, n)
	return n
}

// coverAll logs which gaps a statement says: those that its appender names, and
// the skipped range that NextSeq told it. Each is closed before that is logged:
// the log may make room, and what it drops must not grow a gap that was said.
func (o *Outbox) coverAll(by Number, covers []Gap) {
	open := slices.Clone(o.gaps) // the log may also move gaps
	for _, g := range open {
		g = o.findGap(g.key())
		if g != nil && g.by == (Number{}) && (g.toldBy == by || g.among(covers)) {
			g.by = by
			o.log(coverRecord(g, by))
		}
	}
}

func coverRecord(g *gap, by Number) logRecord {
	return markRecord(Number{g.Boot, g.First}, mark{kind: markCovered, text: []byte(g.Reason), by: by, upTo: g.Last})
}

func (o *Outbox) findGap(key Gap) *gap {
	for _, g := range o.gaps {
		if g.key() == key {
			return g
		}
	}
	return nil
}

// endGaps forgets the gaps that a receipted statement says, once its mark is
// durable.
func (o *Outbox) endGaps(by Number) {
	for _, g := range o.gaps {
		if g.by == by {
			g.over = true
			o.dropped = append(o.dropped, g)
		}
	}
	o.gaps = slices.DeleteFunc(o.gaps, func(g *gap) bool { return g.over })
}

// reopenGaps makes the gaps open again that a statement said which is now
// dropped itself.
func (o *Outbox) reopenGaps(by Number) {
	for _, g := range o.gaps {
		if g.by == by {
			g.by, g.toldBy = Number{}, Number{}
		}
	}
}
