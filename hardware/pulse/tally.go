package pulse

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"wattmark/hardware"
)

// queued is how many pulses wait for a receiver before some are lost to it.
const queued = 256

// maxNotes bounds the warnings that wait for the next Sense.
const maxNotes = 16

// note is a warning that waits for the next Sense.
type note struct{ code, detail string }

// tally is the count and what is known of how it came about. Edges come from the
// line's goroutine, the rest from callers.
type tally struct {
	mu    sync.Mutex // guards the fields below
	count int64
	last  hardware.Pulse // of this time of holding the line; Sequence 0 before the first
	notes []note
	to    []chan hardware.Pulse
}

// begin says that the line is about to be taken: its numbers start from 1 again.
func (t *tally) begin(now time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = hardware.Pulse{At: now}
}

// edge counts a pulse, and those that its number says were lost before it.
func (t *tally) edge(p hardware.Pulse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	step := p.Sequence - t.last.Sequence
	if step == 0 || step > math.MaxInt32 {
		t.add(note{hardware.WarnResync, fmt.Sprintf("line sequence %d came after %d: not counted", p.Sequence, t.last.Sequence)})
		return
	}
	if lost := int64(step - 1); lost > 0 {
		// No two pulses are closer than the debounce: a number that claims more than
		// fits between two edges is not believed.
		fits := max(0, int64((p.At-t.last.At)/Debounce))
		added := min(lost, fits)
		t.raise(added)
		detail := fmt.Sprintf("%d pulses lost before line sequence %d were added", added, p.Sequence)
		if added < lost {
			detail = fmt.Sprintf("line sequence %d after %d: only %d of %d lost pulses fit in the time between and were added", p.Sequence, t.last.Sequence, added, lost)
		}
		t.add(note{hardware.WarnResync, detail})
	}
	t.raise(1)
	t.last = p
	for _, to := range t.to {
		select {
		case to <- p:
		default: // it sees the gap
		}
	}
}

// raise adds n pulses. A count that reaches the end of int64 stays there; it would
// take a thousand pulses a second for 290 million years.
func (t *tally) raise(n int64) { t.count += min(n, math.MaxInt64-t.count) }

// add keeps a note for the next Sense, if there is room.
func (t *tally) add(n note) {
	if len(t.notes) < maxNotes {
		t.notes = append(t.notes, n)
	}
}

func (t *tally) note(code, detail string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.add(note{code, detail})
}

// warn moves the notes to dst.
func (t *tally) warn(dst *hardware.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.notes {
		dst.Warn(n.code, n.detail)
	}
	t.notes = t.notes[:0]
}

func (t *tally) total() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.count
}

func (t *tally) set(count int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count = count
}

func (t *tally) subscribe() chan hardware.Pulse {
	t.mu.Lock()
	defer t.mu.Unlock()
	to := make(chan hardware.Pulse, queued)
	t.to = append(t.to, to)
	return to
}

func (t *tally) unsubscribe(to chan hardware.Pulse) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.to = slices.DeleteFunc(t.to, func(c chan hardware.Pulse) bool { return c == to })
	close(to)
}
