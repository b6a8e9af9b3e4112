package outbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

// keptCorrupt is how many segments that were set aside are kept for whoever
// wants to know why.
const keptCorrupt = 4

// Open opens the outbox in a directory, which it makes if need be, and repairs
// what a power cut or the disk did to it; the report says what that was. It
// fails if another process has it open, if it belongs to another gateway, or if
// it cannot be read. A disk that can be read but not written does not fail it:
// the outbox is then in memory.
func Open(fsys FS, dir string, opts Options) (*Outbox, Report, error) {
	if err := opts.complete(); err != nil {
		return nil, Report{}, fmt.Errorf("opening outbox %s: %w", dir, err)
	}
	if err := fsys.MkdirAll(dir); err != nil {
		return nil, Report{}, fmt.Errorf("opening outbox: %w", err)
	}
	lock, err := fsys.Lock(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, Report{}, fmt.Errorf("opening outbox: %w", err)
	}
	o := &Outbox{
		fs: fsys, dir: dir, opts: opts, lock: lock,
		ready: make(chan struct{}, 1), refusals: make(map[Number]string),
		facts: make(map[string]*fact),
	}
	r := &recovery{Outbox: o, reserved: make(map[uint64]uint64)}
	if err := r.run(); err != nil {
		o.forgetReader()
		return nil, Report{}, errors.Join(fmt.Errorf("opening outbox %s: %w", dir, err), lock.Close())
	}
	return o, r.report, nil
}

func (opts *Options) complete() error {
	if opts.MaxBytes == 0 {
		opts.MaxBytes = defaultMaxBytes
	}
	if opts.MemoryBytes == 0 {
		opts.MemoryBytes = 2 << 20
	}
	if opts.Identity == nil {
		opts.Identity = func(statement []byte) [32]byte { return sha256.Sum256(statement) }
	}
	if opts.segmentBytes == 0 {
		opts.segmentBytes, opts.keptReceipts, opts.reserveBlock = segmentBytes, keptReceipts, reserveBlock
	}
	if least := int64(minSegments * opts.segmentBytes); opts.MaxBytes < least {
		return fmt.Errorf("a limit of %d bytes is below the least, %d", opts.MaxBytes, least)
	}
	if opts.MemoryBytes < 0 || len(opts.GatewayID) > maxGatewayID {
		return fmt.Errorf("gateway id %q is %w, or the memory is negative", opts.GatewayID, ErrTooLarge)
	}
	return nil
}

// recovery is the work of Open. If the disk refuses in the midst of it, the
// outbox keeps it and finishes it before it writes anything else.
type recovery struct {
	*Outbox
	report         Report
	tidy           []string          // files to be removed
	tail           []sick            // the last segments, which may not be durable
	sick           []sick            // segments with something wrong
	missing        []Range           // numbers that were durable and are not there
	reserved       map[uint64]uint64 // what is known of each boot's reservation
	pendingMissing bool              // unreadable bytes since the last statement in the log
	distrusted     bool              // distrust has done its work
}

// sick is a segment that is not as an orderly end leaves it.
type sick struct {
	*segment
	scan
	follows  bool // the header says that the segment before may not be durable
	headless bool // the header cannot be read
	short    bool // the file is shorter than its header says
}

// corrupt tells damage to what had been durable from a torn end.
func (s *sick) corrupt() bool { return s.damaged || s.headless || s.short }

func (r *recovery) run() error {
	names, err := r.fs.ReadDir(r.dir)
	if err != nil {
		return err
	}
	var corrupt []string
	for _, name := range names {
		ordinal, ok := parseSegmentName(name)
		r.ordinal = max(r.ordinal, ordinal)
		switch {
		case strings.HasSuffix(name, tempSuffix):
			r.tidy = append(r.tidy, name)
		case ok && strings.HasSuffix(name, corruptSuffix):
			corrupt = append(corrupt, name)
		case ok && r.segment(ordinal) != nil:
			r.note("Segment %s has the place of another one and is left alone.", name)
		case ok && strings.HasSuffix(name, segmentSuffix):
			found, err := r.readSegment(name, ordinal)
			if err != nil {
				return err
			}
			if found.segment == nil {
				r.tidy = append(r.tidy, name)
				continue
			}
			if !found.follows {
				r.tail = nil
			}
			r.tail = append(r.tail, found)
		}
	}
	r.finishReplay()
	r.readState()
	if n := len(corrupt) - keptCorrupt; n > 0 {
		r.tidy = append(r.tidy, corrupt[:n]...)
	}
	err = r.syncTail()
	if err != nil {
		r.keepTail()
	} else {
		err = r.repair()
	}
	if err != nil {
		r.note("The disk does not take writes: %v. New statements stay in memory.", err)
		r.degrade(err)
		r.toRepair = r
	}
	r.tail = nil
	r.summarize()
	return nil
}

