package api

import (
	"net/http"
	"sync"
	"time"
)

// Bounds of the lists that are kept for who reads them in parts.
const (
	maxPinned      = 256              // lists
	maxPinnedItems = 200_000          // in all of them; one list is kept however long
	pinnedFor      = 15 * time.Minute // since a part of it was read last
)

// pins are lists as they were when somebody began to read them, so that all parts of a list
// are of one height. Each stands for whoever reads that list from that height on.
type pins struct {
	mu    sync.Mutex // guards what follows
	lists map[pinID]*pinned
	items int
}

type pinID struct {
	list   string
	height uint64
}

type pinned struct {
	items any // []T
	count int
	used  time.Time
}

// keep keeps a list.
func (p *pins) keep(id pinID, items any, count int, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if k := p.lists[id]; k != nil {
		k.used = now
		return
	}
	if p.lists == nil {
		p.lists = make(map[pinID]*pinned)
	}
	for len(p.lists) > 0 && (len(p.lists) >= maxPinned || p.items+count > maxPinnedItems) {
		p.drop(p.oldest())
	}
	p.lists[id] = &pinned{items, count, now}
	p.items += count
}

// find returns a list that is kept, nil where it is not any more.
func (p *pins) find(id pinID, now time.Time) any {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, k := range p.lists {
		if now.Sub(k.used) > pinnedFor {
			p.drop(id)
		}
	}
	k := p.lists[id]
	if k == nil {
		return nil
	}
	k.used = now
	return k.items
}

// oldest returns the list that was read least lately. The caller holds mu.
func (p *pins) oldest() (oldest pinID) {
	first := true
	for id, k := range p.lists {
		if first || k.used.Before(p.lists[oldest].used) {
			first, oldest = false, id
		}
	}
	return oldest
}

// drop forgets a list. The caller holds mu.
func (p *pins) drop(id pinID) {
	p.items -= p.lists[id].count
	delete(p.lists, id)
}

// errUnpinned answers who reads on in a list that is not kept any more.
func errUnpinned() error {
	return newProblem(problemGone, http.StatusGone, "No more of this list", "The list as it was when it was begun is not kept any more.",
		"Begin again without a cursor; or take all of it at once: the same address with .csv or .xlsx.")
}
