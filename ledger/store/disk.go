package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// disk is what the store asks of a file system when it writes. Tests put one in
// its place that fails, or forgets what was not synced.
type disk interface {
	// Open opens a file for reading and writing. Unless create is 0 it makes an
	// absent one with that mode.
	Open(name string, create fs.FileMode) (file, error)
	// Rename replaces to by from. It is durable after SyncDir.
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
	// SyncAll makes files that were written and closed durable, and what SyncDir
	// does for dirs. The files lie in these.
	SyncAll(files, dirs []string) error
}

// file is an open file of a disk. Offsets and sizes are in bytes.
type file interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Truncate(size int64) error
	// Sync makes the content and the size durable.
	Sync() error
	Close() error
}

// osDisk is the machine's.
type osDisk struct{}

type osFile struct{ *os.File }

// Modes of files: what a store keeps is the oracle's, tiles are everybody's.
const (
	privateFile fs.FileMode = 0o600
	publicFile  fs.FileMode = 0o644
)

func (osDisk) Open(name string, create fs.FileMode) (file, error) {
	flag := os.O_RDWR
	if create != 0 {
		flag |= os.O_CREATE
	}
	f, err := os.OpenFile(name, flag, create)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (osDisk) Remove(name string) error     { return os.Remove(name) }

func (osDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// syncEach is up to how many files are synced one by one; for more, whole file
// systems are, where that can be done.
const syncEach = 16

func (d osDisk) SyncAll(files, dirs []string) error {
	if len(files) > syncEach {
		if done, err := syncFileSystems(dirs); done || err != nil {
			return err
		}
	}
	for _, name := range files {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(dataSync(f), f.Close()); err != nil {
			return err
		}
	}
	for _, dir := range dirs {
		if err := d.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f osFile) Sync() error { return dataSync(f.File) }

// readOnlyDisk is the machine's for somebody who may not write.
type readOnlyDisk struct{ osDisk }

func (readOnlyDisk) Open(name string, _ fs.FileMode) (file, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

const tempSuffix = ".tmp"

// replaceFile puts content under name, durably and at once: readers and crashes
// find the old content or the new.
func replaceFile(d disk, name string, mode fs.FileMode, content []byte) error {
	if err := renameInto(d, name, mode, content, file.Sync); err != nil {
		return err
	}
	if err := d.SyncDir(filepath.Dir(name)); err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	return nil
}

// renameInto is replaceFile for those who replace many, and make them durable
// together: sync is what is done to each before it gets its name, or nil.
func renameInto(d disk, name string, mode fs.FileMode, content []byte, sync func(file) error) error {
	tmp := name + tempSuffix
	err := func() error {
		f, err := d.Open(tmp, mode)
		if err != nil {
			return err
		}
		defer f.Close()
		// A file left by a crash may be longer.
		if err := f.Truncate(0); err != nil {
			return err
		}
		if _, err := f.WriteAt(content, 0); err != nil || sync == nil {
			return err
		}
		return sync(f)
	}()
	if err != nil {
		return fmt.Errorf("writing %s: %w", tmp, err)
	}
	if err := d.Rename(tmp, name); err != nil {
		return fmt.Errorf("replacing %s: %w", name, err)
	}
	return nil
}

// makeDir makes a directory and the way to it, durably.
func makeDir(d disk, dir string, mode fs.FileMode) error {
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(d, parent, mode); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.SyncDir(parent)
}

// Modes of directories.
const (
	privateDir fs.FileMode = 0o700
	publicDir  fs.FileMode = 0o755
)

// readExactly fills p from offset off.
func readExactly(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
