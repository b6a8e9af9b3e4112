package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Tiles have the form of C2SP tlog-tiles.
const (
	tileWidth  = 256
	tileHeight = 8
	tilesDir   = "tile"
	entriesDir = "entries"
)

// tilePath returns the path of a tile or, for level "entries", of an entry
// bundle: "tile/0/x001/x234/067", with ".p/7" behind it for a partial one of 7.
func tilePath(level string, n uint64, width int) string {
	path := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if width < tileWidth {
		path += ".p/" + strconv.Itoa(width)
	}
	return filepath.Join(tilesDir, level, filepath.FromSlash(path))
}

// parseTileNumber is the inverse of the middle of tilePath.
func parseTileNumber(path string) (n uint64, ok bool) {
	parts := strings.Split(filepath.ToSlash(path), "/")
	for i, p := range parts {
		digits, x := strings.CutPrefix(p, "x")
		d, err := strconv.ParseUint(digits, 10, 16)
		if err != nil || len(digits) != 3 || x != (i < len(parts)-1) || n > 1<<50 {
			return 0, false
		}
		n = n*1000 + d
	}
	return n, true
}

// PublishTiles writes the static tiles of the first size leaves to dir, and last
// a signed checkpoint of that size, so that any file server can serve the ledger.
// What dir/checkpoint says was published before is not written again, and a call
// that was interrupted can be repeated. Every file is replaced by a rename and is
// durable before the checkpoint names it: a crash leaves no more than wrong files of
// leaves behind the checkpoint. Partial tiles go when the full
// tile is there, except those of the checkpoint before.
//
// Each call costs some fsyncs: publish now and then, not with every block of a busy
// ledger.
func (r *Reader) PublishTiles(dir string, size uint64, checkpoint []byte) error {
	c, err := parseCheckpoint(checkpoint)
	if err != nil {
		return fmt.Errorf("publishing tiles: %w: checkpoint: %w", ErrRefused, err)
	}
	if c.size != size {
		return fmt.Errorf("publishing tiles: %w: a checkpoint of %d leaves for %d", ErrRefused, c.size, size)
	}
	if _, err := r.blockFor(c); err != nil {
		return fmt.Errorf("publishing tiles: %w", err)
	}
	r.publishing.Lock()
	defer r.publishing.Unlock()
	d := r.disk
	if _, ok := d.(readOnlyDisk); ok {
		d = osDisk{} // what is read-only is the store, not dir
	}
	if err := makeDir(d, dir, publicDir); err != nil {
		return fmt.Errorf("publishing tiles: %w", err)
	}
	old, err := readCheckpoint(dir)
	if err != nil {
		return fmt.Errorf("publishing tiles: %w", err)
	}
	p := publication{r: r, disk: d, dir: dir, size: size, dirs: make(map[string]bool)}
	if old != nil {
		if p.old = old.size; p.old > size {
			return fmt.Errorf("publishing tiles: %w: %d leaves were published in %s before, these are %d", ErrRefused, p.old, dir, size)
		}
		if _, err := r.blockFor(old); err != nil {
			return fmt.Errorf("publishing tiles: %w", damaged(filepath.Join(dir, checkpointFile), 0, remedyTiles, "what is there is of another ledger: %v", err))
		}
	}
	if err := p.publish(checkpoint, old); err != nil {
		return fmt.Errorf("publishing tiles in %s: %w", dir, err)
	}
	return nil
}

// publication is one call of PublishTiles.
type publication struct {
	r         *Reader
	disk      disk
	dir       string
	old, size uint64
	files     []string        // that were written, durable at the end
	dirs      map[string]bool // in which they are
}

func (p *publication) publish(checkpoint []byte, old *checkpoint) error {
	if p.old < p.size {
		if err := p.writeBundles(); err != nil {
			return err
		}
		for l := 0; p.size>>(tileHeight*l) > 0; l++ {
			if err := p.writeTiles(l); err != nil {
				return err
			}
		}
		if err := p.disk.SyncAll(p.files, slices.Sorted(maps.Keys(p.dirs))); err != nil {
			return err
		}
	}
	if err := p.publishHandovers(); err != nil {
		return err
	}
	if old == nil || !bytes.Equal(old.note, checkpoint) {
		if err := replaceFile(p.disk, filepath.Join(p.dir, checkpointFile), publicFile, checkpoint); err != nil {
			return err
		}
	}
	if p.old < p.size {
		return p.removePartials()
	}
	return nil
}

