package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"wattmark/signer"
)

const (
	indexFile        = "index.db"
	indexSetAside    = "index.db.damaged"
	indexVersion     = 1
	indexLockTimeout = time.Second
)

var (
	bucketMeta     = []byte("meta")     // "mark" -> mark
	bucketState    = []byte("state")    // key -> value, CRC-32C of key and value (4)
	bucketSequence = []byte("sequence") // key id (16), boot (8), count (8) -> leaf (8)
	bucketHeights  = []byte("heights")  // height (8) -> first leaf (8), size (8), order (8)
	keyMark        = []byte("mark")
)

// mark says up to where the derived files were synced and the index is complete,
// and to which height the state was brought.
type mark struct {
	commit  Commit
	any     bool   // commit is one
	segment uint64 // first leaf of the segment that commit is in
	end     int64  // offset after commit's record
	applied uint64 // height after the one that the state is at; 0 for no state
}

const markSize = 2 + commitPayload + 8 + 8 + 8 + 4

func (m *mark) encode() []byte {
	b := []byte{indexVersion, 0}
	if m.any {
		b[1] = 1
	}
	b = append(b, m.commit.encode()...)
	b = binary.BigEndian.AppendUint64(b, m.segment)
	b = binary.BigEndian.AppendUint64(b, uint64(m.end))
	b = binary.BigEndian.AppendUint64(b, m.applied)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parseMark(b []byte) (m mark, err error) {
	if len(b) != markSize || binary.BigEndian.Uint32(b[markSize-4:]) != crc32.Checksum(b[:markSize-4], castagnoli) {
		return m, errors.New("the mark in meta is damaged")
	}
	if b[0] != indexVersion {
		return m, fmt.Errorf("index version %d is not known", b[0])
	}
	m.any = b[1] == 1
	if m.commit, err = parseCommit(b[2 : 2+commitPayload]); err != nil {
		return m, err
	}
	b = b[2+commitPayload:]
	m.segment = binary.BigEndian.Uint64(b)
	m.end = int64(binary.BigEndian.Uint64(b[8:]))
	m.applied = binary.BigEndian.Uint64(b[16:])
	return m, nil
}

type sequenceKey [32]byte

func newSequenceKey(kid signer.KeyID, boot, count uint64) (k sequenceKey) {
	copy(k[:], kid[:])
	binary.BigEndian.PutUint64(k[16:], boot)
	binary.BigEndian.PutUint64(k[24:], count)
	return k
}

// changes are what the index takes up in one transaction.
type changes struct {
	mark      mark
	state     map[string][]byte // nil deletes
	sequences map[sequenceKey]uint64
	heights   []Block // ascending without gaps
	blocks    int
}

func newChanges(m mark) *changes {
	return &changes{mark: m, state: make(map[string][]byte), sequences: make(map[sequenceKey]uint64)}
}

func (c *changes) count() int { return len(c.state) + len(c.sequences) + len(c.heights) }

// index is index.db and what waits to be written to it.
type index struct {
	path string
	db   *bolt.DB

	flushing sync.Mutex // held by the one who flushes

	mu      sync.RWMutex // guards the fields below
	pending *changes
	writing *changes // being flushed, or nil; not changed
	saved   mark     // the one in index.db
	shut    bool
}

// openIndex opens index.db. A damaged one is an *indexDamage.
func openIndex(dir string, noSync bool) (x *index, err error) {
	x = &index{path: filepath.Join(dir, indexFile)}
	var m mark
	err = guard(func() error {
		db, err := bolt.Open(x.path, 0o600, &bolt.Options{Timeout: indexLockTimeout, FreelistType: bolt.FreelistMapType, NoSync: noSync})
		if err != nil {
			return openingError(err)
		}
		x.db = db
		if err := checkLength(db); err != nil {
			return err
		}
		if err := makeBuckets(db, bucketMeta, bucketState, bucketSequence, bucketHeights); err != nil {
			return err
		}
		return db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket(bucketMeta).Get(keyMark)
			if b == nil {
				return nil
			}
			if m, err = parseMark(b); err != nil {
				return &indexDamage{err}
			}
			return nil
		})
	})
	if err != nil {
		if x.db != nil {
			guard(x.db.Close)
		}
		return nil, err
	}
	x.pending, x.saved = newChanges(m), m
	return x, nil
}

// makeBuckets makes the buckets that are missing; a write is saved where none is.
func makeBuckets(db *bolt.DB, names ...[]byte) error {
	missing := false
	err := db.View(func(tx *bolt.Tx) error {
		for _, name := range names {
			missing = missing || tx.Bucket(name) == nil
		}
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		for _, name := range names {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return &indexDamage{err}
			}
		}
		return nil
	})
}

// indexDamage says that index.db cannot be used.
type indexDamage struct{ err error }

func (d *indexDamage) Error() string { return indexFile + " is damaged: " + d.err.Error() }
func (d *indexDamage) Unwrap() error { return d.err }

// openingError tells what is wrong with the file from what is wrong with the
// machine: a full disk must not cost the index.
func openingError(err error) error {
	var path *fs.PathError
	var errno syscall.Errno
	if errors.As(err, &path) || errors.As(err, &errno) {
		return fmt.Errorf("opening %s: %w", indexFile, err)
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return fmt.Errorf("%w: %s is locked by another process", ErrLocked, indexFile)
	}
	return &indexDamage{err}
}

