package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
)

// Options change how a store is kept. The zero value is right for an oracle.
type Options struct {
	// SegmentBytes is where a segment is full: the block that reaches it is its
	// last. 0 means 64 MiB; at most 1 GiB.
	SegmentBytes int64
	// FlushBlocks and FlushChanges are how many blocks, or changes of the index,
	// may be pending before Append or Apply writes them to index.db. They bound
	// what a crash costs: those blocks are executed again. 0 means 32 blocks and
	// 65,536 changes.
	FlushBlocks  int
	FlushChanges int

	disk   disk
	noSync bool // of bbolt's file: for tests that end no process
}

const (
	defaultSegmentBytes = 64 << 20
	maxSegmentBytes     = 1 << 30
	defaultFlushBlocks  = 32
	defaultFlushChanges = 1 << 16
)

func (o Options) complete() (Options, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.FlushBlocks == 0 {
		o.FlushBlocks = defaultFlushBlocks
	}
	if o.FlushChanges == 0 {
		o.FlushChanges = defaultFlushChanges
	}
	if o.disk == nil {
		o.disk = osDisk{}
	}
	if o.SegmentBytes < 0 || o.SegmentBytes > maxSegmentBytes || o.FlushBlocks < 0 || o.FlushChanges < 0 {
		return o, fmt.Errorf("%w: store options out of range: %d bytes a segment, %d blocks and %d changes a flush",
			ErrRefused, o.SegmentBytes, o.FlushBlocks, o.FlushChanges)
	}
	return o, nil
}

// Store is a ledger on disk, open for writing by this process alone. One
// goroutine calls Append at a time (others wait); everything may be called
// beside it.
type Store struct {
	*Reader
	options Options
	lock    *os.File
	index   *index

	appending sync.Mutex // guards the fields below; taken before Reader.mu
	tree      Tree
	header    *block.Header // of the newest block, nil before genesis
	failed    error         // why no more blocks are taken
	buffer    []byte        // one block's records
	nodes     []byte        // one block's nodes
	offsets   []byte        // one block's offsets

	final finalCheckpoint
}

// Tree returns a copy of the tree of the committed leaves.
func (s *Store) Tree() Tree {
	s.appending.Lock()
	defer s.appending.Unlock()
	return s.tree
}

// Append stores a block: its leaves, the last of them its header, and c, which
// closes it. It is durable when Append returns nil. hashes are the leaves' hashes
// if the caller has them, else nil.
//
// A block that does not follow is refused with ErrRefused: c.Size and c.Root must
// be those of the tree with the leaves added, the header must chain to the last
// one and agree with c. Other errors mean that the block is not stored, except
// those that wrap ErrUnknown; after one of those nothing more is taken.
//
// Append keeps no reference to its arguments.
func (s *Store) Append(leaves [][]byte, hashes []block.Hash, c Commit) error {
	s.appending.Lock()
	defer s.appending.Unlock()
	if s.failed != nil {
		return s.failed
	}
	tree, header, err := s.prepare(leaves, hashes, c)
	if err != nil {
		return err
	}
	if err := s.flushIfDue(); err != nil {
		return err
	}
	seg, at, err := s.segmentFor()
	if err != nil {
		return err
	}
	s.encode(seg, at, leaves, &c)
	// The derived files come first: if one cannot be written, nothing has
	// happened, and what it has too much is overwritten or cut.
	if err := s.derived.write(s.tree.size, s.nodes, s.offsets); err != nil {
		return err
	}
	if err := s.write(seg, at); err != nil {
		s.failed = fmt.Errorf("%w: block %d: %w", ErrUnknown, c.Height, err)
		return s.failed
	}
	s.publish(tree, header, c, at+int64(len(s.buffer)))
	if cap(s.buffer) > 16<<20 {
		s.buffer = nil // a rare large block must not stay in memory
	}
	return nil
}

