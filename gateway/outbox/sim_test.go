package outbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"

	"wattmark/gateway/outbox"
)

const sector = 512

// errCut is what every operation returns after the power is cut.
var errCut = errors.New("simulated: no power")

// simFS is a file system in memory that keeps what was written apart from what
// was made durable, and loses power at a chosen operation. It is used by one
// goroutine.
type simFS struct {
	now     map[string]*simFile // names as the process sees them
	durable map[string]*simFile // names as of the last SyncDir
	changes []func(map[string]*simFile)

	ops    int   // writes, fsyncs, creations, renames and unlinks so far
	cutAt  int   // the power goes at this operation; 0 for never
	dead   bool  // it went
	fail   error // unless nil, what writing operations return
	failAt int   // only from this operation on
	stored bool  // what fails happens all the same, and is reported lost
	locks  map[string]bool
}

// simFile is a file: its content, what of it is durable, and the writes between.
type simFile struct {
	now     []byte
	durable []byte
	writes  []simWrite
}

type simWrite struct {
	off  int
	data []byte
}

func newSim() *simFS {
	return &simFS{now: map[string]*simFile{}, durable: map[string]*simFile{}, locks: map[string]bool{}}
}

// op counts one operation that changes something. It returns whether the
// operation still happens, in the volatile state only, and the error.
func (s *simFS) op() (happens bool, err error) {
	if s.dead {
		return false, errCut
	}
	s.ops++
	if s.failing() {
		return s.stored, s.fail
	}
	if s.ops == s.cutAt {
		s.dead = true
		return true, errCut
	}
	return true, nil
}

func (s *simFS) failing() bool { return s.fail != nil && s.ops >= s.failAt }

func (s *simFS) change(f func(map[string]*simFile)) {
	f(s.now)
	s.changes = append(s.changes, f)
}

func (s *simFS) MkdirAll(string) error { return nil }

type simLock struct {
	s    *simFS
	name string
}

func (l simLock) Close() error {
	delete(l.s.locks, l.name)
	return nil
}

func (s *simFS) Lock(name string) (io.Closer, error) {
	if s.locks[name] {
		return nil, errors.New("locked")
	}
	s.locks[name] = true
	return simLock{s, name}, nil
}

func (s *simFS) ReadDir(dir string) ([]string, error) {
	if s.dead {
		return nil, errCut
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.now)) {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	return names, nil
}

func (s *simFS) Create(name string) (outbox.File, error) {
	if s.now[name] != nil {
		return nil, fs.ErrExist
	}
	happens, err := s.op()
	f := &simFile{}
	if happens {
		s.change(func(m map[string]*simFile) { m[name] = f })
	}
	if err != nil {
		return nil, err
	}
	return &simHandle{s, f}, nil
}

func (s *simFS) Open(name string) (outbox.File, error) {
	if s.dead {
		return nil, errCut
	}
	f := s.now[name]
	if f == nil {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return &simHandle{s, f}, nil
}

func (s *simFS) Rename(from, to string) error {
	if s.now[from] == nil {
		return fs.ErrNotExist
	}
	happens, err := s.op()
	if happens {
		f := s.now[from]
		s.change(func(m map[string]*simFile) { delete(m, from); m[to] = f })
	}
	return err
}

func (s *simFS) Remove(name string) error {
	if s.now[name] == nil {
		return fs.ErrNotExist
	}
	happens, err := s.op()
	if happens {
		s.change(func(m map[string]*simFile) { delete(m, name) })
	}
	return err
}

func (s *simFS) SyncDir(string) error {
	happens, err := s.op()
	if happens && !s.dead {
		s.durable = maps.Clone(s.now)
		s.changes = nil
	}
	return err
}

type simHandle struct {
	s *simFS
	f *simFile
}

func (h *simHandle) ReadAt(b []byte, off int64) (int, error) {
	if h.s.dead {
		return 0, errCut
	}
	return bytes.NewReader(h.f.now).ReadAt(b, off)
}

func (h *simHandle) WriteAt(b []byte, off int64) (int, error) {
	happens, err := h.s.op()
	if happens {
		w := simWrite{int(off), bytes.Clone(b)}
		h.f.now = w.apply(h.f.now)
		h.f.writes = append(h.f.writes, w)
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (w simWrite) apply(to []byte) []byte {
	if need := w.off + len(w.data); need > len(to) {
		to = append(to, make([]byte, need-len(to))...)
	}
	copy(to[w.off:], w.data)
	return to
}

// sectors splits a write where sectors of the file begin.
func (w simWrite) sectors() []simWrite {
	var out []simWrite
	off, data := w.off, w.data
	for len(data) > 0 {
		n := min(sector-off%sector, len(data))
		out = append(out, simWrite{off, data[:n]})
		off, data = off+n, data[n:]
	}
	return out
}

func (h *simHandle) Size() (int64, error) { return int64(len(h.f.now)), nil }

// Sync makes durable what was written since the last one. If it fails, the
// writes are taken for clean and no later Sync writes them, as kernels do.
func (h *simHandle) Sync() error {
	happens, err := h.s.op()
	if h.s.dead {
		return err
	}
	if happens {
		for _, w := range h.f.writes {
			h.f.durable = w.apply(h.f.durable)
		}
	}
	h.f.writes = nil
	return err
}

func (h *simHandle) Close() error { return nil }

// fate is what becomes, when the power goes, of what was not made durable.
type fate int

const (
	lost      fate = iota // none of it is there
	kept                  // all of it
	torn                  // of each file a beginning, up to some sector
	reordered             // any sectors of any file
	fates                 // how many; as a fate, the process was killed and nothing else
)

func (f fate) String() string { return [...]string{"lost", "kept", "torn", "reordered", "a kill"}[f] }

// afterCut returns the file system as the next boot finds it.
func (s *simFS) afterCut(f fate, rng *rand.Rand) *simFS {
	next := newSim()
	names := maps.Clone(s.durable)
	for i, n := 0, rng.IntN(len(s.changes)+1); i < len(s.changes); i++ {
		// A journal keeps the order of changes of names, though not that between
		// names and contents; without one there is no order at all.
		if f == kept || f == torn && i < n || f == reordered && rng.IntN(2) == 0 {
			s.changes[i](names)
		}
	}
	files := map[*simFile]*simFile{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		old := names[name]
		if files[old] == nil {
			b := old.survives(f, rng)
			files[old] = &simFile{now: b, durable: bytes.Clone(b)}
		}
		next.now[name] = files[old]
	}
	next.durable = maps.Clone(next.now)
	return next
}

func (f *simFile) survives(fate fate, rng *rand.Rand) []byte {
	b := bytes.Clone(f.durable)
	var parts []simWrite
	for _, w := range f.writes {
		parts = append(parts, w.sectors()...)
	}
	cut := rng.IntN(len(parts) + 1)
	for i, w := range parts {
		switch {
		case fate == kept, fate == torn && i < cut, fate == reordered && rng.IntN(2) == 0:
			b = w.apply(b)
		}
	}
	return b
}
