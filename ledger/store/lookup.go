package store

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"math/bits"
	"path/filepath"
	"sort"
	"sync"

	"wattmark/ledger/block"
)

// A third file is derived from the leaves so that one is found by its hash: lookup. Hashes
// come in no order, and keys in no order are what a tree on disk is slow at; so each
// stretch of 65,536 leaves is sorted once, when it is complete, into a run. A run is pages
// of 4 KiB
//
//	entries of 10 bytes, up to 409: the first 8 bytes of a leaf's hash, and which leaf of the run it is, both big-endian
//	zeros
//	checksum   4 bytes, big-endian: CRC-32C over the root of the run's leaves, the page's number, and the page before it
//
// and run k begins at k times 161 pages. Entries ascend. Hashes are spread evenly, so that
// the first look goes to the right page or one beside it.
//
// Nothing is synced, and no mark says how far the file is good: a page either has the
// checksum that goes with its leaves or is made again. Where there is no run, or a page is
// bad, the hashes themselves are read.
const (
	lookupFile  = "lookup"
	pageBytes   = 4096
	entryBytes  = 10
	pageEntries = (pageBytes - 4) / entryBytes
)

// runLevel is the level of the tree's node that stands for a run: 65,536 leaves. Tests set
// it lower.
var runLevel = 16

func runLeaves() uint64 { return 1 << runLevel }
func runPages() uint64  { return (runLeaves() + pageEntries - 1) / pageEntries }
func runBytes() uint64  { return runPages() * pageBytes }

// lookup is what a Reader knows of the file.
type lookup struct {
	building sync.Mutex    // held by the one who makes runs; guards looked
	looked   bool          // whether the last run of before is whole
	due      chan struct{} // of a Store: there are runs to be made

	mu   sync.Mutex // guards the fields below
	f    file       // nil while there is none
	runs uint64     // that are there
	bad  map[uint64]bool
}

// errBadPage says that a page is not what its leaves make it.
var errBadPage = errors.New("a page of the lookup is damaged")

// openLookup takes the runs that are there. The caller holds lookup.mu.
func (r *Reader) openLookup(create fs.FileMode) error {
	l := &r.lookup
	if l.f != nil {
		return nil
	}
	f, err := r.disk.Open(filepath.Join(r.dir, lookupFile), create)
	if err != nil {
		return ignoreMissing(err)
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return err
	}
	l.f, l.runs = f, min(uint64(size)/runBytes(), r.Size()>>runLevel)
	return nil
}

// Find returns the index of the newest leaf that has a hash; false if there is none. What
// is in no run, 65,536 leaves where the runs are complete, is looked through.
func (r *Reader) Find(ctx context.Context, h block.Hash) (index uint64, ok bool, err error) {
	end := r.Size()
	l := &r.lookup
	l.mu.Lock()
	if r.trusted {
		err = r.openLookup(0)
	}
	f, runs := l.f, l.runs
	l.mu.Unlock()
	if err != nil || !r.trusted {
		runs = 0 // a file that cannot be read only makes it slow
	}
	if index, ok, err = r.scan(ctx, runs<<runLevel, end, h); ok || err != nil {
		return index, ok, err
	}
	p := make(page, pageBytes)
	for k := runs; k > 0; {
		k--
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		index, ok, err = r.findInRun(f, p, k, h)
		if errors.Is(err, errBadPage) {
			l.mu.Lock()
			if l.bad == nil {
				l.bad = make(map[uint64]bool)
			}
			l.bad[k] = true
			l.mu.Unlock()
			l.remind()
			index, ok, err = r.scan(ctx, k<<runLevel, (k+1)<<runLevel, h)
		}
		if ok || err != nil {
			return index, ok, err
		}
	}
	return 0, false, nil
}

// remind says that there are runs to be made.
func (l *lookup) remind() {
	select {
	case l.due <- struct{}{}:
	default: // it is known, or nobody makes any
	}
}

