package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/signer"
)

// Ledger is one oracle's ledger. One goroutine appends; everything else is safe
// for concurrent use.
type Ledger struct {
	store *store.Store
	vault *store.Vault

	mu      sync.RWMutex // guards the fields below
	state   *state.State
	prev    *block.Header // of the last durable block
	prevID  block.Hash
	last    store.Commit
	pending pending

	broken error // set once an append failed half way; owned by the appender
}

// pending is a block whose statements the state knows already and the index not
// yet: who asks for one in between must not hear that it is not there.
type pending struct {
	first  uint64
	result *state.Result // nil between blocks
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
	l := &Ledger{store: s, vault: v}
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
	l.prevID, l.last = block.LeafHash(l.prev.Encode()), last
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

// Append executes the next block on inputs, in their order, and makes it
// durable. Hashes are the leaf hashes of the inputs' statements, so that they
// need not be computed again. Packs of accepted committed statements go to the
// vault first. After an error the ledger must be closed and opened again.
func (l *Ledger) Append(inputs []state.Input, hashes []block.Hash, order Order) (*Block, error) {
	if l.broken != nil {
		return nil, fmt.Errorf("the ledger stopped earlier: %w", l.broken)
	}
	b, err := l.append(inputs, hashes, order)
	if err != nil {
		l.broken = err
	}
	return b, err
}

func (l *Ledger) append(inputs []state.Input, hashes []block.Hash, order Order) (*Block, error) {
	first := l.store.Size()
	l.mu.Lock()
	height, origin, prevID := l.state.Height(), l.state.Charter().Origin, l.prevID
	r, err := l.state.Execute(first, prevID, inputs)
	if err == nil {
		l.pending = pending{first, r}
	}
	l.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("block %d: %w", height, err)
	}

	if err := l.keepPacks(inputs, r); err != nil {
		return nil, err
	}
	leaves := make([][]byte, 0, len(r.Leaves)+len(r.Refusals)+1)
	leaves = append(append(leaves, r.Leaves...), r.Refusals...)
	ids := make([]block.Hash, 0, cap(leaves))
	tree := l.store.Tree()
	for i, leaf := range leaves {
		var h block.Hash
		if i < len(r.Accepted) {
			h = hashes[r.Accepted[i]]
		} else {
			h = block.LeafHash(leaf)
		}
		ids = append(ids, h)
		tree.Append(h, nil)
	}
	h := &block.Header{
		Version: block.HeaderVersion, Origin: origin, Height: height, Prev: prevID,
		First: first, Size: tree.Size(), Root: tree.Root(), Time: r.Time,
	}
	head := h.Encode()
	id := block.LeafHash(head)
	tree.Append(id, nil)
	leaves, ids = append(leaves, head), append(ids, id)

	c := store.Commit{Height: height, Size: tree.Size(), Root: tree.Root(), Order: order.Sequence, Digest: order.Digest}
	if err := l.store.Append(leaves, ids, c); err != nil {
		return nil, err
	}
	if err := l.apply(h, r); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.prev, l.prevID, l.last, l.pending = h, id, c, pending{}
	l.mu.Unlock()
	return &Block{h, block.Checkpoint{Origin: origin, Size: c.Size, Root: c.Root}, r}, nil
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
// executed, which Append may still be making durable. fn must not change or keep
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
	l.mu.RLock()
	p := l.pending
	l.mu.RUnlock()
	if p.result != nil {
		for _, s := range p.result.Sequences {
			if s.KeyID == id && s.Sequence == q {
				return s.Leaf, p.result.Leaves[s.Leaf-p.first], true
			}
		}
	}
	index, ok, err := l.store.Lookup(id, q.Boot, q.Count)
	if err != nil || !ok {
		return 0, nil, false
	}
	leaf, err = l.store.Leaf(index)
	return index, leaf, err == nil
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
