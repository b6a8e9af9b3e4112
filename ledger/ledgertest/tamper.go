package ledgertest

import (
	"bytes"
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// FlipByte returns leaves with one bit of one leaf changed, in its byte at; from
// the end where at is negative.
func FlipByte(leaves [][]byte, i uint64, at int) [][]byte {
	out := append([][]byte(nil), leaves...)
	b := bytes.Clone(out[i])
	if at < 0 {
		at += len(b)
	}
	b[at] ^= 1
	out[i] = b
	return out
}

// Replace returns leaves with leaf i replaced.
func Replace(leaves [][]byte, i uint64, leaf []byte) [][]byte {
	out := append([][]byte(nil), leaves...)
	out[i] = leaf
	return out
}

// Drop returns leaves without leaf i.
func Drop(leaves [][]byte, i uint64) [][]byte {
	out := append([][]byte(nil), leaves[:i]...)
	return append(out, leaves[i+1:]...)
}

// Insert returns leaves with one more before leaf i.
func Insert(leaves [][]byte, i uint64, leaf []byte) [][]byte {
	out := append([][]byte(nil), leaves[:i]...)
	return append(append(out, leaf), leaves[i:]...)
}

// Swap returns leaves with two of them exchanged.
func Swap(leaves [][]byte, i, k uint64) [][]byte {
	out := append([][]byte(nil), leaves...)
	out[i], out[k] = out[k], out[i]
	return out
}

// EditHeader returns leaves with the header at leaf i changed by edit.
func EditHeader(leaves [][]byte, i uint64, edit func(*block.Header)) [][]byte {
	h, err := block.ParseHeader(leaves[i])
	if err != nil {
		panic(fmt.Sprintf("leaf %d: %v", i, err))
	}
	edit(h)
	return Replace(leaves, i, h.Encode())
}

// Rechain returns leaves with every header made again so that tree and chain are
// right: what somebody does who rewrites a whole ledger. Times stay.
func Rechain(leaves [][]byte) [][]byte {
	var t block.Tree
	out := make([][]byte, 0, len(leaves))
	var first uint64
	var height uint64
	var prev block.Hash
	for _, l := range leaves {
		if h, err := block.ParseHeader(l); err == nil {
			h.Height, h.Prev, h.First, h.Size, h.Root = height, prev, first, t.Size(), t.Root()
			l = h.Encode()
			height, first, prev = height+1, t.Size()+1, block.LeafHash(l)
		}
		out = append(out, l)
		t.Append(block.LeafHash(l), nil)
	}
	return out
}

// Tampering is something done to a ledger's leaves, and where an auditor must
// stop: at leaf Leaf, or with it being the first that is wrong.
type Tampering struct {
	Name   string
	Leaves [][]byte
	// Leaf is the index that the auditor's error must name.
	Leaf uint64
	// Honest says that the leaves make a ledger of their own, which only a signed
	// checkpoint tells from the true one.
	Honest bool
}

// Tamperings returns what can be done to a chain's leaves. The chain needs at
// least three blocks after genesis, and in one of them an open reading, a flag
// and a refusal.
func (c *Chain) Tamperings() []Tampering {
	c.tb.Helper()
	all := c.All()
	b, reading, flag, refused := c.victim()
	head := b.Header.Size
	stranger := Key(c.tb, signer.EdDSA, "stranger")
	m, err := signer.Parse(all[reading])
	if err != nil {
		c.tb.Fatal(err)
	}
	resigned, err := signer.Sign(stranger, m.Header, m.Payload)
	if err != nil {
		c.tb.Fatal(err)
	}
	forged := entry.Outcome{Kind: entry.OutcomeFlagged, Leaf: reading, Code: entry.FlagRange, Detail: "power"}
	adopted := entry.Outcome{Kind: entry.OutcomeAdopted, Code: "vote", Detail: entry.ParamCutLeaves}
	next := c.Blocks[b.Header.Height+1].Header.Size
	list := []Tampering{
		{"a byte of a statement's signature flipped", FlipByte(all, reading, -1), reading, false},
		{"a byte of a statement's payload flipped", FlipByte(all, reading, -70), reading, false},
		{"the same, rechained", Rechain(FlipByte(all, reading, -70)), reading, false},
		{"a byte of an outcome flipped", FlipByte(all, flag, -1), head, false},
		{"the same, rechained", Rechain(FlipByte(all, flag, -1)), head, false},
		{"a byte of a header's root flipped", EditHeader(all, head, func(h *block.Header) { h.Root[3] ^= 1 }), head, false},
		{"a header of another height", EditHeader(all, head, func(h *block.Header) { h.Height++ }), head, false},
		{"a header of another ledger", EditHeader(all, head, func(h *block.Header) { h.Origin = "other.example/ledger" }), head, false},
		{"a header with another predecessor", EditHeader(all, head, func(h *block.Header) { h.Prev[0] ^= 1 }), head, false},
		{"a header with another beginning", EditHeader(all, head, func(h *block.Header) { h.First-- }), head, false},
		{"a header with another place", EditHeader(all, head, func(h *block.Header) { h.Size++ }), head, false},
		{"a block time that the clocks do not make, rechained", Rechain(EditHeader(all, head, func(h *block.Header) { h.Time++ })), head, false},
		{"a leaf dropped", Drop(all, reading), head - 1, false},
		{"a flag dropped, rechained", Rechain(Drop(all, flag)), head - 1, false},
		{"a header dropped", Drop(all, head), head, false},
		{"two readings swapped", Swap(all, reading, reading+1), head, false},
		{"an outcome before a statement", Swap(all, reading, flag), reading + 1, false},
		{"a flag forged, rechained", Rechain(Insert(all, flag, forged.Encode())), head + 1, false},
		{"an adoption forged, rechained", Rechain(Insert(all, head, adopted.Encode())), head + 1, false},
		{"a refusal's reason changed", FlipByte(all, refused, -2), head, false},
		{"a reading signed by a stranger", Replace(all, reading, resigned), reading, false},
		{"the same, rechained", Rechain(Replace(all, reading, resigned)), reading, false},
		{"a reading twice, rechained", Rechain(Insert(all, reading, all[reading])), head + 1, false},
		{"a second charter", Insert(all, head+1, all[0]), head + 1, false},
		{"a leaf that is nothing", Insert(all, reading, []byte("nothing")), reading, false},
		{"a header replaced by the next one", Replace(all, head, all[next]), head, false},
		{"a reading dropped, rechained", Rechain(c.without(reading, flag)), 0, true},
		{"a refusal dropped, rechained", Rechain(Drop(all, refused)), 0, true},
	}
	return list
}

// without drops a statement and the flag about it.
func (c *Chain) without(reading, flag uint64) [][]byte {
	return Drop(Drop(c.All(), flag), reading)
}

// victim finds a block that is not the last one with a reading that was flagged
// once, another reading after it, and a refusal.
func (c *Chain) victim() (b *Block, reading, flag, refused uint64) {
	c.tb.Helper()
	for _, b := range c.Blocks[1 : len(c.Blocks)-1] {
		statements := uint64(len(b.Result.Accepted))
		if len(b.Result.Refusals) == 0 || uint64(len(b.Result.Leaves)) != statements+1 {
			continue
		}
		flag := b.Header.First + statements
		o, err := entry.ParseOutcome(c.leaves[flag])
		if err != nil || o.Kind != entry.OutcomeFlagged || o.Leaf+1 >= flag {
			continue
		}
		return b, o.Leaf, flag, flag + 1
	}
	c.tb.Fatal("no block has a flagged reading, another reading after it and a refusal")
	return nil, 0, 0, 0
}

// Forged is a ledger of any leaves, true or not, from which proofs can be made.
type Forged struct{ Chain }

// Of returns the ledger that leaves make.
func Of(leaves [][]byte) *Forged {
	f := &Forged{}
	for _, l := range leaves {
		f.add(l)
	}
	return f
}

// Checkpoint returns the head of its log.
func (f *Forged) Checkpoint() block.Checkpoint {
	return block.Checkpoint{Origin: Origin, Size: f.tree.Size(), Root: f.tree.Root()}
}
