package outbox

import (
	"bytes"
	"fmt"
	"slices"
)

// Small makes segments of n bytes, keeps that many receipts and reserves blocks
// of that many numbers, so that a short test gets through many.
func Small(opts Options, n, receipts, block int) Options {
	opts.segmentBytes, opts.keptReceipts, opts.reserveBlock = n, receipts, uint64(block)
	return opts
}

// SkippedOf returns the ranges that NextSeq will tell.
func SkippedOf(o *Outbox) []Gap {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Gap
	for _, g := range o.gaps {
		if g.Reason == Skipped && g.by == (Number{}) && g.Boot == o.boot {
			out = append(out, g.Gap)
		}
	}
	return out
}

// Check compares what keeps each segment on disk with what lies in it.
func Check(o *Outbox) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	type kept struct {
		live  int
		bytes int64
	}
	want := make(map[uint32]kept)
	add := func(seg uint32, size int) {
		k := want[seg]
		want[seg] = kept{k.live + 1, k.bytes + int64(size)}
	}
	for i := range o.index.places {
		if p := &o.index.places[i]; !p.is(gone) {
			add(p.seg, p.size())
		}
	}
	for _, g := range slices.Concat(o.gaps, o.dropped) {
		add(g.seg, g.size)
	}
	for _, f := range o.facts {
		add(f.seg, f.size)
	}
	for _, h := range o.superseded {
		add(h.seg, h.size)
	}
	if o.toRepair != nil {
		for _, s := range o.toRepair.sick {
			if s.torn || s.corrupt() {
				add(s.ordinal, 0)
			}
		}
	}
	delete(want, 0) // in memory
	for _, s := range o.segs {
		if got := (kept{s.live, s.liveBytes}); got != want[s.ordinal] {
			return fmt.Errorf("segment %d is kept by %+v, and holds %+v", s.ordinal, got, want[s.ordinal])
		}
		delete(want, s.ordinal)
	}
	if len(want) > 0 {
		return fmt.Errorf("there are no segments for %+v", want)
	}
	return nil
}

// RecodeHeader decodes a segment's header and encodes it again; it returns nil for
// what is none.
func RecodeHeader(b []byte) []byte {
	h, err := decodeHeader(b)
	if err != nil {
		return nil
	}
	return h.encode()
}

// RecodeState does the same with a state file.
func RecodeState(b []byte) []byte {
	f, err := decodeState(b)
	if err != nil {
		return nil
	}
	return encodeState(f)
}

// RecodePayload does the same with what a record of a kind holds, with the boot
// and sequence of its head.
func RecodePayload(k, flag byte, boot, seq uint64, payload []byte) []byte {
	r := logRecord{kind: kind(k), flags: flag & flagNoted, boot: boot, seq: seq, payload: payload}
	switch r.kind {
	case kindStatement:
		if rec, note, err := decodeStatement(&r); err == nil {
			if note.kind == 0 {
				return statementPayload(rec.Statement, rec.Pack, nil)
			}
			return statementPayload(rec.Statement, rec.Pack, &note)
		}
	case kindGap:
		if g, err := decodeGap(&r); err == nil {
			back := gapRecord(g)
			return back.payload
		}
	case kindMark:
		if m, err := decodeMark(payload); err == nil {
			return m.encode()
		}
	case kindFact:
		if name, value, err := decodeFact(&r); err == nil {
			back := factRecord(name, value)
			return back.payload
		}
	}
	return nil
}

// RecodeSegment reads the records of a segment and writes them into the places
// where they were, over a copy.
func RecodeSegment(data []byte, ordinal uint32) []byte {
	out := bytes.Clone(data)
	s := scanSegment(data, ordinal)
	for _, p := range slices.Concat(s.records, s.behind) {
		b := appendRecord(nil, ordinal, p.off, &p.logRecord)
		if len(b) != p.size || p.off+p.size > len(out) {
			return nil
		}
		copy(out[p.off:], b)
	}
	return out
}

// A RawRecord is a record of any content.
type RawRecord struct {
	Kind, Flags byte
	Boot, Seq   uint64
	Payload     []byte
}

// MakeSegment writes the file of a segment that holds the records. Its header
// says nothing but the ordinal.
func MakeSegment(gateway string, ordinal uint32, size int, records []RawRecord) []byte {
	h := header{size: uint32(size), ordinal: ordinal, gatewayID: gateway}
	b := h.encode()
	for _, r := range records {
		rec := logRecord{kind(r.Kind), r.Flags & flags, r.Boot, r.Seq, r.Payload}
		if len(b)+rec.size() > size {
			break
		}
		b = appendRecord(b, ordinal, len(b), &rec)
	}
	return append(b, make([]byte, size-len(b))...)
}

// SegmentName is the name of a segment's file.
func SegmentName(ordinal uint32) string { return segmentName(ordinal, Number{1, 1}) }
