package ingest

import (
	"bytes"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// sent are the bundles that were submitted and have not come back in the order.
type sent struct {
	seed maphash.Seed
	pool sync.Pool // of *bundle, for their bytes

	mu      sync.Mutex // guards the field below
	bundles map[uint64]*bundle
}

// bundle is one of them. Its bytes are used again once it was submitted and has
// come back, or is given up.
type bundle struct {
	part  []*opening
	bytes []byte
	since time.Time
	users atomic.Int32
}

func newSent() sent {
	return sent{seed: maphash.MakeSeed(), bundles: make(map[uint64]*bundle)}
}

// add makes the bundle of part. Whoever called it calls release once it is submitted.
func (s *sent) add(part []*opening, statements [][]byte) *bundle {
	b, _ := s.pool.Get().(*bundle)
	if b == nil {
		b = &bundle{}
	}
	b.part, b.bytes, b.since = part, appendBundle(b.bytes[:0], statements), time.Now()
	b.users.Store(2)
	key := maphash.Bytes(s.seed, b.bytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bundles[key] != nil { // what was sent before stays
		b.users.Store(1)
	} else {
		s.bundles[key] = b
	}
	return b
}

// take removes and returns the bundle that message is, or nil. Whoever called it
// calls release.
func (s *sent) take(message []byte) *bundle {
	key := maphash.Bytes(s.seed, message)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bundles[key]
	if b == nil || !bytes.Equal(b.bytes, message) {
		return nil
	}
	delete(s.bundles, key)
	return b
}

func (s *sent) release(b *bundle) {
	if b.users.Add(-1) == 0 {
		b.part = nil
		s.pool.Put(b)
	}
}

// sweep gives up bundles that did not come for as long as flights are remembered.
func (s *sent) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, b := range s.bundles {
		if now.Sub(b.since) > flightTime {
			delete(s.bundles, key)
			s.release(b)
		}
	}
}
