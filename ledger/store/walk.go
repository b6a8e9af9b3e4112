package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"wattmark/ledger/block"
)

// Leaf returns a leaf. The slice is the caller's. What is returned was checked
// against its record's checksum and its place in the tree.
func (r *Reader) Leaf(i uint64) ([]byte, error) {
	parts, err := r.parts(i, i+1)
	if err != nil {
		return nil, err
	}
	if !r.trusted {
		var out []byte
		err := r.Leaves(i, i+1, func(_ uint64, leaf []byte) error {
			out = bytes.Clone(leaf)
			return nil
		})
		return out, err
	}
	p := parts[0]
	f, err := p.handle(r.disk)
	if err != nil {
		return nil, err
	}
	at, err := r.derived.offset(i)
	if err != nil {
		return nil, err
	}
	kind, leaf, err := readRecord(f, p.salt, at, leavesForm, MaxLeaf)
	if err != nil && !isRecordError(err) {
		return nil, fmt.Errorf("reading leaf %d from %s: %w", i, p.path, err)
	}
	if err := r.checkPlace(p, i, at, kind, leaf, err); err != nil {
		return nil, err
	}
	return leaf, nil
}

// readRecord reads one record of at most limit bytes into memory of its own.
func readRecord(f io.ReaderAt, salt uint32, at int64, ok form, limit int) (kind byte, payload []byte, err error) {
	b := make([]byte, 2048) // most records fit
	for {
		n, err := f.ReadAt(b, at)
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, nil, err
		}
		kind, payload, err := parseRecord(b[:n], salt, ok)
		if !errors.Is(err, errShort) || n < len(b) || len(b) > limit {
			return kind, payload, err
		}
		b = make([]byte, recordHead+limit)
	}
}

// checkPlace checks what was found where the offsets file says that leaf i is.
func (r *Reader) checkPlace(p part, i uint64, at int64, kind byte, leaf []byte, err error) error {
	if err == nil {
		want, nodeErr := r.Node(0, i)
		switch {
		case nodeErr != nil:
			return nodeErr
		case kind == kindLeaf && block.LeafHash(leaf) == want:
			return nil
		}
		err = errors.New("it is not the one in the tree")
	}
	return damaged(p.path, at, "either this record is damaged or "+offsetsFile+" or "+hashesFile+" is: check the store, which tells",
		"what should be leaf %d is wrong: %v", i, err)
}

// Leaves calls fn with each leaf from from to to, not included, in order, until
// fn returns an error, which it returns. Every record's checksum is checked, and
// that the first leaf is the one that the tree has at its place. The slice is
// good during the call.
func (r *Reader) Leaves(from, to uint64, fn func(index uint64, leaf []byte) error) error {
	return r.walk(from, to, fn, nil)
}

// Blocks calls fn with each committed block from a height on, in order, until
// fn returns an error, which it returns.
func (r *Reader) Blocks(height uint64, fn func(Block) error) error {
	last, ok := r.Last()
	if !ok || height > last.Height {
		return nil
	}
	b, err := r.BlockAt(height)
	if err != nil {
		return err
	}
	first := b.First
	return r.walk(first, last.Size, nil, func(c Commit) error {
		b := Block{First: first, Commit: c}
		first = c.Size
		return fn(b)
	})
}

var errStop = errors.New("stop")

// BlockAt returns the block of a height.
func (r *Reader) BlockAt(height uint64) (Block, error) {
	last, ok := r.Last()
	if !ok || height > last.Height {
		return Block{}, fmt.Errorf("%w: block %d is not in the store", ErrNotFound, height)
	}
	for low, high := uint64(0), last.Size; low < high; {
		middle := low + (high-low)/2
		c, err := r.commitAfter(middle)
		switch {
		case err != nil:
			return Block{}, err
		case c.Height < height:
			low = c.Size
		case c.Height > height:
			high = middle
		default:
			return r.blockOf(c)
		}
	}
	return Block{}, fmt.Errorf("%w: block %d", ErrNotFound, height)
}

