package store

import (
	"os"
	"syscall"
)

// dataSync makes content and size durable; times of access may wait, which
// saves a journal entry a block.
func dataSync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
		return nil
	}
}