func (p *publication) write(level string, n uint64, width int, content []byte) error {
	path := filepath.Join(p.dir, tilePath(level, n, width))
	dir := filepath.Dir(path)
	if !p.dirs[dir] {
		if err := makeDir(p.disk, dir, publicDir); err != nil {
			return err
		}
		p.dirs[dir] = true
	}
	p.files = append(p.files, path)
	// A file that a crash leaves empty is behind the checkpoint, and written again.
	return renameInto(p.disk, path, publicFile, content, nil)
}

// writeTiles writes what is new of a level.
func (p *publication) writeTiles(l int) error {
	old, size := p.old>>(tileHeight*l), p.size>>(tileHeight*l)
	if old == size {
		return nil
	}
	tile := make([]byte, 0, tileWidth*hashSize)
	for n := old / tileWidth; n*tileWidth < size; n++ {
		width := min(size-n*tileWidth, tileWidth)
		tile = tile[:0]
		for i := range width {
			h, err := p.r.Node(tileHeight*l, n*tileWidth+i)
			if err != nil {
				return err
			}
			tile = append(tile, h[:]...)
		}
		if err := p.write(strconv.Itoa(l), n, int(width), tile); err != nil {
			return err
		}
	}
	return nil
}

// writeBundles writes what is new of the leaves.
func (p *publication) writeBundles() error {
	first := p.old / tileWidth * tileWidth
	var bundle []byte
	return p.r.Leaves(first, p.size, func(i uint64, leaf []byte) error {
		bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf))), leaf...)
		width := i%tileWidth + 1
		if width < tileWidth && i+1 < p.size {
			return nil
		}
		err := p.write(entriesDir, i/tileWidth, int(width), bundle)
		bundle = bundle[:0]
		return err
	})
}

// removePartials removes the partial tiles of publications before the last one
// whose full tile is there. Which they are is remembered, or looked for the
// first time.
func (p *publication) removePartials() error {
	before, known := p.r.published[p.dir]
	if p.r.published == nil {
		p.r.published = make(map[string]uint64)
	}
	p.r.published[p.dir] = p.old
	if !known {
		return p.sweep()
	}
	for l := -1; l < 8; l++ {
		level, shift := strconv.Itoa(l), tileHeight*max(l, 0)
		if l < 0 {
			level = entriesDir
		}
		if before>>shift == 0 {
			continue
		}
		n := before >> shift / tileWidth
		if p.superseded(n, shift) {
			if err := p.removePartial(filepath.Dir(filepath.Join(p.dir, tilePath(level, n, 1)))); err != nil {
				return err
			}
		}
	}
	return nil
}

// superseded reports whether nobody needs partial tile n of a level any more.
func (p *publication) superseded(n uint64, shift int) bool {
	return n < p.size>>shift/tileWidth && n != p.old>>shift/tileWidth
}

func (p *publication) removePartial(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, n := range names {
		if err := p.disk.Remove(filepath.Join(dir, n.Name())); err != nil {
			return err
		}
	}
	return p.disk.Remove(dir)
}

func (p *publication) sweep() error {
	var gone []string
	root := filepath.Join(p.dir, tilesDir)
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() || !strings.HasSuffix(path, ".p") {
			return err
		}
		rel, err := filepath.Rel(root, strings.TrimSuffix(path, ".p"))
		if err != nil {
			return err
		}
		level, number, _ := strings.Cut(filepath.ToSlash(rel), "/")
		n, ok := parseTileNumber(number)
		l, err := strconv.ParseUint(level, 10, 6)
		if !ok || err != nil && level != entriesDir {
			return fs.SkipDir // not ours
		}
		if p.superseded(n, tileHeight*int(l)) {
			gone = append(gone, path)
		}
		return fs.SkipDir
	})
	for _, dir := range gone {
		if err == nil {
			err = p.removePartial(dir)
		}
	}
	return err
}
