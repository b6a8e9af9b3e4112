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
	"wattmark/signer"
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

// collecting is the block being collected. Only execute touches it.
type collecting struct {
	items  []item
	bytes  int
	work   bool                  // holds more than clocks
	clocks map[signer.KeyID]bool // the oracles whose clock for this height it holds
}

// execute closes blocks where the order says so: after a message that fills the
// block, or with which it holds the clocks of a quorum of oracles for its height.
// Every oracle closes at the same message, since nothing but the order decides.
//
// A quorum, and not the first clock: block time is the median of the oracles' last
// clocks, and after a quiet hour the first one alone would close a block at the
// time of an hour ago, to which honest statements lie in the future. Where a quorum
// is missing nothing can become final either.
func (n *Node) execute(ctx context.Context) error {
	c := collecting{clocks: make(map[signer.KeyID]bool)}
	var limits cutLimits
	n.height.Store(n.readLimits(&limits))
	_, _, last := n.ledger.Last()
	caughtUp := n.catchUp(last.Sequence, false)
	for {
		select {
		case <-ctx.Done():
			return nil
		case d := <-n.delivered:
			for i := range d.items {
				it := &d.items[i]
				c.bytes += it.size
				if it.message != nil && it.message.Type == entry.TypeClock {
					// Whether a clock counts must not depend on how early this oracle
					// looked its key up: a new oracle's is known from one block on.
					n.late(d.items[i : i+1])
				}
				height, counts, is := n.clockOf(it)
				if counts && height == n.height.Load() {
					c.clocks[it.input.Opened.Key().ID()] = true
				}
				c.work = c.work || !is
			}
			cut := len(c.clocks) >= limits.quorum
			c.items = append(c.items, d.items...)
			caughtUp = n.catchUp(d.seq, caughtUp)
			if len(c.items) < limits.leaves && c.bytes < limits.bytes && !cut {
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
			b, err := n.close(ctx, &c, ledger.Order{Sequence: d.seq, Digest: d.digest})
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return fmt.Errorf("%w: block %d could not be executed: %w", ErrHalted, n.height.Load(), err)
			}
			c = collecting{clocks: make(map[signer.KeyID]bool)}
			n.waiting.Store(0)
			n.height.Store(n.readLimits(&limits))
			select {
			case n.executed <- b:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// cutLimits are what closes a block: statements, bytes, and clocks of so many oracles.
type cutLimits struct{ leaves, bytes, quorum int }

func (n *Node) readLimits(l *cutLimits) (height uint64) {
	n.ledger.View(func(s *state.State) {
		l.leaves = int(min(s.Setting(entry.ParamCutLeaves), entry.MostCutLeaves))
		l.bytes = int(min(s.Setting(entry.ParamCutBytes), entry.MostCutBytes))
		l.quorum = int(s.Oracles().Quorum)
		height = s.Height()
	})
	return height
}

// catchUp has gateways listened to once everything is there that was in the order
// at the start. It reports whether that is so.
func (n *Node) catchUp(seq uint64, already bool) bool {
	if !already && seq >= n.behind {
		close(n.caughtUp)
	}
	return seq >= n.behind
}

// clockOf reports whether a verified statement is an oracle's clock, and for which
// height it counts: what the rules would not take does not count for block time, and
// must not close a block.
func (n *Node) clockOf(it *item) (height uint64, counts, is bool) {
	if it.input.Opened.IsZero() {
		return 0, false, false
	}
	m := it.input.Opened.Message()
	if m.Type != entry.TypeClock {
		return 0, false, false
	}
	// Between two blocks the state is the same for every oracle, and a clock is judged
	// by nothing else.
	n.ledger.View(func(s *state.State) {
		if _, is = s.Oracle(m.KeyID); is {
			counts = s.Judge(&it.input, 0) == ""
		}
	})
	if c, err := entry.ParseClock(m.Payload); err == nil {
		height = c.Height
	}
	return height, counts, is
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
func (n *Node) close(ctx context.Context, c *collecting, order ledger.Order) (*executed, error) {
	n.late(c.items)
	if err := n.fetchPacks(ctx, c.items); err != nil {
		return nil, err
	}
	items, answers, err := n.unrepeated(c.items)
	if err != nil {
		return nil, err
	}
	b := &executed{inputs: make([]state.Input, len(items)), hashes: make([]block.Hash, len(items)), answers: answers}
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

// unrepeated leaves out copies of statements that are on the ledger, or in the same
// block before: a gateway that waited for its receipt for too long sent them again,
// to another oracle, and nobody is to blame. The rules would refuse them, and the
// ledger say of one statement that it was accepted and refused. Of copies that this
// oracle took in it returns the receipts owed; of those in the same block settle
// does.
func (n *Node) unrepeated(items []item) ([]item, []answer, error) {
	used := make([]bool, len(items))
	n.ledger.View(func(s *state.State) {
		for i := range items {
			if in := &items[i].input; !in.Opened.IsZero() {
				in.Read() // those that late opened were not
				used[i] = s.Used(in.Opened.Key().ID(), in.Sequence())
			}
		}
	})
	var answers []answer
	out := items[:0]
	here := make(map[block.Hash]bool, len(items))
	for i := range items {
		it := items[i]
		q := it.input.Sequence()
		if used[i] {
			id := it.input.Opened.Key().ID()
			at, leaf, ok := n.ledger.Logged(id, q)
			if !ok { // going on would make another block than the other oracles make
				return nil, nil, fmt.Errorf("the leaf of key %v with sequence number %v, which is used, cannot be read", id, q)
			}
			if block.LeafHash(leaf) == it.leaf {
				if f, ok := n.ingest.Take(it.leaf); ok {
					answers = append(answers, answer{f.Gateway, q, at})
				}
				continue
			}
		}
		if q.Count > 0 {
			if here[it.leaf] {
				continue
			}
			here[it.leaf] = true
		}
		out = append(out, it)
	}
	return out, answers, nil
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
