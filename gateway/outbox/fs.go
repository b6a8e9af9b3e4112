package outbox

import "io"

// FS is the file system under an outbox. [Disk] is the real one; the tests
// have one that keeps what was written apart from what was made durable, and
// loses power.
//
// Names are paths as the caller of Open spelled them. Errors are returned as
// they are; after a failed Sync the outbox trusts nothing written since the
// last one that succeeded.
type FS interface {
	// MkdirAll makes a directory and its parents, durably, if absent.
	MkdirAll(dir string) error
	// Lock takes the file name for this process alone, or fails at once. The
	// kernel gives it back when the process ends, however it ends.
	Lock(name string) (io.Closer, error)
	// ReadDir returns the names of the files in dir, sorted.
	ReadDir(dir string) ([]string, error)
	// Create makes a new, empty file, and fails if the name is taken.
	Create(name string) (File, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Rename gives a file a new name, atomically replacing what had it.
	Rename(from, to string) error
	// Remove unlinks a file.
	Remove(name string) error
	// SyncDir makes all creations, renames and removals in dir durable.
	SyncDir(dir string) error
}

// File is one open file of an FS.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the length in bytes.
	Size() (int64, error)
	// Sync makes all bytes written so far, and the length, durable.
	Sync() error
}
