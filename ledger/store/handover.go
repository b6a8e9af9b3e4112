package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// handoverDir holds what shows that an oracle set handed a ledger over to the next
// one, a file for each, named for the first block of the new set. The bytes are the
// auditor's and opaque here. They cannot be made again once the oracles of the set
// before are gone, and lie among the tiles too, for whoever follows the sets.
const (
	handoverDir = "handover"
	maxHandover = 16 << 20
	// handoverIndex names them among the tiles, a height a line.
	handoverIndex = "index"
)

// SetHandover keeps what shows that the set in force from a height on was agreed to
// by the one before. It is durable on return.
func (s *Store) SetHandover(height uint64, b []byte) error {
	dir := filepath.Join(s.dir, handoverDir)
	if len(b) > maxHandover {
		return fmt.Errorf("keeping the handover of block %d: %w: %d bytes, over the limit of %d", height, ErrRefused, len(b), maxHandover)
	}
	if err := makeDir(s.options.disk, dir, privateDir); err != nil {
		return fmt.Errorf("keeping the handover of block %d: %w", height, err)
	}
	if err := replaceFile(s.options.disk, filepath.Join(dir, strconv.FormatUint(height, 10)), privateFile, b); err != nil {
		return fmt.Errorf("keeping the handover of block %d: %w", height, err)
	}
	return nil
}

// Handovers returns the heights of which there is a handover, ascending.
func (r *Reader) Handovers() ([]uint64, error) { return handoversIn(r.dir) }

func handoversIn(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(filepath.Join(dir, handoverDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []uint64
	for _, e := range entries {
		if h, err := strconv.ParseUint(e.Name(), 10, 64); err == nil {
			out = append(out, h)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Handover returns what SetHandover kept for a height.
func (r *Reader) Handover(height uint64) ([]byte, error) {
	path := filepath.Join(r.dir, handoverDir, strconv.FormatUint(height, 10))
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.Size() > maxHandover {
		return nil, fmt.Errorf("%s has %d bytes, over the limit of %d", path, st.Size(), maxHandover)
	}
	return os.ReadFile(path)
}

// publishHandovers puts among the tiles what is not there, or not the same.
func (p *publication) publishHandovers() error {
	heights, err := p.r.Handovers()
	if err != nil || len(heights) == 0 {
		return err
	}
	dir := filepath.Join(p.dir, handoverDir)
	if err := makeDir(p.disk, dir, publicDir); err != nil {
		return err
	}
	var index []byte
	for _, h := range heights {
		index = fmt.Appendln(index, h)
		b, err := p.r.Handover(h)
		if err != nil {
			return err
		}
		name := filepath.Join(dir, strconv.FormatUint(h, 10))
		if was, err := os.ReadFile(name); err == nil && bytes.Equal(was, b) {
			continue
		}
		if err := replaceFile(p.disk, name, publicFile, b); err != nil {
			return err
		}
	}
	name := filepath.Join(dir, handoverIndex)
	if was, err := os.ReadFile(name); err == nil && bytes.Equal(was, index) {
		return nil
	}
	return replaceFile(p.disk, name, publicFile, index)
}
