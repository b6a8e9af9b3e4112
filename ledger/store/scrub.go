package store

import (
	"errors"
	"fmt"
	"os"

	bolt "go.etcd.io/bbolt"
)

// Scrub writes index.db anew, without what was deleted from it or replaced in it, whose
// bytes bbolt leaves where they were. An index that was set aside as damaged goes too. It
// flushes first, and other calls wait meanwhile.
func (s *Store) Scrub() error {
	s.appending.Lock()
	defer s.appending.Unlock()
	if err := s.Flush(); err != nil {
		return err
	}
	x := s.index
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.shut {
		return ErrClosed
	}
	fail := func(err error) error { return fmt.Errorf("writing %s anew: %w", indexFile, err) }
	tmp := x.path + tempSuffix
	if err := ignoreMissing(os.Remove(tmp)); err != nil {
		return fail(err)
	}
	options := &bolt.Options{Timeout: indexLockTimeout, FreelistType: bolt.FreelistMapType, NoSync: s.options.noSync}
	fresh, err := bolt.Open(tmp, 0o600, options)
	if err != nil {
		return fail(err)
	}
	err = guard(func() error { return bolt.Compact(fresh, x.db, 1<<20) })
	if err = errors.Join(err, fresh.Sync(), fresh.Close()); err != nil {
		return fail(errors.Join(err, os.Remove(tmp)))
	}
	// From here on the index is the one that is there after the next Open, whatever
	// fails: both hold the same.
	if err := guard(x.db.Close); err != nil {
		return fail(err)
	}
	renamed := s.options.disk.Rename(tmp, x.path)
	if x.db, err = bolt.Open(x.path, 0o600, options); err != nil {
		x.shut = true
		return fail(errors.Join(renamed, err))
	}
	if renamed != nil {
		return fail(renamed)
	}
	if err := ignoreMissing(os.Remove(x.path + ".damaged")); err != nil {
		return fail(err)
	}
	return s.options.disk.SyncDir(s.dir)
}
