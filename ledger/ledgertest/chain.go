package ledgertest

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// Message is one message of a drawn block, as an oracle would have received it.
type Message struct {
	Statement []byte
	Pack      []byte     // preimage of a committed pack, else nil
	Hash      block.Hash // leaf hash; of what has no right signature the hash of what was signed
	opened    signer.Opened
	refused   entry.Reason
}

// Input returns the message for the rules, unread.
func (m *Message) Input() state.Input {
	in := state.Input{Opened: m.opened, Pack: m.Pack, Refused: m.refused}
	if m.refused != "" {
		in.Hash = m.Hash
	}
	return in
}

// Identity returns the hash under which the rules know the message.
func (m *Message) Identity() [32]byte {
	if m.opened.IsZero() {
		return m.Hash
	}
	return m.opened.Message().Hash()
}

// Block is a drawn block and what the rules made of it. Genesis has no messages.
type Block struct {
	Messages   []Message
	Header     *block.Header
	Checkpoint block.Checkpoint // after the header
	Result     *state.Result
	Export     []state.Change // the whole state after it
}

// Inputs returns the block's messages for the rules, unread, and their leaf
// hashes.
func (b *Block) Inputs() ([]state.Input, []block.Hash) {
	inputs := make([]state.Input, len(b.Messages))
	hashes := make([]block.Hash, len(b.Messages))
	for i := range b.Messages {
		inputs[i], hashes[i] = b.Messages[i].Input(), b.Messages[i].Hash
	}
	return inputs, hashes
}

// Statements returns the indices of the statements that the block accepted.
func (b *Block) Statements() []uint64 {
	var out []uint64
	for i := range b.Result.Accepted {
		out = append(out, b.Header.First+uint64(i))
	}
	return out
}

// Chain is a drawn ledger in memory. It gives leaves and nodes as a store does.
type Chain struct {
	*Consortium
	State  *state.State
	Blocks []*Block

	tb       testing.TB
	gateways map[string]*gateway
	packs    map[[32]byte][]byte
	drawn    map[string]Message // what each word made last
	leaves   [][]byte
	nodes    [][]block.Hash // by level
	tree     block.Tree
	exports  bool
}

