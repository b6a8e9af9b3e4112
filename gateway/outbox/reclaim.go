package outbox

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
)

// reclaim gives disk space back after a sync. Segments go strictly oldest
// first, so that the mark of a statement never goes before the statement.
func (o *Outbox) reclaim() {
	err := o.removeDead()
	for err == nil && o.sparse() {
		// Few live statements hold many segments: the refused, the slow, and the
		// receipts that are kept. They are written again at the head.
		if err = o.copyForward(o.segs[o.dead()]); err == nil {
			err = o.removeDead()
		}
	}
	if o.cause = err; err != nil && !errors.Is(err, errUnreadable) {
		o.degrade(err)
	}
}

// errUnreadable: what was to be moved could not be read; nothing was written.
var errUnreadable = errors.New("moving statements")

// dead counts the segments, oldest first, that nothing keeps any more. The last
// durable one is never dead: it says what is reserved, also while the disk fails
// and it is not the head.
func (o *Outbox) dead() int {
	last := len(o.segs) - 1
	for last > 0 && o.segs[last].doubt {
		last--
	}
	n := 0
	for n < last && o.segs[n].live == 0 {
		n++
	}
	return n
}

func (o *Outbox) removeDead() error {
	for o.dead() > spareDead {
		if err := o.removeOldest(); err != nil {
			return err
		}
	}
	return nil
}

// sparse tells whether less than a quarter of the log is live. Then moving the
// oldest segment costs at most a third of what is gained.
func (o *Outbox) sparse() bool {
	dead := o.dead()
	if o.state == InMemory || len(o.segs)-dead <= minSegments {
		return false
	}
	var live int64
	for _, s := range o.segs[dead:] {
		live += s.liveBytes
	}
	return int64(len(o.segs)-dead-minSegments)*int64(o.opts.segmentBytes) > 4*live
}

// removeOldest unlinks the oldest segment. The removal before it is made
// durable first: undone alone, it would bring statements back without marks.
func (o *Outbox) removeOldest() error {
	if err := o.syncDir(); err != nil {
		return err
	}
	o.forgetReader()
	if err := o.remove(o.segs[0].name); err != nil {
		return err
	}
	o.segs = slices.Delete(o.segs, 0, 1)
	return nil
}

