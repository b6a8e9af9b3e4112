package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"

	"wattmark/ledger/block"
)

// Two files are derived from the leaves so that one node or leaf is found with
// one read: hashes, the tree's complete nodes in the order of
// tlog.StoredHashIndex, 32 bytes each; and offsets, where each leaf's record is
// in its segment, 4 bytes each, big-endian. They are written before the block
// they belong to and synced in groups with the index, whose mark says up to
// where they can be relied on after a crash.
const (
	hashesFile  = "hashes"
	offsetsFile = "offsets"
	hashSize    = 32
	offsetSize  = 4
)

// recentNodes is how many of the newest nodes are kept in memory (2 MiB), a power of
// two; oldNodes is how many others are, the last read in each slot.
const (
	recentNodes = 1 << 16
	oldNodes    = 1 << 13
)

type derived struct {
	hashes  file // nil where a reader found none
	offsets file // nil where a reader found none

	recent    []block.Hash // ring by node index; nil for readers of another's store
	recentEnd uint64       // index after the newest node in the ring; both are guarded by Reader.mu
	old       [oldNodes]atomic.Pointer[oldNode]
}

type oldNode struct {
	index uint64
	hash  block.Hash
}

func openDerived(d disk, dir, suffix string) (*derived, error) {
	hashes, err := d.Open(filepath.Join(dir, hashesFile+suffix), privateFile)
	if err != nil {
		return nil, fmt.Errorf("opening hashes: %w", err)
	}
	offsets, err := d.Open(filepath.Join(dir, offsetsFile+suffix), privateFile)
	if err != nil {
		hashes.Close()
		return nil, fmt.Errorf("opening offsets: %w", err)
	}
	return &derived{hashes: hashes, offsets: offsets}, nil
}

// holds reports whether both files are long enough for size leaves.
func (d *derived) holds(size uint64) bool {
	if d.hashes == nil || d.offsets == nil {
		return false
	}
	h, err1 := d.hashes.Size()
	o, err2 := d.offsets.Size()
	return err1 == nil && err2 == nil && uint64(h)/hashSize >= nodeCount(size) && uint64(o)/offsetSize >= size
}

// Node reads a node from the file; nothing says that it was committed.
func (d *derived) Node(level int, index uint64) (block.Hash, error) {
	return d.node(nodeIndex(level, index))
}

func (d *derived) node(i uint64) (block.Hash, error) {
	slot := &d.old[i%oldNodes]
	if n := slot.Load(); n != nil && n.index == i {
		return n.hash, nil
	}
	n := &oldNode{index: i}
	if err := readExactly(d.hashes, n.hash[:], int64(i*hashSize)); err != nil {
		return block.Hash{}, fmt.Errorf("reading node %d of %s: %w", i, hashesFile, err)
	}
	slot.Store(n)
	return n.hash, nil
}

func (d *derived) forget() {
	for i := range d.old {
		d.old[i].Store(nil)
	}
}

func (d *derived) offset(leaf uint64) (int64, error) {
	var b [offsetSize]byte
	if err := readExactly(d.offsets, b[:], int64(leaf*offsetSize)); err != nil {
		return 0, fmt.Errorf("reading offset of leaf %d: %w", leaf, err)
	}
	return int64(binary.BigEndian.Uint32(b[:])), nil
}

// write puts the nodes and offsets (encoded) of the leaves from size on.
func (d *derived) write(size uint64, nodes, offsets []byte) error {
	if _, err := d.hashes.WriteAt(nodes, int64(nodeCount(size)*hashSize)); err != nil {
		return fmt.Errorf("writing hashes: %w", err)
	}
	if _, err := d.offsets.WriteAt(offsets, int64(size*offsetSize)); err != nil {
		return fmt.Errorf("writing offsets: %w", err)
	}
	return nil
}

// cut removes what is beyond size leaves.
func (d *derived) cut(size uint64) error {
	return errors.Join(
		cutTo(d.hashes, int64(nodeCount(size)*hashSize)),
		cutTo(d.offsets, int64(size*offsetSize)))
}

func cutTo(f file, size int64) error {
	have, err := f.Size()
	if err != nil || have <= size {
		return err
	}
	return f.Truncate(size)
}

// replace gives files that were written under temporary names their own, once
// they are durable.
func (d *derived) replace(k disk, dir string) error {
	if err := d.sync(); err != nil {
		return err
	}
	for _, name := range []string{hashesFile, offsetsFile} {
		path := filepath.Join(dir, name)
		if err := k.Rename(path+tempSuffix, path); err != nil {
			return err
		}
	}
	return k.SyncDir(dir)
}

func (d *derived) sync() error { return errors.Join(d.hashes.Sync(), d.offsets.Sync()) }

// remember puts nodes, encoded, into the ring; those before it are there or are
// older than the ring. The caller holds Reader.mu.
func (d *derived) remember(from uint64, nodes []byte) {
	for ; len(nodes) > 0; nodes = nodes[hashSize:] {
		h := block.Hash(nodes[:hashSize])
		if i := int(from % recentNodes); i == len(d.recent) {
			d.recent = append(d.recent, h) // a small ledger has a small ring
		} else {
			d.recent[i] = h
		}
		from++
	}
	d.recentEnd = from
}

// recall finds a node in the ring. The caller holds Reader.mu.
func (d *derived) recall(i uint64) (block.Hash, bool) {
	if i >= d.recentEnd || i+recentNodes < d.recentEnd {
		return block.Hash{}, false
	}
	return d.recent[i%recentNodes], true
}

// warm fills the ring with the newest nodes of a tree of size leaves.
func (d *derived) warm(size uint64) error {
	end := nodeCount(size)
	from := end - min(end, recentNodes)
	if from > 0 {
		d.recent = make([]block.Hash, recentNodes)
	}
	b := make([]byte, (end-from)*hashSize)
	if err := readExactly(d.hashes, b, int64(from*hashSize)); err != nil && len(b) > 0 {
		return fmt.Errorf("reading hashes: %w", err)
	}
	d.remember(from, b)
	return nil
}

func (d *derived) close() error {
	var all error
	for _, f := range []file{d.hashes, d.offsets} {
		if f != nil {
			all = errors.Join(all, f.Close())
		}
	}
	return all
}
