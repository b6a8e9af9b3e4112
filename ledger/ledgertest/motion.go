package ledgertest

import (
	"slices"
	"testing"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// NewOracle makes an oracle whose keys come from its name, the same ones each time.
func NewOracle(tb testing.TB, name string) Oracle {
	tb.Helper()
	return Oracle{
		Name:      name,
		Statement: Key(tb, signer.EdDSA, name+" statement"),
		Log:       Key(tb, signer.EdDSA, name+" log"),
		Cosigner:  Key(tb, signer.EdDSA, name+" cosigner"),
	}
}

// Rotated returns the oracle with three other keys.
func (o Oracle) Rotated(tb testing.TB) Oracle {
	tb.Helper()
	next := NewOracle(tb, o.Name+" again")
	next.Name = o.Name
	return next
}

// Keys returns the public halves as an oracle set has them.
func (o Oracle) Keys() entry.OracleKeys {
	return entry.OracleKeys{
		Name: o.Name, Algorithm: int(signer.EdDSA), Key: o.Statement.Public().Bytes(),
		Log:      block.VerifierKey{Name: Origin, Key: o.Log.Public()}.String(),
		Cosigner: block.VerifierKey{Name: o.Name, Cosigner: true, Key: o.Cosigner.Public()}.String(),
	}
}

// NextSet returns the set of these oracles, with the usual thresholds, that would
// follow the one in force.
func (c *Chain) NextSet(oracles ...Oracle) *entry.OracleSet {
	quorum := uint64(2*len(oracles)/3 + 1)
	set := &entry.OracleSet{Replaces: c.State.Oracles().Hash(), Quorum: quorum, Governance: quorum, Witnesses: []string{}}
	for _, o := range oracles {
		set.Oracles = append(set.Oracles, o.Keys())
	}
	return set
}

// Motion returns the statement by which the oracle at position i puts a motion
// forward, or agrees to it by stating the same.
func (c *Chain) Motion(i int, kind string, height uint64, body []byte) *Statement {
	c.tb.Helper()
	m := entry.Motion{Kind: kind, Height: height, Body: body}
	return c.Stated(i, entry.TypeMotion, c.encoded(m.Encode()))
}

// Consent returns the statement by which the oracle at position i agrees to what a
// motion's statement puts forward.
func (c *Chain) Consent(i int, motion *Statement) *Statement {
	c.tb.Helper()
	m, err := entry.ParseMotion(motion.Payload)
	if err != nil {
		c.tb.Fatal(err)
	}
	k := entry.Consent{Motion: m.Hash()}
	return c.Stated(i, entry.TypeConsent, k.Encode())
}

// SetMotion returns the motion of the oracle at position i for a set.
func (c *Chain) SetMotion(i int, height uint64, set *entry.OracleSet) *Statement {
	c.tb.Helper()
	return c.Motion(i, entry.MotionOracles, height, c.encoded(set.Encode()))
}

// Send returns statements as the messages of a block.
func (c *Chain) Send(list ...*Statement) (out []Message) {
	c.tb.Helper()
	for _, s := range list {
		out = append(out, c.deliver(s))
	}
	return out
}

// Adopt appends a block with the clocks of all oracles in which as many of them as
// must put a motion forward and agree to it.
func (c *Chain) Adopt(kind string, height uint64, body []byte) *Block {
	c.tb.Helper()
	m := c.Motion(0, kind, height, body)
	list := []*Statement{m}
	for i := 1; i < int(c.State.Oracles().Governance); i++ {
		list = append(list, c.Consent(i, m))
	}
	return c.Append(append(c.Clocks(step), c.Send(list...)...)...)
}

// HandOver has the oracles in force adopt the set of others, which are the chain's
// from the block after on.
func (c *Chain) HandOver(oracles ...Oracle) *Block {
	c.tb.Helper()
	b := c.Adopt(entry.MotionOracles, c.State.Height()+1, c.encoded(c.NextSet(oracles...).Encode()))
	c.Oracles = oracles
	return b
}

// HandedOver is HandOver, and returns what shows it, with the checkpoint that those
// before have signed, all of them.
func (c *Chain) HandedOver(oracles ...Oracle) *handover.Handover {
	c.tb.Helper()
	return c.HandedOverTo(c.NextSet(oracles...), oracles...)
}

// HandedOverTo is HandedOver for a set of these oracles with thresholds of its own.
func (c *Chain) HandedOverTo(set *entry.OracleSet, oracles ...Oracle) *handover.Handover {
	c.tb.Helper()
	old, before := slices.Clone(c.Oracles), c.State.OracleSets()
	b := c.Adopt(entry.MotionOracles, c.State.Height()+1, c.encoded(set.Encode()))
	sets := c.State.OracleSets()
	if len(sets) == len(before) {
		c.tb.Fatal("the oracle set was not adopted")
	}
	all := make([]int, len(old))
	for i := range all {
		all[i] = i
	}
	note := c.Sign(c.tb, b.Checkpoint, all...)
	c.Oracles = oracles
	return c.Handover(note, b.Checkpoint, before[len(before)-1], sets[len(before)])
}

// Handover makes a handover from the chain in memory, as package ledger does from a
// store: every leaf about motions that matters. note is the signed checkpoint cp.
func (c *Chain) Handover(note []byte, cp block.Checkpoint, was, now state.OracleSetAt) *handover.Handover {
	c.tb.Helper()
	h := &handover.Handover{Checkpoint: note}
	prover := block.NewProver(c, cp.Size)
	for i := range cp.Size {
		leaf := c.leaves[i]
		hash, about := handover.AboutMotion(leaf)
		if i != 0 && i != cp.Size-1 && (!about || !concerns(hash, was, now)) {
			continue
		}
		p, err := prover.Prove(i)
		if err != nil {
			c.tb.Fatal(err)
		}
		h.Leaves = append(h.Leaves, handover.Leaf{Index: i, Leaf: leaf, Path: p.Path})
	}
	return h
}

func concerns(hash [32]byte, sets ...state.OracleSetAt) bool {
	return slices.ContainsFunc(sets, func(o state.OracleSetAt) bool { return hash == MotionHash(o) })
}

// MotionHash is the hash of the motion by which a set came into force.
func MotionHash(o state.OracleSetAt) [32]byte {
	body, err := o.Set.Encode()
	if err != nil {
		panic(err) // a set in force has been encoded before
	}
	m := entry.Motion{Kind: entry.MotionOracles, Height: o.Height, Body: body}
	return m.Hash()
}
