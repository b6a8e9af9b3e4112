package oracle

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"wattmark/ledger"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/state"
	"wattmark/oracle/finality"
	"wattmark/signer"
)

// checkKeys finds out whose keys this oracle has. An oracle that is in no set that it
// knows of watches: it executes and serves, and casts no votes, until a set has it.
func (n *Node) checkKeys() error {
	var set *entry.OracleSet
	n.ledger.View(func(s *state.State) { n.origin, set = s.Charter().Origin, s.Oracles() })
	if n.cfg.Policy.Origin() != n.origin {
		return fmt.Errorf("the policy is for %q, the ledger is %q", n.cfg.Policy.Origin(), n.origin)
	}
	n.findPlace()
	for _, o := range set.Oracles {
		if o.Name != n.cfg.Name {
			continue
		}
		k := n.keysOf(&o)
		if k == nil {
			return fmt.Errorf("the keys given are not those of oracle %q of %s: check which key files this oracle uses", o.Name, n.origin)
		}
		policy, err := n.PolicyAt(n.height.Load())
		if err != nil {
			return err
		}
		_, isLog := policy.Log(k.Log.Public().ID())
		_, isWitness := policy.Witness(k.Cosigner.Public().ID())
		if !isLog || !isWitness {
			return fmt.Errorf("the policy for %s does not know the keys of oracle %q: no checkpoint that it signs could become final", n.origin, o.Name)
		}
		return nil
	}
	if !n.cfg.Watch {
		return fmt.Errorf("no oracle %q is in the oracle set in force of %s: check the name, or say that it is to watch until a set has it", n.cfg.Name, n.origin)
	}
	n.cfg.Log.Warn("this oracle is in no oracle set in force: it watches, and votes once a set has it", "oracle", n.cfg.Name)
	return nil
}

// keysOf returns the keys of this oracle that are those of an entry of a set, or nil.
func (n *Node) keysOf(o *entry.OracleKeys) *Keys {
	for _, k := range n.allKeys() {
		if p := k.Public(o.Name, n.origin); p.Algorithm == o.Algorithm && bytes.Equal(p.Key, o.Key) && p.Log == o.Log && p.Cosigner == o.Cosigner {
			return k
		}
	}
	return nil
}

// allKeys are the keys that this oracle has: while it changes them, the old and the
// new ones.
func (n *Node) allKeys() []*Keys {
	if n.cfg.Next == nil {
		return []*Keys{&n.cfg.Keys}
	}
	return []*Keys{&n.cfg.Keys, n.cfg.Next}
}

func (n *Node) sealingKeys() (out []finality.Keys) {
	for _, k := range n.allKeys() {
		out = append(out, finality.Keys{Name: n.cfg.Name, Log: k.Log, Cosigner: k.Cosigner})
	}
	return out
}

// statementKey is the key that speaks for this oracle in the next block.
func (n *Node) statementKey() signer.Signer {
	for _, k := range n.allKeys() {
		in := false
		n.ledger.View(func(s *state.State) { _, in = s.Oracle(k.Statement.Public().ID()) })
		if in {
			return k.Statement
		}
	}
	return n.cfg.Keys.Statement
}

// Position is this oracle's place in the oracle set in force for the next block;
// false while it is not in it.
func (n *Node) Position() (position int, in bool) {
	n.ledger.View(func(s *state.State) {
		for _, k := range n.allKeys() {
			if position, in = s.Oracle(k.Statement.Public().ID()); in {
				return
			}
		}
	})
	return position, in
}

// PolicyAt returns by whom the block of a height is made final: the policy that this
// oracle was given for the charter's oracles, and that of the set in force after them.
func (n *Node) PolicyAt(height uint64) (*block.Policy, error) {
	var set *entry.OracleSet
	first := false
	n.ledger.View(func(s *state.State) {
		set = s.OraclesAt(height)
		first = set == s.OracleSets()[0].Set
	})
	if first {
		return n.cfg.Policy, nil
	}
	n.policyMu.Lock()
	defer n.policyMu.Unlock()
	if p := n.policies[set]; p != nil {
		return p, nil
	}
	p, err := handover.PolicyOf(n.origin, set)
	if err != nil {
		return nil, err
	}
	if n.policies == nil {
		n.policies = make(map[*entry.OracleSet]*block.Policy)
	}
	n.policies[set] = p
	return p, nil
}

// change is the last block of an oracle set: before hands over to next with it.
type change struct {
	height       uint64
	before, next state.OracleSetAt
}

// changes returns those up to a height.
func (n *Node) changes(to uint64) (out []change) {
	n.ledger.View(func(s *state.State) {
		sets := s.OracleSets()
		for i := 1; i < len(sets); i++ {
			if h := sets[i].Height - 1; h <= to {
				out = append(out, change{h, sets[i-1], sets[i]})
			}
		}
	})
	return out
}

