package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/store"
)

const (
	childDir = "WATTMARK_STORE_CHILD"
	halfOnly = "WATTMARK_STORE_HALF" // the child writes so many bytes of a run
)

// TestMain lets the test binary be the process that TestKill kills.
func TestMain(m *testing.M) {
	store.SetRunLevel(9) // runs of 512 leaves, on two pages
	if dir := os.Getenv(childDir); dir != "" {
		run := child
		if os.Getenv(halfOnly) != "" {
			run = halfChild
		}
		if err := run(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func killOptions() store.Options { return store.Options{SegmentBytes: 100_000, FlushBlocks: 4} }

// child appends blocks until it is killed, and says so after each.
func child(dir string) error {
	s, _, err := store.Open(dir, killOptions())
	if err != nil {
		return err
	}
	v, _, err := store.OpenVault(filepath.Join(dir, "vault"), store.Options{})
	if err != nil {
		return err
	}
	go func() { // as an oracle does, beside
		for range s.LookupDue() {
			if err := s.ExtendLookup(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	}()
	d := draw()
	d.upTo(s.Size())
	applied, ok := s.AppliedHeight()
	if ok {
		applied++
	}
	for h := applied; h < uint64(len(d.blocks)); h++ {
		if err := s.Apply(d.applied(h)); err != nil {
			return err
		}
	}
	fmt.Println("open")
	for {
		leaves, c := d.next(1+int(uint64(len(d.blocks))%17), 100)
		if err := s.Append(leaves, nil, c); err != nil {
			return err
		}
		fmt.Println(c.Height)
		if err := s.Apply(d.applied(c.Height)); err != nil {
			return err
		}
		if c.Height%3 == 0 {
			b := d.blocks[c.Height]
			if err := errors.Join(s.SetFinal(note(b), c.Height), v.Put("2026-11-24", []store.Pack{pack("anna", int(c.Height))})); err != nil {
				return err
			}
		}
	}
}

// upTo draws blocks until there are size leaves.
func (d *drawn) upTo(size uint64) {
	for d.tree.Size() < size {
		d.next(1+int(uint64(len(d.blocks))%17), 100)
	}
}

func TestKill(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	d := draw()
	for round := range 25 {
		acknowledged := killOnce(t, self, dir, rnd.IntN(30))
		s, _, err := store.Open(dir, killOptions())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		last, ok := s.Last()
		if int64(last.Height) < acknowledged || !ok && acknowledged >= 0 {
			t.Fatalf("round %d: block %d was acknowledged, %d is the last (%v)", round, acknowledged, last.Height, ok)
		}
		if ok {
			d.upTo(last.Size)
			compare(t, s.Reader, d, int(last.Height)+1)
			if round%8 == 0 {
				findAll(t, s.Reader, d, last.Size)
			}
		}
		h, ok := s.AppliedHeight()
		if ok {
			h++
		}
		// What waits for a flush, what one is taking up, and what was being appended.
		if ok && h+3*uint64(killOptions().FlushBlocks) < last.Height {
			t.Errorf("round %d: the index is at %d, the leaves at %d", round, h, last.Height)
		}
		if round%8 == 0 {
			compareIndex(t, s, d, h)
		}
		// As an oracle does when it opens its ledger; else lives that end early would
		// add up to an index ever further behind.
		for ; ok && h <= last.Height; h++ {
			if err := s.Apply(d.applied(h)); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		check(t, dir)
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	t.Logf("%d blocks", len(d.blocks))
}

// killOnce runs a child and kills it after it said n lines and a bit. It returns
// the last height that the child said, -1 for none.
func killOnce(t *testing.T, self, dir string, n int) int64 {
	t.Helper()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := int64(-1)
	lines := bufio.NewReader(out)
	for i := 0; ; i++ {
		line, err := lines.ReadString('\n')
		if h, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64); err == nil && strings.HasSuffix(line, "\n") {
			acknowledged = h
		}
		if i == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	cmd.Wait()
	if stderr.Len() > 0 {
		t.Fatalf("child: %s", stderr.String())
	}
	return acknowledged
}

// copyDir copies a store.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(filepath.Join(to, "s"), os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(to, "s")
}

// TestTornTails cuts the last block at each of its bytes, and fills what is cut
// off with zeros, as file systems do.
func TestTornTails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := draw()
	o := store.Options{}.Unsynced().OnDisk(&faultyDisk{})
	s := open(t, dir, o)
	for i := range 3 {
		appendTo(t, s, d, 1+i, 30)
	}
	s.Close()
	seg := filepath.Join(dir, "leaves", fmt.Sprintf("%020d.seg", 0))
	st, err := os.Stat(seg)
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, o)
	index, err := os.ReadFile(filepath.Join(dir, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	appendTo(t, s, d, 1, 10)
	s.Close()
	whole, err := os.ReadFile(seg)
	if err != nil {
		t.Fatal(err)
	}
	start := int(st.Size())
	for n := start; n <= len(whole); n++ {
		for _, zeros := range []bool{false, true} {
			content := bytes.Clone(whole[:n])
			if zeros {
				content = append(content, make([]byte, len(whole)-n)...)
			}
			if err := errors.Join(os.WriteFile(seg, content, 0o600), os.WriteFile(filepath.Join(dir, "index.db"), index, 0o600)); err != nil {
				t.Fatal(err)
			}
			blocks, torn := 3, &store.Torn{File: seg, Offset: int64(start), Bytes: int64(len(content) - start)}
			switch {
			case bytes.Equal(content, whole):
				blocks, torn = 4, nil
			case len(content) == start:
				torn = nil
			}
			r, report, err := store.OpenReader(dir)
			var fault *store.Fault
			if errors.As(err, &fault) && zeros && n > len(whole)-98+9 {
				continue // nearly a whole commit record: in doubt
			}
			if err != nil {
				t.Fatalf("cut at %d of %d (zeros %v): %v", n, len(whole), zeros, err)
			}
			if diff := cmp.Diff(torn, report.Torn); diff != "" {
				t.Errorf("cut at %d (zeros %v): reader's report (-want +got):\n%s", n, zeros, diff)
			}
			compare(t, r, d, blocks)
			r.Close()
			s, report, err := store.Open(dir, o)
			if err != nil {
				t.Fatalf("cut at %d of %d (zeros %v): %v", n, len(whole), zeros, err)
			}
			if diff := cmp.Diff(torn, report.Torn); diff != "" {
				t.Errorf("cut at %d (zeros %v): report (-want +got):\n%s", n, zeros, diff)
			}
			compare(t, s.Reader, d, blocks)
			if blocks == 3 {
				b := d.blocks[3]
				if err := s.Append(d.leaves[b.First:b.Size], nil, b.Commit); err != nil {
					t.Fatal(err)
				}
			}
			compare(t, s.Reader, d, 4)
			s.Close()
			check(t, dir)
		}
	}
}

// TestAnythingBehindATornRecord: what cannot be an unfinished block is not cut.
func TestAnythingBehindATornRecord(t *testing.T) {
	dir := t.TempDir()
	d := draw()
	s := open(t, dir, store.Options{})
	for range 3 {
		appendTo(t, s, d, 3, 30)
	}
	s.Close()
	seg := filepath.Join(dir, "leaves", fmt.Sprintf("%020d.seg", 0))
	whole, err := os.ReadFile(seg)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{200, len(whole) - 150, len(whole) - 1, len(whole) - 98, len(whole) - 80} {
		broken := copyDir(t, dir)
		content := bytes.Clone(whole)
		content[i] ^= 0xff
		if err := os.WriteFile(filepath.Join(broken, "leaves", filepath.Base(seg)), content, 0o600); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(broken, "index.db"))
		_, _, err := store.Open(broken, store.Options{})
		var fault *store.Fault
		if !errors.As(err, &fault) || fault.Offset > int64(i) || fault.Offset <= 0 || filepath.Base(fault.File) != filepath.Base(seg) {
			t.Errorf("byte %d of %d changed: %v", i, len(whole), err)
		}
		if after, err := os.ReadFile(filepath.Join(broken, "leaves", filepath.Base(seg))); err != nil || !bytes.Equal(after, content) {
			t.Errorf("byte %d changed: Open changed the leaves: %v", i, err)
		}
	}
}

// TestReadersBesideTheWriter reads, in the store and beside it, while blocks are
// appended.
func TestReadersBesideTheWriter(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := draw()
	s := open(t, dir, store.Options{SegmentBytes: 20_000, FlushBlocks: 3})
	appendTo(t, s, d, 5, 100)
	drawnBefore := draw()
	for range 60 {
		drawnBefore.next(5, 100)
	}
	done := make(chan error)
	go func() {
		defer close(done)
		for i := 1; i < 60; i++ {
			b := drawnBefore.blocks[i]
			if err := s.Append(drawnBefore.leaves[b.First:b.Size], nil, b.Commit); err != nil {
				done <- err
				return
			}
			if err := s.Apply(drawnBefore.applied(b.Height)); err != nil {
				done <- err
				return
			}
		}
	}()
	for n := 0; ; n++ {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("read %d times", n)
			return
		default:
		}
		r, report, err := store.OpenReader(dir)
		if err != nil {
			t.Fatal(err)
		}
		last, _ := r.Last()
		if report.Torn != nil && report.Torn.Offset == 0 {
			t.Errorf("report is %+v", report)
		}
		compare(t, r, drawnBefore, int(last.Height)+1)
		r.Close()
		size := s.Size()
		at := uint64(0)
		if err := s.Leaves(0, size, func(i uint64, leaf []byte) error {
			at++
			if !bytes.Equal(leaf, drawnBefore.leaves[i]) {
				return fmt.Errorf("leaf %d is wrong", i)
			}
			return nil
		}); err != nil || at != size {
			t.Fatalf("%d of %d leaves: %v", at, size, err)
		}
		if _, ok, err := s.Lookup(kid(0), 1, 1); !ok || err != nil {
			t.Fatalf("lookup beside the writer: %v, %v", ok, err)
		}
		if n%10 == 0 {
			check(t, dir)
		}
	}
}
