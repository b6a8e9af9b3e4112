package store

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Forget removes a subject's packs, salts and all, and returns how many there
// were. Files that had any are written anew without them, and the old ones are
// unlinked: on return no file of the vault holds them. (What a disk keeps of unlinked
// files is the disk's: encrypt it.) Forget may be called again after an error or
// a crash, and then does the rest.
func (v *Vault) Forget(subject string) (n int, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.failed != nil:
		return 0, v.failed
	case v.readOnly:
		return 0, fmt.Errorf("%w: the vault was opened for reading", ErrRefused)
	}
	days, err := v.days()
	if err != nil {
		return 0, err
	}
	v.leave()
	for _, day := range days {
		m, err := v.forgetDay(day, subject)
		n += m
		if err != nil {
			// The index may not fit the file: opening again makes it fit.
			v.failed = fmt.Errorf("forgetting %q: vault %s: open it again and repeat: %w", subject, day, err)
			return n, v.failed
		}
	}
	return n, nil
}

func (v *Vault) forgetDay(day, subject string) (n int, err error) {
	f, salt, size, err := v.openDay(day)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if _, err := v.scanDay(f, day, salt, segmentHead, size, func(p Pack, _ int64) error {
		if p.Subject == subject {
			n++
		}
		return nil
	}, noMore); err != nil || n == 0 {
		return 0, err
	}
	w := &packWriter{v: v, day: day, salt: newSalt(), end: segmentHead}
	tmp := v.path(day) + tempSuffix
	if w.f, err = v.disk.Open(tmp, privateFile); err != nil {
		return 0, err
	}
	err = w.rewrite(f, salt, size, subject)
	if err = errors.Join(err, w.f.Close()); err != nil {
		return 0, err
	}
	if err := v.disk.Rename(tmp, v.path(day)); err != nil {
		return 0, err
	}
	if err := v.disk.SyncDir(v.dir); err != nil {
		return n, err
	}
	return n, v.index.redo(day, w.reindex)
}

// packWriter writes a day's file anew.
type packWriter struct {
	v    *Vault
	day  string
	salt uint32
	f    file
	end  int64
	b    []byte
	n    uint32
}

func (w *packWriter) rewrite(old file, salt uint32, size int64, without string) error {
	if err := w.f.Truncate(0); err != nil {
		return err
	}
	if _, err := w.f.WriteAt(encodeHead(packsMagic, 0, w.salt), 0); err != nil {
		return err
	}
	_, err := w.v.scanDay(old, w.day, salt, segmentHead, size, func(p Pack, _ int64) error {
		if p.Subject == without {
			return nil
		}
		w.b = appendRecord(w.b, w.salt, kindPack, p.encode())
		w.n++
		if len(w.b) < scanBuffer {
			return nil
		}
		return w.flush()
	}, noMore)
	if err != nil {
		return err
	}
	if w.n > 0 {
		w.b = appendRecord(w.b, w.salt, kindDone, binary.BigEndian.AppendUint32(nil, w.n))
	}
	if err := w.flush(); err != nil {
		return err
	}
	return w.f.Sync()
}

func (w *packWriter) flush() error {
	if _, err := w.f.WriteAt(w.b, w.end); err != nil {
		return err
	}
	w.end += int64(len(w.b))
	w.b = w.b[:0]
	return nil
}

// reindex takes up the new file's packs.
func (w *packWriter) reindex() error {
	_, err := w.v.catchUpDay(w.day)
	return err
}

// Of returns the digests of a subject's packs.
func (v *Vault) Of(subject string) (digests [][32]byte, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.failed != nil {
		return nil, v.failed
	}
	days, err := v.days()
	if err != nil {
		return nil, err
	}
	for _, day := range days {
		f, salt, size, err := v.openDay(day)
		if err != nil {
			return nil, err
		}
		_, err = v.scanDay(f, day, salt, segmentHead, size, func(p Pack, _ int64) error {
			if p.Subject == subject {
				digests = append(digests, p.Digest)
			}
			return nil
		}, noMore)
		if err := errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	return digests, nil
}
