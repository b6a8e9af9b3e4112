//go:build !linux

package outbox

import (
	"io"
	"os"
	"runtime"
)

// Lock only makes the file: gateways run on Linux, and elsewhere the demo
// makes a directory of its own.
func (disk) Lock(name string) (io.Closer, error) {
	return os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
}

// SyncDir does nothing on Windows, which has no such operation.
func (disk) SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func (f diskFile) Sync() error { return f.File.Sync() }

// Free knows nothing on this system: a limit of half the free space is none.
func Free(string) (int64, error) { return 1 << 62, nil }