// New returns the ledger of a consortium of n oracles with its genesis block.
func New(tb testing.TB, n int, parameters ...entry.Parameter) *Chain {
	tb.Helper()
	c := &Chain{
		Consortium: NewConsortium(tb, n, parameters...),
		tb:         tb, gateways: make(map[string]*gateway), packs: make(map[[32]byte][]byte),
		drawn: make(map[string]Message), exports: true,
	}
	leaf := c.encoded(c.Charter.Encode())
	st, err := state.New(c.Charter)
	if err != nil {
		tb.Fatal(err)
	}
	c.State = st
	c.add(leaf)
	h := &block.Header{Version: block.HeaderVersion, Origin: Origin, Size: 1, Root: c.tree.Root(), Time: Start}
	first := *h
	first.First = 1
	r, err := st.Replay(&first, nil, nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	c.close(&Block{Header: h, Result: r})
	return c
}

// KeepExports says whether every block keeps the whole state after it, as it
// does at first. Long chains turn it off.
func (c *Chain) KeepExports(on bool) { c.exports = on }

func (c *Chain) add(leaf []byte) {
	c.leaves = append(c.leaves, leaf)
	h, index := block.LeafHash(leaf), c.tree.Size()
	level := 0
	c.tree.Append(h, func(n block.Hash) {
		if level == len(c.nodes) {
			c.nodes = append(c.nodes, nil)
		}
		c.nodes[level] = append(c.nodes[level], n)
		level++
	})
	if uint64(len(c.nodes[0])) != index+1 {
		c.tb.Fatal("internal error: the tree stores other nodes than expected")
	}
}

func (c *Chain) close(b *Block) {
	c.add(b.Header.Encode())
	b.Checkpoint = block.Checkpoint{Origin: Origin, Size: c.tree.Size(), Root: c.tree.Root()}
	if c.exports {
		b.Export = c.State.Export()
	}
	c.Blocks = append(c.Blocks, b)
}

// Deliver takes a message as an oracle does: it looks up the key and verifies.
func (c *Chain) Deliver(statement, pack []byte) Message {
	m := Message{Statement: statement, Pack: pack, Hash: block.LeafHash(statement)}
	parsed, err := signer.Parse(statement)
	if err != nil {
		m.refused = entry.ReasonMalformed
		return m
	}
	k, ok := c.State.PublicKey(parsed.KeyID)
	if !ok {
		m.refused, m.Hash = entry.ReasonUnknownKey, parsed.Hash()
		return m
	}
	if m.opened, err = signer.Verify(parsed, k); err != nil {
		m.refused, m.Hash = entry.ReasonBadSignature, parsed.Hash()
	}
	return m
}

// Open takes a statement as verified under its own key, whether the ledger knows
// that or not, so that the rules have to refuse it.
func (c *Chain) Open(s *Statement) Message {
	c.tb.Helper()
	b, pack := s.Sign(c.tb)
	parsed, err := signer.Parse(b)
	if err != nil {
		c.tb.Fatal(err)
	}
	o, err := signer.Verify(parsed, s.Key.Public())
	if err != nil {
		c.tb.Fatal(err)
	}
	return Message{Statement: b, Pack: pack, Hash: block.LeafHash(b), opened: o}
}

// Append executes messages as the next block.
func (c *Chain) Append(messages ...Message) *Block {
	c.tb.Helper()
	b := &Block{Messages: messages}
	inputs, _ := b.Inputs()
	prev := c.Blocks[len(c.Blocks)-1]
	first, height := c.tree.Size(), c.State.Height()
	prevID := block.LeafHash(prev.Header.Encode())
	var err error
	if b.Result, err = c.State.Execute(first, prevID, inputs); err != nil {
		c.tb.Fatal(err)
	}
	for _, i := range b.Result.Accepted {
		m := &messages[i]
		if m.Pack != nil {
			c.packs[sha256.Sum256(m.Pack)] = m.Pack
		}
		if g := c.signedBy(m.opened); g != nil {
			h := m.opened.Message().Hash()
			g.previous = h[:]
		}
	}
	for _, leaf := range b.Result.Leaves {
		c.add(leaf)
	}
	for _, leaf := range b.Result.Refusals {
		c.add(leaf)
	}
	b.Header = &block.Header{
		Version: block.HeaderVersion, Origin: Origin, Height: height, Prev: prevID,
		First: first, Size: c.tree.Size(), Root: c.tree.Root(), Time: b.Result.Time,
	}
	c.close(b)
	return b
}

func (c *Chain) signedBy(o signer.Opened) *gateway {
	for _, g := range c.gateways {
		if g.key.Public().ID() == o.Key().ID() {
			return g
		}
	}
	return nil
}

// Last returns the newest block.
func (c *Chain) Last() *Block { return c.Blocks[len(c.Blocks)-1] }

// Packs returns the preimage of a committed pack, or nil.
func (c *Chain) Packs(digest []byte) []byte {
	if len(digest) != 32 {
		return nil
	}
	return c.packs[[32]byte(digest)]
}

// Size returns the number of leaves.
func (c *Chain) Size() uint64 { return uint64(len(c.leaves)) }

// Leaf returns a leaf, which must not be changed.
func (c *Chain) Leaf(i uint64) ([]byte, error) {
	if i >= c.Size() {
		return nil, fmt.Errorf("there is no leaf %d of %d", i, c.Size())
	}
	return c.leaves[i], nil
}

// Leaves calls fn with each leaf from from to to, not included.
func (c *Chain) Leaves(from, to uint64, fn func(index uint64, leaf []byte) error) error {
	for i := from; i < to; i++ {
		leaf, err := c.Leaf(i)
		if err == nil {
			err = fn(i, leaf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// All returns a copy of the list of leaves; the leaves themselves are shared.
func (c *Chain) All() [][]byte { return append([][]byte(nil), c.leaves...) }

// Node returns the root of a complete subtree; it implements block.Nodes.
func (c *Chain) Node(level int, index uint64) (block.Hash, error) {
	if level < 0 || level >= len(c.nodes) || index >= uint64(len(c.nodes[level])) {
		return block.Hash{}, fmt.Errorf("there is no node %d of level %d", index, level)
	}
	return c.nodes[level][index], nil
}

// Note returns the last block's checkpoint, signed by the oracles at the
// positions given; without any, by as many as the quorum asks for.
func (c *Chain) Note(oracles ...int) []byte {
	c.tb.Helper()
	return c.Sign(c.tb, c.Last().Checkpoint, oracles...)
}

// Transparent returns the statement at a leaf with receipts under the last
// checkpoint, of the oracles at the positions given; without any, of a quorum.
func (c *Chain) Transparent(index uint64, oracles ...int) []byte {
	c.tb.Helper()
	cp := c.Last().Checkpoint
	p, err := block.NewProver(c, cp.Size).Prove(index)
	if err != nil {
		c.tb.Fatal(err)
	}
	var receipts []block.Receipt
	for _, i := range c.chosen(oracles) {
		o := &c.Oracles[i]
		sig, err := block.SignReceipts(o.Cosigner, cp)
		if err != nil {
			c.tb.Fatal(err)
		}
		receipts = append(receipts, block.Receipt{KeyID: o.Cosigner.Public().ID(), Proof: p, Signature: sig})
	}
	return c.encoded(block.AttachReceipts(c.leaves[index], receipts))
}

// LogProof returns the C2SP proof of a leaf under the last checkpoint, signed as
// Note does.
func (c *Chain) LogProof(index uint64, oracles ...int) []byte {
	c.tb.Helper()
	cp := c.Last().Checkpoint
	p, err := block.NewProver(c, cp.Size).Prove(index)
	if err != nil {
		c.tb.Fatal(err)
	}
	lp := block.LogProof{Extra: c.leaves[index], Index: index, Path: p.Path, Checkpoint: c.Note(oracles...)}
	return lp.Encode()
}

// TB returns the test that the chain is drawn for.
func (c *Chain) TB() testing.TB { return c.tb }
