package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"wattmark/ledger/block"
)

// CheckReport says what Check looked at and what it found.
type CheckReport struct {
	Leaves    uint64
	Blocks    uint64
	Last      Commit // of the last block that is all right
	Sequences uint64 // sequence numbers in the index
	Packs     uint64 // in the vault
	// Checked says in words what was checked, Unchecked what was not and why.
	Checked   []string
	Unchecked []string
	// Torn are unfinished writes, which are no faults: opening for writing cuts
	// them off.
	Torn   []Torn
	Faults []Fault
}

// OK reports whether no fault was found.
func (r *CheckReport) OK() bool { return len(r.Faults) == 0 }

// fault takes up an error that is a fault, once, and returns any other.
func (r *CheckReport) fault(err error) error {
	var f *Fault
	if !errors.As(err, &f) {
		return err
	}
	for _, have := range r.Faults {
		if have.File == f.File && have.Offset == f.Offset {
			return nil
		}
	}
	r.Faults = append(r.Faults, *f)
	return nil
}

// Check verifies all of a store against itself, without changing it: every
// length and checksum, the tree's root at each commit, the headers and their
// chain, the derived files, the lookup, the index, the final checkpoint, the tiles in dir/tiles and
// the vault in dir/vault if they are there. Signatures and rules are not the
// store's: see ledger/audit. Somebody may be writing the store meanwhile; the
// index, which is locked then, is left out.
//
// progress, if not nil, is called now and then with the bytes of leaves done and
// all there are. The error says why the check could not be carried out; what is
// wrong with the store is in the report's Faults.
func Check(dir string, progress func(done, total uint64)) (CheckReport, error) {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	c := &checker{dir: dir, progress: progress}
	defer c.close()
	for _, step := range []func() error{c.open, c.checkLeaves, c.checkIndex, c.checkLookup, c.checkFinal, c.checkTiles, c.checkVault} {
		if err := c.report.fault(step()); err != nil {
			return c.report, fmt.Errorf("checking store %s: %w", dir, err)
		}
	}
	return c.report, nil
}

// checker is one Check.
type checker struct {
	dir         string
	progress    func(done, total uint64)
	done, total uint64
	report      CheckReport
	lock        *os.File
	segs        []*segment
	end         int64 // where the last segment's committed part ends, -1 if that is not clear
	hashes      *comparer
	offsets     *comparer
	index       *indexCheck // nil if it cannot be checked

	tree   Tree
	below  Tree   // the tree before the last leaf
	leaf   []byte // the last
	header *block.Header
}

func (c *checker) close() {
	closeSegments(c.segs)
	c.hashes.close()
	c.offsets.close()
	if c.index != nil {
		c.index.close()
	}
	if c.lock != nil {
		unlockFile(c.lock)
	}
}

func (c *checker) open() error {
	// The lock comes before the first look at the leaves, so that the index cannot
	// be ahead of them.
	locked := c.takeLock()
	var err error
	if c.segs, err = listSegments(readOnlyDisk{}, c.dir); err != nil {
		return err
	}
	if len(c.segs) == 0 {
		return fmt.Errorf("%w: there are no leaves", ErrNotFound)
	}
	c.end = -1
	r, report, err := OpenReader(c.dir)
	if err == nil {
		r.Close()
		if r.segs[len(r.segs)-1].path == c.segs[len(c.segs)-1].path {
			c.end = r.end
		}
		if report.Torn != nil {
			c.report.Torn = append(c.report.Torn, *report.Torn)
		}
	} else if err := c.report.fault(err); err != nil {
		return err
	}
	for _, s := range c.segs {
		if st, err := os.Stat(s.path); err == nil {
			c.total += uint64(st.Size())
		}
	}
	if c.hashes, err = c.derivedFile(hashesFile); err != nil {
		return err
	}
	if c.offsets, err = c.derivedFile(offsetsFile); err != nil {
		return err
	}
	if !locked {
		return nil
	}
	return c.openIndex()
}

