package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"wattmark/ledger/block"
)

// LookupDue receives when there are runs of the lookup to be made: a new one, as 65,536
// more leaves are there, or one that was found damaged.
func (s *Store) LookupDue() <-chan struct{} { return s.lookup.due }

// ExtendLookup makes the runs of the lookup that are missing or were found damaged, each
// of which takes some milliseconds. It holds up nobody who appends or reads. What it could
// not write makes finding a leaf by its hash slower, and nothing else.
func (s *Store) ExtendLookup(ctx context.Context) error {
	l := &s.lookup
	l.building.Lock()
	defer l.building.Unlock()
	whole := s.Size() >> runLevel
	if whole == 0 {
		return nil
	}
	fail := func(err error) error { return fmt.Errorf("writing %s: %w", lookupFile, err) }
	l.mu.Lock()
	err := s.openLookup(privateFile)
	f, runs := l.f, l.runs
	l.mu.Unlock()
	if err != nil {
		return fail(err)
	}
	var b builder
	if !l.looked && runs > 0 { // a power cut may have come when this one was written
		if err := b.make(s.Reader, runs-1); err != nil {
			return fail(err)
		}
		if have := make([]byte, runBytes()); readExactly(f, have, int64((runs-1)*runBytes())) != nil || !bytes.Equal(have, b.run) {
			runs--
			l.mu.Lock()
			l.runs = runs
			l.mu.Unlock()
		}
	}
	l.looked = true
	put := func(k uint64) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := b.make(s.Reader, k); err != nil {
			return err
		}
		_, err := f.WriteAt(b.run, int64(k*runBytes()))
		return err
	}
	for _, k := range l.damaged() {
		if err := put(k); err != nil {
			return fail(err)
		}
		l.mu.Lock()
		delete(l.bad, k)
		l.mu.Unlock()
	}
	for ; runs < whole; runs++ {
		if err := put(runs); err != nil {
			return fail(err)
		}
		l.mu.Lock()
		l.runs = runs + 1
		l.mu.Unlock()
	}
	return nil
}

// damaged returns the runs that were found so.
func (l *lookup) damaged() (list []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k := range l.bad {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// builder makes runs, one after the other.
type builder struct {
	run    []byte
	sorted []runEntry
	first  []runEntry
	starts []uint32
}

type runEntry struct {
	prefix uint64
	place  uint16
}

// make puts run k into b.run.
func (b *builder) make(r *Reader, k uint64) error {
	root, err := r.Node(runLevel, k)
	if err != nil {
		return err
	}
	b.first = b.first[:0]
	for from, end := k<<runLevel, (k+1)<<runLevel; from < end; {
		to := min(from+scanned, end)
		err := r.leafHashes(from, to, func(i uint64, h []byte) {
			b.first = append(b.first, runEntry{binary.BigEndian.Uint64(h), uint16(i - k<<runLevel)})
		})
		if err != nil {
			return err
		}
		from = to
	}
	b.sort()
	b.encode(root)
	return nil
}

// sort puts the entries into order: dealt out by their first bits, of which there are as
// many as entries, nearly every one is alone.
func (b *builder) sort() {
	n := len(b.first)
	b.starts = append(b.starts[:0], make([]uint32, n+1)...)
	deal := func(e runEntry) uint64 { return e.prefix >> (64 - runLevel) }
	for _, e := range b.first {
		b.starts[deal(e)+1]++
	}
	for i := range n {
		b.starts[i+1] += b.starts[i]
	}
	b.sorted = append(b.sorted[:0], b.first...)
	for _, e := range b.first {
		to := &b.starts[deal(e)]
		b.sorted[*to] = e
		*to++
	}
	// Each start is now the next one's: the end of its own.
	from := uint32(0)
	for i := range n {
		if to := b.starts[i]; to > from {
			if to-from > 1 {
				slices.SortFunc(b.sorted[from:to], func(x, y runEntry) int { return cmp.Or(cmp.Compare(x.prefix, y.prefix), cmp.Compare(x.place, y.place)) })
			}
			from = to
		}
	}
}

func (b *builder) encode(root block.Hash) {
	b.run = b.run[:0]
	for n := range runPages() {
		start := len(b.run)
		for _, e := range b.sorted[n*pageEntries:][:entries(n)] {
			b.run = binary.BigEndian.AppendUint64(b.run, e.prefix)
			b.run = binary.BigEndian.AppendUint16(b.run, e.place)
		}
		b.run = append(b.run, make([]byte, pageBytes-(len(b.run)-start))...)
		p := page(b.run[start:])
		binary.BigEndian.PutUint32(p[pageBytes-4:], p.sum(root, n))
	}
}

// checkLookup compares every run with what the leaves make it.
func (c *checker) checkLookup() error {
	path := filepath.Join(c.dir, lookupFile)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if c.report.Leaves>>runLevel > 0 {
			c.report.Unchecked = append(c.report.Unchecked, lookupFile+": there is none, and leaves are found by their hash more slowly; the oracle makes it when it runs")
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	r, _, err := OpenReader(c.dir)
	if err != nil {
		c.report.Unchecked = append(c.report.Unchecked, lookupFile+": the leaves are damaged")
		return nil
	}
	defer r.Close()
	if !r.trusted {
		c.report.Unchecked = append(c.report.Unchecked, lookupFile+": the hashes are damaged")
		return nil
	}
	size, err := osFile{f}.Size()
	if err != nil {
		return err
	}
	// What is behind the last whole run is one that was being written.
	runs := min(uint64(size)/runBytes(), r.Size()>>runLevel)
	var b builder
	have := make([]byte, runBytes())
	for k := range runs {
		if err := b.make(r, k); err != nil {
			return err
		}
		if err := readExactly(f, have, int64(k*runBytes())); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if bytes.Equal(have, b.run) {
			continue
		}
		if k == runs-1 && c.lock == nil {
			c.report.Unchecked = append(c.report.Unchecked, lookupFile+": its last run, which may be being written")
			continue
		}
		for at := range have {
			if have[at] != b.run[at] {
				return damaged(path, int64(k*runBytes())+int64(at), remedyLookup, "it is not what the hashes make it")
			}
		}
	}
	c.report.Checked = append(c.report.Checked, fmt.Sprintf("%s: the hashes of the first %d leaves, sorted", lookupFile, runs<<runLevel))
	return nil
}