func (r *recovery) note(format string, args ...any) {
	r.report.Notes = append(r.report.Notes, fmt.Sprintf(format, args...))
}

// readSegment replays one segment. It returns nothing for a file that is to be
// removed: an unfinished new segment, or a dead one on its way to a new name.
func (r *recovery) readSegment(name string, ordinal uint32) (sick, error) {
	data, err := readAll(r.fs, r.path(name), maxSegment)
	if err != nil {
		return sick{}, fmt.Errorf("segment %s: %w", name, err)
	}
	h, err := decodeHeader(data)
	switch {
	case err == nil && h.ordinal != ordinal:
		return sick{}, nil
	case err == nil && h.gatewayID != r.opts.GatewayID:
		return sick{}, fmt.Errorf("segment %s was written by gateway %q and this is %q: choose another directory", name, h.gatewayID, r.opts.GatewayID)
	case err != nil && !errors.Is(err, errHeader):
		return sick{}, fmt.Errorf("segment %s: %w", name, err)
	}
	s := &segment{ordinal: ordinal, name: name, size: len(data)}
	found := sick{segment: s, scan: scanSegment(data, ordinal), follows: h.doubt, headless: err != nil}
	found.short = !found.headless && len(data) < int(h.size)
	if (found.headless || found.short) && len(found.records)+len(found.behind) == 0 && r.unfinished(data) {
		return sick{}, nil
	}
	r.segs = append(r.segs, s)
	r.replay(&found, &h)
	if found.torn || found.corrupt() {
		r.sick = append(r.sick, found)
		r.keep(ordinal, 1, 0) // not to be written again before it is set aside
	}
	return found, nil
}

// replay enters what a segment says. What stands behind a torn end was never
// durable nor sent, and does not count.
func (r *recovery) replay(s *sick, h *header) {
	if s.headless {
		r.lostHere()
	} else {
		r.header(h)
	}
	for i := range s.records {
		r.record(s.segment, &s.records[i])
	}
	if s.damaged || s.short {
		r.lostHere()
	}
	if s.corrupt() {
		for i := range s.behind {
			r.record(s.segment, &s.behind[i])
		}
	}
}

// unfinished tells whether a file without header or records may be a segment
// whose making was interrupted: some of its sectors were not written, and the
// rest of it is zeros.
func (r *recovery) unfinished(data []byte) bool {
	for _, b := range data[min(len(data), headerBytes):] {
		if b != 0 {
			return false
		}
	}
	return true
}

// header replays what a segment's header repeats.
func (r *recovery) header(h *header) {
	r.number(h.boot, h.reserved)
	if h.last.Compare(r.last.Number) > 0 {
		r.followed(Number{h.last.Boot, h.last.Seq + 1})
		r.last = link{h.last, h.lastHash}
	}
	if h.boot == r.boot && h.last.Boot == r.boot {
		r.accounted = max(r.accounted, h.last.Seq)
	}
}

// number replays a boot count and its reservation; the latest one counts.
func (r *recovery) number(boot, reserved uint64) {
	if boot > r.boot {
		r.boot, r.accounted = boot, 0
	}
	if boot == r.boot {
		r.Outbox.reserved = reserved
	}
	r.reserved[boot] = reserved
}

