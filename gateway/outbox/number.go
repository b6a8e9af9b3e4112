package outbox

import (
	"cmp"
	"fmt"
)

// Number is a statement's sequence number: the boot count and a count from 1
// within that boot. The zero Number stands before every other.
type Number struct {
	Boot uint64
	Seq  uint64
}

// Compare orders numbers by boot, then by sequence.
func (n Number) Compare(m Number) int {
	if c := cmp.Compare(n.Boot, m.Boot); c != 0 {
		return c
	}
	return cmp.Compare(n.Seq, m.Seq)
}

// String returns the number as file names and people write it, "boot-seq".
func (n Number) String() string { return fmt.Sprintf("%d-%d", n.Boot, n.Seq) }

// Range is the closed range of sequence numbers First to Last of one boot.
type Range struct {
	Boot  uint64
	First uint64
	Last  uint64
}

// String returns the range as "boot-first..last".
func (r Range) String() string { return fmt.Sprintf("%d-%d..%d", r.Boot, r.First, r.Last) }

// Contains tells whether the number n lies in the range.
func (r Range) Contains(n Number) bool {
	return n.Boot == r.Boot && r.First <= n.Seq && n.Seq <= r.Last
}

// Reason says why the statements of a gap are not there.
type Reason string

// The reasons of this package. A gap record that the sampler signs carries the
// same words, except Skipped, which travels as the statement's skipped range.
const (
	// Full: the limit of the disk, or of the memory while the disk fails, was
	// reached and the oldest statements were dropped.
	Full Reason = "full"
	// Corrupt: statements that had been durable can no longer be read.
	Corrupt Reason = "corrupt"
	// PowerOff: numbers of an earlier boot that were reserved, and of which
	// nothing is on disk. Some may never have been used.
	PowerOff Reason = "power_off"
	// Thinned: the outbox was nearly full, and a later statement of the same metering
	// point replaced these, with their registers and without the rest. Numbers
	// inside the range that it does not count are of other points.
	Thinned Reason = "thinned"
	// Skipped: numbers of the running boot that were reserved or handed out and
	// will not be used. NextSeq tells them; Gaps leaves them out.
	Skipped Reason = "skipped"
)

// Gap is a range of numbers whose statements will not be sent. Count is the
// number of statements known to be missing, or the whole range where that is
// not known; numbers inside the range that are not missing may have been
// receipted.
type Gap struct {
	Range
	Count  uint64
	Reason Reason
}

// String returns the gap in words.
func (g Gap) String() string {
	return fmt.Sprintf("numbers %s, at most %d statements: %s", g.Range, g.Count, g.Reason.words())
}

// words says for a technician what a reason means.
func (r Reason) words() string {
	switch r {
	case Full:
		return "dropped as the outbox was full"
	case Thinned:
		return "replaced by one with the registers alone, as the outbox was nearly full"
	case Corrupt:
		return "unreadable on the disk"
	case PowerOff:
		return "not yet on the disk when the machine stopped, or never used"
	case Skipped:
		return "not yet on the disk when the process stopped, or never used"
	}
	return string(r)
}
