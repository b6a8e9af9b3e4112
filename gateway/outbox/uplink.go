package outbox

import (
	"errors"
	"fmt"
	"slices"
)

// pendingBytes bounds what one call of Pending reads into memory.
const pendingBytes = 1 << 20

// Pending returns statements that wait for a receipt, in the order of their
// numbers, beginning behind after: at most max of them and about 1 MB. They are
// durable, except while State is InMemory. Refused ones are left out. From the
// zero Number it gives the backlog, from the last number given only what is
// fresh. A statement that cannot be read any more becomes a gap of reason
// Corrupt. With an error, what was read before it is returned too.
func (o *Outbox) Pending(after Number, max int) ([]Record, error) {
	return o.list(after, max, o.due)
}

// list reads the statements behind a number that want says.
func (o *Outbox) list(after Number, max int, want func(*place) bool) ([]Record, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, ErrClosed
	}
	var out []Record
	var lost []Number
	var failed error
	size := 0
	for i := o.index.after(after); i < len(o.index.places) && len(out) < max && size < pendingBytes; i++ {
		p := &o.index.places[i]
		if !want(p) {
			continue
		}
		rec, err := o.read(p)
		if errors.Is(err, errBad) {
			lost = append(lost, p.number())
			continue
		}
		if err != nil {
			failed = err
			break
		}
		size += p.size()
		out = append(out, rec)
	}
	for _, n := range lost {
		o.lose(n)
	}
	return out, failed
}

// Statement returns the statement of a number as long as it is in the outbox:
// while it waits for a receipt, refused or not, and, with waits false, while its
// receipt is among those that are kept. It returns ErrUnknown otherwise.
func (o *Outbox) Statement(n Number) (rec Record, waits bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	p, err := o.markable(n, 0, 0)
	if err != nil {
		return Record{}, false, err
	}
	rec, err = o.read(p)
	if errors.Is(err, errBad) {
		return Record{}, false, fmt.Errorf("statement %s cannot be read any more: %w", n, ErrUnknown)
	}
	return rec, p.waits(), err
}

func (o *Outbox) due(p *place) bool {
	return p.waits() && !p.is(refused) && (o.state == InMemory || p.number().Compare(o.durable.Number) <= 0)
}

// lose gives a statement up that cannot be read.
func (o *Outbox) lose(n Number) {
	o.openGap(Gap{Range: Range{n.Boot, n.Seq, n.Seq}, Count: 1, Reason: Corrupt})
	o.reopenGaps(n)
	if p := o.index.find(n); p != nil {
		p.len |= receipted // not to be sent
		o.released = append(o.released, n)
		delete(o.refusals, n)
	}
	o.counts.lost++
}

// read returns the statement at a place. It returns errBad if what lies there
// is not that statement any more.
func (o *Outbox) read(p *place) (Record, error) {
	if p.seg == 0 {
		for i := range o.group {
			if r := &o.group[i]; r.kind == kindStatement && r.number() == p.number() {
				rec, _, err := decodeStatement(r)
				return rec, err
			}
		}
		return Record{}, errBad
	}
	file, err := o.segmentFile(p.seg)
	if err != nil {
		return Record{}, fmt.Errorf("reading statement %s: %w", p.number(), err)
	}
	buf := make([]byte, p.size())
	if _, err := file.ReadAt(buf, int64(p.off)); err != nil {
		return Record{}, fmt.Errorf("reading statement %s: %w", p.number(), err)
	}
	r, _, err := decodeRecord(buf, p.seg, int(p.off))
	if err != nil || r.kind != kindStatement || r.number() != p.number() {
		return Record{}, errBad
	}
	rec, _, err := decodeStatement(&r)
	return rec, err
}

// segmentFile returns the open file of a segment, the head's or the reader's.
func (o *Outbox) segmentFile(ordinal uint32) (File, error) {
	if o.head != nil && o.head.ordinal == ordinal {
		return o.head.file, nil
	}
	if o.reader.file != nil && o.reader.ordinal == ordinal {
		return o.reader.file, nil
	}
	o.forgetReader()
	s := o.segment(ordinal)
	if s == nil {
		return nil, fmt.Errorf("internal error: no segment %d", ordinal)
	}
	file, err := o.fs.Open(o.path(s.name))
	if err != nil {
		return nil, err
	}
	o.reader.file, o.reader.ordinal = file, ordinal
	return file, nil
}

func (o *Outbox) forgetReader() {
	if o.reader.file != nil {
		o.reader.file.Close()
		o.reader.file = nil
	}
}

