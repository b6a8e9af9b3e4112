package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"wattmark/signer"
)

// Change sets a key of the state, or deletes it where Value is nil. Keys and
// values are the rules' and opaque here.
type Change struct {
	Key   []byte // 1 to MaxStateKey bytes
	Value []byte
}

// MaxStateKey is the most bytes a key of the state may have.
const MaxStateKey = 1024

// SequenceAt says which leaf has a key's statement of a sequence number.
type SequenceAt struct {
	KeyID signer.KeyID
	Boot  uint64
	Count uint64
	Leaf  uint64
}

// AppliedBlock is what executing a block did.
type AppliedBlock struct {
	Height    uint64
	Changes   []Change
	Sequences []SequenceAt
}

// AppliedHeight returns the height that the state is at; false if no block was
// applied. After a crash it is behind [Reader.Last] by some blocks: the caller
// executes those again from the leaves and applies them again.
func (s *Store) AppliedHeight() (uint64, bool) {
	s.index.mu.RLock()
	defer s.index.mu.RUnlock()
	if a := s.index.pending.mark.applied; a > 0 {
		return a - 1, true
	}
	return 0, false
}

// Apply takes up what executing a committed block changed. [Store.State],
// [Store.Value] and [Store.Lookup] see it at once; index.db takes it up with the
// next flush, which Apply makes by itself when much is pending. Blocks are applied in order;
// one that was applied before is passed over, so that applying again after a
// crash is harmless. An error means that nothing was taken up.
func (s *Store) Apply(b AppliedBlock) error {
	last, ok := s.Last()
	if !ok || b.Height > last.Height {
		return fmt.Errorf("%w: block %d is applied before it is appended", ErrRefused, b.Height)
	}
	for _, c := range b.Changes {
		if len(c.Key) == 0 || len(c.Key) > MaxStateKey {
			return fmt.Errorf("%w: a state key of %d bytes instead of 1 to %d", ErrRefused, len(c.Key), MaxStateKey)
		}
	}
	x := s.index
	x.mu.RLock()
	full := x.pending.count() >= s.options.FlushChanges
	x.mu.RUnlock()
	if full {
		if err := s.Flush(); err != nil {
			return err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.pending
	switch {
	case x.shut:
		return ErrClosed
	case b.Height < p.mark.applied:
		return nil
	case b.Height > p.mark.applied:
		return fmt.Errorf("%w: block %d is applied where %d is next", ErrRefused, b.Height, p.mark.applied)
	}
	for _, c := range b.Changes {
		var v []byte
		if c.Value != nil {
			v = append([]byte{}, c.Value...)
		}
		p.state[string(c.Key)] = v
	}
	for _, q := range b.Sequences {
		p.sequences[newSequenceKey(q.KeyID, q.Boot, q.Count)] = q.Leaf
	}
	p.mark.applied = b.Height + 1
	return nil
}

// Flush brings index.db up to what was appended and applied, in one transaction.
// Append and Apply do it by themselves after Options.FlushBlocks blocks; a caller
// whom the wait would disturb does it earlier in a goroutine of its own, beside
// which both go on. On an error everything stays pending.
func (s *Store) Flush() error { return s.index.flush(s.derived.sync) }

// Due reports whether half of what Append or Apply would flush by themselves is
// pending: time for a flush that nobody waits for.
func (s *Store) Due() bool {
	x := s.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.writing == nil && (x.pending.blocks >= s.options.FlushBlocks/2 || x.pending.count() >= s.options.FlushChanges/2)
}

// Lookup returns the leaf that holds a key's statement of a sequence number.
func (s *Store) Lookup(kid signer.KeyID, boot, count uint64) (leaf uint64, ok bool, err error) {
	k := newSequenceKey(kid, boot, count)
	x := s.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.shut {
		return 0, false, ErrClosed
	}
	for _, c := range x.pendingIn() {
		if leaf, ok := c.sequences[k]; ok {
			return leaf, true, nil
		}
	}
	err = x.view(func(tx *bolt.Tx) error {
		v := tx.Bucket(bucketSequence).Get(k[:])
		if v == nil {
			return nil
		}
		if len(v) != 8 {
			return &indexDamage{errors.New("a sequence entry has the wrong length")}
		}
		leaf, ok = binary.BigEndian.Uint64(v), true
		return nil
	})
	return leaf, ok, err
}

// Value returns the state's value under a key, the caller's; false if there is
// none.
func (s *Store) Value(key []byte) (value []byte, ok bool, err error) {
	x := s.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.shut {
		return nil, false, ErrClosed
	}
	for _, c := range x.pendingIn() {
		if v, ok := c.state[string(key)]; ok {
			return append([]byte{}, v...), v != nil, nil
		}
	}
	err = x.view(func(tx *bolt.Tx) error {
		stored := tx.Bucket(bucketState).Get(key)
		if stored == nil {
			return nil
		}
		v, err := x.openState(key, stored)
		value, ok = append([]byte{}, v...), err == nil
		return err
	})
	return value, ok, err
}

// State calls fn with each key and value of the state at AppliedHeight in the
// order of keys, until fn returns an error, which it returns. It flushes first.
// Slices are good during the call. fn must not call the store's Apply, Append or
// Flush.
func (s *Store) State(fn func(key, value []byte) error) error {
	if err := s.Flush(); err != nil {
		return err
	}
	x := s.index
	return x.view(func(tx *bolt.Tx) error {
		c := tx.Bucket(bucketState).Cursor()
		for k, stored := c.First(); k != nil; k, stored = c.Next() {
			v, err := x.openState(k, stored)
			if err != nil {
				return err
			}
			if err := notGuarded(func() error { return fn(k, v) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// BlockAt returns the block of a height.
func (s *Store) BlockAt(height uint64) (Block, error) {
	first, size, ok, err := s.heightEntry(height)
	if err != nil {
		return Block{}, err
	}
	if !ok {
		// Heights come with Append, so it is not there, or not in the index.
		return s.Reader.BlockAt(height)
	}
	c, err := s.commitAfter(size - 1)
	if err != nil {
		return Block{}, err
	}
	if c.Height != height || c.Size != size {
		return Block{}, damaged(s.index.path, -1, remedyIndex, "block %d is said to end at leaf %d, where the segment has block %d", height, size, c.Height)
	}
	return Block{First: first, Commit: c}, nil
}

func (s *Store) heightEntry(height uint64) (first, size uint64, ok bool, err error) {
	x := s.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.shut {
		return 0, 0, false, ErrClosed
	}
	for _, c := range x.pendingIn() {
		if len(c.heights) > 0 && height >= c.heights[0].Height && height-c.heights[0].Height < uint64(len(c.heights)) {
			b := c.heights[height-c.heights[0].Height]
			return b.First, b.Size, true, nil
		}
	}
	err = x.view(func(tx *bolt.Tx) error {
		v := tx.Bucket(bucketHeights).Get(binary.BigEndian.AppendUint64(nil, height))
		if v == nil {
			return nil
		}
		if len(v) != 24 {
			return &indexDamage{errors.New("an entry of heights has the wrong length")}
		}
		first, size, ok = binary.BigEndian.Uint64(v), binary.BigEndian.Uint64(v[8:]), true
		return nil
	})
	return first, size, ok, err
}
