package sampler

import (
	"sync"
	"time"

	"wattmark/ledger/entry"
)

// Pack is what one statement will carry.
type Pack struct {
	entry.Pack
	Subject string
	// End is the end of the window: no sample in the pack was due at it or later,
	// but for one that came late.
	End time.Time
	// Facts are to be kept, durably, with the statement of the pack: what the sampler
	// must know in its next life.
	Facts []Fact

	size  int
	spans []lost
}

// lost is what a channel loses with its pack.
type lost struct {
	channel *channel
	period  int64 // milliseconds
	run
}

// EndsInterval reports whether the pack's window ends with an interval.
func (p *Pack) EndsInterval() bool { return p.End.Equal(floor(p.End, Interval)) }

// queue holds the packs that are not signed yet. It is bounded in bytes.
type queue struct {
	limit int
	ready chan struct{} // holds one: something was put in, or the queue was closed

	mu     sync.Mutex // guards the fields below
	packs  []*Pack
	bytes  int
	closed bool
}

func newQueue(limit int) *queue { return &queue{limit: limit, ready: make(chan struct{}, 1)} }

// put adds all packs, or none if they do not fit.
func (q *queue) put(packs []*Pack) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	for _, p := range packs {
		size += p.size
	}
	if q.closed || q.bytes+size > q.limit {
		return false
	}
	q.packs = append(q.packs, packs...)
	q.bytes += size
	q.wake()
	return true
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

// head returns the oldest pack, and whether more may come.
func (q *queue) head() (*Pack, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.packs) > 0 {
		return q.packs[0], true
	}
	return nil, !q.closed
}

func (q *queue) remove(p *Pack) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.packs) > 0 && q.packs[0] == p {
		q.packs[0] = nil
		q.packs = q.packs[1:]
		q.bytes -= p.size
	}
}

func (q *queue) held() (packs, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.packs), q.bytes
}

// Ready receives a value when Head may have something new to say.
func (s *Sampler) Ready() <-chan struct{} { return s.queue.ready }

// Head returns the oldest pack that waits, nil if there is none. It is false once
// sampling has ended and no pack is left. The pack stays in the queue until Done.
func (s *Sampler) Head() (p *Pack, more bool) { return s.queue.head() }

// Done takes the oldest pack, which Head returned, out of the queue: it is signed.
func (s *Sampler) Done(p *Pack) { s.queue.remove(p) }

// Forfeit takes the oldest pack out of the queue because it will not be signed. Its
// samples become gaps of the next pack, of reason "full".
func (s *Sampler) Forfeit(p *Pack) {
	s.queue.remove(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forfeit([]*Pack{p})
}