// record replays one record. What does not decode has a good CRC and is of a
// later format: it is left alone.
func (r *recovery) record(s *segment, p *placed) {
	switch p.kind {
	case kindStatement:
		if rec, note, err := decodeStatement(&p.logRecord); err == nil {
			r.statement(s, p, &rec, &note)
		}
	case kindGap:
		if g, err := decodeGap(&p.logRecord); err == nil {
			r.gap(s, p, g)
		}
	case kindMark:
		if m, err := decodeMark(p.payload); err == nil {
			r.mark(p.number(), &m)
		}
	case kindFact:
		if name, value, err := decodeFact(&p.logRecord); err == nil {
			if old := r.facts[name]; old != nil {
				r.keep(old.seg, -1, old.size)
			}
			r.setFact(name, slices.Clone(value), held{s.ordinal, p.size})
		}
	}
}

func (r *recovery) statement(s *segment, p *placed, rec *Record, note *mark) {
	n := rec.Number()
	if n.Compare(r.last.Number) > 0 {
		r.followed(n)
		r.last = link{n, r.opts.Identity(rec.Statement)}
		if n.Boot > r.boot {
			r.number(n.Boot, 0)
		}
		if n.Boot == r.boot {
			r.accounted = max(r.accounted, n.Seq)
		}
	}
	if old := r.index.find(n); old != nil {
		// Moved, or written again after the disk had failed: the later one counts.
		r.keep(old.seg, -1, old.size())
		old.seg, old.off, old.len = s.ordinal, uint32(p.off), old.len&^lengthBits|uint32(p.size)
	} else {
		r.index.add(place{seq: n.Seq, boot: uint32(n.Boot), seg: s.ordinal, off: uint32(p.off), len: uint32(p.size)})
	}
	r.keep(s.ordinal, 1, p.size)
	switch note.kind {
	case 0:
	case markThinned:
		r.thinned(n, note.list)
	default:
		r.mark(n, note)
	}
}

// thinned replays what a statement replaced.
func (r *recovery) thinned(by Number, list []Number) {
	for _, n := range list {
		if p := r.index.find(n); p != nil && p.waits() {
			r.forget(n)
		}
	}
	p := r.index.find(by)
	p.len |= thinned
	g := replaced(list)
	record := gapRecord(g)
	r.putGap(g, p.seg, record.size()).by = by
}

// lostHere notes that durable bytes are missing at this point of the log.
func (r *recovery) lostHere() { r.pendingMissing = true }

// followed is told of each number that is higher than all before it. Behind
// missing bytes it shows which numbers are missing.
func (r *recovery) followed(n Number) {
	if !r.pendingMissing {
		return
	}
	r.pendingMissing = false
	if n.Boot == r.last.Boot {
		r.miss(n.Boot, r.last.Seq+1, n.Seq-1)
		return
	}
	if r.last.Boot > 0 {
		r.miss(r.last.Boot, r.last.Seq+1, r.reserved[r.last.Boot])
	}
	r.miss(n.Boot, 1, n.Seq-1)
}

func (r *recovery) miss(boot, first, last uint64) {
	if first <= last {
		r.missing = append(r.missing, Range{boot, first, last})
	}
}

func (r *recovery) gap(s *segment, p *placed, g Gap) {
	r.putGap(g, s.ordinal, p.size)
	switch g.Reason {
	case Full:
		for i := r.index.after(Number{g.Boot, g.First - 1}); i < len(r.index.places); i++ {
			q := &r.index.places[i]
			if !g.Contains(q.number()) {
				break
			}
			if q.waits() {
				r.forget(q.number())
			}
		}
	case Skipped:
		if g.Boot == r.boot {
			r.accounted = max(r.accounted, g.Last)
		}
	}
}

func (r *recovery) mark(n Number, m *mark) {
	switch m.kind {
	case markBoot, markReserved:
		r.number(n.Boot, m.upTo)
		return
	case markCovered:
		key := Gap{Range: Range{Boot: n.Boot, First: n.Seq}, Reason: Reason(m.text)}
		// A longer gap, that was to take its place when the disk failed, is not said.
		if g := r.findGap(key); g != nil && g.Last == m.upTo {
			g.by = m.by
		}
		return
	}
	p := r.index.find(n)
	if m.kind == markReceipted {
		for _, g := range r.gaps {
			if g.by == n {
				r.keep(g.seg, -1, g.size)
			}
		}
		r.gaps = slices.DeleteFunc(r.gaps, func(g *gap) bool { return g.by == n })
	}
	if p == nil || p.is(receipted) {
		return
	}
	switch m.kind {
	case markReceipted:
		r.receipt(p, slices.Clone(m.text))
	case markRefused:
		p.len |= refused
		r.refusals[n] = string(m.text)
	case markResend:
		p.len &^= refused
		delete(r.refusals, n)
	}
}

