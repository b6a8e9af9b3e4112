package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/signer"
)

// Ledger is one oracle's ledger. One goroutine calls Execute and one Commit, or one
// calls Append, which is both; everything else is safe for concurrent use.
type Ledger struct {
	dir   string
	store *store.Store
	vault *store.Vault

	// The chain as it was executed, which Execute owns.
	tree    store.Tree
	prevID  block.Hash          // of the last header in it
	reached entry.OrderPosition // how far into the order it goes

	mu    sync.RWMutex // guards the fields below
	state *state.State
	prev  *block.Header // of the last durable block
	last  store.Commit
	// executed are the blocks whose statements the state knows already and the index
	// not yet, oldest first: who asks for one in between must not hear that it is not there.
	executed []*Executed
	broken   error // why no more blocks are taken
}

// Executed is a block that was executed and is not durable.
type Executed struct {
	first  uint64 // index of its first leaf
	inputs []state.Input
	result *state.Result
	leaves [][]byte
	hashes []block.Hash
	header *block.Header
	commit store.Commit
}

// Order is how far into the order a block reaches.
type Order struct {
	Sequence uint64   // of the last message that the block took in
	Digest   [32]byte // SHA-256 of that message
}

// Block is a block that has been made durable.
type Block struct {
	Header     *block.Header
	Checkpoint block.Checkpoint // after the header: what the oracle votes for
	Result     *state.Result
}

// Create founds a ledger in dir, which must not hold one: the genesis block of
// charter and header.
func Create(dir string, charter *entry.Charter) error {
	leaf, err := charter.Encode()
	if err != nil {
		return fmt.Errorf("founding ledger: %w", err)
	}
	if _, err := state.New(charter); err != nil {
		return fmt.Errorf("founding ledger: %w", err)
	}
	s, _, err := store.Open(dir, store.Options{})
	if err != nil {
		return fmt.Errorf("founding ledger: %w", err)
	}
	defer s.Close()
	if s.Size() > 0 {
		return fmt.Errorf("founding ledger: %s holds a ledger already: %w", dir, os.ErrExist)
	}
	var t block.Tree
	t.Append(block.LeafHash(leaf), nil)
	h := &block.Header{Version: block.HeaderVersion, Origin: charter.Origin, Size: 1, Root: t.Root(), Time: charter.Time}
	head := h.Encode()
	t.Append(block.LeafHash(head), nil)
	if err := s.Append([][]byte{leaf, head}, nil, store.Commit{Height: 0, Size: 2, Root: t.Root()}); err != nil {
		return fmt.Errorf("founding ledger: %w", err)
	}
	return s.Close()
}

// VaultDir is where the vault lies in a ledger's directory.
const VaultDir = "vault"

// Report says what Open had to mend.
type Report struct {
	Store store.Report
	Vault store.VaultReport
}

// Lines puts the report into words; there are none where all was well.
func (r *Report) Lines() []string {
	lines := r.Store.Lines()
	for _, t := range r.Vault.Torn {
		lines = append(lines, fmt.Sprintf("cut an unfinished write off %s at byte %d: its packs were never acknowledged", t.File, t.Offset))
	}
	if r.Vault.IndexRebuilt != "" {
		lines = append(lines, "built the vault's index again: "+r.Vault.IndexRebuilt)
	}
	return lines
}

// ErrNoLedger is returned by Open for a directory without a ledger.
var ErrNoLedger = errors.New("there is no ledger here")

// ErrForgotten is returned by Open where blocks must be executed again and packs
// that their outcomes depend on are not in the vault, or no more. Going on from
// what can be told without them would give another state than other oracles have.
// Two oracles with one's keys would be one oracle that votes twice.
var ErrForgotten = errors.New("packs of committed readings are missing: copy the directory of another oracle that holds this block, without keys/: each oracle keeps its own")

// Open opens the ledger in dir. The report says what had to be mended, in words
// for an operator.
func Open(dir string, opts store.Options) (*Ledger, Report, error) {
	var report Report
	s, found, err := store.Open(dir, opts)
	report.Store = found
	if err != nil {
		return nil, report, err
	}
	v, torn, err := store.OpenVault(filepath.Join(dir, VaultDir), opts)
	report.Vault = torn
	if err != nil {
		return nil, report, errors.Join(fmt.Errorf("opening ledger %s: %w", dir, err), s.Close())
	}
	l := &Ledger{dir: dir, store: s, vault: v}
	if err := l.catchUp(); err != nil {
		return nil, report, errors.Join(fmt.Errorf("opening ledger %s: %w", dir, err), l.Close())
	}
	return l, report, nil
}