// comparer compares a derived file with what it should hold, in order.
type comparer struct {
	name   string
	f      *os.File
	r      *bufio.Reader
	offset int64
	buf    [hashSize]byte
}

func (c *checker) derivedFile(name string) (*comparer, error) {
	f, err := os.Open(filepath.Join(c.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, c.report.fault(damaged(name, -1, remedyReopen, "the file is missing"))
	}
	if err != nil {
		return nil, err
	}
	return &comparer{name: f.Name(), f: f, r: bufio.NewReaderSize(f, 64<<10)}, nil
}

func (d *comparer) close() {
	if d != nil && d.f != nil {
		d.f.Close()
	}
}

// next compares the next bytes; after a difference it is content.
func (d *comparer) next(want []byte, what string, index uint64) error {
	if d == nil || d.r == nil {
		return nil
	}
	got := d.buf[:len(want)]
	_, err := io.ReadFull(d.r, got)
	at := d.offset
	d.offset += int64(len(want))
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		d.r = nil
		return damaged(d.name, at, remedyReopen, "the file ends before %s %d", what, index)
	case err != nil:
		return err
	case !bytes.Equal(got, want):
		d.r = nil
		return damaged(d.name, at, remedyReopen, "%s %d is not what the leaves make it", what, index)
	}
	return nil
}

// checkLeaves walks over all segments. At the first fault among the leaves it
// ends: what is behind it has no certain place.
func (c *checker) checkLeaves() error {
	for i, s := range c.segs {
		if s.first != c.tree.size {
			return damaged(s.path, 0, remedyLeaves, "it starts with leaf %d where leaf %d is next", s.first, c.tree.size)
		}
		end := int64(-1)
		if i == len(c.segs)-1 {
			end = c.end
		}
		if err := c.checkSegment(s, end); err != nil {
			c.report.Unchecked = append(c.report.Unchecked, fmt.Sprintf("the leaves from %d on, because of the fault before them", c.tree.size))
			return err
		}
	}
	c.report.Checked = append(c.report.Checked, "segments: lengths, checksums, commits", "tree: the root at every commit",
		"headers: form, chain, agreement with commits")
	if c.hashes != nil && c.offsets != nil {
		c.report.Checked = append(c.report.Checked, "hashes and offsets: equal to what the leaves make them")
	}
	return nil
}

func (c *checker) checkSegment(s *segment, end int64) error {
	f, err := s.handle(readOnlyDisk{})
	if err != nil {
		return err
	}
	if end < 0 {
		if end, err = f.Size(); err != nil {
			return err
		}
	}
	sc := newScanner(f, s.salt, segmentHead, end)
	defer sc.release()
	committed := true
	base := c.done
	for {
		kind, payload, at, err := sc.record()
		switch {
		case errors.Is(err, io.EOF) && committed:
			c.done = base + uint64(end)
			c.progress(c.done, c.total)
			return nil
		case errors.Is(err, io.EOF):
			return damaged(s.path, at, remedyLeaves, "the segment ends in the middle of a block")
		case isRecordError(err):
			return damaged(s.path, at, remedyLeaves, "leaf %d: %v", c.tree.size, err)
		case err != nil:
			return fmt.Errorf("%s: %w", s.path, err)
		}
		if committed = kind == kindCommit; committed {
			err = c.checkCommit(s, payload, at)
			c.done = base + uint64(at)
			c.progress(c.done, c.total)
		} else {
			err = c.checkLeaf(payload, at)
		}
		if err != nil {
			return err
		}
	}
}

// checkLeaf takes a leaf into the tree and compares what is derived from it.
func (c *checker) checkLeaf(leaf []byte, at int64) error {
	i := c.tree.size
	c.below = c.tree
	c.leaf = append(c.leaf[:0], leaf...)
	var err error
	node := nodeCount(i)
	c.tree.Append(block.LeafHash(leaf), func(h block.Hash) {
		if err == nil {
			err = c.report.fault(c.hashes.next(h[:], "node", node))
		}
		node++
	})
	if err != nil {
		return err
	}
	var offset [offsetSize]byte
	binary.BigEndian.PutUint32(offset[:], uint32(at))
	if err := c.report.fault(c.offsets.next(offset[:], "the offset of leaf", i)); err != nil {
		return err
	}
	if c.index == nil {
		return nil
	}
	return c.report.fault(c.index.checkStatement(leaf, i))
}

