package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// OpenReader opens a store to read it as it is now, without a lock and without
// writing anything; somebody else may be writing it. Blocks that come later are
// not seen.
func OpenReader(dir string) (*Reader, Report, error) {
	r := &Reader{dir: dir, disk: readOnlyDisk{}, derived: &derived{}}
	var report Report
	err := r.open(&report)
	if err != nil {
		r.Close()
		return nil, report, fmt.Errorf("opening store %s: %w", dir, err)
	}
	return r, report, nil
}

func (r *Reader) open(report *Report) error {
	var err error
	if r.segs, err = listSegments(r.disk, r.dir); err != nil {
		return err
	}
	if len(r.segs) == 0 {
		return fmt.Errorf("%w: there are no leaves", ErrNotFound)
	}
	if err := checkBorders(r.disk, r.segs); err != nil {
		return err
	}
	if n := len(r.segs); n > 1 {
		before := r.segs[n-2]
		f, err := before.handle(r.disk)
		if err != nil {
			return err
		}
		size, err := f.Size()
		if err != nil {
			return err
		}
		if r.last, err = before.lastCommit(r.disk, size); err != nil {
			return err
		}
		r.any = true
	}
	if err := r.findEnd(report); err != nil {
		return err
	}
	return r.openDerived()
}

// findEnd finds the last whole block of the newest segment. A block that is
// being written meanwhile may be seen with a hole once, but not again and again.
func (r *Reader) findEnd(report *Report) error {
	s := r.segs[len(r.segs)-1]
	f, err := s.handle(r.disk)
	if err != nil {
		return err
	}
	r.end = segmentHead
	index := s.first
	var before int64 = -1
	for try := 0; ; {
		size, err := f.Size()
		if err != nil {
			return err
		}
		bad, why, err := r.scanEnd(f, s, size, &index)
		if err != nil || bad < 0 {
			return err
		}
		fault := tornOrDamaged(f, s, r.end, bad, size, true, r.nextHeight(), why)
		if fault == nil {
			report.Torn = &Torn{File: s.path, Offset: r.end, Bytes: size - r.end}
			return nil
		}
		if bad == before {
			try++
		}
		before = bad
		if try == 3 {
			return fault
		}
	}
}

func (r *Reader) nextHeight() uint64 {
	if !r.any {
		return 0
	}
	return r.last.Height + 1
}

// scanEnd takes up the whole blocks from r.end on; index is that of the leaf
// there. It returns where a record cannot be read and why, or -1.
func (r *Reader) scanEnd(f file, s *segment, size int64, index *uint64) (bad int64, why, err error) {
	sc := newScanner(f, s.salt, r.end, size)
	defer sc.release()
	next := *index
	for {
		kind, payload, at, err := sc.record()
		switch {
		case errors.Is(err, io.EOF) && at == r.end:
			return -1, nil, nil
		case errors.Is(err, io.EOF) || isRecordError(err):
			return at, err, nil
		case err != nil:
			return -1, nil, fmt.Errorf("%s: %w", s.path, err)
		case kind == kindLeaf:
			next++
			continue
		}
		c, err := parseCommit(payload)
		if err == nil && (c.Size != next || c.Height != r.nextHeight()) {
			err = fmt.Errorf("the commit record says block %d ends at leaf %d; block %d ends at leaf %d", c.Height, c.Size, r.nextHeight(), next)
		}
		if err != nil {
			return -1, nil, damaged(s.path, at, remedyLeaves, "%v", err)
		}
		r.last, r.any, r.end, *index = c, true, at+commitRecord, next
	}
}

// openDerived takes the derived files if they lead to the last commit's root.
func (r *Reader) openDerived() error {
	var err error
	d := r.derived
	if d.hashes, err = r.disk.Open(filepath.Join(r.dir, hashesFile), 0); err != nil {
		d.hashes = nil
		return ignoreMissing(err)
	}
	if d.offsets, err = r.disk.Open(filepath.Join(r.dir, offsetsFile), 0); err != nil {
		d.offsets = nil
		return ignoreMissing(err)
	}
	if !d.holds(r.last.Size) {
		return nil
	}
	t, err := loadTree(d, r.last.Size)
	if err != nil {
		return err
	}
	r.trusted = t.Root() == r.last.Root || !r.any
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
