package outbox

import (
	"errors"
	"fmt"
	"io/fs"
)

// logStatement logs a new statement and puts it into the index.
func (o *Outbox) logStatement(n Number, rec *Record) {
	r := logRecord{kind: kindStatement, boot: n.Boot, seq: n.Seq}
	var note *mark
	if len(rec.Replaces) > 0 {
		note = &mark{kind: markThinned, list: rec.Replaces}
		r.flags = flagNoted
	}
	r.payload = statementPayload(rec.Statement, rec.Pack, note)
	at := o.log(r)
	o.index.add(place{seq: n.Seq, boot: uint32(n.Boot), seg: at.seg, off: at.off, len: uint32(r.size())})
	o.keep(at.seg, 1, r.size())
}

// location is where a record lies; the zero location is memory.
type location struct{ seg, off uint32 }

// log adds a record to the group, and to the head unless the disk fails: then
// the outbox is in memory afterwards.
func (o *Outbox) log(r logRecord) location {
	if o.state == OnDisk && !o.fits(r.size()) {
		if err := o.roll(); err != nil {
			o.degrade(err)
		}
	}
	o.group = append(o.group, r)
	o.groupSize += r.size()
	if o.state == InMemory {
		return location{}
	}
	at, err := o.write(&r)
	if err != nil {
		o.degrade(err)
		return location{}
	}
	return at
}

func (o *Outbox) fits(size int) bool { return o.head != nil && o.head.end+size <= o.head.size }

// write puts a record at the end of the head, where it must fit, with the mark
// of a clean end behind it.
func (o *Outbox) write(r *logRecord) (location, error) {
	h := o.head
	if !o.fits(r.size()) {
		return location{}, fmt.Errorf("internal error: record of %d bytes does not fit", r.size())
	}
	if h.settled {
		r.flags |= flagSettled
	} else {
		r.flags &^= flagSettled
	}
	b := appendRecord(o.buf[:0], h.ordinal, h.end, r)
	at := location{h.ordinal, uint32(h.end)}
	end := h.end + len(b)
	if end+4 <= h.size {
		b = append(b, 0, 0, 0, 0)
	}
	o.buf = b[:0]
	h.settled = false
	o.counts.written += uint64(len(b))
	if _, err := h.file.WriteAt(b, int64(h.end)); err != nil {
		return location{}, err
	}
	h.end = end
	return at, nil
}

// syncHead makes what was written durable. settle draws the consequences.
func (o *Outbox) syncHead() error {
	if o.head == nil || o.head.settled {
		return nil
	}
	o.counts.fsyncs++
	if err := o.head.file.Sync(); err != nil {
		return err
	}
	o.head.settled = true
	return nil
}

// roll ends the head and starts the next segment, within the limit of the disk.
func (o *Outbox) roll() error {
	if o.head != nil {
		if err := o.syncHead(); err != nil {
			return err
		}
		o.settle()
	}
	if err := o.nextSegment(); err != nil {
		return err
	}
	return o.makeRoom()
}

// nextSegment replaces the head by a fresh segment, whose name and header are
// durable before it is used. A dead segment is written again if there is one:
// its blocks are allocated and initialised, so that later syncs write no
// metadata. What was written to the old head must be synced.
func (o *Outbox) nextSegment() error {
	o.ordinal++
	first := Number{o.base.Boot, o.base.Seq + 1}
	if o.boot != o.base.Boot {
		first = Number{o.boot, 1}
	}
	s := &segment{ordinal: o.ordinal, name: segmentName(o.ordinal, first), size: o.opts.segmentBytes}
	h := header{
		size: uint32(s.size), ordinal: s.ordinal, boot: o.boot,
		// A reservation that waits in the group becomes durable with the header,
		// which must not take back what a segment before it may say.
		reserved: max(o.reserved, o.pending),
		last:     o.base.Number, lastHash: o.base.hash, doubt: o.state == InMemory, gatewayID: o.opts.GatewayID,
	}
	file, err := o.recycle(s, &h)
	if file == nil && err == nil {
		file, err = o.create(s, &h)
	}
	if err != nil {
		return err
	}
	if o.head != nil {
		o.head.file.Close() // it was synced
	}
	o.head = &head{segment: s, file: file, end: headerBytes, settled: true}
	o.segs = append(o.segs, s)
	return nil
}

// create makes a new segment of zeros.
func (o *Outbox) create(s *segment, h *header) (File, error) {
	name := o.path(s.name)
	file, err := o.fs.Create(name)
	if err != nil {
		return nil, err
	}
	zeroed := append(h.encode(), make([]byte, s.size-headerBytes)...)
	_, err = file.WriteAt(zeroed, 0)
	o.counts.written += uint64(len(zeroed))
	if err == nil {
		err = o.syncNew(file)
	}
	if err != nil {
		// Best effort: what stays is taken away by the next Open.
		return nil, errors.Join(err, file.Close(), o.fs.Remove(name))
	}
	o.counts.created++
	return file, nil
}

// recycle writes the new header over the oldest segment if that is dead and
// gives it the new name. Header and name may become durable in either order:
// where they differ, Open takes the file away, as the dead segment it was or
// the empty one it became. It returns no file when there is no dead segment.
func (o *Outbox) recycle(s *segment, h *header) (File, error) {
	if o.dead() == 0 {
		return nil, nil
	}
	if o.segs[0].size != s.size {
		return nil, o.removeOldest()
	}
	// The removal of an older segment must not be undone once this one is gone:
	// the marks of its statements may lie here.
	if err := o.syncDir(); err != nil {
		return nil, err
	}
	old := o.segs[0]
	o.forgetReader()
	file, err := o.fs.Open(o.path(old.name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, o.removeOldest() // it went, though the disk said that it had not
	}
	if err != nil {
		return nil, err
	}
	b := append(h.encode(), 0, 0, 0, 0)
	o.counts.written += uint64(len(b))
	_, err = file.WriteAt(b, 0)
	if err == nil {
		o.dirDirty = true
		err = o.fs.Rename(o.path(old.name), o.path(s.name))
	}
	if err == nil {
		old.name = s.name
		err = o.syncNew(file)
	}
	if err != nil {
		// It stays the oldest of the log, and dead: a file forgotten here would
		// bring its statements back at the next Open, when the segments with
		// their marks may be gone.
		return nil, errors.Join(err, file.Close())
	}
	o.segs = o.segs[1:]
	o.counts.recycled++
	return file, nil
}

// syncNew makes a new file durable, and its name.
func (o *Outbox) syncNew(file File) error {
	o.counts.fsyncs++
	if err := file.Sync(); err != nil {
		return err
	}
	o.dirDirty = true
	return o.syncDir()
}

// syncDir makes names durable if any changed.
func (o *Outbox) syncDir() error {
	if !o.dirDirty {
		return nil
	}
	o.counts.fsyncs++
	if err := o.fs.SyncDir(o.dir); err != nil {
		return err
	}
	o.dirDirty = false
	return nil
}
