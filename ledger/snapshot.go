package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

// SnapshotsDir is where a ledger's directory has its snapshots, a file for each, named
// for the block before which it was taken. They hold the newest readings of hidden
// metering points: they are for oracles and never for the public.
const SnapshotsDir = "snapshots"

// keptSnapshots is how many are kept.
const keptSnapshots = 2

// keepSnapshot writes a snapshot that a block has stated, and removes the oldest ones.
// One that is lost in a crash is lost: other oracles have it, and the next one comes.
func (l *Ledger) keepSnapshot(height uint64, b []byte) error {
	dir := filepath.Join(l.dir, SnapshotsDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("keeping snapshot: %w", err)
	}
	name := filepath.Join(dir, strconv.FormatUint(height, 10))
	f, err := os.OpenFile(name+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("keeping snapshot: %w", err)
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(name+".tmp", name)
	}
	if err != nil {
		return fmt.Errorf("keeping snapshot: %w", err)
	}
	heights, err := Snapshots(l.dir)
	if err != nil {
		return err
	}
	for ; len(heights) > keptSnapshots; heights = heights[1:] {
		if err := os.Remove(SnapshotFile(l.dir, heights[0])); err != nil {
			return fmt.Errorf("removing an old snapshot: %w", err)
		}
	}
	return nil
}

// SnapshotFile is the name of the snapshot that was taken before a block.
func SnapshotFile(dir string, height uint64) string {
	return filepath.Join(dir, SnapshotsDir, strconv.FormatUint(height, 10))
}

// Snapshots returns the heights of the snapshots in a ledger's directory, ascending.
func Snapshots(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(filepath.Join(dir, SnapshotsDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
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

// removeSnapshots removes all of them: they hold what was to be forgotten.
func (l *Ledger) removeSnapshots() error { return os.RemoveAll(filepath.Join(l.dir, SnapshotsDir)) }
