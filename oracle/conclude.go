package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"wattmark/ledger/block"
	"wattmark/oracle/finality"
	"wattmark/oracle/wire"
)

// publishTiles is how often the checkpoint file and the static tiles are brought
// up to date, at most.
const publishTiles = time.Second

// maxOwed bounds the receipts that are owed while nothing becomes final. The
// oldest beyond it are let go, and answered when their gateways send again.
const maxOwed = 1 << 17

// concluding is what conclude owns.
type concluding struct {
	tally     *finality.Tally
	owed      []answer // receipts for statements that are on the ledger, oldest first
	conflicts int      // found so far
	passed    seldom   // votes passed over
	// asked are those of them that a gateway sent again, each owed once.
	asked map[answer]bool
}

// owe notes receipts to be sent.
func (c *concluding) owe(list ...answer) (lost int) {
	c.owed = append(c.owed, list...)
	if lost = len(c.owed) - maxOwed; lost <= 0 {
		return 0
	}
	for _, a := range c.owed[:lost] {
		delete(c.asked, a)
	}
	c.owed = append(c.owed[:0:0], c.owed[lost:]...)
	return lost
}

// end is the block at which a chain ends.
type end struct {
	height     uint64
	checkpoint block.Checkpoint
}

func (n *Node) end() end {
	h, c, _ := n.ledger.Last()
	return end{h.Height, c}
}

// conclude votes for durable blocks, counts votes, and answers gateways when
// blocks are final. The block at the end of the chain may have been voted for
// before a restart: its vote is the same again.
func (n *Node) conclude(ctx context.Context, begin end) error {
	c := &concluding{
		tally: finality.NewTally(n.PolicyAt, n.sealingKeys()...),
		asked: make(map[answer]bool),
	}
	c.tally.Ask(n.voteRules())
	if err := n.resumeHandovers(c, begin.height); err != nil {
		return err
	}
	if err := n.cast(c, begin.height, begin.checkpoint); err != nil {
		return err
	}
	resend := time.NewTicker(resendVote)
	defer resend.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case s := <-n.sealed:
			if lost := c.owe(s.answers...); lost > 0 {
				n.cfg.Log.Warn("let receipts go until their gateways send again, as nothing becomes final", "statements", lost)
			}
			err = n.cast(c, s.height, s.checkpoint)
		case b := <-n.votes:
			err = n.receive(c, b)
		case a := <-n.again:
			n.takeAgain(c, a)
		case w := <-n.cosigned:
			err = n.witnessed(c, w)
		case <-resend.C:
			for _, v := range c.tally.Pending() {
				n.send(v)
			}
			n.ask(c)
			var f *finality.Final
			if f, err = c.tally.Recount(); err == nil {
				err = n.finish(c, f)
			}
		}
		if err != nil {
			return err
		}
	}
}

// takeAgain answers what was sent again, with what else waits of that kind.
func (n *Node) takeAgain(c *concluding, a answer) {
	for range wire.MaxItems {
		if !c.asked[a] {
			c.asked[a] = true
			c.owe(a)
		}
		select {
		case a = <-n.again:
			continue
		default:
		}
		break
	}
	n.answer(c)
}

func (n *Node) cast(c *concluding, height uint64, cp block.Checkpoint) error {
	if n.Halted() != nil {
		return nil // it does not know any more which history is right
	}
	n.holdHandover(c, height)
	vote, final, err := c.tally.Cast(height, cp, uint64(time.Now().Unix()))
	n.report(c)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrHalted, err)
	}
	if vote != nil {
		n.send(vote)
	}
	return n.finish(c, final)
}

// passOver notes a vote that is not accepted. Whoever may vote can send a great
// many, so that is logged once a second at most.
func (n *Node) passOver(c *concluding, err error) {
	if votes, ok := c.passed.again(); ok {
		n.cfg.Log.Warn("passed over votes", "votes", votes, "error", err)
	}
}

// report tells of oracles that disagree, and keeps what proves it.
func (n *Node) report(c *concluding) {
	for _, conflict := range c.tally.Conflicts() {
		n.cfg.Log.Error("oracles disagree", "height", conflict.Height, "error", conflict)
		if c.conflicts++; c.conflicts <= maxConflicts {
			if err := n.keepConflict(conflict); err != nil {
				n.cfg.Log.Warn("did not keep the votes of a conflict", "height", conflict.Height, "error", err)
			}
		}
		if proof, ok := conflict.Proof(); ok {
			if key, ok := n.promiser(conflict.Height, conflict.Vote.KeyID); ok {
				n.suspect(key.ID(), proof)
			}
		}
		n.observe(Event{Conflict: conflict})
	}
}

