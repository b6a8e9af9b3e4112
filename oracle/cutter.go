package oracle

import (
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// cutter collects the messages of a block and says where it ends: after a message
// that fills it, or with which it holds the clocks of a quorum of oracles for its
// height. It decides by the order and by the state between two blocks alone, so that
// every oracle ends blocks at the same messages.
//
// A quorum, and not the first clock: block time is the median of the oracles' last
// clocks, and after a quiet hour the first one alone would close a block at the
// time of an hour ago, to which honest statements lie in the future. Where a quorum
// is missing nothing can become final either.
type cutter struct {
	leaves, most int // of statements, and of bytes, that fill a block
	quorum       int // of oracles
	height       uint64

	items  []item
	bytes  int
	work   bool                  // holds more than clocks
	clocks map[signer.KeyID]bool // the oracles whose clock for this height it holds
}

// newCutter returns the cutter of the block that follows on s.
func newCutter(s *state.State) *cutter {
	return &cutter{
		leaves: int(min(s.Setting(entry.ParamCutLeaves), entry.MostCutLeaves)),
		most:   int(min(s.Setting(entry.ParamCutBytes), entry.MostCutBytes)),
		quorum: int(s.Oracles().Quorum), height: s.Height(),
		clocks: make(map[signer.KeyID]bool),
	}
}

// take adds a message, and reports whether the block ends with it. s is the state that
// the block follows on.
func (c *cutter) take(s *state.State, items []item) (ends bool) {
	for i := range items {
		it := &items[i]
		c.bytes += it.size
		if it.message != nil && it.message.Type == entry.TypeClock {
			// Whether a clock counts must not depend on how early this oracle
			// looked its key up: a new oracle's is known from one block on.
			it.late(s)
		}
		height, counts, is := clockOf(s, it)
		if counts && height == c.height {
			c.clocks[it.input.Opened.Key().ID()] = true
		}
		c.work = c.work || !is
	}
	c.items = append(c.items, items...)
	return len(c.items) >= c.leaves || c.bytes >= c.most || len(c.clocks) >= c.quorum
}

// clockOf reports whether a verified statement is an oracle's clock, and for which
// height it counts: what the rules would not take does not count for block time, and
// must not close a block. Between two blocks the state is the same for every oracle,
// and a clock is judged by nothing else.
func clockOf(s *state.State, it *item) (height uint64, counts, is bool) {
	if it.input.Opened.IsZero() {
		return 0, false, false
	}
	m := it.input.Opened.Message()
	if m.Type != entry.TypeClock {
		return 0, false, false
	}
	if _, is = s.Oracle(m.KeyID); is {
		counts = s.Judge(&it.input, 0) == ""
	}
	if c, err := entry.ParseClock(m.Payload); err == nil {
		height = c.Height
	}
	return height, counts, is
}

// late verifies a statement whose key was not known when it came, now that the blocks
// before are executed.
func (it *item) late(s *state.State) {
	if it.message == nil {
		return
	}
	k, ok := s.PublicKey(it.message.KeyID)
	if !ok {
		it.input = state.Input{Refused: entry.ReasonUnknownKey, Hash: it.message.Hash()}
		return
	}
	o, err := signer.Verify(it.message, k)
	if err != nil {
		it.input = state.Input{Refused: entry.ReasonBadSignature, Hash: it.message.Hash()}
		return
	}
	it.input.Opened = o
}

// copied is a statement that is on the ledger already.
type copied struct {
	leaf     block.Hash
	sequence entry.Sequence
	index    uint64
}

// used says of which items s has the sequence number already.
func used(s *state.State, items []item) []bool {
	out := make([]bool, len(items))
	for i := range items {
		if in := &items[i].input; !in.Opened.IsZero() {
			in.Read() // those that late opened were not
			out[i] = s.Used(in.Opened.Key().ID(), in.Sequence())
		}
	}
	return out
}

// unrepeated leaves out copies of statements that are on the ledger, or in the same
// block before: a gateway that waited for its receipt for too long sent them again,
// to another oracle, and nobody is to blame. The rules would refuse them, and the
// ledger say of one statement that it was accepted and refused. used are those whose
// number is on the ledger, where logged finds it. It returns the copies of what is there.
func unrepeated(items []item, used []bool, logged func(id signer.KeyID, q entry.Sequence) (index uint64, leaf []byte, ok bool)) ([]item, []copied, error) {
	var copies []copied
	out := items[:0]
	here := make(map[block.Hash]bool, len(items))
	for i := range items {
		it := items[i]
		q := it.input.Sequence()
		if used[i] {
			id := it.input.Opened.Key().ID()
			at, leaf, ok := logged(id, q)
			if !ok { // going on would make another block than the other oracles make
				return nil, nil, fmt.Errorf("the leaf of key %v with sequence number %v, which is used, cannot be read", id, q)
			}
			if block.LeafHash(leaf) == it.leaf {
				copies = append(copies, copied{it.leaf, q, at})
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
	return out, copies, nil
}