// finishReplay draws the last conclusions from the log.
func (r *recovery) finishReplay() {
	if r.pendingMissing && r.last.Boot > 0 && r.last.Boot != r.boot {
		r.miss(r.last.Boot, r.last.Seq+1, r.reserved[r.last.Boot])
	}
	for _, n := range r.released {
		r.Outbox.forget(n)
	}
	r.released = nil
	for _, g := range r.gaps {
		// Only a statement that is here can still say it.
		if p := r.index.find(g.by); p == nil || !p.waits() {
			g.by = Number{}
		}
	}
	r.index.compact()
	r.durable, r.base, r.handed = r.last, r.last, r.Outbox.reserved
	r.damaged = len(r.sick) > 0
}

// readState reads the state file. What it says is compared in RaiseBoot.
func (r *recovery) readState() {
	facts, err := readState(r.fs, r.path(stateFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if r.boot > 0 {
			r.note("The state file is missing; the boot count will be raised from the segments.")
		}
	case err != nil:
		r.note("The state file cannot be used (%v); the boot count will be raised from the segments.", err)
	case facts.boot > r.boot && len(r.segs) == 0:
		r.note("The segments are gone, though the boot count is %d: statements that waited are lost, and nothing here says which.", facts.boot)
	}
	r.found = facts
}

// repair brings the files into order. An error is one of writing; what is done
// by then is not done again by the next call.
func (r *recovery) repair() error {
	for ; len(r.tidy) > 0; r.tidy = r.tidy[1:] {
		if err := r.remove(r.tidy[0]); err != nil {
			return err
		}
	}
	for i := range r.sick {
		if s := &r.sick[i]; s.torn && !s.corrupt() {
			if err := r.cut(s); err != nil {
				return err
			}
			s.torn = false
		}
	}
	if err := r.distrust(); err != nil {
		return err
	}
	for ; len(r.sick) > 0; r.sick = r.sick[1:] {
		if s := &r.sick[0]; s.corrupt() {
			if err := r.setAside(s); err != nil {
				return err
			}
		}
	}
	return r.syncDir()
}

// cut overwrites a torn tail with zeros: nothing of it may ever be taken for a
// record again.
func (r *recovery) cut(s *sick) error {
	file, err := r.fs.Open(r.path(s.name))
	if err != nil {
		return err
	}
	_, err = file.WriteAt(make([]byte, s.size-s.end), int64(s.end))
	if err == nil {
		err = file.Sync()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		r.keep(s.ordinal, -1, 0)
		r.report.Cuts = append(r.report.Cuts, Cut{s.name, int64(s.end), len(s.behind)})
	}
	return err
}

// syncTail makes what the process before left behind durable, its names and the
// last records, which may be in the kernel's cache only, and goes on in the last
// segment if it is whole. A sync alone would not do: the process may have ended
// after one that failed, and what that one did not write no other one writes.
func (r *recovery) syncTail() error {
	r.dirDirty = true
	if err := r.syncDir(); err != nil {
		return err
	}
	for i := range r.tail {
		s := &r.tail[i]
		if s.corrupt() {
			continue // what is good in it is written again in any case
		}
		file, err := r.fs.Open(r.path(s.name))
		if err != nil {
			return err
		}
		if err := r.writeAgain(file, s); err != nil {
			return errors.Join(err, file.Close())
		}
		if i == len(r.tail)-1 && s.size == r.opts.segmentBytes {
			r.head = &head{segment: s.segment, file: file, end: s.end, settled: true}
		} else {
			file.Close() // it was synced
		}
	}
	return nil
}

// writeAgain writes what a segment has behind the last point that is known to be
// durable, the same bytes in the same place.
func (r *recovery) writeAgain(file File, s *sick) error {
	upTo := s.end
	if s.settled == 0 {
		upTo = s.size // it may be a new file
	}
	b := make([]byte, upTo-s.settled)
	if _, err := file.ReadAt(b, int64(s.settled)); err != nil {
		return err
	}
	r.counts.written += uint64(len(b))
	if _, err := file.WriteAt(b, int64(s.settled)); err != nil {
		return err
	}
	r.counts.fsyncs++
	return file.Sync()
}

// keepTail puts the records of the tail into the group, as the disk did not make
// them durable: they can be read, but the next power cut may take them.
func (r *recovery) keepTail() {
	for i := range r.tail {
		if r.tail[i].corrupt() {
			continue
		}
		r.tail[i].doubt = true
		for _, p := range r.tail[i].records {
			r.group = append(r.group, p.logRecord)
			r.groupSize += p.logRecord.size()
		}
	}
}

// distrust ends the boot if anything was torn or damaged: a reservation of
// numbers may have been in what is lost. It is in the log, so that it holds even
// if the process ends before RaiseBoot.
func (r *recovery) distrust() error {
	if r.distrusted || len(r.sick) == 0 || r.boot == 0 || r.unused() {
		return nil
	}
	if rest := (Range{r.boot, r.accounted + 1, r.Outbox.reserved}); rest.First <= rest.Last {
		if err := r.reportGap(Gap{rest, rest.Last - rest.First + 1, PowerOff}); err != nil {
			return err
		}
	}
	m := markRecord(Number{Boot: r.boot + 1}, mark{kind: markBoot})
	if _, err := r.rewrite(&m); err != nil {
		return err
	}
	if err := r.syncHead(); err != nil {
		return err
	}
	r.boot, r.handed, r.accounted, r.Outbox.reserved = r.boot+1, 0, 0, 0
	r.distrusted = true
	return nil
}

func (r *recovery) reportGap(g Gap) error {
	moves, err := r.writeGaps([]*gap{{Gap: g}})
	if err == nil {
		err = r.syncHead()
	}
	if err != nil {
		return err
	}
	r.applyGaps(moves)
	r.report.Gaps = append(r.report.Gaps, g)
	return nil
}

// setAside takes a damaged segment out of the log: all that is good in it is
// written again, what is missing becomes a gap, and the file is renamed.
func (r *recovery) setAside(s *sick) error {
	for ; len(r.missing) > 0; r.missing = r.missing[1:] {
		m := r.missing[0]
		if err := r.reportGap(Gap{m, m.Last - m.First + 1, Corrupt}); err != nil {
			return err
		}
	}
	// Marks of statements that lie elsewhere would be lost with the segment.
	for _, p := range slices.Concat(s.records, s.behind) {
		if p.kind == kindMark && len(p.payload) > 0 && p.payload[0] != byte(markBoot) && p.payload[0] != byte(markReserved) {
			if _, err := r.rewrite(&p.logRecord); err != nil {
				return err
			}
		}
	}
	if err := r.copyForward(s.segment); err != nil {
		return err
	}
	name := r.path(s.name)
	if err := r.fs.Rename(name, strings.TrimSuffix(name, segmentSuffix)+corruptSuffix); err != nil {
		return err
	}
	r.dirDirty = true
	r.segs = slices.DeleteFunc(r.segs, func(x *segment) bool { return x == s.segment })
	r.note("Segment %s is damaged: set aside with the ending %s, what was readable in it was saved.", s.name, corruptSuffix)
	return r.syncDir()
}

func (r *recovery) summarize() {
	p := &r.report
	p.Segments, p.Boot, p.Refused = len(r.segs), r.boot, len(r.refusals)
	for i := range r.index.places {
		switch q := &r.index.places[i]; {
		case q.is(gone):
			continue
		case q.waits() && !q.is(refused):
			p.Pending++
			fallthrough
		default:
			p.Statements++
		}
	}
}

// readAll reads a file of at most limit bytes.
func readAll(fsys FS, name string, limit int64) ([]byte, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("%d bytes are %w: at most %d", size, ErrTooLarge, limit)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(io.NewSectionReader(file, 0, size), b); err != nil {
		return nil, err
	}
	return b, nil
}
