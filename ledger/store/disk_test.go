package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"wattmark/ledger/store"
)

var errDisk = errors.New("disk says no")

// faultyDisk lets the operation number fail go wrong, once: it is lost, or done
// and reported lost. Syncs cost nothing, as nothing is cut off here.
type faultyDisk struct {
	mu     sync.Mutex // guards the fields below
	n      int
	fail   int
	done   bool // report lost what was done
	failed string
}

func (d *faultyDisk) do(what string, op func() error) error {
	d.mu.Lock()
	d.n++
	now := d.n == d.fail
	if now {
		d.failed = what
	}
	d.mu.Unlock()
	if now && !d.done {
		return errDisk
	}
	err := op()
	if now {
		return errors.Join(err, errDisk)
	}
	return err
}

func (d *faultyDisk) Open(name string, create fs.FileMode) (store.File, error) {
	var f store.File
	open := func() (err error) {
		f, err = store.OSDisk.Open(name, create)
		return err
	}
	if create == 0 {
		if err := open(); err != nil {
			return nil, err
		}
		return &faultyFile{f, d, name}, nil
	}
	if err := d.do("create "+name, open); err != nil {
		return nil, err
	}
	return &faultyFile{f, d, name}, nil
}

func (d *faultyDisk) Rename(from, to string) error {
	return d.do("rename "+to, func() error { return store.OSDisk.Rename(from, to) })
}

func (d *faultyDisk) Remove(name string) error {
	return d.do("remove "+name, func() error { return store.OSDisk.Remove(name) })
}

func (d *faultyDisk) SyncDir(dir string) error { return d.do("sync "+dir, func() error { return nil }) }

func (d *faultyDisk) SyncAll(files, dirs []string) error {
	return d.do(fmt.Sprint("sync ", files, dirs), func() error { return nil })
}

type faultyFile struct {
	store.File
	d    *faultyDisk
	name string
}

func (f *faultyFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.d.do("write "+f.name, func() error {
		n, err = f.File.WriteAt(b, at)
		return err
	})
	return n, err
}

func (f *faultyFile) Truncate(n int64) error {
	return f.d.do("truncate "+f.name, func() error { return f.File.Truncate(n) })
}

func (f *faultyFile) Sync() error { return f.d.do("sync "+f.name, func() error { return nil }) }

