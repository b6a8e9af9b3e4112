package outbox

import (
	"fmt"
	"strings"
)

// Report says what Open found and did. All of it happened before Open returned
// and is durable, unless State is InMemory.
type Report struct {
	Segments   int    // files of the log
	Statements int    // statements on disk, receipted ones that are kept included
	Pending    int    // of these, waiting for a receipt
	Refused    int    // of these, waiting for the operator
	Boot       uint64 // the last boot count in the log
	Cuts       []Cut
	Gaps       []Gap    // opened by Open, as statements had become unreadable
	Notes      []string // anything else out of the ordinary, one sentence each
}

// Cut is a torn tail that was taken off: bytes of the last moments before the
// power went, which were not durable and were never sent.
type Cut struct {
	Segment string // file name
	At      int64  // offset of the first byte that was taken off
	Records int    // whole records among what was taken off
}

// String returns the cut in words.
func (c Cut) String() string {
	return fmt.Sprintf("segment %s: unfinished end taken off at byte %d (%d whole records behind it)", c.Segment, c.At, c.Records)
}

// Clean tells whether the outbox was found as an orderly end leaves it.
func (r Report) Clean() bool { return len(r.Cuts)+len(r.Gaps)+len(r.Notes) == 0 }

// String returns the report in words, one line a fact.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "outbox: %d statements in %d segments, %d to be sent, %d refused, boot count %d\n",
		r.Statements, r.Segments, r.Pending, r.Refused, r.Boot)
	for _, c := range r.Cuts {
		fmt.Fprintln(&b, c)
	}
	for _, g := range r.Gaps {
		fmt.Fprintln(&b, g)
	}
	for _, n := range r.Notes {
		fmt.Fprintln(&b, n)
	}
	return strings.TrimSuffix(b.String(), "\n")
}
