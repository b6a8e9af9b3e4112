package audit

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
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

	mu   sync.RWMutex                      // guards keys while Run runs
	keys map[signer.KeyID]signer.PublicKey // of the charter and of every enrolment seen

	// Run's own goroutine has what follows.
	tree   block.Tree
	state  *state.State
	prev   *block.Header
	prevID block.Hash
	cur    current
	expect map[uint64][]block.Hash // roots that signed checkpoints state, by size
	sum    Summary
}

// current is the block being collected.
type current struct {
	leaves [][]byte
	inputs []state.Input // its statements
	bytes  int           // that its leaves weigh
}

// reset empties the block and keeps its memory for the next one.
func (c *current) reset() {
	clear(c.leaves)
	clear(c.inputs)
	c.leaves, c.inputs, c.bytes = c.leaves[:0], c.inputs[:0], 0
}

// Block is a block that has been verified and replayed.
type Block struct {
	Header     *block.Header
	Checkpoint block.Checkpoint // after the header
	Result     *state.Result
}

// NewAuditor returns an Auditor at the start of a ledger. Packs returns the
// preimage of a committed pack by its digest, or nil; packs itself may be nil. It
// is called from several goroutines at once.
func NewAuditor(packs func(digest []byte) []byte) *Auditor {
	return &Auditor{
		packs:  packs,
		keys:   make(map[signer.KeyID]signer.PublicKey),
		expect: make(map[uint64][]block.Hash),
	}
}

// Resume returns an Auditor that goes on behind the block that prev closes, in
// the state after it, with tree holding prev as its last leaf.
func Resume(st *state.State, tree block.Tree, prev *block.Header, packs func(digest []byte) []byte) *Auditor {
	a := NewAuditor(packs)
	a.state, a.tree = st, tree
	a.prev, a.prevID = prev, block.LeafHash(prev.Encode())
	a.sum.Origin, a.sum.Size, a.sum.Root = prev.Origin, tree.Size(), tree.Root()
	for _, o := range st.OracleSets() {
		a.knowSet(o.Set.Oracles)
	}
	for _, m := range st.Motions() {
		if set, err := entry.ParseOracleSet(m.Body); err == nil && m.Kind == entry.MotionOracles {
			a.knowSet(set.Oracles)
		}
	}
	for _, k := range st.Keys() {
		a.keys[k.Public.ID()] = k.Public
	}
	for _, k := range st.Parties() {
		a.keys[k.Public.ID()] = k.Public
	}
	return a
}

// Expect makes the audit fail unless a block ends at c's size with c's root. It
// may be called for several checkpoints, and whoever calls it has verified them.
func (a *Auditor) Expect(c block.Checkpoint) {
	if !slices.Contains(a.expect[c.Size], c.Root) {
		a.expect[c.Size] = append(a.expect[c.Size], c.Root)
	}
}

// OnBlock makes the Auditor call fn after each block. An error ends the audit.
func (a *Auditor) OnBlock(fn func(*Block) error) { a.onBlock = fn }

// State returns the state after the last whole block.
func (a *Auditor) State() *state.State { return a.state }

// Run audits the leaves that next returns, one after another, until it returns
// nil. A leaf must stay unchanged. Everything that one leaf can be asked by
// itself is done on every core; blocks are replayed in order behind.
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
				a.verify(c, v)
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
			if err := c.jobs[job].Err; err != nil {
				return fmt.Errorf("%w: leaf %d, in block %d: %w", ErrLedger, index, a.height(), err)
			}
			if len(a.cur.leaves) != len(a.cur.inputs) {
				return fmt.Errorf("%w: leaf %d, in block %d: a statement after an outcome of its block", ErrLedger, index, a.height())
			}
			a.cur.inputs = append(a.cur.inputs, c.inputs[job])
			job++
			a.sum.Statements++
		case entry.LeafOutcome:
			a.sum.Outcomes++
		case entry.LeafCharter:
			if err := a.found(leaf, index); err != nil {
				return err
			}
			continue
		default:
			return fmt.Errorf("%w: leaf %d, in block %d, is nothing that a ledger holds", ErrLedger, index, a.height())
		}
		a.cur.leaves = append(a.cur.leaves, leaf)
		if a.cur.bytes += entry.Weight(leaf); a.cur.bytes > entry.MaxBlock {
			return fmt.Errorf("%w: leaf %d: block %d weighs more than %d bytes", ErrLedger, index, a.height(), entry.MaxBlock)
		}
	}
	return nil
}

// height is that of the block being collected.
func (a *Auditor) height() uint64 {
	if a.prev == nil {
		return 0
	}
	return a.prev.Height + 1
}

// found starts the ledger from its charter.
func (a *Auditor) found(leaf []byte, index uint64) error {
	if index != 0 {
		return fmt.Errorf("%w: leaf %d, in block %d, is a second charter", ErrLedger, index, a.height())
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
	fail := func(err error) error {
		return fmt.Errorf("%w: leaf %d, header of block %d: %w", ErrLedger, index, a.height(), err)
	}
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
	case a.cur.bytes+entry.Weight(leaf) > entry.MaxBlock:
		return fail(fmt.Errorf("the block weighs more than %d bytes", entry.MaxBlock))
	}
	first := *h
	if a.prev == nil {
		first.First = 1 // the rules see what follows the charter
	}
	result, err := a.state.ReplayInputs(&first, a.cur.leaves, a.cur.inputs)
	if err != nil {
		return fail(err)
	}
	a.tree.Append(hash, nil)
	a.sum.Leaves++
	a.sum.Blocks++
	a.sum.Opaque += uint64(result.Opaque)
	a.sum.Size, a.sum.Root = a.tree.Size(), a.tree.Root()
	for _, want := range a.expect[a.sum.Size] {
		if want != a.sum.Root {
			return fail(fmt.Errorf("a signed checkpoint of size %d has another root", a.sum.Size))
		}
		a.sum.Checkpoint = true
	}
	delete(a.expect, a.sum.Size)
	a.prev, a.prevID = h, hash
	a.cur.reset()
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
		return &a.sum, fmt.Errorf("%w: %d leaves follow the header of block %d, leaf %d, and no header closes them",
			ErrLedger, len(a.cur.leaves), a.prev.Height, a.prev.Size)
	}
	if len(a.expect) == 0 {
		return &a.sum, nil
	}
	size := slices.Min(slices.Collect(maps.Keys(a.expect)))
	if size <= a.sum.Size {
		return &a.sum, fmt.Errorf("%w: no block ends at size %d, as a signed checkpoint says", ErrLedger, size)
	}
	return &a.sum, fmt.Errorf("%w: it ends with leaf %d, before the signed checkpoint of size %d", ErrLedger, a.sum.Size-1, size)
}
