package outbox

import (
	"bytes"
	"fmt"
	"slices"
	"time"
)

// retryEvery is how long the outbox leaves a disk in peace that refused.
const retryEvery = time.Minute

type retryTime = time.Time

// degrade moves the outbox to memory. Nothing in the head behind the last sync
// is trusted any more, as after a failed fsync nobody knows what the disk has;
// all of it is in the group and is written again by Retry.
func (o *Outbox) degrade(err error) {
	o.state, o.cause = InMemory, err
	o.counts.degraded++
	if o.head != nil {
		o.head.file.Close()
		o.head = nil
	}
	for i := range o.group {
		o.relocate(&o.group[i], location{})
	}
	o.signal()
}

// relocate enters where a record of the group lies now.
func (o *Outbox) relocate(r *logRecord, at location) {
	switch r.kind {
	case kindStatement:
		if p := o.index.find(r.number()); p != nil {
			o.keep(p.seg, -1, p.size())
			p.seg, p.off = at.seg, at.off
			o.keep(p.seg, 1, p.size())
		}
		if list := replacedBy(r); list != nil {
			o.relocateGap(replaced(list), at)
		}
	case kindFact:
		name, value, err := decodeFact(r)
		if f := o.facts[name]; err == nil && f != nil && bytes.Equal(f.value, value) {
			o.keep(f.seg, -1, f.size)
			f.seg = at.seg
			o.keep(f.seg, 1, f.size)
		}
	case kindGap:
		if g, err := decodeGap(r); err == nil {
			o.relocateGap(g, at)
		}
	}
}

func (o *Outbox) relocateGap(is Gap, at location) {
	for _, g := range slices.Concat(o.gaps, o.dropped) {
		if g.Gap == is {
			o.keep(g.seg, -1, g.size)
			g.seg = at.seg
			o.keep(g.seg, 1, g.size)
		}
	}
}

// Retry tries to go back to the disk, when the outbox is in memory and the last
// try is at least a minute before now. Callers call it as often as they like.
// It returns nil when the outbox is on the disk, else an error that is
// ErrMemory.
func (o *Outbox) Retry(now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return ErrClosed
	}
	if o.state == OnDisk {
		return nil
	}
	if o.lastRetry.IsZero() || now.Sub(o.lastRetry) >= retryEvery || now.Before(o.lastRetry) {
		o.lastRetry = now
		if o.resume() == nil {
			o.lastRetry = time.Time{}
			return nil
		}
	}
	return fmt.Errorf("%w: %w", ErrMemory, o.cause)
}

// finishRepair does what Open could not.
func (o *Outbox) finishRepair() error {
	if o.toRepair == nil {
		return nil
	}
	err := o.toRepair.repair()
	if err == nil {
		err = o.syncHead()
	}
	if err == nil {
		o.toRepair = nil
	}
	return err
}

// resume writes all that is in memory to new segments.
func (o *Outbox) resume() error {
	err := o.finishRepair()
	before := o.ordinal
	places := make([]location, len(o.group))
	o.base = o.durable
	if err == nil {
		err = o.nextSegment()
	}
	for i := 0; i < len(o.group) && err == nil; i++ {
		r := &o.group[i]
		places[i], err = o.rewrite(r)
		o.keep(places[i].seg, 1, 0) // or a segment filled here would be taken for dead
		if r.kind == kindStatement {
			if rec, _, bad := decodeStatement(r); bad == nil && r.number().Compare(o.base.Number) > 0 {
				o.base = link{r.number(), o.opts.Identity(rec.Statement)}
			}
		}
	}
	if err == nil {
		err = o.syncHead()
	}
	for _, at := range places {
		o.keep(at.seg, -1, 0)
	}
	if err != nil {
		o.cause = err
		if o.head != nil {
			o.head.file.Close()
			o.head = nil
		}
		o.discard(before)
		return err
	}
	for i := range o.group {
		o.relocate(&o.group[i], places[i])
	}
	o.state, o.cause = OnDisk, nil
	o.settle()
	if err := o.makeRoom(); err != nil {
		o.degrade(err)
		return err
	}
	o.reclaim()
	return nil
}

