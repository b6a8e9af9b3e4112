package audit

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// ErrLedger is wrapped by everything that an Auditor finds wrong.
var ErrLedger = errors.New("ledger does not verify")

// Summary is what an audit went through.
type Summary struct {
	Origin     string
	Leaves     uint64
	Statements uint64
	Outcomes   uint64
	Blocks     uint64
	// Opaque counts committed statements whose packs were not at hand: their
	// signatures are verified, what followed from their values is not.
	Opaque uint64
	// Checkpoint says whether the ledger reached the signed checkpoint expected.
	Checkpoint bool
	// Size and Root are of the tree at the end of the last whole block.
	Size uint64
	Root block.Hash
}

// Auditor re-verifies a ledger from its leaves alone: tree, header chain, every
// signature, and every rule. Memory does not grow with the ledger, but with the
// keys and metering points enrolled. It is not safe for concurrent use.
type Auditor struct {
	packs   func(digest []byte) []byte
	onBlock func(*Block) error

	tree   block.Tree
	state  *state.State
	prev   *block.Header
	prevID block.Hash
	cur    current
	keys   map[signer.KeyID]signer.PublicKey // of the charter and of every enrolment seen
	expect map[uint64]block.Hash             // roots that signed checkpoints state, by size
	sum    Summary
}

// current is the block being collected.
type current struct {
	first  uint64
	leaves [][]byte
	opened []signer.Opened
}

// Block is a block that has been verified and replayed.
type Block struct {
	Header     *block.Header
	Checkpoint block.Checkpoint // after the header
	Result     *state.Result
}

// NewAuditor returns an Auditor at the start of a ledger. Packs returns the
// preimage of a committed pack by its digest, or nil; packs itself may be nil.
func NewAuditor(packs func(digest []byte) []byte) *Auditor {
	return &Auditor{
		packs:  packs,
		keys:   make(map[signer.KeyID]signer.PublicKey),
		expect: make(map[uint64]block.Hash),
	}
}

// Resume returns an Auditor that goes on behind the block that prev closes, in
// the state after it, with tree holding prev as its last leaf.
func Resume(st *state.State, tree block.Tree, prev *block.Header, packs func(digest []byte) []byte) *Auditor {
	a := NewAuditor(packs)
	a.state, a.tree = st, tree
	a.prev, a.prevID = prev, block.LeafHash(prev.Encode())
	a.cur.first = prev.Size + 1
	a.knowOracles(st.Charter())
	for _, k := range st.Keys() {
		a.keys[k.Public.ID()] = k.Public
	}
	return a
}

// Expect makes the audit fail unless the tree has this root at this size.
func (a *Auditor) Expect(c block.Checkpoint) { a.expect[c.Size] = c.Root }

// OnBlock makes the Auditor call fn after each block. An error ends the audit.
func (a *Auditor) OnBlock(fn func(*Block) error) { a.onBlock = fn }

// State returns the state after the last whole block.
func (a *Auditor) State() *state.State { return a.state }

func (a *Auditor) knowOracles(c *entry.Charter) {
	for _, o := range c.Oracles {
		if k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key); err == nil {
			a.keys[k.ID()] = k
		}
	}
}

// chunk is a run of leaves on its way through the audit.
type chunk struct {
	leaves [][]byte
	kinds  []entry.LeafKind
	hashes []block.Hash
	jobs   []signer.Job // one for each statement, in order
	done   chan struct{}
}

// chunkLeaves and chunkBytes bound a chunk: enough signatures for a good batch,
// little memory.
const (
	chunkLeaves = 1024
	chunkBytes  = 1 << 20
)

// Run audits the leaves that next returns, one after another, until it returns
// nil. A leaf must stay unchanged. Hashing and signatures are verified on every
// core; blocks are replayed in order behind.
func (a *Auditor) Run(next func() ([]byte, error)) (*Summary, error) {
	workers := runtime.GOMAXPROCS(0)
	work := make(chan *chunk, workers)
	order := make(chan *chunk, 2*workers)
	stop := make(chan struct{})
	var readErr error
	var wg sync.WaitGroup
	for range workers {
		v := signer.NewVerifier()
		wg.Go(func() {
			for c := range work {
				c.verify(v)
				close(c.done)
			}
		})
	}
	wg.Go(func() {
		defer close(order)
		defer close(work)
		for {
			c, err := a.read(next)
			if err != nil {
				readErr = err
				return
			}
			if len(c.leaves) == 0 {
				return
			}
			select {
			case order <- c:
				work <- c
			case <-stop:
				return
			}
		}
	})
	var err error
	for c := range order {
		if err != nil {
			continue // drain
		}
		<-c.done
		if err = a.consume(c); err != nil {
			close(stop)
		}
	}
	wg.Wait()
	if err = errors.Join(err, readErr); err != nil {
		return &a.sum, err
	}
	return a.finish()
}

// read collects a chunk and looks up the key of each statement. A key found here
// is one that an enrolment in the log names; whether it was in force where it is
// used is for the rules to say, and they compare ids, which hash the key.
func (a *Auditor) read(next func() ([]byte, error)) (*chunk, error) {
	c := &chunk{done: make(chan struct{})}
	size := 0
	for len(c.leaves) < chunkLeaves && size < chunkBytes {
		leaf, err := next()
		if err != nil {
			return nil, err
		}
		if leaf == nil {
			break
		}
		size += len(leaf)
		kind := entry.KindOf(leaf)
		c.leaves, c.kinds = append(c.leaves, leaf), append(c.kinds, kind)
		switch kind {
		case entry.LeafCharter:
			if ch, err := entry.ParseCharter(leaf); err == nil {
				a.knowOracles(ch)
			}
		case entry.LeafStatement:
			var j signer.Job
			if j.Message, j.Err = signer.Parse(leaf); j.Err == nil {
				a.learn(j.Message)
				j.Key = a.keys[j.Message.KeyID]
			}
			c.jobs = append(c.jobs, j)
		}
	}
	return c, nil
}