// remove unlinks a file. One that is not there went earlier, when the disk
// reported that it had not.
func (o *Outbox) remove(name string) error {
	err := o.fs.Remove(o.path(name))
	o.dirDirty = true
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// makeRoom keeps the segments within the limit. The group is durable when it
// is called.
func (o *Outbox) makeRoom() error {
	for len(o.segs) > o.maxSegments() {
		var err error
		switch s := o.segs[0]; {
		case s.live == 0:
			err = o.removeOldest()
		case s.liveBytes*4 <= int64(s.size):
			if err = o.copyForward(s); errors.Is(err, errUnreadable) {
				err = o.dropOldest(s)
			}
		default:
			err = o.dropOldest(s)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// maxSegments leaves room for the segment that is there while another goes.
func (o *Outbox) maxSegments() int { return int(o.opts.MaxBytes/int64(o.opts.segmentBytes)) - 1 }

// rewrite writes a record at the head outside the group, with a new segment
// where it must: what it repeats stays where it is until the head is synced.
func (o *Outbox) rewrite(r *logRecord) (location, error) {
	if !o.fits(r.size()) {
		if err := o.syncHead(); err != nil {
			return location{}, err
		}
		if err := o.nextSegment(); err != nil {
			return location{}, err
		}
	}
	return o.write(r)
}

// moved is a record that was written again.
type moved struct {
	number Number
	gap    *gap
	at     location
	size   int
}

// copyForward writes what is live in a segment again at the head, durably, so
// that the segment is dead. A statement takes its mark along in one record.
func (o *Outbox) copyForward(s *segment) error {
	var moves []moved
	var lost []Number
	// Gaps first: one of a full outbox would take statements behind it for dropped.
	gaps, err := o.writeGaps(o.gapsIn(s))
	if err != nil {
		return err
	}
	names := o.factsIn(s)
	facts, err := o.writeFacts(names)
	if err != nil {
		return err
	}
	for i := range o.index.places {
		p := &o.index.places[i]
		if p.seg != s.ordinal || p.is(gone) {
			continue
		}
		rec, err := o.read(p)
		if errors.Is(err, errBad) {
			lost = append(lost, p.number())
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errUnreadable, err)
		}
		r := o.noted(rec, p)
		at, err := o.rewrite(&r)
		if err != nil {
			return err
		}
		moves = append(moves, moved{number: p.number(), at: at, size: r.size()})
	}
	unread, err := o.writeGaps(gapsOf(lost))
	if err != nil {
		return err
	}
	if err := o.syncHead(); err != nil {
		return err
	}
	for _, m := range moves {
		p := o.index.find(m.number)
		o.keep(p.seg, -1, p.size())
		p.seg, p.off, p.len = m.at.seg, m.at.off, p.len&^lengthBits|uint32(m.size)
		o.keep(p.seg, 1, m.size)
	}
	o.applyGaps(slices.Concat(gaps, unread))
	o.applyFacts(names, facts)
	for _, n := range lost {
		o.forget(n)
		o.counts.lost++
	}
	o.counts.moved += uint64(len(moves))
	return nil
}

// noted is the record of a statement that is moved.
func (o *Outbox) noted(rec Record, p *place) logRecord {
	r := logRecord{kind: kindStatement, boot: rec.Boot, seq: rec.Seq}
	var note *mark
	switch {
	case p.is(receipted):
		note = &mark{kind: markReceipted}
		for _, k := range o.kept {
			if k.number == p.number() {
				note.text = k.receipt
			}
		}
	case p.is(refused):
		note = &mark{kind: markRefused, text: []byte(o.refusals[p.number()])}
	}
	if note != nil {
		r.flags = flagNoted
	}
	r.payload = statementPayload(rec.Statement, rec.Pack, note)
	return r
}

// gapsIn lists the gaps that lie in a segment.
func (o *Outbox) gapsIn(s *segment) []*gap {
	return slices.DeleteFunc(slices.Concat(o.gaps, o.dropped), func(g *gap) bool { return g.seg != s.ordinal })
}

// gapsOf makes gaps of statements that turned out to be unreadable.
func gapsOf(lost []Number) []*gap {
	var all []*gap
	for _, n := range lost {
		all = append(all, &gap{Gap: Gap{Range{n.Boot, n.Seq, n.Seq}, 1, Corrupt}})
	}
	return all
}

// writeGaps writes gaps at the head, and which statements say them.
func (o *Outbox) writeGaps(gaps []*gap) ([]moved, error) {
	var moves []moved
	for _, g := range gaps {
		r := gapRecord(g.Gap)
		at, err := o.rewrite(&r)
		if err == nil && g.by != (Number{}) {
			c := coverRecord(g, g.by)
			_, err = o.rewrite(&c)
		}
		if err != nil {
			return nil, err
		}
		moves = append(moves, moved{gap: g, at: at, size: r.size()})
	}
	return moves, nil
}

func (o *Outbox) applyGaps(moves []moved) {
	for _, m := range moves {
		o.putGap(m.gap.Gap, m.at.seg, m.size)
	}
}

// forget takes a statement out of the index at once.
func (o *Outbox) forget(n Number) {
	if p := o.index.find(n); p != nil {
		o.keep(p.seg, -1, p.size())
		o.index.forget(p)
		delete(o.refusals, n)
		o.reopenGaps(n)
	}
}

// dropOldest empties the oldest segment of a full outbox: all statements up to
// the last one there that waits are dropped, wherever they lie, as a gap; the
// receipts there are no longer kept.
func (o *Outbox) dropOldest(s *segment) error {
	var upTo Number
	var here []Number
	for i := range o.index.places {
		if p := &o.index.places[i]; p.seg == s.ordinal && !p.is(gone) {
			here = append(here, p.number())
			if p.waits() {
				upTo = p.number()
			}
		}
	}
	dropped, gaps := o.oldest(upTo)
	var all []*gap
	for _, g := range gaps {
		all = append(all, &gap{Gap: o.joined(g, func(Range) bool { return true })})
	}
	for _, g := range o.gaps {
		if g.seg == s.ordinal && !slices.ContainsFunc(all, func(n *gap) bool { return n.key() == g.key() }) {
			all = append(all, g)
		}
	}
	names := o.factsIn(s)
	var facts []held
	moves, err := o.writeGaps(all)
	if err == nil {
		facts, err = o.writeFacts(names)
	}
	if err == nil {
		err = o.syncHead()
	}
	if err != nil {
		return err
	}
	o.applyGaps(moves)
	o.applyFacts(names, facts)
	for _, n := range slices.Concat(dropped, here) {
		o.forget(n)
	}
	o.kept = slices.DeleteFunc(o.kept, func(k keptReceipt) bool { return o.index.find(k.number) == nil })
	o.counts.dropped += uint64(len(dropped))
	o.counts.gaps += uint64(len(gaps))
	return nil
}

// oldest lists the waiting statements up to a number, and the gaps, one a boot,
// that they leave.
func (o *Outbox) oldest(upTo Number) (numbers []Number, gaps []Gap) {
	for i := range o.index.places {
		p := &o.index.places[i]
		n := p.number()
		if n.Compare(upTo) > 0 {
			break
		}
		if !p.waits() {
			continue
		}
		numbers = append(numbers, n)
		if k := len(gaps) - 1; k >= 0 && gaps[k].Boot == n.Boot {
			gaps[k].Last, gaps[k].Count = n.Seq, gaps[k].Count+1
		} else {
			gaps = append(gaps, Gap{Range{n.Boot, n.Seq, n.Seq}, 1, Full})
		}
	}
	return numbers, gaps
}