// discard takes the segments behind an ordinal away, which a try to resume could
// not make durable. The next try makes others.
func (o *Outbox) discard(behind uint32) {
	o.segs = slices.DeleteFunc(o.segs, func(s *segment) bool {
		s.doubt = s.doubt || s.ordinal > behind
		return s.ordinal > behind && o.remove(s.name) == nil
	})
}

// trimMemory keeps the group within its limit in memory mode, and goes well
// below it each time, as it takes a pass over everything. What goes first is
// what is needed least: receipted statements, the receipts themselves, and then
// the oldest statements that wait, as a gap.
func (o *Outbox) trimMemory() {
	if o.groupSize <= o.opts.MemoryBytes {
		return
	}
	target := o.opts.MemoryBytes / 4 * 3
	o.filterGroup(func(r *logRecord) bool {
		if r.kind != kindStatement || r.flags&flagNoted != 0 { // without it those that it replaced come back
			return true
		}
		p := o.index.find(r.number())
		if p != nil && p.waits() {
			return true
		}
		o.forget(r.number())
		return false
	})
	o.trimReceipts(target)
	var dropped []Number
	o.filterGroup(func(r *logRecord) bool {
		if r.kind != kindStatement || o.groupSize <= target {
			return true
		}
		dropped = append(dropped, r.number())
		if list := replacedBy(r); list != nil {
			o.unreplace(list)
		}
		o.forget(r.number())
		return false
	})
	o.counts.dropped += uint64(len(dropped))
	slices.SortFunc(dropped, Number.Compare)
	for len(dropped) > 0 {
		g := Gap{Range{dropped[0].Boot, dropped[0].Seq, dropped[0].Seq}, 0, Full}
		for len(dropped) > 0 && dropped[0].Boot == g.Boot && o.nothingWaits(Range{g.Boot, g.Last + 1, dropped[0].Seq}) {
			g.Last, g.Count = dropped[0].Seq, g.Count+1
			dropped = dropped[1:]
		}
		o.supersede(o.joined(g, o.nothingWaits))
	}
}

// trimReceipts takes receipts out of their marks until the group has its size,
// and keeps no receipt whose statement is gone or whose mark is bare.
func (o *Outbox) trimReceipts(target int) {
	bare := make(map[Number]bool)
	for i := range o.group {
		if r := &o.group[i]; r.kind == kindMark && r.payload[0] == byte(markReceipted) && o.groupSize > target {
			o.groupSize -= len(r.payload) - 1
			r.payload = bytes.Clone(r.payload[:1]) // the receipt's memory goes
			bare[r.number()] = true
		}
	}
	o.kept = slices.DeleteFunc(o.kept, func(k keptReceipt) bool {
		switch here := o.index.find(k.number) != nil; {
		case here && bare[k.number]:
			o.released = append(o.released, k.number)
			fallthrough
		case !here:
			return true
		}
		return false
	})
}

// supersede opens a gap in memory and takes the record of a shorter one with
// the same first number out of the group. The gap goes to the front, as the power
// may go while the group is written: then no statement may be on disk without the
// gap before it.
func (o *Outbox) supersede(g Gap) {
	o.filterGroup(func(r *logRecord) bool {
		old, err := decodeGap(r)
		return r.kind != kindGap || err != nil || (&gap{Gap: old}).key() != (&gap{Gap: g}).key()
	})
	o.openGap(g)
	end := len(o.group) - 1
	o.group = slices.Insert(o.group[:end], 0, o.group[end])
}

// filterGroup keeps the records of the group that keep says, in order. The
// predicate sees groupSize go down.
func (o *Outbox) filterGroup(keep func(*logRecord) bool) {
	kept := o.group[:0]
	for i := range o.group {
		size := o.group[i].size()
		if keep(&o.group[i]) {
			kept = append(kept, o.group[i])
		} else {
			o.groupSize -= size
		}
	}
	clear(o.group[len(kept):])
	o.group = kept
}