func (a *Auditor) learn(m *signer.Message) {
	if m.Type != entry.TypeEnrolment {
		return
	}
	if e, err := entry.ParseEnrolment(m.Payload); err == nil {
		if k, err := signer.NewPublicKey(signer.Algorithm(e.Algorithm), e.Key); err == nil {
			a.keys[k.ID()] = k
		}
	}
}

// verify hashes every leaf and verifies every signature of the chunk.
func (c *chunk) verify(v *signer.Verifier) {
	c.hashes = make([]block.Hash, len(c.leaves))
	for i, l := range c.leaves {
		c.hashes[i] = block.LeafHash(l)
	}
	v.VerifyBatch(c.jobs)
}

func (a *Auditor) consume(c *chunk) error {
	job := 0
	for i, leaf := range c.leaves {
		index := a.tree.Size()
		if c.kinds[i] == entry.LeafHeader {
			if err := a.header(leaf, c.hashes[i]); err != nil {
				return err
			}
			continue
		}
		a.tree.Append(c.hashes[i], nil)
		a.sum.Leaves++
		switch c.kinds[i] {
		case entry.LeafStatement:
			j := &c.jobs[job]
			job++
			if j.Err != nil {
				return fmt.Errorf("%w: leaf %d: %w", ErrLedger, index, j.Err)
			}
			if len(a.cur.leaves) != len(a.cur.opened) {
				return fmt.Errorf("%w: leaf %d: a statement after an outcome of its block", ErrLedger, index)
			}
			a.cur.opened = append(a.cur.opened, j.Opened)
			a.sum.Statements++
		case entry.LeafOutcome:
			a.sum.Outcomes++
		case entry.LeafCharter:
			if err := a.found(leaf, index); err != nil {
				return err
			}
			continue
		default:
			return fmt.Errorf("%w: leaf %d is nothing that a ledger holds", ErrLedger, index)
		}
		a.cur.leaves = append(a.cur.leaves, leaf)
	}
	return nil
}

// found starts the ledger from its charter.
func (a *Auditor) found(leaf []byte, index uint64) error {
	if index != 0 {
		return fmt.Errorf("%w: leaf %d is a second charter", ErrLedger, index)
	}
	c, err := entry.ParseCharter(leaf)
	if err != nil {
		return fmt.Errorf("%w: leaf 0: %w", ErrLedger, err)
	}
	if a.state, err = state.New(c); err != nil {
		return fmt.Errorf("%w: leaf 0: %w", ErrLedger, err)
	}
	a.sum.Origin = c.Origin
	return nil
}

// header closes the block collected so far: chain, root, rules.
func (a *Auditor) header(leaf []byte, hash block.Hash) error {
	index := a.tree.Size()
	fail := func(err error) error { return fmt.Errorf("%w: leaf %d: %w", ErrLedger, index, err) }
	if a.state == nil {
		return fail(errors.New("there is no charter before it"))
	}
	h, err := block.ParseHeader(leaf)
	if err != nil {
		return fail(err)
	}
	if err := h.Follows(a.prev, a.prevID); err != nil {
		return fail(err)
	}
	switch {
	case h.Origin != a.state.Charter().Origin:
		return fail(fmt.Errorf("a header of ledger %q", h.Origin))
	case h.Size != index:
		return fail(fmt.Errorf("the header says it is leaf %d", h.Size))
	case h.Root != a.tree.Root():
		return fail(fmt.Errorf("the header's root is not the tree's"))
	}
	first := *h
	if a.prev == nil {
		first.First = 1 // the rules see what follows the charter
	}
	result, err := a.state.Replay(&first, a.cur.leaves, a.cur.opened, a.packs)
	if err != nil {
		return fail(err)
	}
	a.tree.Append(hash, nil)
	a.sum.Leaves++
	a.sum.Blocks++
	a.sum.Opaque += uint64(result.Opaque)
	a.sum.Size, a.sum.Root = a.tree.Size(), a.tree.Root()
	if want, ok := a.expect[a.sum.Size]; ok {
		if want != a.sum.Root {
			return fail(fmt.Errorf("the signed checkpoint of size %d has another root", a.sum.Size))
		}
		a.sum.Checkpoint = true
		delete(a.expect, a.sum.Size)
	}
	a.prev, a.prevID = h, hash
	a.cur = current{first: index + 1}
	if a.onBlock == nil {
		return nil
	}
	return a.onBlock(&Block{h, block.Checkpoint{Origin: h.Origin, Size: a.sum.Size, Root: a.sum.Root}, result})
}

func (a *Auditor) finish() (*Summary, error) {
	switch {
	case a.sum.Blocks == 0 && a.prev == nil:
		return &a.sum, fmt.Errorf("%w: it holds no block", ErrLedger)
	case len(a.cur.leaves) > 0:
		return &a.sum, fmt.Errorf("%w: %d leaves follow the last header", ErrLedger, len(a.cur.leaves))
	case len(a.expect) > 0:
		return &a.sum, fmt.Errorf("%w: it ends at size %d, before a signed checkpoint", ErrLedger, a.sum.Size)
	}
	return &a.sum, nil
}
