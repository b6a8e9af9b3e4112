package oracle

import (
	"context"
	"fmt"
	"time"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/oracle/wire"
)

// sealed is a block that is durable and waits for this oracle's vote, with what
// this oracle took in of it and has to answer for.
type sealed struct {
	height     uint64
	checkpoint block.Checkpoint
	answers    []answer
}

// answer is a receipt owed to a gateway.
type answer struct {
	gateway  string
	sequence entry.Sequence
	index    uint64
}

// execute closes blocks where the order says so.
func (n *Node) execute(ctx context.Context) error {
	c := n.begin(nil)
	_, _, last := n.ledger.Last()
	caughtUp := n.catchUp(last.Sequence, false)
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-n.delivered:
			ends := false
			n.ledger.View(func(s *state.State) { ends = c.take(s, d.items) })
			caughtUp = n.catchUp(d.seq, caughtUp)
			if !ends {
				if c.work && n.waiting.Load() == 0 {
					n.waiting.Store(time.Now().UnixNano())
				}
				if len(c.items) >= wishLeaves {
					select {
					case n.wish <- struct{}{}:
					default: // one is made already
					}
				}
				continue
			}
			b, err := n.close(ctx, c, ledger.Order{Sequence: d.seq, Digest: d.digest})
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return fmt.Errorf("%w: block %d could not be executed: %w", ErrHalted, c.height, err)
			}
			n.waiting.Store(0)
			c = n.begin(c.items)
			select {
			case n.executed <- b:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// begin begins a block. The items of the one before are done with; theirs is the room.
func (n *Node) begin(before []item) (c *cutter) {
	n.ledger.View(func(s *state.State) { c = newCutter(s) })
	clear(before)
	c.items = before[:0]
	n.height.Store(c.height)
	n.findPlace()
	return c
}

// catchUp has gateways listened to once everything is there that was in the order
// at the start. It reports whether that is so.
func (n *Node) catchUp(seq uint64, already bool) bool {
	if !already && seq >= n.behind {
		close(n.caughtUp)
	}
	return seq >= n.behind
}

// executed is a block that is not durable yet, with the inputs it was made of, their
// leaf hashes, and receipts that are owed already.
type executed struct {
	block   *ledger.Executed
	inputs  []state.Input
	hashes  []block.Hash
	answers []answer
}

// close executes the block.
func (n *Node) close(ctx context.Context, c *cutter, order ledger.Order) (*executed, error) {
	n.ledger.View(func(s *state.State) {
		for i := range c.items {
			c.items[i].late(s)
		}
	})
	if err := n.fetchPacks(ctx, c.items); err != nil {
		return nil, err
	}
	var numbers []bool
	n.ledger.View(func(s *state.State) { numbers = used(s, c.items) })
	items, copies, err := unrepeated(c.items, numbers, n.ledger.Logged)
	if err != nil {
		return nil, err
	}
	b := &executed{inputs: make([]state.Input, len(items)), hashes: make([]block.Hash, len(items))}
	for _, it := range copies { // of those that this oracle took in it owes receipts
		if f, ok := n.ingest.Take(it.leaf); ok {
			b.answers = append(b.answers, answer{f.Gateway, it.sequence, it.index})
		}
	}
	for i := range items {
		b.inputs[i], b.hashes[i] = items[i].input, items[i].leaf
	}
	b.block, err = n.ledger.Execute(b.inputs, b.hashes, order)
	return b, err
}

// seal makes blocks durable, beside the execution of the next one.
func (n *Node) seal(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case x := <-n.executed:
			b, err := n.ledger.Commit(x.block)
			if err != nil {
				return fmt.Errorf("%w: a block could not be written: %w", ErrHalted, err)
			}
			n.observe(Event{Block: b})
			if len(b.Result.Forgotten) > 0 {
				if err := n.forgetNow(ctx, b.Result.Forgotten); err != nil && ctx.Err() == nil {
					return err
				}
			}
			select {
			case n.sealed <- &sealed{b.Header.Height, b.Checkpoint, append(x.answers, n.settle(b, x.inputs, x.hashes)...)}:
			case <-ctx.Done():
				return nil
			}
			if n.ledger.Store().Due() {
				select {
				case n.due <- struct{}{}:
				default: // it is being written
				}
			}
		}
	}
}

// index has the store's index written before Commit would have to wait for it.
func (n *Node) index(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.due:
			if err := n.ledger.Store().Flush(); err != nil {
				return fmt.Errorf("%w: %w", ErrHalted, err)
			}
		}
	}
}

// settle finds what this oracle owes its gateways for a block.
func (n *Node) settle(b *ledger.Block, inputs []state.Input, hashes []block.Hash) []answer {
	var out []answer
	index := b.Header.First
	for i, reason := range b.Result.Reasons {
		at := index
		if reason == "" {
			index++
		}
		if reason == entry.ReasonSequenceUsed {
			n.suspectNumber(inputs[i].Opened.Message(), inputs[i].Sequence())
		}
		f, ok := n.ingest.Take(hashes[i])
		if !ok {
			continue
		}
		q := f.Input.Sequence()
		if reason == "" {
			out = append(out, answer{f.Gateway, q, at})
			continue
		}
		n.refuse(f.Gateway, wire.Refusal{Leaf: hashes[i], Boot: q.Boot, Count: q.Count, Reason: reason})
	}
	return out
}

// wishLeaves is how many statements are company enough: a block of that many
// spreads the cost of closing it, and waiting for more would only be delay.
const wishLeaves = 1024

// clock wishes to close the block when statements have waited for long enough,
// or when there are many, by stating this oracle's clock. A wish that is lost is repeated.
func (n *Node) clock(ctx context.Context) error {
	tick := time.NewTicker(max(n.cfg.CutAfter/8, time.Millisecond))
	defer tick.Stop()
	var wished time.Time
	var at uint64
	for {
		many := false
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-n.wish:
			many = true
		}
		since, height := n.waiting.Load(), n.height.Load()
		if _, in := n.Position(); !in {
			continue // it watches, and its clock counts for nothing
		}
		if since == 0 || height == at && time.Since(wished) < time.Second {
			continue
		}
		if !many && time.Since(time.Unix(0, since)) < n.cfg.CutAfter {
			continue
		}
		wished, at = time.Now(), height
		c := entry.Clock{Height: height, Time: n.cfg.Now().UnixMilli()}
		statement, err := n.Sign(entry.TypeClock, c.Encode())
		if err == nil {
			err = n.Submit(ctx, statement)
		}
		if err != nil && ctx.Err() == nil {
			n.cfg.Log.Warn("did not state the clock", "height", height, "error", err)
		}
	}
}