// catchUp loads the state that the index has and re-executes the blocks that it
// has not.
func (l *Ledger) catchUp() error {
	last, ok := l.store.Last()
	if !ok {
		return ErrNoLedger
	}
	leaf, err := l.store.Leaf(0)
	if err != nil {
		return err
	}
	charter, err := entry.ParseCharter(leaf)
	if err != nil {
		return err
	}
	a := audit.NewAuditor(l.Pack)
	from := uint64(0)
	applied, ok := l.store.AppliedHeight()
	if ok {
		if l.state, err = state.Load(charter, l.store.State); err != nil {
			return err
		}
		at, err := l.store.BlockAt(applied)
		if err != nil {
			return err
		}
		if l.prev, err = l.headerAt(at.Size - 1); err != nil {
			return err
		}
		tree, err := block.TreeAt(l.store, at.Size)
		if err != nil {
			return err
		}
		a = audit.Resume(l.state, tree, l.prev, l.Pack)
		from = at.Size
	}
	a.OnBlock(func(b *audit.Block) error {
		if b.Result.Opaque > 0 {
			return fmt.Errorf("block %d: %d readings cannot be judged again: %w", b.Header.Height, b.Result.Opaque, ErrForgotten)
		}
		l.prev = b.Header
		return l.apply(b.Header, b.Result)
	})
	if from < last.Size {
		if _, err := a.Run(Leaves(l.store, from, last.Size)); err != nil {
			return err
		}
		l.state = a.State()
	}
	l.prevID, l.last, l.tree = block.LeafHash(l.prev.Encode()), last, l.store.Tree()
	l.reached = entry.OrderPosition{Sequence: last.Order, Digest: last.Digest}
	if l.state.Height() != last.Height+1 {
		return fmt.Errorf("the state is at height %d, the leaves end at %d", l.state.Height(), last.Height)
	}
	return nil
}

func (l *Ledger) headerAt(index uint64) (*block.Header, error) {
	leaf, err := l.store.Leaf(index)
	if err != nil {
		return nil, err
	}
	return block.ParseHeader(leaf)
}

// apply hands a block's changes to the index.
func (l *Ledger) apply(h *block.Header, r *state.Result) error {
	b := store.AppliedBlock{Height: h.Height}
	for _, c := range r.Changes {
		b.Changes = append(b.Changes, store.Change{Key: c.Key, Value: c.Value})
	}
	for _, s := range r.Sequences {
		b.Sequences = append(b.Sequences, store.SequenceAt{KeyID: s.KeyID, Boot: s.Sequence.Boot, Count: s.Sequence.Count, Leaf: s.Leaf})
	}
	return l.store.Apply(b)
}

// Append executes the next block on inputs and makes it durable: Execute and Commit.
func (l *Ledger) Append(inputs []state.Input, hashes []block.Hash, order Order) (*Block, error) {
	x, err := l.Execute(inputs, hashes, order)
	if err != nil {
		return nil, err
	}
	return l.Commit(x)
}

// Execute executes the next block on inputs, in their order. The state is then after
// that block, which is worth nothing before Commit has taken it. Hashes are the leaf
// hashes of the inputs' statements, so that they need not be computed again.
//
// Blocks may be executed ahead of their commits. After an error the ledger must be
// closed and opened again.
func (l *Ledger) Execute(inputs []state.Input, hashes []block.Hash, order Order) (*Executed, error) {
	first := l.tree.Size()
	x := &Executed{first: first, inputs: inputs}
	l.mu.Lock()
	if l.broken != nil {
		defer l.mu.Unlock()
		return nil, stopped(l.broken)
	}
	height, origin := l.state.Height(), l.state.Charter().Origin
	l.state.SetOrder(l.reached)
	r, err := l.state.Execute(first, l.prevID, inputs)
	if err != nil {
		defer l.mu.Unlock()
		l.broken = err
		return nil, fmt.Errorf("block %d: %w", height, err)
	}
	x.result = r
	l.executed = append(l.executed, x)
	l.mu.Unlock()

	x.leaves = make([][]byte, 0, len(r.Leaves)+len(r.Refusals)+1)
	x.leaves = append(append(x.leaves, r.Leaves...), r.Refusals...)
	x.hashes = make([]block.Hash, 0, cap(x.leaves))
	for i, leaf := range x.leaves {
		var h block.Hash
		if i < len(r.Accepted) {
			h = hashes[r.Accepted[i]]
		} else {
			h = block.LeafHash(leaf)
		}
		x.hashes = append(x.hashes, h)
		l.tree.Append(h, nil)
	}
	x.header = &block.Header{
		Version: block.HeaderVersion, Origin: origin, Height: height, Prev: l.prevID,
		First: first, Size: l.tree.Size(), Root: l.tree.Root(), Time: r.Time,
	}
	head := x.header.Encode()
	l.prevID = block.LeafHash(head)
	l.tree.Append(l.prevID, nil)
	x.leaves, x.hashes = append(x.leaves, head), append(x.hashes, l.prevID)
	x.commit = store.Commit{Height: height, Size: l.tree.Size(), Root: l.tree.Root(), Order: order.Sequence, Digest: order.Digest}
	l.reached = entry.OrderPosition(order)
	return x, nil
}

