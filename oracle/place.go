package oracle

import (
	"context"
	"sync"

	"wattmark/ledger/state"
)

// place is where this oracle stands in the oracle set in force for the next block, from 0,
// and behind all while it is in none. Subjects of the broker go by it.
type place struct {
	mu       sync.Mutex // guards what follows
	position int
	moved    chan struct{} // closed when the position is another one
}

// set takes note of a position, and wakes who goes by the one before.
func (p *place) set(position int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved != nil && p.position == position {
		return
	}
	if p.moved != nil {
		close(p.moved)
	}
	p.position, p.moved = position, make(chan struct{})
}

// now returns the position, and a channel that is closed when it changes.
func (p *place) now() (position int, moved <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position, p.moved
}

// findPlace takes note of the place in the set in force for the next block.
func (n *Node) findPlace() {
	position, in := n.Position()
	if !in {
		n.ledger.View(func(s *state.State) { position = len(s.Oracles().Oracles) })
	}
	n.place.set(position)
}

// atEachPlace calls begin with this oracle's position, and again with the next one when a
// change of the oracle set has moved it, until ctx ends; end undoes what begin did.
func (n *Node) atEachPlace(ctx context.Context, begin func(position int) (end func(), err error)) error {
	for {
		position, moved := n.place.now()
		end, err := begin(position)
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			end()
			return nil
		case <-moved:
			n.cfg.Log.Info("this oracle has another place in the set of oracles", "oracle", n.cfg.Name, "before", position)
			end()
		}
	}
}