// commitAfter returns the commit of the block that a leaf is in.
func (r *Reader) commitAfter(leaf uint64) (c Commit, err error) {
	err = r.walk(leaf, leaf+1, nil, func(found Commit) error {
		c = found
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return c, err
}

func (r *Reader) blockOf(c Commit) (Block, error) {
	leaf, err := r.Leaf(c.Size - 1)
	if err != nil {
		return Block{}, err
	}
	h, err := block.ParseHeader(leaf)
	if err != nil {
		return Block{}, fmt.Errorf("leaf %d: %w", c.Size-1, err)
	}
	return Block{First: h.First, Commit: c}, nil
}

// walk gives leaves and the commits that follow them in the order of the
// segments, up to leaf to or, where commits are wanted, to the end of its block.
// Either function may be nil.
func (r *Reader) walk(from, to uint64, leaf func(uint64, []byte) error, commit func(Commit) error) error {
	parts, err := r.parts(from, to)
	if err != nil {
		return err
	}
	for _, p := range parts {
		w := walker{r: r, part: p, from: from, to: to, leaf: leaf, commit: commit}
		if err := w.run(); err != nil {
			return err
		}
	}
	return nil
}

type walker struct {
	r *Reader
	part
	from, to uint64
	leaf     func(uint64, []byte) error
	commit   func(Commit) error

	index uint64 // of the next leaf
	// placed says that the scan started where the offsets file says, which the
	// first leaf must prove.
	placed bool
}

func (w *walker) run() error {
	s, err := w.start()
	if err != nil {
		return err
	}
	defer s.release()
	for w.index < w.to || w.commit != nil {
		kind, payload, at, err := s.record()
		switch {
		case errors.Is(err, io.EOF) && w.index == w.next:
			return nil
		case errors.Is(err, io.EOF):
			return damaged(w.path, at, remedyLeaves, "the segment ends before leaf %d", w.index)
		case err != nil && !isRecordError(err):
			return fmt.Errorf("%s: %w", w.path, err)
		}
		if w.placed {
			if err := w.r.checkPlace(w.part, w.index, at, kind, payload, err); err != nil {
				return err
			}
			w.placed = false
		}
		if err != nil {
			return damaged(w.path, at, remedyLeaves, "leaf %d: %v", w.index, err)
		}
		done, err := w.give(kind, payload, at)
		if done || err != nil {
			return err
		}
	}
	return nil
}

// start opens the part at the first leaf wanted, if it is known where that is,
// else at its beginning.
func (w *walker) start() (*scanner, error) {
	f, err := w.handle(w.r.disk)
	if err != nil {
		return nil, err
	}
	end := w.end
	if end < 0 {
		if end, err = f.Size(); err != nil {
			return nil, fmt.Errorf("reading leaves: %w", err)
		}
	}
	w.index = w.first
	at := int64(segmentHead)
	if w.from > w.first && w.r.trusted {
		if at, err = w.r.derived.offset(w.from); err != nil {
			return nil, err
		}
		w.index, w.placed = w.from, true
	}
	return newScanner(f, w.salt, at, end), nil
}

func (w *walker) give(kind byte, payload []byte, at int64) (done bool, err error) {
	if kind == kindCommit {
		c, err := parseCommit(payload)
		if err == nil && c.Size != w.index {
			err = fmt.Errorf("the commit record of block %d says %d leaves where there are %d", c.Height, c.Size, w.index)
		}
		if err != nil {
			return true, damaged(w.path, at, remedyLeaves, "%v", err)
		}
		if w.commit != nil && w.index > w.from {
			if err := w.commit(c); err != nil {
				return true, err
			}
		}
		return w.index >= w.to, nil
	}
	if w.leaf != nil && w.index >= w.from && w.index < w.to {
		if err := w.leaf(w.index, payload); err != nil {
			return true, err
		}
	}
	w.index++
	return false, nil
}
