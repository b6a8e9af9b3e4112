package store

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"wattmark/ledger/block"
)

const (
	checkpointFile = "checkpoint"
	maxCheckpoint  = 64 << 10
)

// finalCheckpoint is the newest signed checkpoint of a final block.
type finalCheckpoint struct {
	mu     sync.Mutex // guards the fields below and the file
	note   []byte
	height uint64
}

// checkpoint is what the store reads of a signed checkpoint: not its signatures.
type checkpoint struct {
	note   []byte
	origin string
	size   uint64
	root   block.Hash
}

func parseCheckpoint(note []byte) (*checkpoint, error) {
	if len(note) > maxCheckpoint {
		return nil, fmt.Errorf("%d bytes, over the limit of %d", len(note), maxCheckpoint)
	}
	text, _, ok := bytes.Cut(note, []byte("\n\n"))
	if !ok {
		return nil, errors.New("no signatures below the text")
	}
	c, err := block.ParseCheckpoint(string(text) + "\n")
	if err != nil {
		return nil, err
	}
	return &checkpoint{note: note, origin: c.Origin, size: c.Size, root: c.Root}, nil
}

// blockFor returns the block that a checkpoint is for. An error that wraps
// ErrRefused says that there is none.
func (r *Reader) blockFor(c *checkpoint) (Commit, error) {
	if c.size == 0 || c.size > r.Size() {
		return Commit{}, fmt.Errorf("%w: a checkpoint of %d leaves, of %d in the store", ErrRefused, c.size, r.Size())
	}
	commit, err := r.commitAfter(c.size - 1)
	if err != nil {
		return commit, err
	}
	leaf, err := r.Leaf(commit.Size - 1)
	if err != nil {
		return commit, err
	}
	h, err := block.ParseHeader(leaf)
	if err != nil {
		return commit, fmt.Errorf("leaf %d: %w", commit.Size-1, err)
	}
	if commit.Size != c.size || commit.Root != c.root || h.Origin != c.origin {
		return commit, fmt.Errorf("%w: a checkpoint of %q with %d leaves and root %v, where block %d of %q has %d and %v",
			ErrRefused, c.origin, c.size, c.root, commit.Height, h.Origin, commit.Size, commit.Root)
	}
	return commit, nil
}

// readCheckpoint reads the file of a store; nil if there is none.
func readCheckpoint(dir string) (*checkpoint, error) {
	path := filepath.Join(dir, checkpointFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := parseCheckpoint(b)
	if err != nil {
		return nil, damaged(path, 0, remedyFinal, "%v", err)
	}
	return c, nil
}

// SetFinal keeps the signed checkpoint of a final block, durably, instead of the
// one before. It must be that of the block stored at height, whose checkpoint's
// size and root it has; older ones than the one kept are refused. Signatures are
// the caller's business.
func (s *Store) SetFinal(note []byte, height uint64) error {
	c, err := parseCheckpoint(note)
	if err != nil {
		return fmt.Errorf("%w: final checkpoint of block %d: %w", ErrRefused, height, err)
	}
	b, err := s.blockFor(c)
	if err != nil {
		return fmt.Errorf("final checkpoint of block %d: %w", height, err)
	}
	if b.Height != height {
		return fmt.Errorf("%w: the final checkpoint of block %d is that of block %d", ErrRefused, height, b.Height)
	}
	f := &s.final
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.note != nil && height < f.height {
		return fmt.Errorf("%w: the final checkpoint of block %d after that of block %d", ErrRefused, height, f.height)
	}
	if err := replaceFile(s.disk, filepath.Join(s.dir, checkpointFile), privateFile, note); err != nil {
		return err
	}
	f.note, f.height = bytes.Clone(note), height
	return nil
}

// Final returns the newest final checkpoint and its block's height; false if
// there is none. The slice must not be changed.
func (s *Store) Final() (note []byte, height uint64, ok bool) {
	f := &s.final
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.note, f.height, f.note != nil
}

// Final returns the newest final checkpoint in the store's directory and its
// block's height; false if there is none among the blocks that r sees.
func (r *Reader) Final() (note []byte, height uint64, ok bool, err error) {
	c, err := readCheckpoint(r.dir)
	if err != nil || c == nil || c.size > r.Size() {
		return nil, 0, false, err
	}
	b, err := r.blockFor(c)
	if errors.Is(err, ErrRefused) {
		err = damaged(filepath.Join(r.dir, checkpointFile), 0, remedyFinal, "%v", err)
	}
	return c.note, b.Height, err == nil, err
}

func (s *Store) loadFinal() error {
	note, height, ok, err := s.Reader.Final()
	if ok {
		s.final.note, s.final.height = note, height
	}
	return err
}
