package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	bolt "go.etcd.io/bbolt"
)

var (
	bucketPacks = []byte("packs") // digest (32) -> offset (8), day
	bucketDays  = []byte("days")  // day -> salt of its file (4), offset up to which it is indexed (8)
)

// location is where a pack is.
type location struct {
	day    string
	offset int64
}

// pendingPacks is after how many packs the vault's index is written. A crash
// costs reading so many again.
const pendingPacks = 4096

// vaultIndex says where packs are. It is derived from the files and written in
// groups: digests are random keys, which bbolt takes one by one at great cost.
type vaultIndex struct {
	path      string
	temporary bool
	noSync    bool
	db        *bolt.DB

	mu      sync.Mutex // guards the fields below; the vault's mu orders writers
	pending map[[32]byte]location
	days    map[string][]byte // entries for bucketDays
}

func openVaultIndex(path string, temporary, noSync bool) (x *vaultIndex, rebuilt string, err error) {
	x = &vaultIndex{path: path, temporary: temporary, noSync: temporary || noSync, pending: make(map[[32]byte]location), days: make(map[string][]byte)}
	err = x.open()
	var d *indexDamage
	if !errors.As(err, &d) {
		return x, "", err
	}
	if x.db != nil {
		guard(x.db.Close)
		x.db = nil
	}
	if err := os.Remove(path); err != nil {
		return x, "", err
	}
	return x, d.err.Error(), x.open()
}

func (x *vaultIndex) open() error {
	return guard(func() error {
		db, err := bolt.Open(x.path, 0o600, &bolt.Options{Timeout: indexLockTimeout, FreelistType: bolt.FreelistMapType, NoSync: x.noSync})
		if err != nil {
			return openingError(err)
		}
		x.db = db
		if err := checkLength(db); err != nil {
			return err
		}
		return makeBuckets(db, bucketPacks, bucketDays)
	})
}

// damage explains an error that bbolt's file caused.
func (x *vaultIndex) damage(err error) error {
	var d *indexDamage
	if errors.As(err, &d) {
		return damaged(x.path, -1, "close the vault, remove this file and open the vault for writing, which builds it again", "%v", d.err)
	}
	return err
}

func (x *vaultIndex) get(digest [32]byte) (at location, ok bool, err error) {
	x.mu.Lock()
	at, ok = x.pending[digest]
	x.mu.Unlock()
	if ok {
		return at, true, nil
	}
	err = guard(func() error {
		return x.db.View(func(tx *bolt.Tx) error {
			v := tx.Bucket(bucketPacks).Get(digest[:])
			if len(v) > 8 {
				at, ok = location{day: string(v[8:]), offset: int64(binary.BigEndian.Uint64(v))}, true
			}
			return nil
		})
	})
	return at, ok, x.damage(err)
}

func (x *vaultIndex) put(digest [32]byte, at location) error {
	x.mu.Lock()
	x.pending[digest] = at
	full := len(x.pending) >= pendingPacks
	x.mu.Unlock()
	if full {
		return x.flush()
	}
	return nil
}

// indexed returns from where on a day's file is to be read. If it is not the file
// that was read before, what is known of it is dropped.
func (x *vaultIndex) indexed(day string, salt uint32) (int64, error) {
	v := x.days[day]
	err := guard(func() error {
		return x.db.View(func(tx *bolt.Tx) error {
			if v == nil {
				v = bytes.Clone(tx.Bucket(bucketDays).Get([]byte(day)))
			}
			return nil
		})
	})
	if err != nil {
		return 0, x.damage(err)
	}
	if len(v) == 12 && binary.BigEndian.Uint32(v) == salt {
		return int64(binary.BigEndian.Uint64(v[4:])), nil
	}
	if v != nil {
		if err := x.drop(func(d string) bool { return d == day }); err != nil {
			return 0, err
		}
	}
	return segmentHead, nil
}

func (x *vaultIndex) setIndexed(day string, salt uint32, end int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.days[day] = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(nil, salt), uint64(end))
}

// dropMissing forgets the files that are not there any more: an operator may
// remove a day.
func (x *vaultIndex) dropMissing(days []string) error {
	var gone []string
	err := guard(func() error {
		return x.db.View(func(tx *bolt.Tx) error {
			return tx.Bucket(bucketDays).ForEach(func(day, _ []byte) error {
				if !slices.Contains(days, string(day)) {
					gone = append(gone, string(day))
				}
				return nil
			})
		})
	})
	if err != nil || len(gone) == 0 {
		return x.damage(err)
	}
	return x.drop(func(day string) bool { return slices.Contains(gone, day) })
}

// redo drops what is known of a day, whose file was replaced, and has it read
// again.
func (x *vaultIndex) redo(day string, read func() error) error {
	if err := x.drop(func(d string) bool { return d == day }); err != nil {
		return err
	}
	if err := read(); err != nil {
		return err
	}
	return x.flush()
}

// drop removes the entries of some days.
func (x *vaultIndex) drop(which func(day string) bool) error {
	if err := x.flush(); err != nil {
		return err
	}
	err := guard(func() error {
		return x.db.Update(func(tx *bolt.Tx) error {
			err := deleteWhere(tx.Bucket(bucketDays), func(k, _ []byte) bool { return which(string(k)) })
			if err != nil {
				return err
			}
			return deleteWhere(tx.Bucket(bucketPacks), func(_, v []byte) bool { return len(v) <= 8 || which(string(v[8:])) })
		})
	})
	return x.damage(err)
}

func deleteWhere(b *bolt.Bucket, which func(k, v []byte) bool) error {
	var gone [][]byte
	err := b.ForEach(func(k, v []byte) error {
		if which(k, v) {
			gone = append(gone, bytes.Clone(k))
		}
		return nil
	})
	for _, k := range gone {
		if err == nil {
			err = b.Delete(k)
		}
	}
	return err
}

func (x *vaultIndex) flush() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.pending) == 0 && len(x.days) == 0 {
		return nil
	}
	err := guard(func() error {
		return x.db.Update(func(tx *bolt.Tx) error {
			digests := make([][32]byte, 0, len(x.pending))
			for d := range x.pending {
				digests = append(digests, d)
			}
			slices.SortFunc(digests, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
			for i, d := range digests {
				at := x.pending[d]
				v := append(binary.BigEndian.AppendUint64(nil, uint64(at.offset)), at.day...)
				if err := tx.Bucket(bucketPacks).Put(digests[i][:], v); err != nil {
					return err
				}
			}
			for day, v := range x.days {
				if err := tx.Bucket(bucketDays).Put([]byte(strings.Clone(day)), v); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("writing the vault's index: %w", x.damage(err))
	}
	clear(x.pending)
	clear(x.days)
	return nil
}

func (x *vaultIndex) close() error {
	if x.db == nil {
		return nil
	}
	var err error
	if !x.temporary {
		err = x.flush()
	}
	err = errors.Join(err, guard(x.db.Close))
	if x.temporary {
		err = errors.Join(err, os.Remove(x.path))
	}
	return err
}