// Receipted marks a statement as receipted, with the receipt that its caller
// has verified. The statement is not pending any more; the mark becomes durable
// with the group. The last 64 receipts stay readable. It returns ErrUnknown for
// a number that is not in the outbox, ErrTooLarge for a receipt above 16 kB, and
// nil, changing nothing, if the statement was receipted before. An empty receipt
// is not kept, nor its statement.
func (o *Outbox) Receipted(boot, seq uint64, receipt []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := Number{boot, seq}
	p, err := o.markable(n, len(receipt), MaxReceipt)
	if err != nil {
		return err
	}
	if p.is(receipted) {
		return nil
	}
	receipt = slices.Clone(receipt)
	o.log(markRecord(n, mark{kind: markReceipted, text: receipt}))
	// The log may have made room by dropping this very statement.
	if p := o.index.find(n); p != nil {
		o.receipt(p, receipt)
	}
	o.endGaps(n)
	o.counts.receipted++
	o.afterMark()
	return nil
}

// receipt enters a receipt that is in the log, and releases the oldest one. A
// mark whose receipt went (see trimMemory, noted) has nothing to keep.
func (o *Outbox) receipt(p *place, receipt []byte) {
	n := p.number()
	p.len |= receipted
	p.len &^= refused
	delete(o.refusals, n)
	if len(receipt) == 0 {
		o.released = append(o.released, n)
		return
	}
	o.kept = append(o.kept, keptReceipt{n, receipt})
	if len(o.kept) > o.opts.keptReceipts {
		o.released = append(o.released, o.kept[0].number)
		o.kept = slices.Delete(o.kept, 0, 1)
	}
}

// Refused marks a statement as refused by the oracles for good, with their
// reason of at most 256 bytes. It stays in the outbox and is not pending, until
// Resend, a receipt after all, or the limit drops it. The errors are those of
// Receipted.
func (o *Outbox) Refused(boot, seq uint64, reason string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := Number{boot, seq}
	p, err := o.markable(n, len(reason), maxReason)
	if err != nil {
		return err
	}
	if p.is(receipted) {
		return nil
	}
	o.log(markRecord(n, mark{kind: markRefused, text: []byte(reason)}))
	if p := o.index.find(n); p != nil {
		p.len |= refused
		o.refusals[n] = reason
	}
	o.counts.refused++
	o.afterMark()
	return nil
}

// Resend makes a refused statement pending again, as when the operator has
// enrolled the key. The errors are those of Receipted.
func (o *Outbox) Resend(boot, seq uint64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := Number{boot, seq}
	p, err := o.markable(n, 0, 0)
	if err != nil {
		return err
	}
	if !p.is(refused) {
		return nil
	}
	o.log(markRecord(n, mark{kind: markResend}))
	if p := o.index.find(n); p != nil {
		p.len &^= refused
	}
	delete(o.refusals, n)
	o.afterMark()
	o.signal()
	return nil
}

// markable returns the place of a number that may be marked.
func (o *Outbox) markable(n Number, size, limit int) (*place, error) {
	if o.closed {
		return nil, ErrClosed
	}
	if size > limit {
		return nil, fmt.Errorf("mark of %d bytes for statement %s is %w: at most %d", size, n, ErrTooLarge, limit)
	}
	p := o.index.find(n)
	if p == nil {
		return nil, fmt.Errorf("statement %s: %w", n, ErrUnknown)
	}
	return p, nil
}

func (o *Outbox) afterMark() {
	if o.groupFull() {
		o.flush() // a failure shows as the state
	}
	if o.state == InMemory {
		o.trimMemory()
	}
}

// Refusal is a statement that the oracles refused, and why.
type Refusal struct {
	Number
	Reason string
}

// Refusals returns the refused statements in the order of their numbers.
func (o *Outbox) Refusals() []Refusal {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]Refusal, 0, len(o.refusals))
	for n, reason := range o.refusals {
		out = append(out, Refusal{n, reason})
	}
	slices.SortFunc(out, func(a, b Refusal) int { return a.Compare(b.Number) })
	return out
}

// Receipt is a receipted statement and its receipt.
type Receipt struct {
	Record
	Receipt []byte
}

// Receipts returns the last 64 receipts and their statements, oldest first.
// Statements that cannot be read are left out, and the error tells of the last.
func (o *Outbox) Receipts() ([]Receipt, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, ErrClosed
	}
	var out []Receipt
	var failed error
	for _, k := range o.kept {
		p := o.index.find(k.number)
		if p == nil {
			continue
		}
		rec, err := o.read(p)
		if err != nil {
			failed = fmt.Errorf("receipted statement %s: %w", k.number, err)
			continue
		}
		out = append(out, Receipt{rec, slices.Clone(k.receipt)})
	}
	return out, failed
}