// Commit makes the oldest executed block that is not durable so. Packs of accepted
// committed statements go to the vault first. After an error the ledger must be closed
// and opened again.
func (l *Ledger) Commit(x *Executed) (*Block, error) {
	l.mu.RLock()
	err := l.broken
	l.mu.RUnlock()
	if err != nil {
		return nil, stopped(err)
	}
	b, err := l.commit(x)
	if err != nil {
		l.mu.Lock()
		l.broken = err
		l.mu.Unlock()
	}
	return b, err
}

func stopped(err error) error { return fmt.Errorf("the ledger stopped earlier: %w", err) }

func (l *Ledger) commit(x *Executed) (*Block, error) {
	if err := l.keepPacks(x.inputs, x.result); err != nil {
		return nil, err
	}
	if err := l.store.Append(x.leaves, x.hashes, x.commit); err != nil {
		return nil, err
	}
	if err := l.apply(x.header, x.result); err != nil {
		return nil, err
	}
	if s := x.result.Snapshot; s != nil {
		if err := l.keepSnapshot(x.header.Height, s); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	l.prev, l.last = x.header, x.commit
	l.executed = slices.DeleteFunc(l.executed, func(e *Executed) bool { return e == x })
	l.mu.Unlock()
	return &Block{x.header, block.Checkpoint{Origin: x.header.Origin, Size: x.commit.Size, Root: x.commit.Root}, x.result}, nil
}

// keepPacks moves the packs of accepted statements to the vault, which makes
// them durable before the block is.
func (l *Ledger) keepPacks(inputs []state.Input, r *state.Result) error {
	var packs []store.Pack
	for _, i := range r.Accepted {
		in := &inputs[i]
		if in.Pack == nil || !in.Opened.Message().Hidden() {
			continue
		}
		c, err := entry.ParseClaims(in.Opened.Message().Claims)
		if err != nil {
			return fmt.Errorf("internal error: an accepted statement has no claims: %w", err)
		}
		packs = append(packs, store.Pack{Subject: c.Subject, Digest: [32]byte(in.Opened.Message().Payload), Preimage: in.Pack})
	}
	if len(packs) == 0 {
		return nil
	}
	day := time.UnixMilli(r.Time).UTC().Format(time.DateOnly)
	return l.vault.Put(day, packs)
}

// View calls fn with the state between two blocks: after the last one that was
// executed, which Commit may still be making durable. fn must not change or keep
// the state, nor call the ledger.
func (l *Ledger) View(fn func(*state.State)) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	fn(l.state)
}

// Last returns the last block's header and checkpoint, and how far into the
// order it reaches.
func (l *Ledger) Last() (block.Header, block.Checkpoint, Order) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return *l.prev, block.Checkpoint{Origin: l.prev.Origin, Size: l.last.Size, Root: l.last.Root}, Order{l.last.Order, l.last.Digest}
}

// Logged returns the leaf that used a key's sequence number: whatever the state
// calls used is found, if it be in a block that is just being made durable. Only
// a final checkpoint says that it is there to stay.
func (l *Ledger) Logged(id signer.KeyID, q entry.Sequence) (index uint64, leaf []byte, ok bool) {
	if index, leaf, ok := l.waiting(id, q); ok {
		return index, leaf, true
	}
	index, ok, err := l.store.Lookup(id, q.Boot, q.Count)
	if err != nil || !ok {
		return 0, nil, false
	}
	leaf, err = l.store.Leaf(index)
	return index, leaf, err == nil
}

// waiting is Logged for the blocks that are not durable.
func (l *Ledger) waiting(id signer.KeyID, q entry.Sequence) (index uint64, leaf []byte, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	for _, x := range l.executed {
		for _, s := range x.result.Sequences {
			if s.KeyID == id && s.Sequence == q {
				return s.Leaf, x.result.Leaves[s.Leaf-x.first], true
			}
		}
	}
	return 0, nil, false
}

// Store gives the store, for what only reads: leaves, nodes, tiles.
func (l *Ledger) Store() *store.Store { return l.store }

// Close makes everything pending durable and releases the store.
func (l *Ledger) Close() error { return errors.Join(l.store.Close(), l.vault.Close()) }

// Leaves turns a store's streaming into the pull that an Auditor wants.
func Leaves(s leaves, from, to uint64) func() ([]byte, error) {
	var batch [][]byte
	return func() ([]byte, error) {
		if len(batch) == 0 && from < to {
			end := min(from+1024, to)
			err := s.Leaves(from, end, func(_ uint64, leaf []byte) error {
				batch = append(batch, append([]byte(nil), leaf...))
				return nil
			})
			if err != nil {
				return nil, err
			}
			from = end
		}
		if len(batch) == 0 {
			return nil, nil
		}
		leaf := batch[0]
		batch = batch[1:]
		return leaf, nil
	}
}

type leaves interface {
	Leaves(from, to uint64, fn func(index uint64, leaf []byte) error) error
}
