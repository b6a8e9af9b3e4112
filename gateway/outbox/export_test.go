package outbox

// Small makes segments of n bytes and keeps that many receipts, so that a short
// test fills many segments.
func Small(opts Options, n, receipts int) Options {
	opts.segmentBytes, opts.keptReceipts = n, receipts
	return opts
}

// SkippedOf returns the ranges that NextSeq will tell.
func SkippedOf(o *Outbox) []Range {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []Range
	for _, g := range o.gaps {
		if g.Reason == Skipped && g.by == (Number{}) && g.Boot == o.boot {
			out = append(out, g.Range)
		}
	}
	return out
}