// guard turns what bbolt does on a damaged file, which is to panic or to touch
// memory that is not there, into an error.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		switch p := recover().(type) {
		case nil:
		case callerPanic:
			panic(p.value)
		default:
			err = &indexDamage{fmt.Errorf("%v", p)}
		}
	}()
	return fn()
}

// callerPanic is a panic of a caller's function, which guard passes on.
type callerPanic struct{ value any }

func notGuarded(fn func() error) error {
	defer func() {
		if p := recover(); p != nil {
			panic(callerPanic{p})
		}
	}()
	return fn()
}

// checkLength refuses a file that lost its end, which bbolt would map and run
// off.
func checkLength(db *bolt.DB) error {
	st, err := os.Stat(db.Path())
	if err != nil {
		return err
	}
	return db.View(func(tx *bolt.Tx) error {
		if st.Size() < tx.Size() {
			return &indexDamage{fmt.Errorf("%d bytes instead of %d", st.Size(), tx.Size())}
		}
		return nil
	})
}

func (x *index) view(fn func(tx *bolt.Tx) error) error {
	err := guard(func() error { return x.db.View(fn) })
	var d *indexDamage
	if errors.As(err, &d) {
		return damaged(x.path, -1, remedyIndex, "%v", d.err)
	}
	return err
}

// addBlock notes a block that is durable.
func (x *index) addBlock(b Block) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.pending.heights = append(x.pending.heights, b)
	x.pending.blocks++
}

// setMark moves the mark to a commit that ends at an offset of a segment: the
// derived files hold everything up to it, and are durable after the next flush.
func (x *index) setMark(c Commit, segment uint64, end int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	m := &x.pending.mark
	m.commit, m.any, m.segment, m.end = c, true, segment, end
}

// flush writes what is pending in one transaction, after sync made durable what
// the mark will say of the derived files.
func (x *index) flush(sync func() error) error {
	x.flushing.Lock()
	defer x.flushing.Unlock()
	x.mu.Lock()
	switch {
	case x.shut:
		x.mu.Unlock()
		return ErrClosed
	case x.pending.count() == 0 && x.pending.mark == x.saved:
		x.mu.Unlock()
		return nil
	}
	c := x.pending
	x.writing, x.pending = c, newChanges(c.mark)
	x.mu.Unlock()

	err := sync()
	if err == nil {
		err = guard(func() error { return x.db.Update(c.put) })
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writing = nil
	if err != nil {
		// Nothing is lost: what came meanwhile goes on top, and all of it waits for
		// the next flush.
		c.merge(x.pending)
		x.pending = c
		return fmt.Errorf("writing %s: %w", indexFile, err)
	}
	x.saved = c.mark
	return nil
}

func (c *changes) merge(later *changes) {
	for k, v := range later.state {
		c.state[k] = v
	}
	for k, v := range later.sequences {
		c.sequences[k] = v
	}
	c.heights = append(c.heights, later.heights...)
	c.blocks += later.blocks
	c.mark = later.mark
}

// put writes in the order of keys: random ones cost bbolt several times more.
func (c *changes) put(tx *bolt.Tx) error {
	state := tx.Bucket(bucketState)
	keys := make([]string, 0, len(c.state))
	for k := range c.state {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if err := putState(state, []byte(k), c.state[k]); err != nil {
			return err
		}
	}
	sequences := make([]sequenceKey, 0, len(c.sequences))
	for k := range c.sequences {
		sequences = append(sequences, k)
	}
	slices.SortFunc(sequences, func(a, b sequenceKey) int { return bytes.Compare(a[:], b[:]) })
	b := tx.Bucket(bucketSequence)
	b.FillPercent = 0.8 // each key's numbers are appended to
	for i := range sequences {
		if err := b.Put(sequences[i][:], binary.BigEndian.AppendUint64(nil, c.sequences[sequences[i]])); err != nil {
			return err
		}
	}
	b = tx.Bucket(bucketHeights)
	b.FillPercent = 1 // appended to at the end alone
	for _, h := range c.heights {
		v := binary.BigEndian.AppendUint64(nil, h.First)
		v = binary.BigEndian.AppendUint64(v, h.Size)
		v = binary.BigEndian.AppendUint64(v, h.Order)
		if err := b.Put(binary.BigEndian.AppendUint64(nil, h.Height), v); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put(keyMark, c.mark.encode())
}

func putState(b *bolt.Bucket, key, value []byte) error {
	if value == nil {
		return b.Delete(key)
	}
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	return b.Put(key, binary.BigEndian.AppendUint32(slices.Clip(value), sum))
}

// openState checks a value of the state bucket. The result is good as long as
// the transaction.
func (x *index) openState(key, stored []byte) ([]byte, error) {
	n := len(stored) - 4
	if n < 0 || crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, stored[:n]) != binary.BigEndian.Uint32(stored[n:]) {
		return nil, damaged(x.path, -1, remedyIndex, "the state's value under key %q has a wrong checksum", key)
	}
	return stored[:n:n], nil
}

// pendingIn returns the sets of changes that are not yet in index.db, the newer
// first. The caller holds mu.
func (x *index) pendingIn() []*changes {
	if x.writing == nil {
		return []*changes{x.pending}
	}
	return []*changes{x.pending, x.writing}
}

func (x *index) close() error {
	x.mu.Lock()
	x.shut = true
	x.mu.Unlock()
	return guard(x.db.Close)
}
