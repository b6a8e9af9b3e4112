package store_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"wattmark/ledger/block"
	"wattmark/ledger/store"
)

// findAll finds leaves by their hash, one of five: the newest of those that have it.
func findAll(t testing.TB, r *store.Reader, d *drawn, size uint64) {
	t.Helper()
	want := make(map[block.Hash]uint64)
	for i := range size {
		want[block.LeafHash(d.leaves[i])] = i
	}
	for h, i := range want {
		if i%5 != 0 {
			continue
		}
		if got, ok, err := r.Find(context.Background(), h); err != nil || !ok || got != i {
			t.Fatalf("leaf %d is found at %d, %v: %v", i, got, ok, err)
		}
	}
	for n := range 20 {
		if got, ok, err := r.Find(context.Background(), block.Hash{byte(n), 7}); ok || err != nil {
			t.Fatalf("a hash that no leaf has is found at %d: %v", got, err)
		}
	}
}

// lookupOf is a store with some runs' leaves, and what is in it.
func lookupOf(t testing.TB, dir string, leaves uint64) (*store.Store, *drawn) {
	t.Helper()
	s := open(t, dir, store.Options{}.Unsynced())
	d := draw()
	for d.tree.Size() < leaves {
		leaves, c := d.next(100, 8)
		if err := s.Append(leaves, nil, c); err != nil {
			t.Fatal(err)
		}
	}
	return s, d
}

func due(s *store.Store) bool {
	select {
	case <-s.LookupDue():
		return true
	default:
		return false
	}
}

