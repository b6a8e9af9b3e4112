package store

import (
	"errors"
	"fmt"
	"sort"
	"sync"

	"wattmark/ledger/block"
)

// Reader gives what is committed: leaves, blocks, nodes of the tree. It is safe
// for concurrent use. A [Store] has one that follows it; [OpenReader] makes one
// of a store that somebody else may be writing, as it is at that moment.
type Reader struct {
	dir     string
	disk    disk
	derived *derived
	// trusted says that the derived files are long enough and lead to the last
	// commit's root; else everything is read from the leaves.
	trusted bool

	lookup lookup

	publishing sync.Mutex        // guards published, and the directories of tiles
	published  map[string]uint64 // size of the publication before the last, by directory

	mu   sync.RWMutex // guards the fields below and the ring of derived
	segs []*segment
	end  int64 // where the committed part of the last segment ends
	last Commit
	any  bool // last is one
	shut bool
}

// Block is a committed block: leaves First to Size, not included, the last of
// them its header.
type Block struct {
	First uint64
	Commit
}

// Dir returns the store's directory.
func (r *Reader) Dir() string { return r.dir }

// Last returns the newest commit; false if there is none.
func (r *Reader) Last() (Commit, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.last, r.any
}

// Size returns the number of committed leaves.
func (r *Reader) Size() uint64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.last.Size
}

// Node returns the root of the complete subtree of leaves index<<level to
// (index+1)<<level, not included. It implements block.Nodes.
func (r *Reader) Node(level int, index uint64) (block.Hash, error) {
	if level < 0 || level > 63 {
		return block.Hash{}, fmt.Errorf("%w: a tree has no level %d", ErrNotFound, level)
	}
	r.mu.RLock()
	size := r.last.Size
	if index >= size>>level {
		r.mu.RUnlock()
		return block.Hash{}, fmt.Errorf("%w: node %d of level %d is not complete in a tree of %d leaves", ErrNotFound, index, level, size)
	}
	i := nodeIndex(level, index)
	h, ok := r.derived.recall(i)
	r.mu.RUnlock()
	switch {
	case ok:
		return h, nil
	case r.trusted:
		return r.derived.node(i)
	}
	return r.computeNode(level, index)
}

// computeNode makes do without the hashes file.
func (r *Reader) computeNode(level int, index uint64) (block.Hash, error) {
	var t Tree
	err := r.Leaves(index<<level, (index+1)<<level, func(_ uint64, leaf []byte) error {
		t.Append(block.LeafHash(leaf), nil)
		return nil
	})
	return t.Root(), err
}

// part is a committed stretch of a segment.
type part struct {
	*segment
	next uint64 // index of the first leaf after it
	end  int64
}

// parts returns what is committed of the segments that hold leaves from to to.
func (r *Reader) parts(from, to uint64) ([]part, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.shut {
		return nil, ErrClosed
	}
	if to > r.last.Size || from > to {
		return nil, fmt.Errorf("%w: leaves %d to %d of a ledger of %d", ErrNotFound, from, to, r.last.Size)
	}
	if from == to {
		return nil, nil
	}
	var out []part
	start := sort.Search(len(r.segs), func(i int) bool { return r.segs[i].first > from }) - 1
	for i := start; i < len(r.segs) && r.segs[i].first < to; i++ {
		p := part{segment: r.segs[i], next: r.last.Size, end: r.end}
		if i+1 < len(r.segs) {
			p.next, p.end = r.segs[i+1].first, -1
		}
		out = append(out, p)
	}
	return out, nil
}

// Close ends the use of the files.
func (r *Reader) Close() error {
	r.mu.Lock()
	r.shut = true
	segs := r.segs
	r.mu.Unlock()
	return errors.Join(closeSegments(segs), r.derived.close(), r.lookup.close())
}
