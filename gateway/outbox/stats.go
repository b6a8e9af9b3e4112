package outbox

// counts are the counters since Open.
type counts struct {
	appended, receipted, refused, dropped, thinned, lost, gaps, moved uint64
	fsyncs, written, payload                                          uint64
	created, recycled, degraded                                       uint64
}

// Stats is what an outbox can say of itself. Bytes are bytes of files or
// records; counters count since Open.
type Stats struct {
	State State
	Cause string // why it is in memory, or what went wrong in tidying up; else empty

	Pending      int    // statements that wait for a receipt, refused ones left out
	PendingBytes int64  // their records
	Oldest       Number // the first of them; its statement says how old it is
	Refused      int    // statements that wait for the operator
	Kept         int    // receipts that can be read
	OpenGaps     int    // gaps and skipped ranges whose statement is not receipted yet

	Segments    int
	DiskBytes   int64 // of the segments
	MaxBytes    int64
	LossWindow  int // statements that a power cut would lose now
	MemoryBytes int // records that are not durable

	Boot     uint64
	Reserved uint64 // numbers left that can be handed out without a write

	Appended         uint64 // statements
	Receipted        uint64
	Dropped          uint64 // at the limit
	Thinned          uint64 // replaced before that
	Lost             uint64 // unreadable while running
	Moved            uint64 // written again to give older segments back
	Degraded         uint64 // times it went to memory
	Fsyncs           uint64 // of files and of the directory
	BytesWritten     uint64 // passed to write
	PayloadBytes     uint64 // statements and packs
	SegmentsCreated  uint64
	SegmentsRecycled uint64
}

// Stats returns the counters and the present state.
func (o *Outbox) Stats() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	c := &o.counts
	s := Stats{
		State: o.state, Refused: len(o.refusals), Kept: len(o.kept), OpenGaps: len(o.gaps),
		Segments: len(o.segs), MaxBytes: o.opts.MaxBytes, MemoryBytes: o.groupSize,
		Boot: o.boot, Reserved: o.reserved - o.handed,
		Appended: c.appended, Receipted: c.receipted, Dropped: c.dropped, Thinned: c.thinned, Lost: c.lost, Moved: c.moved,
		Degraded: c.degraded, Fsyncs: c.fsyncs, BytesWritten: c.written, PayloadBytes: c.payload,
		SegmentsCreated: c.created, SegmentsRecycled: c.recycled,
	}
	if o.cause != nil {
		s.Cause = o.cause.Error()
	}
	for _, seg := range o.segs {
		s.DiskBytes += int64(seg.size)
	}
	for i := range o.index.places {
		p := &o.index.places[i]
		if !p.waits() {
			continue
		}
		if p.number().Compare(o.durable.Number) > 0 {
			s.LossWindow++
		}
		if !p.is(refused) {
			if s.Pending == 0 {
				s.Oldest = p.number()
			}
			s.Pending++
			s.PendingBytes += int64(p.size())
		}
	}
	return s
}