// TestLookupMaintainsItself: runs are made when they are due, by whoever opens a store
// without, and again where one is damaged; meanwhile every leaf is found all the same.
func TestLookupMaintainsItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "lookup")
	run, bytes := store.LookupSizes()
	s, d := lookupOf(t, dir, 4*run+100)
	size := s.Size()
	extend := func(t *testing.T, s *store.Store) {
		t.Helper()
		if !due(s) {
			t.Error("nothing is due")
		}
		if err := s.ExtendLookup(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	file := func() []byte {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	findAll(t, s.Reader, d, size)
	if r := check(t, dir); !strings.Contains(strings.Join(r.Unchecked, "\n"), "lookup: there is none") {
		t.Errorf("without a lookup the check says %q", r.Unchecked)
	}
	extend(t, s)
	findAll(t, s.Reader, d, size)
	if n := uint64(len(file())); n != 4*bytes {
		t.Fatalf("four runs have %d bytes, want %d", n, 4*bytes)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file has mode %v: %v", info.Mode(), err)
	}
	if due(s) {
		t.Error("more is due")
	}

	// More leaves complete another run.
	for s.Size() < 5*run {
		leaves, c := d.next(100, 8)
		if err := s.Append(leaves, nil, c); err != nil {
			t.Fatal(err)
		}
	}
	size = s.Size()
	extend(t, s)
	whole := file()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checked := func(t *testing.T, faults int) {
		t.Helper()
		r, err := store.Check(dir, nil)
		if err != nil || len(r.Faults) != faults {
			t.Fatalf("%v, faults %v, want %d", err, r.Faults, faults)
		}
		for _, f := range r.Faults {
			if !strings.HasSuffix(f.File, "lookup") || !strings.Contains(f.Remedy, "remove lookup") {
				t.Errorf("the fault %v", &f)
			}
		}
		if faults == 0 && !slices.ContainsFunc(r.Checked, func(s string) bool { return strings.HasPrefix(s, "lookup: ") }) {
			t.Errorf("it does not say that it was checked: %q", r.Checked)
		}
	}
	checked(t, 0)

	for name, damage := range map[string]func(b []byte) []byte{
		"a bit":                func(b []byte) []byte { b[2*bytes+77] ^= 1; return b },
		"zeros in the middle":  func(b []byte) []byte { clear(b[bytes : 2*bytes]); return b },
		"zeros at the end":     func(b []byte) []byte { clear(b[4*bytes+100:]); return b },
		"two runs exchanged":   func(b []byte) []byte { return slices.Concat(b[bytes:2*bytes], b[:bytes], b[2*bytes:]) },
		"two pages exchanged":  func(b []byte) []byte { return slices.Concat(b[4096:8192], b[:4096], b[8192:]) },
		"cut within a run":     func(b []byte) []byte { return b[:3*bytes+5000] },
		"empty":                func([]byte) []byte { return nil },
		"longer than leaves":   func(b []byte) []byte { return append(b, b...) },
		"nothing, and no file": nil,
	} {
		t.Run(name, func(t *testing.T) {
			if damage == nil {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else if err := os.WriteFile(path, damage(slices.Clone(whole)), 0o600); err != nil {
				t.Fatal(err)
			}
			r, _, err := store.OpenReader(dir) // as the tool does
			if err != nil {
				t.Fatal(err)
			}
			findAll(t, r, d, size)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			s := open(t, dir, store.Options{}.Unsynced())
			extend(t, s)
			findAll(t, s.Reader, d, size)
			if due(s) {
				if err := s.ExtendLookup(t.Context()); err != nil { // what finding has noticed
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if b := file(); len(b) < len(whole) || !slices.Equal(b[:len(whole)], whole) {
				t.Error("it was not made as it was")
			}
			if err := os.Truncate(path, int64(len(whole))); err != nil {
				t.Fatal(err)
			}
			checked(t, 0)
		})
	}
	b := slices.Clone(whole)
	b[2*bytes+77] ^= 1
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	checked(t, 1)
}

// TestLookupEndsWhenAsked: a search and the making of runs end with their context.
func TestLookupEndsWhenAsked(t *testing.T) {
	t.Parallel()
	run, _ := store.LookupSizes()
	s, _ := lookupOf(t, t.TempDir(), 2*run)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Find(ctx, block.Hash{1}); !errors.Is(err, context.Canceled) {
		t.Errorf("a search says %v", err)
	}
	if err := s.ExtendLookup(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("making runs says %v", err)
	}
	if err := s.ExtendLookup(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// halfDisk writes so many bytes of the lookup, says so, and stands still.
type halfDisk struct {
	store.Disk
	bytes int
}

type halfFile struct {
	store.File
	bytes int
}

func (d halfDisk) Open(name string, create os.FileMode) (store.File, error) {
	f, err := d.Disk.Open(name, create)
	if err == nil && filepath.Base(name) == "lookup" {
		f = halfFile{f, d.bytes}
	}
	return f, err
}

func (f halfFile) WriteAt(b []byte, at int64) (int, error) {
	if _, err := f.File.WriteAt(b[:min(f.bytes, len(b))], at); err != nil {
		return 0, err
	}
	fmt.Println("half")
	select {}
}

// halfChild makes runs, and is killed before the first is written.
func halfChild(dir string) error {
	n, err := strconv.Atoi(os.Getenv(halfOnly))
	if err != nil {
		return err
	}
	s, _, err := store.Open(dir, store.Options{}.OnDisk(halfDisk{store.OSDisk, n}))
	if err != nil {
		return err
	}
	return s.ExtendLookup(context.Background())
}

// TestLookupIsKilled kills a process while it writes a run, where none was and over one
// that is damaged.
func TestLookupIsKilled(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run, _ := store.LookupSizes()
	dir := t.TempDir()
	path := filepath.Join(dir, "lookup")
	s, d := lookupOf(t, dir, 2*run+9)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	kill := func(n int) {
		t.Helper()
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), childDir+"="+dir, fmt.Sprintf("%s=%d", halfOnly, n))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(out).ReadString('\n')
		if line != "half\n" {
			t.Errorf("the child says %q: %v", line, err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
	}
	mends := func() {
		t.Helper()
		s := open(t, dir, store.Options{}.Unsynced())
		findAll(t, s.Reader, d, s.Size())
		if err := s.ExtendLookup(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		check(t, dir)
	}
	for _, n := range []int{0, 1, 4096, 5000, 8191} {
		kill(n)
		check(t, dir)
		mends()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		clear(b[len(b)-5000:])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		kill(n)
		mends()
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// drawHash fills a hash with what nobody has chosen.
func drawHash(rnd *rand.Rand) (h block.Hash) {
	for at := 0; at < len(h); at += 8 {
		binary.BigEndian.PutUint64(h[at:], rnd.Uint64())
	}
	return h
}

// TestLookupIsAMap compares runs with a map, for hashes of every kind: also such as
// somebody has ground until they begin alike, and leaves that are there twice.
func TestLookupIsAMap(t *testing.T) {
	t.Parallel()
	run, _ := store.LookupSizes()
	rapid.Check(t, func(t *rapid.T) {
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 5))
		alike := rapid.IntRange(0, 10).Draw(t, "bytes alike")
		twice := rapid.IntRange(0, 3).Draw(t, "one in so many is there twice")
		hashes := make([]block.Hash, rapid.Uint64Range(1, 3*run+50).Draw(t, "leaves"))
		want := make(map[block.Hash]uint64)
		for i := range hashes {
			hashes[i] = drawHash(rnd)
			if rnd.IntN(2) == 0 {
				clear(hashes[i][:alike])
			}
			if twice > 0 && rnd.IntN(twice) == 0 {
				hashes[i] = hashes[rnd.IntN(i+1)]
			}
			want[hashes[i]] = uint64(i)
		}
		dir, err := os.MkdirTemp("", "lookup")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		s, err := store.OfHashes(dir, hashes)
		if err != nil {
			t.Fatal(err)
		}
		defer s.CloseHashes()
		if err := s.ExtendLookup(context.Background()); err != nil {
			t.Fatal(err)
		}
		for h, i := range want {
			if got, ok, err := s.Find(context.Background(), h); err != nil || !ok || got != i {
				t.Fatalf("%x is at %d, found at %d, %v: %v", h, i, got, ok, err)
			}
			h[31] ^= 1 // begins as another does
			if _, there := want[h]; there {
				continue
			}
			if got, ok, err := s.Find(context.Background(), h); ok || err != nil {
				t.Fatalf("%x is not there, found at %d: %v", h, got, err)
			}
		}
	})
}

// BenchmarkLookup finds leaves by their hash, in a ledger of a million (100,000 with
// -short), and makes runs. WATTMARK_BENCH_LEAVES sets another number.
func BenchmarkLookup(b *testing.B) {
	defer store.SetRunLevel(16)()
	hashes := make([]block.Hash, benchLeaves(b))
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range hashes {
		hashes[i] = drawHash(rnd)
	}
	dir := b.TempDir()
	s, err := store.OfHashes(dir, hashes)
	if err != nil {
		b.Fatal(err)
	}
	defer s.CloseHashes()
	find := func(b *testing.B, h block.Hash, there bool) {
		b.Helper()
		if _, ok, err := s.Find(b.Context(), h); err != nil || ok != there {
			b.Fatalf("found %v: %v", ok, err)
		}
	}
	b.Run("scan", func(b *testing.B) {
		for b.Loop() {
			find(b, block.Hash{1}, false)
		}
	})
	start := time.Now()
	if err := s.ExtendLookup(b.Context()); err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	info, err := os.Stat(filepath.Join(dir, "lookup"))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("anywhere", func(b *testing.B) {
		for b.Loop() {
			find(b, hashes[rnd.IntN(len(hashes))], true)
		}
		run, _ := store.LookupSizes()
		sorted := float64(uint64(len(hashes)) / run * run)
		b.ReportMetric(float64(took.Nanoseconds())/sorted, "ns/leaf-made")
		b.ReportMetric(float64(info.Size())/sorted, "B/leaf")
	})
	b.Run("nowhere", func(b *testing.B) {
		for b.Loop() {
			h := hashes[rnd.IntN(len(hashes))]
			h[0] ^= 1
			find(b, h, false)
		}
	})
}

func benchLeaves(b *testing.B) int {
	b.Helper()
	if text := os.Getenv("WATTMARK_BENCH_LEAVES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	if testing.Short() {
		return 100_000
	}
	return 1_000_000
}