// scenario does a bit of everything and returns how many blocks were
// acknowledged, and whether one more may have been stored. What fails without
// leaving doubt is tried once more and must then succeed.
func scenario(t *testing.T, dir string, d *drawn, disk store.Disk) (acknowledged int, doubt bool) {
	t.Helper()
	o := store.Options{SegmentBytes: 1500, FlushBlocks: 2}.OnDisk(disk).Unsynced()
	s, _, err := store.Open(dir, o)
	if errors.Is(err, errDisk) {
		s, _, err = store.Open(dir, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	v, _, err := store.OpenVault(filepath.Join(dir, "vault"), o)
	if errors.Is(err, errDisk) {
		v, _, err = store.OpenVault(filepath.Join(dir, "vault"), o)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	again := func(what string, op func() error) {
		err := op()
		if errors.Is(err, errDisk) {
			err = op()
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for i := range d.blocks {
		b := d.blocks[i]
		leaves := d.leaves[b.First:b.Size]
		err := s.Append(leaves, nil, b.Commit)
		if errors.Is(err, errDisk) && !errors.Is(err, store.ErrUnknown) {
			err = s.Append(leaves, nil, b.Commit)
		}
		if errors.Is(err, store.ErrUnknown) {
			if err := s.Append(leaves, nil, b.Commit); !errors.Is(err, store.ErrUnknown) {
				t.Errorf("after a write of unknown outcome: %v", err)
			}
			return i, true
		}
		if err != nil {
			t.Fatalf("block %d: %v", i, err)
		}
		again("apply", func() error { return s.Apply(d.applied(b.Height)) })
		again("final", func() error { return s.SetFinal(note(b), b.Height) })
		if i%2 == 1 {
			again("tiles", func() error { return s.PublishTiles(filepath.Join(dir, "tiles"), b.Size, note(b)) })
		}
		if err := v.Put("2026-11-24", []store.Pack{pack("anna", i), pack("bert", i)}); err != nil {
			v.Close()
			again("vault", func() (err error) {
				v, _, err = store.OpenVault(filepath.Join(dir, "vault"), o)
				return err
			})
			again("put", func() error { return v.Put("2026-11-24", []store.Pack{pack("anna", i), pack("bert", i)}) })
		}
	}
	if _, err := v.Forget("anna"); err != nil {
		v.Close()
		again("vault", func() (err error) {
			v, _, err = store.OpenVault(filepath.Join(dir, "vault"), o)
			return err
		})
		again("forget", func() error { _, err := v.Forget("anna"); return err })
	}
	for i := range d.blocks {
		checkPacks(t, v, false, pack("anna", i))
		checkPacks(t, v, true, pack("bert", i))
	}
	if err := v.Close(); err != nil && !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	noBytes(t, filepath.Join(dir, "vault"), "anna")
	if err := s.Close(); err != nil && !errors.Is(err, errDisk) {
		t.Fatal(err)
	}
	return len(d.blocks), false
}

// TestEveryWriteMayFail lets each write, sync, rename and so on of a life of a
// store go wrong in two ways.
func TestEveryWriteMayFail(t *testing.T) {
	t.Parallel()
	d := draw()
	for i := range 4 {
		d.next(1+i%3, 60)
	}
	counter := &faultyDisk{}
	if n, _ := scenario(t, t.TempDir(), d, counter); n != 4 {
		t.Fatalf("%d blocks without any fault", n)
	}
	t.Logf("%d operations", counter.n)
	for n := 1; n <= counter.n; n++ {
		for _, done := range []bool{false, true} {
			dir, err := os.MkdirTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			disk := &faultyDisk{fail: n, done: done}
			acknowledged, doubt := scenario(t, dir, d, disk)
			afterwards(t, dir, d, acknowledged, doubt)
			if t.Failed() {
				t.Fatalf("operation %d (done: %v): %s", n, done, strings.TrimPrefix(disk.failed, dir))
			}
			os.RemoveAll(dir)
		}
	}
}

// afterwards opens a store after something went wrong, executes what the index
// missed, goes on to the last block drawn and checks all of it.
func afterwards(t *testing.T, dir string, d *drawn, acknowledged int, doubt bool) {
	t.Helper()
	s, report, err := store.Open(dir, store.Options{SegmentBytes: 1500}.Unsynced())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	blocks := 0
	if last, ok := s.Last(); ok {
		blocks = int(last.Height) + 1
		compare(t, s.Reader, d, blocks)
	}
	if blocks < acknowledged || blocks > acknowledged+1 || blocks > acknowledged && !doubt {
		t.Fatalf("%d blocks are there, %d were acknowledged (one more in doubt: %v); %+v", blocks, acknowledged, doubt, report)
	}
	applied := uint64(0)
	if h, ok := s.AppliedHeight(); ok {
		applied = h + 1
	}
	if applied > uint64(blocks) {
		t.Fatalf("state of %d blocks where there are %d", applied, blocks)
	}
	compareIndex(t, s, d, applied)
	for _, b := range d.blocks[blocks:] {
		if err := s.Append(d.leaves[b.First:b.Size], nil, b.Commit); err != nil {
			t.Fatal(err)
		}
	}
	for h := applied; h < uint64(len(d.blocks)); h++ {
		if err := s.Apply(d.applied(h)); err != nil {
			t.Fatal(err)
		}
	}
	compare(t, s.Reader, d, len(d.blocks))
	compareIndex(t, s, d, uint64(len(d.blocks)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(t, dir)
}

// powerDisk forgets, when the power is cut, a part of what was not synced. What
// was there before is put back.
type powerDisk struct {
	mu   sync.Mutex // guards the fields below
	rnd  *rand.Rand
	left int // operations until the power is cut
	cut  bool
	undo map[string][]func(path string) // by path, of files and directories, in order
	// scatter loses any part of a write, not just its end.
	scatter bool
}

var errPower = errors.New("power is off")

func (d *powerDisk) op(path string, undo func(path string), op func() error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.left--; d.left < 0 || d.cut {
		d.cut = true
		return errPower
	}
	if undo != nil {
		d.undo[path] = append(d.undo[path], undo)
	}
	return op()
}

func (d *powerDisk) synced(path string) error {
	return d.op(path, nil, func() error {
		delete(d.undo, path)
		return nil
	})
}

// cutPower puts back what was not synced: what was written to files, and then what
// they were called.
func (d *powerDisk) cutPower() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cut = true
	for _, directories := range []bool{false, true} {
		for path, undos := range d.undo {
			if st, err := os.Stat(path); err != nil || st.IsDir() != directories {
				continue
			}
			for i := len(undos) - 1; i >= 0; i-- {
				undos[i](path)
			}
		}
	}
}

func (d *powerDisk) Open(name string, create fs.FileMode) (store.File, error) {
	var f store.File
	open := func() (err error) {
		f, err = store.OSDisk.Open(name, create)
		return err
	}
	var err error
	if _, statErr := os.Stat(name); statErr != nil && create != 0 {
		err = d.op(filepath.Dir(name), func(string) {
			if d.rnd.IntN(2) == 0 {
				os.Remove(name)
			}
		}, open)
	} else {
		err = open()
	}
	if err != nil {
		return nil, err
	}
	return &powerFile{f, d, name}, nil
}

func (d *powerDisk) Rename(from, to string) error {
	old, err := os.ReadFile(to)
	if len(old) > 1<<20 {
		panic("too large to put back")
	}
	return d.op(filepath.Dir(to), func(string) {
		switch {
		case d.rnd.IntN(2) == 0:
		case err != nil:
			os.Remove(to)
		default:
			os.WriteFile(to, old, 0o600)
		}
	}, func() error {
		// What was written under the old name is as little on the disk under the new.
		d.undo[to] = d.undo[from]
		delete(d.undo, from)
		return store.OSDisk.Rename(from, to)
	})
}

func (d *powerDisk) Remove(name string) error {
	return d.op(filepath.Dir(name), nil, func() error { return store.OSDisk.Remove(name) })
}

func (d *powerDisk) SyncDir(dir string) error { return d.synced(dir) }

// SyncAll makes one after another durable, and the power may be cut in between.
func (d *powerDisk) SyncAll(files, dirs []string) error {
	for _, path := range slices.Concat(files, dirs) {
		if err := d.synced(path); err != nil {
			return err
		}
	}
	return nil
}

type powerFile struct {
	store.File
	d    *powerDisk
	name string
}

func (f *powerFile) WriteAt(b []byte, at int64) (n int, err error) {
	size, err := f.Size()
	if err != nil {
		return 0, err
	}
	old := make([]byte, max(0, min(int64(len(b)), size-at)))
	if _, err := f.ReadAt(old, at); err != nil {
		return 0, err
	}
	err = f.d.op(f.name, func(path string) { f.d.putBack(path, old, at, int64(len(b)), size) }, func() error {
		n, err = f.File.WriteAt(b, at)
		return err
	})
	return n, err
}

// putBack undoes a part of a write.
func (d *powerDisk) putBack(name string, old []byte, at, n, size int64) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return // never was
	}
	defer f.Close()
	lost := make([]byte, n)
	copy(lost, old)
	const sector = 64
	if d.scatter {
		for i := int64(0); i < n; i += sector {
			if d.rnd.IntN(2) == 0 {
				f.WriteAt(lost[i:min(i+sector, n)], at+i)
			}
		}
		return
	}
	from := d.rnd.Int64N(n + 1)
	f.WriteAt(lost[from:], at+from)
	if at+n > size {
		f.Truncate(max(size, at+from))
	}
}

func (f *powerFile) Truncate(n int64) error {
	return f.d.op(f.name, nil, func() error { return f.File.Truncate(n) })
}

func (f *powerFile) Sync() error { return f.d.synced(f.name) }

// TestPowerCuts cuts the power at each operation of a store's life.
func TestPowerCuts(t *testing.T) {
	t.Parallel()
	d := draw()
	for i := range 5 {
		d.next(1+i%3, 60)
	}
	for _, scatter := range []bool{false, true} {
		for left := 0; ; left += 2 {
			dir, err := os.MkdirTemp(t.TempDir(), "")
			if err != nil {
				t.Fatal(err)
			}
			disk := &powerDisk{rnd: rand.New(rand.NewPCG(uint64(left), 1)), left: left, undo: map[string][]func(string){}, scatter: scatter}
			acknowledged, writing := untilPowerFails(t, dir, d, disk)
			disk.cutPower()
			s, _, err := store.Open(dir, store.Options{SegmentBytes: 1500}.Unsynced())
			var fault *store.Fault
			if errors.As(err, &fault) && scatter && writing {
				continue // a block in doubt, with its commit record and without a leaf
			}
			if err != nil {
				t.Fatalf("power cut before operation %d: %v", left, err)
			}
			s.Close()
			afterwards(t, dir, d, acknowledged, writing)
			if t.Failed() {
				t.Fatalf("power cut before operation %d (scatter: %v)", left, scatter)
			}
			if acknowledged == len(d.blocks) {
				break
			}
		}
	}
}

// untilPowerFails appends, and reports whether it was in the middle of that.
func untilPowerFails(t *testing.T, dir string, d *drawn, disk *powerDisk) (acknowledged int, writing bool) {
	t.Helper()
	s, _, err := store.Open(dir, store.Options{SegmentBytes: 1500, FlushBlocks: 2}.OnDisk(disk).Unsynced())
	if errors.Is(err, errPower) {
		return 0, false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, b := range d.blocks {
		if err := s.Append(d.leaves[b.First:b.Size], nil, b.Commit); err != nil {
			return acknowledged, errors.Is(err, store.ErrUnknown)
		}
		acknowledged++
		if err := s.Apply(d.applied(b.Height)); err != nil {
			return acknowledged, false
		}
		if err := s.SetFinal(note(b), b.Height); err != nil {
			return acknowledged, false
		}
	}
	return acknowledged, false
}

// TestPowerCutsWhilePublishing cuts the power at each operation of publishing tiles.
// Whatever the checkpoint file names is there, before it is published again and after.
func TestPowerCutsWhilePublishing(t *testing.T) {
	t.Parallel()
	d := draw()
	s := open(t, t.TempDir(), store.Options{})
	for _, n := range []int{100, 180, 250} {
		appendTo(t, s, d, n, 20)
	}
	published := func(dir string) (size int) {
		b, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
		if errors.Is(err, fs.ErrNotExist) {
			return 0
		}
		for i := range d.blocks {
			if string(b) == string(note(d.blocks[i])) {
				checkTiles(t, dir, d, d.blocks[i].Size, d.blocks[i].Root)
				return i + 1
			}
		}
		t.Fatalf("the checkpoint is %q", b)
		return 0
	}
	for _, scatter := range []bool{false, true} {
		for left := 0; ; left += 3 {
			dir := filepath.Join(t.TempDir(), "tiles")
			disk := &powerDisk{rnd: rand.New(rand.NewPCG(uint64(left), 1)), left: left, undo: map[string][]func(string){}, scatter: scatter}
			done := 0
			for _, b := range d.blocks {
				if err := s.PublishTilesOn(disk, dir, b.Size, note(b)); errors.Is(err, errPower) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				done++
			}
			disk.cutPower()
			if n := published(dir); n < done {
				t.Fatalf("power cut before operation %d (scatter: %v): %d checkpoints were published, the file has number %d", left, scatter, done, n)
			}
			last := d.blocks[len(d.blocks)-1]
			if err := s.PublishTilesOn(&faultyDisk{}, dir, last.Size, note(last)); err != nil {
				t.Fatalf("power cut before operation %d (scatter: %v): %v", left, scatter, err)
			}
			published(dir)
			if t.Failed() {
				t.Fatalf("power cut before operation %d (scatter: %v)", left, scatter)
			}
			if done == len(d.blocks) {
				break
			}
		}
	}
}

// TestManyTilesAreSyncedTogether publishes more files than are synced one by one.
func TestManyTilesAreSyncedTogether(t *testing.T) {
	d := draw()
	s := open(t, t.TempDir(), store.Options{})
	appendTo(t, s, d, 256*20, 5)
	dir := filepath.Join(t.TempDir(), "tiles")
	b := d.blocks[0]
	if err := s.PublishTiles(dir, b.Size, note(b)); err != nil {
		t.Fatal(err)
	}
	checkTiles(t, dir, d, b.Size, b.Root)
}