func (c *checker) checkCommit(s *segment, payload []byte, at int64) error {
	commit, err := parseCommit(payload)
	if err != nil {
		return damaged(s.path, at, remedyLeaves, "%v", err)
	}
	switch {
	case commit.Height != c.report.Blocks || commit.Size != c.tree.size || commit.Size == c.report.Leaves:
		return damaged(s.path, at, remedyLeaves, "the commit record says block %d ends at leaf %d; block %d ends at leaf %d",
			commit.Height, commit.Size, c.report.Blocks, c.tree.size)
	case commit.Root != c.tree.Root():
		return damaged(s.path, at, remedyLeaves, "the leaves of block %d do not have the root that was committed", commit.Height)
	}
	h, err := block.ParseHeader(c.leaf)
	if err == nil {
		var prev block.Hash
		if c.header != nil {
			prev = block.LeafHash(c.header.Encode())
		}
		err = checkHeader(h, c.header, prev, commit, c.below.Root())
	}
	if err != nil {
		return damaged(s.path, at, remedyLeaves, "the last leaf of block %d is not its header: %v", commit.Height, err)
	}
	b := Block{First: c.report.Leaves, Commit: commit}
	c.header = h
	c.report.Leaves, c.report.Last = commit.Size, commit
	c.report.Blocks++
	if c.index == nil {
		return nil
	}
	return c.report.fault(c.index.checkBlock(b, s, at+commitRecord))
}

// checkFinal compares the final checkpoint with the block it is for.
func (c *checker) checkFinal() error {
	path := filepath.Join(c.dir, checkpointFile)
	p, err := readCheckpoint(c.dir)
	if err != nil {
		return err
	}
	if p == nil {
		c.report.Unchecked = append(c.report.Unchecked, checkpointFile+": no block is final yet")
		return nil
	}
	r, _, err := OpenReader(c.dir)
	if err != nil {
		c.report.Unchecked = append(c.report.Unchecked, checkpointFile+": the leaves are damaged")
		return nil
	}
	defer r.Close()
	switch _, _, ok, err := r.Final(); {
	case err != nil:
		return err
	case !ok:
		return damaged(path, 0, remedyLeaves, "it is for %d leaves, where there are %d: blocks were lost", p.size, c.report.Leaves)
	}
	c.report.Checked = append(c.report.Checked, checkpointFile+": size and root of a block (not its signatures)")
	return nil
}

// checkTiles checks the tiles inside the store's directory, if there are any.
func (c *checker) checkTiles() error {
	dir := filepath.Join(c.dir, "tiles")
	if !exists(dir) {
		return nil
	}
	r, _, err := OpenReader(c.dir)
	if err != nil {
		c.report.Unchecked = append(c.report.Unchecked, "tiles: the leaves are damaged")
		return nil
	}
	defer r.Close()
	faults, err := r.CheckTiles(dir)
	for i := range faults {
		if err := c.report.fault(&faults[i]); err != nil {
			return err
		}
	}
	c.report.Checked = append(c.report.Checked, "tiles: every tile and bundle of the published size")
	return err
}

// checkVault checks every pack of the vault, if there is one.
func (c *checker) checkVault() error {
	dir := filepath.Join(c.dir, "vault")
	if !exists(dir) {
		return nil
	}
	faults, torn, packs, err := CheckVault(dir)
	c.report.Packs = packs
	c.report.Torn = append(c.report.Torn, torn...)
	for i := range faults {
		if err := c.report.fault(&faults[i]); err != nil {
			return err
		}
	}
	c.report.Checked = append(c.report.Checked, "vault: checksums and the digest of every pack")
	return err
}
