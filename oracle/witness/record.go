package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// recordFile is what a witness cosigned last of a ledger: the checkpoint with the
// signatures that were verified and its own.
const recordFile = "checkpoint"

// originHash names a ledger in paths (C2SP tlog-witness, monitoring).
func originHash(origin string) string {
	sum := sha256.Sum256([]byte(origin))
	return hex.EncodeToString(sum[:])
}

func readRecord(dir string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// writeRecord replaces the record, durably: after a crash it is the old one or the new
// one, and the new one once writeRecord has returned.
func writeRecord(dir string, note []byte) error {
	temp := filepath.Join(dir, recordFile+".new")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("keeping a checkpoint: %w", err)
	}
	_, err = f.Write(note)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keeping a checkpoint: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(dir, recordFile)); err != nil {
		return fmt.Errorf("keeping a checkpoint: %w", err)
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("keeping a checkpoint: %w", err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("keeping a checkpoint: %w", err)
	}
	return nil
}

// makeDir makes a directory and what names it durable.
func makeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("witness's directory: %w", err)
	}
	return syncDir(filepath.Dir(dir))
}
