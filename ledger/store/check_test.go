package store_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wattmark/ledger/store"
)

// check runs Check and wants no fault.
func check(t testing.TB, dir string) store.CheckReport {
	t.Helper()
	r, err := store.Check(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Faults {
		t.Errorf("check: %v", &f)
	}
	return r
}

// sample makes a store of a few blocks with everything in it, closed.
func sample(t testing.TB, blocks int) (dir string, d *drawn) {
	t.Helper()
	dir = t.TempDir()
	d = draw()
	s := open(t, dir, store.Options{SegmentBytes: 2500})
	for i := range blocks {
		appendTo(t, s, d, 1+i%4, 50)
	}
	b := d.blocks[blocks-1]
	if err := s.SetFinal(note(b), b.Height); err != nil {
		t.Fatal(err)
	}
	if err := s.PublishTiles(filepath.Join(dir, "tiles"), b.Size, note(b)); err != nil {
		t.Fatal(err)
	}
	v := openVault(t, filepath.Join(dir, "vault"))
	for i := range 3 {
		if err := v.Put("2026-11-24", []store.Pack{pack("anna", i), pack("bert", i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(v.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
	return dir, d
}

func TestCheckFindsNothingWrong(t *testing.T) {
	dir, d := sample(t, 12)
	var last, total uint64
	r, err := store.Check(dir, func(done, all uint64) { last, total = done, all })
	if err != nil || !r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Leaves != d.tree.Size() || r.Blocks != 12 || r.Packs != 6 || r.Sequences != r.Leaves-12 || r.Last != d.blocks[11].Commit {
		t.Errorf("report is %+v", r)
	}
	if len(r.Unchecked) > 0 || len(r.Checked) < 7 {
		t.Errorf("checked %q, unchecked %q", r.Checked, r.Unchecked)
	}
	if last != total || total == 0 {
		t.Errorf("progress ended at %d of %d", last, total)
	}
}

func TestCheckBesideAWriter(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	d := draw()
	for range 5 {
		appendTo(t, s, d, 3, 50)
	}
	r := check(t, s.Dir())
	if r.Blocks != 5 || len(r.Unchecked) == 0 || !strings.Contains(r.Unchecked[0], "in use") {
		t.Errorf("report is %+v", r)
	}
}

// TestEveryChangedByteIsFound changes each byte of each file in turn.
func TestEveryChangedByteIsFound(t *testing.T) {
	t.Parallel()
	dir, d := sample(t, 7)
	o := store.Options{SegmentBytes: 2500}.Unsynced().OnDisk(&faultyDisk{})
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "lock" || e.Name() == "index.db" {
			return err
		}
		whole, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		end := len(whole)
		if e.Name() == "checkpoint" {
			end = bytes.Index(whole, []byte("\n\n")) + 2 // signatures are not the store's
		}
		for i := range end {
			if i >= 30 && i < end-110 && i%17 > 0 {
				continue // all of heads and last records, a sample of the rest
			}
			changed := bytes.Clone(whole)
			changed[i] ^= 1 << (i % 8)
			if err := os.WriteFile(path, changed, 0o600); err != nil {
				return err
			}
			wantFault(t, dir, path, i)
			if strings.HasSuffix(path, ".seg") {
				wantNothingLost(t, dir, o, d, path, i)
			}
		}
		return os.WriteFile(path, whole, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	check(t, dir)
	s := open(t, dir, o)
	compare(t, s.Reader, d, 7)
	compareIndex(t, s, d, 7)
}

func wantFault(t *testing.T, dir, path string, i int) {
	t.Helper()
	r, err := store.Check(dir, nil)
	if err != nil {
		t.Fatalf("%s, byte %d: %v", path, i, err)
	}
	if strings.HasSuffix(path, ".packs") && len(r.Torn) == 1 && r.Torn[0].File == path && r.Torn[0].Offset <= int64(i) {
		return // the last Put looks unfinished
	}
	for _, f := range r.Faults {
		rel, _ := filepath.Rel(dir, path)
		if (f.File == path || f.File == rel) && f.Offset <= int64(i) && f.What != "" && f.Remedy != "" {
			return
		}
	}
	t.Errorf("%s: byte %d was changed; check says %+v", path, i, r.Faults)
}

// wantNothingLost opens a store whose leaves have a changed byte: that fails, or
// nothing committed is missing.
func wantNothingLost(t *testing.T, dir string, o store.Options, d *drawn, path string, i int) {
	t.Helper()
	s, report, err := store.Open(dir, o)
	var fault *store.Fault
	if errors.As(err, &fault) {
		return
	}
	if err != nil {
		t.Fatalf("%s, byte %d: %v", path, i, err)
	}
	defer s.Close()
	if last, _ := s.Last(); last != d.blocks[len(d.blocks)-1].Commit || report.Torn != nil {
		t.Errorf("%s, byte %d was changed: opened with %d leaves, %+v", path, i, last.Size, report)
	}
}

// TestChangedIndexIsFoundOrHarmless changes bytes of index.db, most of which
// is unused: whatever is not found must not show.
func TestChangedIndexIsFoundOrHarmless(t *testing.T) {
	dir, d := sample(t, 8)
	path := filepath.Join(dir, "index.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for n := range 400 {
		i := d.rnd.IntN(len(whole))
		changed := bytes.Clone(whole)
		changed[i] ^= byte(1 + d.rnd.IntN(255))
		if whole[i] == 0 && n%4 > 0 {
			continue // mostly not the unused parts
		}
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := store.Check(dir, nil)
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		if !r.OK() {
			found++
			continue
		}
		s := open(t, dir, store.Options{})
		if _, ok := s.AppliedHeight(); !ok { // set aside and built anew
			found++
			for h := range d.blocks {
				if err := s.Apply(d.applied(uint64(h))); err != nil {
					t.Fatal(err)
				}
			}
		}
		compareIndex(t, s, d, 8)
		for _, b := range d.blocks {
			if got, err := s.BlockAt(b.Height); err != nil || got != b {
				t.Errorf("byte %d: block is %+v, %v", i, got, err)
			}
		}
		s.Close()
	}
	if found < 5 {
		t.Errorf("only %d changes were found", found)
	}
}

func TestLostLeavesAreNoticed(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, dir string, segs []string) error{
		"a segment in the middle": func(t *testing.T, dir string, segs []string) error { return os.Remove(segs[1]) },
		"the first segment":       func(t *testing.T, dir string, segs []string) error { return os.Remove(segs[0]) },
		"the last segment":        func(t *testing.T, dir string, segs []string) error { return os.Remove(segs[len(segs)-1]) },
		"all segments":            func(t *testing.T, dir string, segs []string) error { return os.RemoveAll(filepath.Join(dir, "leaves")) },
		"the end of the last":     func(t *testing.T, dir string, segs []string) error { return os.Truncate(segs[len(segs)-1], 24) },
		"the end, and the index": func(t *testing.T, dir string, segs []string) error {
			return errors.Join(os.Truncate(segs[len(segs)-1], 24), os.Remove(filepath.Join(dir, "index.db")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := sample(t, 12)
			segs, err := filepath.Glob(filepath.Join(dir, "leaves", "*.seg"))
			if err != nil || len(segs) < 3 {
				t.Fatalf("segments %v, %v", segs, err)
			}
			if err := lose(t, dir, segs); err != nil {
				t.Fatal(err)
			}
			var fault *store.Fault
			if _, _, err := store.Open(dir, store.Options{}); !errors.As(err, &fault) {
				t.Errorf("opened: %v", err)
			}
			if r, err := store.Check(dir, nil); err == nil && r.OK() {
				t.Errorf("check: %+v", r)
			}
		})
	}
}

func TestDerivedFilesAreRebuilt(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"no hashes":     func(dir string) error { return os.Remove(filepath.Join(dir, "hashes")) },
		"short offsets": func(dir string) error { return os.Truncate(filepath.Join(dir, "offsets"), 12) },
		"other hashes": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "hashes"), bytes.Repeat([]byte{7}, 40_000), 0o600)
		},
		"no index": func(dir string) error { return os.Remove(filepath.Join(dir, "index.db")) },
		"no index that is one": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "index.db"), bytes.Repeat([]byte("no index"), 5000), 0o600)
		},
		"half an index": func(dir string) error { return os.Truncate(filepath.Join(dir, "index.db"), 9000) },
		"nothing derived": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "index.db")), os.Remove(filepath.Join(dir, "hashes")), os.Remove(filepath.Join(dir, "offsets")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, d := sample(t, 12)
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			r, _, err := store.OpenReader(dir) // does without
			if err != nil {
				t.Fatal(err)
			}
			compare(t, r, d, 12)
			r.Close()
			s, report, err := store.Open(dir, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if len(report.Lines()) == 0 {
				t.Errorf("nothing is reported")
			}
			if strings.Contains(name, "index") || name == "nothing derived" {
				if h, ok := s.AppliedHeight(); ok {
					t.Errorf("state is at height %d", h)
				}
				for h := range d.blocks {
					if err := s.Apply(d.applied(uint64(h))); err != nil {
						t.Fatal(err)
					}
				}
			}
			compare(t, s.Reader, d, 12)
			compareIndex(t, s, d, 12)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			check(t, dir)
		})
	}
}

// TestIndexOfAnotherLedger puts a store's index beside another's leaves.
func TestIndexOfAnotherLedger(t *testing.T) {
	dir, d := sample(t, 12)
	other := t.TempDir()
	e := draw()
	e.drawing.Uint32() // other leaves
	s := open(t, other, store.Options{})
	for range 5 {
		appendTo(t, s, e, 3, 50)
	}
	s.Close()
	b, err := os.ReadFile(filepath.Join(other, "index.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "index.db"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, report, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if report.IndexDamage == "" {
		t.Errorf("report is %+v", report)
	}
	if _, ok := s.AppliedHeight(); ok {
		t.Error("the other ledger's state is used")
	}
	compare(t, s.Reader, d, 12)
	s.Close()
	check(t, dir)
}