// changeAt returns the change of a height, if it is one.
func (n *Node) changeAt(height uint64) (change, bool) {
	for _, h := range n.changes(height) {
		if h.height == height {
			return h, true
		}
	}
	return change{}, false
}

// resumeHandovers takes up handovers that are in the chain and were not final when
// this oracle stopped.
func (n *Node) resumeHandovers(c *concluding, end uint64) error {
	for _, h := range n.changes(end) {
		kept, err := n.ledger.Store().Handover(h.next.Height)
		if err == nil {
			err = n.completeHandover(h, kept)
			if err != nil {
				return err
			}
		}
		if h.height == end || err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		b, err := n.ledger.Store().BlockAt(h.height)
		if err != nil {
			return err
		}
		if err := n.cast(c, h.height, block.Checkpoint{Origin: n.origin, Size: b.Size, Root: b.Root}); err != nil {
			return err
		}
	}
	return nil
}

// completeHandover writes a handover anew that a program of before has kept, without the
// header of the last block. The checkpoint is the one that was final then.
func (n *Node) completeHandover(h change, kept []byte) error {
	old, err := handover.Parse(kept)
	if err != nil || old.Header() != nil {
		return err
	}
	cp, err := block.Stated(old.Checkpoint)
	if err != nil {
		return err
	}
	shown, err := ledger.Handover(n.ledger.Store(), old.Checkpoint, cp, h.before, h.next)
	if err != nil {
		return err
	}
	return n.ledger.Store().SetHandover(h.next.Height, shown.Encode())
}

// holdHandover has nothing above a handover become final before it.
func (n *Node) holdHandover(c *concluding, height uint64) {
	if h, ok := n.changeAt(height); ok {
		if _, err := n.ledger.Store().Handover(h.next.Height); err != nil {
			c.tally.Hold(height)
		}
	}
}

// keepHandover writes down what shows that a handover was final, before anybody hears
// that it is, and reports whether the block was one.
func (n *Node) keepHandover(f *finality.Final) (bool, error) {
	h, ok := n.changeAt(f.Height)
	if !ok {
		return false, nil
	}
	store := n.ledger.Store()
	shown, err := ledger.Handover(store, f.Note, f.Checkpoint, h.before, h.next)
	if err != nil {
		return false, err
	}
	return true, store.SetHandover(h.next.Height, shown.Encode())
}

// giveHandover answers an oracle that asks for votes at a handover of long ago with
// the checkpoint that was final.
func (n *Node) giveHandover(height uint64) {
	h, ok := n.changeAt(height)
	if !ok {
		return
	}
	b, err := n.ledger.Store().Handover(h.next.Height)
	if err != nil {
		return
	}
	kept, err := handover.Parse(b)
	if err == nil {
		err = n.cfg.Conn.Publish(n.subjects.Vote(), kept.Checkpoint)
	}
	if err != nil {
		n.cfg.Log.Warn("did not give a handover", "height", height, "error", err)
	}
}

// asksVotes is how a message on the votes' subject begins that asks for the votes at a
// height. An oracle that has one there asks with it instead.
const asksVotes = "votes "

// ask asks for the votes at heights where this oracle waits for them and is none of those
// who vote.
func (n *Node) ask(c *concluding) {
	for _, h := range c.tally.Silent() {
		if err := n.cfg.Conn.Publish(n.subjects.Vote(), fmt.Appendf(nil, "%s%d", asksVotes, h)); err != nil {
			n.cfg.Log.Warn("did not ask for votes", "height", h, "error", err)
		}
	}
}

// answersAsked answers a message that asks for votes, and reports whether it is one.
func (n *Node) answersAsked(c *concluding, b []byte) bool {
	text, ok := bytes.CutPrefix(b, []byte(asksVotes))
	if !ok {
		return false
	}
	h, err := strconv.ParseUint(string(text), 10, 64)
	if err != nil {
		return true
	}
	if v := c.tally.Own(h); v != nil {
		n.send(v)
	} else {
		n.giveHandover(h)
	}
	return true
}

// isNote tells a signed checkpoint of the ledger from a vote, which is CBOR.
func isNote(b []byte, origin string) bool { return bytes.HasPrefix(b, []byte(origin+"\n")) }

// takeHandover takes a checkpoint that another oracle gave for a height that is held.
func (n *Node) takeHandover(c *concluding, note []byte) error {
	for _, height := range c.tally.Held() {
		f, err := c.tally.Take(height, note)
		switch {
		case errors.Is(err, finality.ErrVote):
			n.passOver(c, err)
		case err != nil:
			return err
		case f != nil:
			return n.finish(c, f)
		}
	}
	return nil
}
