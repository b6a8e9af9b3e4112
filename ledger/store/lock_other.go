//go:build !unix

package store

import (
	"errors"
	"os"
)

func lockFile(name string) (*os.File, error) {
	return nil, &os.PathError{Op: "lock", Path: name, Err: errors.ErrUnsupported}
}

func unlockFile(f *os.File) error { return f.Close() }
