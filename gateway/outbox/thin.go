package outbox

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// maxReplaced bounds the statements that one other replaces.
const maxReplaced = 256

// Crowded reports whether the log takes 80 % of its limit: time to thin, before the
// oldest statements have to be dropped. While the outbox is in memory it is false.
func (o *Outbox) Crowded() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state == OnDisk && (len(o.segs)-o.dead())*10 >= o.maxSegments()*8
}

// Thinnable returns statements that another one may replace, in the order of their
// numbers, beginning behind after: those of Pending, but for the ones that
// replaced others themselves. At most max of them and about 1 MB.
func (o *Outbox) Thinnable(after Number, max int) ([]Record, error) {
	return o.list(after, max, o.replaceable)
}

// replaceable tells whether a statement may be replaced. What is not on the disk
// yet stays as it is: a power cut could take the new one and leave the old.
func (o *Outbox) replaceable(p *place) bool {
	return o.state == OnDisk && o.due(p) && p.seg != 0 && !p.is(thinned)
}

// checkReplaces checks which statements a new one says that it replaces.
func (o *Outbox) checkReplaces(list []Number) error {
	switch {
	case len(list) == 0:
		return nil
	case len(list) > maxReplaced:
		return fmt.Errorf("replacing %d statements is %w: at most %d", len(list), ErrTooLarge, maxReplaced)
	case o.state == InMemory:
		return fmt.Errorf("replacing statements: %w: %w", ErrMemory, o.cause)
	}
	for i, n := range list {
		if n.Boot != list[0].Boot || i > 0 && n.Seq <= list[i-1].Seq {
			return fmt.Errorf("replacing statement %s: %w: they are of one boot, and ascending", n, ErrOrder)
		}
	}
	return nil
}

// replaced is the gap that statements leave which another one replaced.
func replaced(list []Number) Gap {
	last := list[len(list)-1]
	return Gap{Range{last.Boot, list[0].Seq, last.Seq}, uint64(len(list)), Thinned}
}

// replace draws the consequences of a statement that replaces others: these are not
// sent any more, and the gap that they leave is said by the new one. Both lie in
// one record of the log, so that no power cut can part them.
func (o *Outbox) replace(by Number, list []Number) {
	for _, n := range list {
		if p := o.index.find(n); p != nil && p.waits() {
			p.len |= receipted // not to be sent
			o.released = append(o.released, n)
			delete(o.refusals, n)
			o.reopenGaps(n)
			o.counts.thinned++
		}
	}
	p := o.index.find(by)
	p.len |= thinned
	g := replaced(list)
	r := gapRecord(g)
	o.putGap(g, p.seg, r.size()).by = by
}

// unreplace takes a replacement back whose statement did not get to the disk and
// has no place in memory: those that it replaced still lie there.
func (o *Outbox) unreplace(list []Number) {
	for _, n := range list {
		at := slices.Index(o.released, n)
		if p := o.index.find(n); p != nil && at >= 0 {
			p.len &^= receipted
			o.released = slices.Delete(o.released, at, at+1)
			o.counts.thinned--
		}
	}
	key := (&gap{Gap: replaced(list)}).key()
	o.gaps = slices.DeleteFunc(o.gaps, func(g *gap) bool {
		if g.key() == key {
			o.keep(g.seg, -1, g.size)
			return true
		}
		return false
	})
}

// replacedBy returns what a record of the log says that its statement replaces.
func replacedBy(r *logRecord) []Number {
	if r.kind != kindStatement || r.flags&flagNoted == 0 {
		return nil
	}
	if _, note, err := decodeStatement(r); err == nil && note.kind == markThinned {
		return note.list
	}
	return nil
}

// appendNumbers encodes ascending numbers of one boot: the boot, the first, and
// the distance of each other one to the one before.
func appendNumbers(b []byte, list []Number) []byte {
	b = binary.AppendUvarint(b, list[0].Boot)
	last := uint64(0)
	for _, n := range list {
		b = binary.AppendUvarint(b, n.Seq-last)
		last = n.Seq
	}
	return b
}

// numbers reads what appendNumbers wrote, up to the end.
func (f *fields) numbers() []Number {
	boot := f.uvarint(maxBoot)
	var list []Number
	for last := uint64(0); f.err == nil && (len(f.rest) > 0 || len(list) == 0); {
		step := f.uvarint(maxSeq)
		if last += step; step == 0 || last > maxSeq || len(list) == maxReplaced {
			f.fail("numbers")
		}
		list = append(list, Number{boot, last})
	}
	return list
}
