package store_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"wattmark/ledger/block"
	"wattmark/ledger/store"
)

// note is a signed checkpoint of a block; the store does not check signatures.
func note(b store.Block) []byte {
	c := block.Checkpoint{Origin: "test.example/ledger", Size: b.Size, Root: b.Root}
	return []byte(c.Text() + "\n— test.example/ledger AAAAAAAA\n")
}

// tileReader reads a published directory for golang.org/x/mod/sumdb/tlog, whose
// paths have the tile's height in them and "data" for entries.
type tileReader struct{ dir string }

func (r tileReader) Height() int { return 8 }

func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range tiles {
		b, err := os.ReadFile(filepath.Join(r.dir, tilePath(t)))
		if err != nil {
			return nil, err
		}
		if len(b) != 32*t.W {
			return nil, fmt.Errorf("%s has %d bytes", t.Path(), len(b))
		}
		out = append(out, b)
	}
	return out, nil
}

func (r tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

func tilePath(t tlog.Tile) string {
	path := strings.TrimPrefix(t.Path(), "tile/8/")
	if rest, ok := strings.CutPrefix(path, "data/"); ok {
		path = "entries/" + rest
	}
	return "tile/" + path
}

func checkTiles(t testing.TB, dir string, d *drawn, size uint64, root block.Hash) {
	t.Helper()
	tree := tlog.Tree{N: int64(size), Hash: root}
	hr := tlog.TileHashReader(tree, tileReader{dir})
	for range 30 {
		i := d.rnd.Int64N(int64(size))
		proof, err := tlog.ProveRecord(tree.N, i, hr)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(proof, tree.N, root, i, block.LeafHash(d.leaves[i])); err != nil {
			t.Fatalf("leaf %d of %d: %v", i, size, err)
		}
	}
	for n := uint64(0); n*256 < size; n++ {
		w := min(size-n*256, 256)
		b, err := os.ReadFile(filepath.Join(dir, tilePath(tlog.Tile{H: 8, L: -1, N: int64(n), W: int(w)})))
		if err != nil {
			t.Fatal(err)
		}
		for i := range w {
			l := int(binary.BigEndian.Uint16(b))
			if string(b[2:2+l]) != string(d.leaves[n*256+i]) {
				t.Fatalf("bundle %d has something else for leaf %d", n, n*256+i)
			}
			b = b[2+l:]
		}
		if len(b) > 0 {
			t.Fatalf("bundle %d has %d bytes too many", n, len(b))
		}
	}
}

func TestTilesVerifyWithTlog(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{SegmentBytes: 30_000})
	d := draw()
	dir := filepath.Join(t.TempDir(), "a", "tiles")
	for i := range 40 {
		appendTo(t, s, d, []int{3, 40, 255, 255, 600}[i%5], 20)
		b := d.blocks[i]
		if i%3 == 0 && i%2 == 0 {
			continue // not every block is published
		}
		if err := s.PublishTiles(dir, b.Size, note(b)); err != nil {
			t.Fatal(err)
		}
		checkTiles(t, dir, d, b.Size, b.Root)
		if got, err := os.ReadFile(filepath.Join(dir, "checkpoint")); err != nil || string(got) != string(note(b)) {
			t.Fatalf("checkpoint is %q, %v", got, err)
		}
		if i == 20 {
			// Another process goes on.
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, s.Dir(), store.Options{})
		}
	}
	last, before := d.blocks[39], d.blocks[38]
	checkTiles(t, dir, d, before.Size, before.Root)
	keep := partials(last.Size, before.Size)
	var got []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".tmp") {
			t.Errorf("%s is left", path)
		}
		if err == nil && e.IsDir() && strings.HasSuffix(path, ".p") {
			rel, _ := filepath.Rel(dir, path)
			got = append(got, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	if !slices.Equal(got, keep) {
		t.Errorf("directories of partial tiles are\n%v, want\n%v", got, keep)
	}
}

// partials lists where trees of some sizes have partial tiles.
func partials(sizes ...uint64) []string {
	var out []string
	for _, size := range sizes {
		for l := -1; l < 8; l++ {
			c := size >> (8 * max(l, 0))
			if c%256 > 0 {
				out = append(out, filepath.Dir(tilePath(tlog.Tile{H: 8, L: l, N: int64(c / 256), W: int(c % 256)})))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func TestPublishTilesRefuses(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	d := draw()
	for range 3 {
		appendTo(t, s, d, 5, 20)
	}
	dir := t.TempDir()
	if err := s.PublishTiles(dir, d.blocks[1].Size, note(d.blocks[1])); err != nil {
		t.Fatal(err)
	}
	other := d.blocks[2]
	other.Root[0]++
	beyond := d.blocks[2]
	beyond.Size += 100
	for name, b := range map[string]store.Block{"root": other, "size": beyond, "smaller": d.blocks[0]} {
		if err := s.PublishTiles(dir, b.Size, note(b)); !errors.Is(err, store.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.PublishTiles(dir, d.blocks[2].Size, note(d.blocks[1])); !errors.Is(err, store.ErrRefused) {
		t.Errorf("checkpoint of another size: %v", err)
	}
	if err := s.PublishTiles(dir, d.blocks[2].Size, []byte("nonsense")); !errors.Is(err, store.ErrRefused) {
		t.Errorf("no checkpoint: %v", err)
	}
	checkTiles(t, dir, d, d.blocks[1].Size, d.blocks[1].Root)
	// Tiles of another ledger are not built upon.
	if err := os.WriteFile(filepath.Join(dir, "checkpoint"), note(store.Block{Commit: store.Commit{Size: 4, Root: block.Hash{1}}}), 0o600); err != nil {
		t.Fatal(err)
	}
	var fault *store.Fault
	if err := s.PublishTiles(dir, d.blocks[2].Size, note(d.blocks[2])); !errors.As(err, &fault) {
		t.Errorf("tiles of another ledger: %v", err)
	}
}

func TestPublishTilesFromAReader(t *testing.T) {
	s := open(t, t.TempDir(), store.Options{})
	d := draw()
	appendTo(t, s, d, 700, 20)
	r, _, err := store.OpenReader(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	dir := t.TempDir()
	if err := r.PublishTiles(dir, d.blocks[0].Size, note(d.blocks[0])); err != nil {
		t.Fatal(err)
	}
	checkTiles(t, dir, d, d.blocks[0].Size, d.blocks[0].Root)
}