// prepare checks a block and computes its nodes, changing nothing but s.nodes.
func (s *Store) prepare(leaves [][]byte, hashes []block.Hash, c Commit) (Tree, *block.Header, error) {
	refuse := func(format string, args ...any) (Tree, *block.Header, error) {
		return Tree{}, nil, fmt.Errorf("block %d %w: %s", c.Height, ErrRefused, fmt.Sprintf(format, args...))
	}
	if len(leaves) == 0 || hashes != nil && len(hashes) != len(leaves) {
		return refuse("%d leaves and %d hashes", len(leaves), len(hashes))
	}
	total := 0
	for i, l := range leaves {
		if len(l) == 0 || len(l) > MaxLeaf {
			return refuse("leaf %d of the block has %d bytes instead of 1 to %d", i, len(l), MaxLeaf)
		}
		total += entry.Weight(l)
	}
	if total > entry.MaxBlock {
		return refuse("its leaves weigh %d bytes, over the limit of %d", total, entry.MaxBlock)
	}
	tree := s.tree
	s.nodes = s.nodes[:0]
	keep := func(h block.Hash) { s.nodes = append(s.nodes, h[:]...) }
	var below block.Hash
	for i, l := range leaves {
		if i == len(leaves)-1 {
			below = tree.Root()
		}
		if hashes != nil {
			tree.Append(hashes[i], keep)
		} else {
			tree.Append(block.LeafHash(l), keep)
		}
	}
	if c.Size != tree.Size() || c.Root != tree.Root() {
		return refuse("its commit names %d leaves with root %v, the tree has %d with root %v", c.Size, c.Root, tree.Size(), tree.Root())
	}
	h, err := block.ParseHeader(leaves[len(leaves)-1])
	if err != nil {
		return refuse("its last leaf is no header: %v", err)
	}
	var last block.Hash
	if s.header != nil {
		if last, err = s.Node(0, s.tree.size-1); err != nil {
			return Tree{}, nil, err
		}
	}
	if err := checkHeader(h, s.header, last, c, below); err != nil {
		return refuse("%v", err)
	}
	return tree, h, nil
}

// checkHeader checks that a header follows the one before, and agrees with its
// commit and with the root of the tree below it.
func checkHeader(h, prev *block.Header, prevHash block.Hash, c Commit, below block.Hash) error {
	if err := h.Follows(prev, prevHash); err != nil {
		return err
	}
	if h.Height != c.Height || h.Size != c.Size-1 || h.Root != below {
		return fmt.Errorf("the header says height %d, %d leaves and root %v below it; they are %d, %d and %v",
			h.Height, h.Size, h.Root, c.Height, c.Size-1, below)
	}
	return nil
}

func (s *Store) flushIfDue() error {
	x := s.index
	x.mu.RLock()
	due, shut := x.pending.blocks >= s.options.FlushBlocks, x.shut
	x.mu.RUnlock()
	if shut {
		return ErrClosed
	}
	if due {
		return s.Flush()
	}
	return nil
}

// segmentFor returns the segment that takes the next block, and where.
func (s *Store) segmentFor() (*segment, int64, error) {
	s.mu.RLock()
	seg, at := s.segs[len(s.segs)-1], s.end
	s.mu.RUnlock()
	if at < s.options.SegmentBytes || at == segmentHead {
		return seg, at, nil
	}
	seg, err := createSegment(s.disk, s.dir, s.tree.size)
	if err != nil {
		return nil, 0, fmt.Errorf("starting a segment: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segs = append(s.segs, seg)
	s.end = segmentHead
	return seg, s.end, nil
}

// encode fills s.buffer with the block's records and s.offsets with where they
// will be.
func (s *Store) encode(seg *segment, at int64, leaves [][]byte, c *Commit) {
	s.buffer, s.offsets = s.buffer[:0], s.offsets[:0]
	for _, l := range leaves {
		s.offsets = binary.BigEndian.AppendUint32(s.offsets, uint32(at+int64(len(s.buffer))))
		s.buffer = appendRecord(s.buffer, seg.salt, kindLeaf, l)
	}
	s.buffer = appendRecord(s.buffer, seg.salt, kindCommit, c.encode())
}

func (s *Store) write(seg *segment, at int64) error {
	f, err := seg.handle(s.disk)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(s.buffer, at); err != nil {
		return err
	}
	return f.Sync()
}

// publish lets readers see the block.
func (s *Store) publish(tree Tree, h *block.Header, c Commit, end int64) {
	b := Block{First: s.tree.size, Commit: c}
	from := nodeCount(s.tree.size)
	s.tree, s.header = tree, h
	s.mu.Lock()
	s.derived.remember(from, s.nodes)
	s.last, s.any, s.end = c, true, end
	first := s.segs[len(s.segs)-1].first
	s.mu.Unlock()
	if b.First>>runLevel != c.Size>>runLevel {
		s.lookup.remind()
	}
	s.index.addBlock(b)
	s.index.setMark(c, first, end)
}

// Close flushes the index and ends the store's use of its files.
func (s *Store) Close() error {
	s.appending.Lock()
	defer s.appending.Unlock()
	if errors.Is(s.failed, ErrClosed) {
		return nil
	}
	err := s.Flush()
	s.failed = ErrClosed
	return errors.Join(err, s.index.close(), s.Reader.Close(), unlockFile(s.lock))
}
