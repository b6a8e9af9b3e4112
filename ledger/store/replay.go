package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"wattmark/ledger/block"
)

// replayBatch collects what is derived from the blocks read.
type replayBatch struct {
	size    uint64 // leaves already written
	nodes   []byte
	offsets []byte
	keptN   int // nodes and offsets up to the last commit
	keptO   int
}

// errForeign says that the index is of some other ledger.
var errForeign = errors.New("it belongs to another ledger: its last block is not in the leaves")

// replayAll reads the leaves from the start on, and writes what is derived.
func (o *opening) replayAll() error {
	err := o.replay()
	if !errors.Is(err, errForeign) {
		return err
	}
	if err := o.renewIndex(err.Error()); err != nil {
		return err
	}
	if err := o.startAnew(); err != nil {
		return err
	}
	return o.replay()
}

func (o *opening) replay() error {
	o.batch.size = o.start.commit.Size
	for i, s := range o.segs {
		if o.start.any && s.first < o.start.segment {
			continue
		}
		at := int64(segmentHead)
		if o.start.any && s.first == o.start.segment {
			at = o.start.end
		}
		if at == segmentHead && s.first != o.tree.size {
			return damaged(s.path, 0, remedyLeaves, "it starts with leaf %d where leaf %d is next", s.first, o.tree.size)
		}
		if err := o.replaySegment(s, at, i == len(o.segs)-1); err != nil {
			return err
		}
	}
	return o.writeBatch()
}

func (o *opening) replaySegment(s *segment, from int64, newest bool) error {
	f, err := s.handle(o.options.disk)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size < from {
		return damaged(s.path, size, remedyLeaves, "the file lost its end: it had %d bytes", from)
	}
	o.end = from
	sc := newScanner(f, s.salt, from, size)
	defer sc.release()
	before := o.tree
	for {
		kind, payload, at, err := sc.record()
		if errors.Is(err, io.EOF) && at == o.end {
			return nil
		}
		if errors.Is(err, io.EOF) || isRecordError(err) {
			if err := tornOrDamaged(f, s, o.end, at, size, newest, o.next(), err); err != nil {
				return err
			}
			o.report.Torn = &Torn{File: s.path, Offset: o.end, Bytes: size - o.end}
			o.tree = before
			o.batch.nodes, o.batch.offsets = o.batch.nodes[:o.batch.keptN], o.batch.offsets[:o.batch.keptO]
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", s.path, err)
		}
		if kind == kindLeaf {
			o.batch.offsets = binary.BigEndian.AppendUint32(o.batch.offsets, uint32(at))
			o.tree.Append(block.LeafHash(payload), func(h block.Hash) { o.batch.nodes = append(o.batch.nodes, h[:]...) })
			continue
		}
		if err := o.replayCommit(s, payload, at, before.size); err != nil {
			return err
		}
		before = o.tree
	}
}

func (o *opening) next() uint64 {
	if !o.any {
		return 0
	}
	return o.last.Height + 1
}

func (o *opening) replayCommit(s *segment, payload []byte, at int64, first uint64) error {
	c, err := parseCommit(payload)
	switch {
	case err != nil:
		return damaged(s.path, at, remedyLeaves, "%v", err)
	case c.Height != o.next() || c.Size != o.tree.size || c.Size == first:
		return damaged(s.path, at, remedyLeaves, "the commit record says block %d ends at leaf %d; block %d ends at leaf %d",
			c.Height, c.Size, o.next(), o.tree.size)
	case c.Root != o.tree.Root():
		return damaged(s.path, at, remedyLeaves, "the leaves of block %d do not have the root that was committed", c.Height)
	}
	if o.mark.any && c.Height == o.mark.commit.Height && c != o.mark.commit {
		return errForeign
	}
	o.block, o.end = o.end, at+commitRecord
	o.home, o.homeEnd = s.first, o.end
	o.last, o.any = c, true
	o.report.Replayed++
	if !o.mark.any || c.Height > o.mark.commit.Height {
		o.index.addBlock(Block{First: first, Commit: c})
	}
	o.batch.keptN, o.batch.keptO = len(o.batch.nodes), len(o.batch.offsets)
	if len(o.batch.nodes) < scanBuffer {
		return nil
	}
	return o.writeBatch()
}

// writeBatch writes what was derived up to the last commit. Where much is
// replayed the index takes up heights now and then, under its old mark: memory
// must not grow with the ledger.
func (o *opening) writeBatch() error {
	b := &o.batch
	if b.keptO == 0 {
		return nil
	}
	if err := o.derived.write(b.size, b.nodes[:b.keptN], b.offsets[:b.keptO]); err != nil {
		return err
	}
	b.size += uint64(b.keptO / offsetSize)
	b.nodes = b.nodes[:copy(b.nodes, b.nodes[b.keptN:])]
	b.offsets = b.offsets[:copy(b.offsets, b.offsets[b.keptO:])]
	b.keptN, b.keptO = 0, 0
	o.derived.forget()
	if len(o.index.pending.heights) < heightsInMemory {
		return nil
	}
	return o.index.flush(func() error { return nil })
}

const heightsInMemory = 1 << 15
