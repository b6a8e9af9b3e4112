package outbox

import (
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
