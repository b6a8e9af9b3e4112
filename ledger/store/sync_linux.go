package store

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
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

// syncFileSystems makes the file systems that dirs lie on durable, each once. With
// hundreds of files that is one entry of the journal instead of hundreds. It takes
// along what others wrote there, which they want on the disk too. done is false
// where the kernel does not have it.
func syncFileSystems(dirs []string) (done bool, err error) {
	seen := make(map[uint64]bool)
	for _, dir := range dirs {
		d, err := os.Open(dir)
		if err != nil {
			return false, err
		}
		var st unix.Stat_t
		if err = unix.Fstat(int(d.Fd()), &st); err == nil && !seen[st.Dev] {
			seen[st.Dev] = true
			err = unix.Syncfs(int(d.Fd()))
		}
		if err != nil {
			err = &os.PathError{Op: "syncfs", Path: dir, Err: err}
		}
		err = errors.Join(err, d.Close())
		switch {
		case errors.Is(err, unix.ENOSYS):
			return false, nil
		case err != nil:
			return false, err
		}
	}
	return true, nil
}