// scanned is how many leaves are looked through at a time.
const scanned = 1 << 12

// scan looks through the hashes of the leaves from first to end, the newest first.
func (r *Reader) scan(ctx context.Context, first, end uint64, h block.Hash) (index uint64, ok bool, err error) {
	for end > first {
		if err := ctx.Err(); err != nil {
			return 0, false, err
		}
		from := max(first, (end-1)/scanned*scanned)
		err := r.leafHashes(from, end, func(i uint64, have []byte) {
			if block.Hash(have) == h {
				index, ok = i, true
			}
		})
		if ok || err != nil {
			return index, ok, err
		}
		end = from
	}
	return 0, false, nil
}

// leafHashes calls fn with the hash of each leaf from first to end, which are not many.
func (r *Reader) leafHashes(first, end uint64, fn func(index uint64, hash []byte)) error {
	if !r.trusted {
		return r.Leaves(first, end, func(i uint64, leaf []byte) error {
			h := block.LeafHash(leaf)
			fn(i, h[:])
			return nil
		})
	}
	// The nodes in between that are no leaves are read along.
	start := nodeCount(first)
	b := make([]byte, (nodeCount(end-1)+1-start)*hashSize)
	if err := readExactly(r.derived.hashes, b, int64(start*hashSize)); err != nil {
		return err
	}
	for i := first; i < end; i++ {
		at := (nodeCount(i) - start) * hashSize
		fn(i, b[at:at+hashSize])
	}
	return nil
}

// page is one of a run.
type page []byte

// entries returns how many entries page n of a run has.
func entries(n uint64) int { return int(min(pageEntries, runLeaves()-n*pageEntries)) }

func (p page) prefix(i int) uint64 { return binary.BigEndian.Uint64(p[i*entryBytes:]) }
func (p page) place(i int) uint64  { return uint64(binary.BigEndian.Uint16(p[i*entryBytes+8:])) }

func (p page) sum(root block.Hash, n uint64) uint32 {
	sum := crc32.Update(0, castagnoli, root[:])
	sum = crc32.Update(sum, castagnoli, binary.BigEndian.AppendUint64(nil, n))
	return crc32.Update(sum, castagnoli, p[:pageBytes-4])
}

// read reads page n of run k, whose leaves have a root. What is not that page is errBadPage.
func (p page) read(f file, k, n uint64, root block.Hash) error {
	if readExactly(f, p, int64(k*runBytes()+n*pageBytes)) != nil || p.sum(root, n) != binary.BigEndian.Uint32(p[pageBytes-4:]) {
		return errBadPage
	}
	return nil
}

// findInRun looks a hash up in run k, with p to read into.
func (r *Reader) findInRun(f file, p page, k uint64, h block.Hash) (index uint64, ok bool, err error) {
	root, err := r.Node(runLevel, k)
	if err != nil {
		return 0, false, err
	}
	want := binary.BigEndian.Uint64(h[:])
	rank, _ := bits.Mul64(want, runLeaves())
	n := rank / pageEntries
	if err := p.read(f, k, n, root); err != nil {
		return 0, false, err
	}
	for n > 0 && p.prefix(0) >= want {
		n--
		if err := p.read(f, k, n, root); err != nil {
			return 0, false, err
		}
	}
	for {
		count := entries(n)
		for i := sort.Search(count, func(i int) bool { return p.prefix(i) >= want }); i < count; i++ {
			if p.prefix(i) != want {
				return index, ok, nil
			}
			at := k<<runLevel + p.place(i)
			have, err := r.Node(0, at)
			if err != nil {
				return 0, false, err
			}
			if have == h && (!ok || at > index) {
				index, ok = at, true
			}
		}
		if n++; n == runPages() {
			return index, ok, nil
		}
		if err := p.read(f, k, n, root); err != nil {
			return 0, false, err
		}
	}
}

func (l *lookup) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f, l.runs = nil, 0
	return err
}
