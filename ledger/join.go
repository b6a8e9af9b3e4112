package ledger

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/state"
	"wattmark/ledger/store"
	"wattmark/signer"
)

// Joining is what an oracle starts from that was not there from the beginning, or was
// away for longer than the order keeps messages.
type Joining struct {
	// Checkpoint is signed by the oracles in force, which the caller has verified.
	Checkpoint block.Checkpoint
	// Leaves calls fn with the leaves from the first to to, not included. What it gives
	// is held against the checkpoint; it is called twice.
	Leaves func(to uint64, fn func(index uint64, leaf []byte) error) error
	// Snapshot, if set, returns the snapshot that was taken before the block of a height.
	// Without it all blocks are executed again, for which Packs must have every pack.
	Snapshot func(height uint64) ([]byte, error)
	// Packs, if set, returns the pack of a committed reading by its digest, or nil.
	Packs func(digest []byte) []byte
	// Handovers are kept for whoever follows the oracle sets from here.
	Handovers []*handover.Handover
	// Followed are the heights of the sets that they lead to, in the same order.
	Followed []uint64
}

// ErrNoSnapshot is returned where the log states no snapshot: the parameter
// snapshot_blocks is not set, or the ledger is young. The oracle starts from the charter
// then, while the order still has its first message.
var ErrNoSnapshot = errors.New("the log states no snapshot to start from")

// ErrOtherLedger is wrapped where leaves or a snapshot are not those that the oracles
// signed.
var ErrOtherLedger = errors.New("it is not what the oracles signed")

// start is where a joining oracle goes on: behind a block whose state the log states.
type start struct {
	size   uint64 // of the ledger with that block
	root   block.Hash
	height uint64 // of the block after it, which states the snapshot
	digest [32]byte
	order  entry.OrderPosition
}

// Join makes in dir, which must not exist, the ledger of an oracle that joins: all
// leaves up to the newest snapshot that the log states, the state that they make, and how
// far in the order that is. The oracle takes the rest from the order. It returns the
// height up to which the ledger is there. What is interrupted leaves no ledger.
func Join(dir string, j Joining) (height uint64, err error) {
	if _, err := os.Stat(dir); err == nil {
		return 0, fmt.Errorf("joining: %s is there already: %w", dir, os.ErrExist)
	}
	s, err := j.find()
	if err != nil {
		return 0, fmt.Errorf("joining: %w", err)
	}
	tmp := dir + ".joining"
	if err := os.RemoveAll(tmp); err != nil {
		return 0, fmt.Errorf("joining: %w", err)
	}
	if err := j.build(tmp, s); err != nil {
		return 0, fmt.Errorf("joining: %w", err)
	}
	if err := j.check(tmp, s); err != nil {
		return 0, fmt.Errorf("joining: %w", err)
	}
	if err := os.Rename(tmp, dir); err != nil {
		return 0, fmt.Errorf("joining: %w", err)
	}
	return s.height - 1, nil
}