func (n *Node) send(v *finality.Vote) {
	if err := n.cfg.Conn.Publish(n.subjects.Vote(), v.Encode()); err != nil {
		n.cfg.Log.Warn("did not send vote", "height", v.Height, "error", err)
	}
}

func (n *Node) receive(c *concluding, b []byte) error {
	if isNote(b, n.origin) {
		if taken, err := n.takeCosignature(c, b); taken || err != nil {
			return err
		}
		return n.takeHandover(c, b)
	}
	if n.answersAsked(c, b) {
		return nil
	}
	v, err := finality.ParseVote(b, n.origin)
	if err != nil {
		n.passOver(c, err)
		return nil
	}
	final, again, err := c.tally.Receive(v)
	n.report(c)
	switch {
	case errors.Is(err, finality.ErrVote):
		n.passOver(c, err)
		return nil
	case err != nil:
		return err
	}
	if again != nil {
		n.send(again)
	}
	if v.Asking && again == nil {
		n.giveHandover(v.Height)
	}
	return n.finish(c, final)
}

// finish takes note of a final checkpoint and answers for what it covers.
func (n *Node) finish(c *concluding, f *finality.Final) error {
	n.tellSealed(c)
	if f == nil {
		return nil
	}
	kept, err := n.keepHandover(f)
	if err != nil {
		return err
	}
	if kept {
		n.leadAll() // before the receipts that the next set signs
	}
	n.final.Store(f)
	n.observe(Event{Final: f})
	n.answer(c)
	return nil
}

// answer sends the receipts that are owed and that the newest final checkpoint
// covers, one message for each gateway and up to MaxItems statements.
func (n *Node) answer(c *concluding) {
	f := c.tally.Final()
	if f == nil || len(c.owed) == 0 || len(f.Receipts) == 0 {
		return
	}
	prover := block.NewProver(n.ledger.Store(), f.Size)
	batches := make(map[string]*wire.Receipts)
	later := c.owed[:0:0]
	for _, a := range c.owed {
		if a.index >= f.Size {
			later = append(later, a)
			continue
		}
		delete(c.asked, a)
		p, err := prover.Prove(a.index)
		if err != nil {
			n.cfg.Log.Error("did not prove a leaf", "index", a.index, "error", err)
			continue
		}
		b := batches[a.gateway]
		if b == nil {
			b = &wire.Receipts{Checkpoint: f.Note, Signatures: f.Receipts}
			batches[a.gateway] = b
		}
		b.Items = append(b.Items, wire.ReceiptItem{Boot: a.sequence.Boot, Count: a.sequence.Count, Index: a.index, Path: p.Path})
		if len(b.Items) == wire.MaxItems {
			n.sendReceipts(a.gateway, b)
			delete(batches, a.gateway)
		}
	}
	for gateway, b := range batches {
		n.sendReceipts(gateway, b)
	}
	c.owed = later
}

func (n *Node) sendReceipts(gateway string, r *wire.Receipts) {
	if err := n.cfg.Conn.Publish(n.subjects.Receipt(gateway), r.Encode()); err != nil {
		n.cfg.Log.Warn("did not send receipts", "gateway", gateway, "statements", len(r.Items), "error", err)
		return
	}
	n.observe(Event{Gateway: gateway, Answered: len(r.Items)})
}

// publish writes the newest final checkpoint and the static tiles up to it, apart
// from what gateways wait for, and once more at the end. What a crash loses of it
// comes back with the next final checkpoint.
func (n *Node) publish(ctx context.Context) error {
	tick := time.NewTicker(publishTiles)
	defer tick.Stop()
	var published []byte // checkpoint
	for ended := false; !ended; {
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		}
		f := n.final.Load()
		if f == nil {
			continue
		}
		note := n.withOutside(f)
		if bytes.Equal(note, published) {
			continue
		}
		if err := n.ledger.Store().SetFinal(note, f.Height); err != nil {
			n.cfg.Log.Warn("did not keep the final checkpoint", "size", f.Size, "error", err)
			continue
		}
		if err := n.ledger.Store().PublishTiles(n.cfg.Tiles, f.Size, note); err != nil {
			n.cfg.Log.Warn("did not publish tiles", "size", f.Size, "error", err)
			continue
		}
		published = note
	}
	return nil
}
