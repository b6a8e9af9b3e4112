package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"wattmark/ledger/block"
)

// CheckTiles compares everything that was published in dir for the size of its
// checkpoint with the ledger, byte by byte.
func (r *Reader) CheckTiles(dir string) ([]Fault, error) {
	c, err := readCheckpoint(dir)
	var fault *Fault
	switch {
	case errors.As(err, &fault):
		return []Fault{*fault}, nil
	case err != nil:
		return nil, err
	case c == nil:
		return nil, nil
	}
	path := filepath.Join(dir, checkpointFile)
	if _, err := r.blockFor(c); errors.Is(err, ErrRefused) {
		return []Fault{*damaged(path, 0, remedyTiles, "%v", err)}, nil
	} else if err != nil {
		return nil, err
	}
	t := &tilesCheck{r: r, dir: dir, size: c.size}
	return t.run()
}

type tilesCheck struct {
	r      *Reader
	dir    string
	size   uint64
	faults []Fault
}

func (t *tilesCheck) run() ([]Fault, error) {
	var bundle, row []byte
	err := t.r.Leaves(0, t.size, func(i uint64, leaf []byte) error {
		bundle = append(binary.BigEndian.AppendUint16(bundle, uint16(len(leaf))), leaf...)
		h := block.LeafHash(leaf)
		row = append(row, h[:]...)
		width := int(i%tileWidth) + 1
		if width < tileWidth && i+1 < t.size {
			return nil
		}
		err := errors.Join(t.compare(entriesDir, i/tileWidth, width, bundle), t.compare("0", i/tileWidth, width, row))
		bundle, row = bundle[:0], row[:0]
		return err
	})
	for l := 1; err == nil && t.size>>(tileHeight*l) > 0; l++ {
		err = t.checkLevel(l)
	}
	return t.faults, err
}

func (t *tilesCheck) checkLevel(l int) error {
	size := t.size >> (tileHeight * l)
	for n := uint64(0); n*tileWidth < size; n++ {
		var row []byte
		width := min(size-n*tileWidth, tileWidth)
		for i := range width {
			h, err := t.r.Node(tileHeight*l, n*tileWidth+i)
			if err != nil {
				return err
			}
			row = append(row, h[:]...)
		}
		if err := t.compare(strconv.Itoa(l), n, int(width), row); err != nil {
			return err
		}
	}
	return nil
}

func (t *tilesCheck) compare(level string, n uint64, width int, want []byte) error {
	path := filepath.Join(t.dir, tilePath(level, n, width))
	got, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.faults = append(t.faults, *damaged(path, -1, remedyTiles, "the tile is missing"))
	case err != nil:
		return fmt.Errorf("checking tiles: %w", err)
	case !bytes.Equal(got, want):
		at := 0
		for at < len(got) && at < len(want) && got[at] == want[at] {
			at++
		}
		t.faults = append(t.faults, *damaged(path, int64(at), remedyTiles, "it is not what the leaves make it"))
	}
	return nil
}
