package oracle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/oracle/ingest"
	"wattmark/oracle/orderer"
	"wattmark/signer"
)

// item is one statement of the order.
type item struct {
	leaf  block.Hash
	size  int
	input state.Input
	// message is set while the statement's key was not known when it came: it is
	// looked up again when its block is closed.
	message *signer.Message
}

// hiddenSize is what a committed statement counts besides its own bytes towards the
// size of a block, for the pack that goes with it: how large that is, an oracle may
// not know yet when it has to know where the block ends. Packs have 70,000 bytes at
// most, so a block's hold at most four times its limit.
const hiddenSize = 16 << 10

func (it *item) weigh() {
	if it.hidden() {
		it.size += hiddenSize
	}
}

// hidden reports whether the statement is of a committed pack.
func (it *item) hidden() bool {
	if it.message != nil {
		return it.message.Hidden()
	}
	return !it.input.Opened.IsZero() && it.input.Opened.Message().Hidden()
}

// delivery is one message of the order with its statements verified.
type delivery struct {
	seq    uint64
	digest [32]byte
	items  []item
}

// deliver takes messages from the order, from where the chain ends, verifies
// what is in them, and hands them on in order.
//
// The message that the chain ends with is taken once more: it must be the one that
// was executed, and from then on the orderer itself sees an order that was
// exchanged, however quiet it is.
func (n *Node) deliver(ctx context.Context) error {
	_, _, last := n.ledger.Last()
	err := n.cfg.Order.Deliver(ctx, max(last.Sequence, 1), func(first uint64, msgs [][]byte) error {
		if first == last.Sequence {
			if sha256.Sum256(msgs[0]) != last.Digest {
				return fmt.Errorf("%w: message %d is not the one that the chain rests on", orderer.ErrDiverged, first)
			}
			first, msgs = first+1, msgs[1:]
		}
		return n.take(ctx, first, msgs)
	})
	if errors.Is(err, orderer.ErrTrimmed) { // at least that one was; the next may be there
		err = n.cfg.Order.Deliver(ctx, last.Sequence+1, func(first uint64, msgs [][]byte) error {
			return n.take(ctx, first, msgs)
		})
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, orderer.ErrBeyond), errors.Is(err, orderer.ErrDiverged), errors.Is(err, orderer.ErrTrimmed):
		return fmt.Errorf("%w: %w", ErrHalted, err)
	}
	return err
}

// take verifies messages of the order and hands them on.
func (n *Node) take(ctx context.Context, first uint64, msgs [][]byte) error {
	out := make([]*delivery, len(msgs))
	for i, m := range msgs {
		d := &delivery{seq: first + uint64(i), digest: sha256.Sum256(m)}
		out[i] = d
		if known := n.ingest.Recognise(m); known != nil {
			d.items = make([]item, len(known))
			for k, s := range known {
				d.items[k] = item{leaf: s.Leaf, size: s.Size, input: *s.Input}
				d.items[k].weigh()
			}
			continue
		}
		statements, err := ingest.ParseBundle(m)
		if err != nil {
			// Whoever may write to the order can write nonsense; it is in
			// the order for every oracle alike and means nothing.
			if messages, ok := n.nonsense.again(); ok {
				n.cfg.Log.Warn("passed over messages of the order", "messages", messages, "last", first+uint64(i), "error", err)
			}
			continue
		}
		d.items = make([]item, len(statements))
		for k, s := range statements {
			it := &d.items[k]
			*it = item{leaf: block.LeafHash(s), size: len(s)}
			n.open(it, s)
			it.weigh()
		}
	}
	n.verify(out)
	for _, d := range out {
		if err := n.fetchPacks(ctx, d.items); err != nil {
			return err
		}
		for i := range d.items {
			d.items[i].input.Read()
		}
		select {
		case n.delivered <- d:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// open reads a statement, or takes what this oracle's own ingest has verified.
func (n *Node) open(it *item, statement []byte) {
	if f, ok := n.ingest.Find(it.leaf); ok {
		it.input = *f.Input
		return
	}
	m, err := signer.Parse(statement)
	if err != nil {
		it.input = state.Input{Refused: entry.ReasonMalformed, Hash: it.leaf}
		return
	}
	it.message = m
}

// verify verifies all statements that were not, with the keys known so far.
func (n *Node) verify(ds []*delivery) {
	var jobs []signer.Job
	var items []*item
	n.ledger.View(func(s *state.State) {
		for _, d := range ds {
			for i := range d.items {
				if it := &d.items[i]; it.message != nil {
					if k, ok := s.PublicKey(it.message.KeyID); ok {
						jobs = append(jobs, signer.Job{Message: it.message, Key: k})
						items = append(items, it)
					}
				}
			}
		}
	})
	n.verifier.VerifyAll(jobs)
	for i, it := range items {
		it.message = nil
		if jobs[i].Err != nil {
			it.input = state.Input{Refused: entry.ReasonBadSignature, Hash: jobs[i].Message.Hash()}
			continue
		}
		it.input.Opened = jobs[i].Opened
	}
}