// find reads the leaves for the first time: they must be those under the checkpoint.
func (j *Joining) find() (*start, error) {
	var found *start
	var tree block.Tree
	var at block.Checkpoint // after the last header
	var height uint64       // of the block being read
	err := j.Leaves(j.Checkpoint.Size, func(i uint64, leaf []byte) error {
		switch entry.KindOf(leaf) {
		case entry.LeafHeader:
			tree.Append(block.LeafHash(leaf), nil)
			at = block.Checkpoint{Size: tree.Size(), Root: tree.Root()}
			height++
			return nil
		case entry.LeafOutcome:
			o, err := entry.ParseOutcome(leaf)
			if err == nil && o.Kind == entry.OutcomeSnapshot && o.Code == entry.SnapshotState {
				order, err := entry.ParseOrderPosition(o.Detail)
				if err != nil {
					return err
				}
				found = &start{at.Size, at.Root, height, o.Hash, order}
			}
		}
		tree.Append(block.LeafHash(leaf), nil)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if tree.Size() != j.Checkpoint.Size || tree.Root() != j.Checkpoint.Root {
		return nil, fmt.Errorf("%w: %d leaves have the root %v, the checkpoint is of %d with %v",
			ErrOtherLedger, tree.Size(), tree.Root(), j.Checkpoint.Size, j.Checkpoint.Root)
	}
	if found == nil {
		return nil, ErrNoSnapshot
	}
	return found, nil
}

// build writes the ledger. The store checks headers, chain and roots of every block; as
// the last root is that under the signed checkpoint, so is everything before it.
func (j *Joining) build(dir string, s *start) (err error) {
	st, _, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	v, _, err := store.OpenVault(filepath.Join(dir, VaultDir), store.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	b := building{j: j, start: s, store: st, vault: v}
	if err := j.Leaves(s.size, b.leaf); err != nil {
		return err
	}
	if last, ok := st.Last(); !ok || last.Size != s.size || last.Root != s.root {
		return fmt.Errorf("%w: the leaves are not the same as before", ErrOtherLedger)
	}
	for i, h := range j.Handovers {
		if err := st.SetHandover(j.Followed[i], h.Encode()); err != nil {
			return err
		}
	}
	return nil
}

// building is a ledger being built, block by block.
type building struct {
	j       *Joining
	start   *start
	store   *store.Store
	vault   *store.Vault
	charter *entry.Charter
	state   *state.State // of the snapshot, nil without one
	records []state.Change

	leaves [][]byte
	hashes []block.Hash
	tree   block.Tree
}

func (b *building) leaf(_ uint64, leaf []byte) error {
	leaf = append([]byte(nil), leaf...)
	h := block.LeafHash(leaf)
	b.leaves, b.hashes = append(b.leaves, leaf), append(b.hashes, h)
	b.tree.Append(h, nil)
	switch entry.KindOf(leaf) {
	case entry.LeafCharter:
		return b.found(leaf)
	case entry.LeafHeader:
		return b.close(leaf)
	}
	return nil
}

// found reads the charter and, with it, the snapshot.
func (b *building) found(leaf []byte) (err error) {
	if b.charter, err = entry.ParseCharter(leaf); err != nil || b.j.Snapshot == nil {
		return err
	}
	raw, err := b.j.Snapshot(b.start.height)
	if err != nil {
		return err
	}
	if sha256.Sum256(raw) != b.start.digest {
		return fmt.Errorf("%w: the snapshot before block %d has another digest than the log states", ErrOtherLedger, b.start.height)
	}
	b.state, b.records, err = state.LoadSnapshot(b.charter, raw)
	return err
}

func (b *building) close(header []byte) error {
	h, err := block.ParseHeader(header)
	if err != nil {
		return err
	}
	c := store.Commit{Height: h.Height, Size: b.tree.Size(), Root: b.tree.Root()}
	last := c.Size == b.start.size
	if last {
		c.Order, c.Digest = b.start.order.Sequence, b.start.order.Digest
	}
	first := c.Size - uint64(len(b.leaves))
	applied := store.AppliedBlock{Height: h.Height}
	var packs []store.Pack
	for i, leaf := range b.leaves {
		if entry.KindOf(leaf) != entry.LeafStatement {
			continue
		}
		m, err := signer.Parse(leaf)
		if err != nil {
			return err
		}
		claims, err := entry.ParseClaims(m.Claims)
		if err != nil {
			return err
		}
		if q := claims.Sequence; b.state != nil && q.Count > 0 && b.state.Used(m.KeyID, q) {
			applied.Sequences = append(applied.Sequences, store.SequenceAt{KeyID: m.KeyID, Boot: q.Boot, Count: q.Count, Leaf: first + uint64(i)})
		}
		if p := b.pack(m); p != nil {
			packs = append(packs, store.Pack{Subject: claims.Subject, Digest: [32]byte(m.Payload), Preimage: p})
		}
	}
	if len(packs) > 0 {
		if err := b.vault.Put(time.UnixMilli(h.Time).UTC().Format(time.DateOnly), packs); err != nil {
			return err
		}
	}
	if err := b.store.Append(b.leaves, b.hashes, c); err != nil {
		return err
	}
	b.leaves, b.hashes = nil, nil
	if b.state == nil {
		return nil // Open executes it
	}
	if last {
		for _, r := range b.records {
			applied.Changes = append(applied.Changes, store.Change{Key: r.Key, Value: r.Value})
		}
	}
	return b.store.Apply(applied)
}

// pack returns the pack of a committed reading, if somebody has it.
func (b *building) pack(m *signer.Message) []byte {
	if b.j.Packs == nil || !m.Hidden() || len(m.Payload) != sha256.Size {
		return nil
	}
	p := b.j.Packs(m.Payload)
	if sum := sha256.Sum256(p); p == nil || string(sum[:]) != string(m.Payload) {
		return nil
	}
	return p
}

// check opens what was built, which executes it where there was no snapshot, and
// compares the state with what the log states.
func (j *Joining) check(dir string, s *start) error {
	l, _, err := Open(dir, store.Options{})
	if err != nil {
		return err
	}
	defer l.Close()
	var digest [32]byte
	l.View(func(st *state.State) { digest = sha256.Sum256(st.Snapshot()) })
	if digest != s.digest {
		return fmt.Errorf("%w: the state before block %d has the digest %x, the log states %x", ErrOtherLedger, s.height, digest, s.digest)
	}
	return nil
}
