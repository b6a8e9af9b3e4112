package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	bolt "go.etcd.io/bbolt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

// indexCheck compares index.db with the leaves as they go by.
type indexCheck struct {
	path string
	db   *bolt.DB
	mark mark

	heights   uint64 // entries that were met in the leaves
	sequences uint64
	marked    bool // the mark's commit was met
}

// takeLock keeps others from writing the index, if there is one to check.
func (c *checker) takeLock() bool {
	if !exists(filepath.Join(c.dir, indexFile)) {
		c.report.Unchecked = append(c.report.Unchecked, indexFile+": there is none; opening for writing makes it")
		return false
	}
	lock, err := lockFile(filepath.Join(c.dir, lockName))
	if err != nil {
		c.report.Unchecked = append(c.report.Unchecked, fmt.Sprintf("%s: %v", indexFile, err))
		return false
	}
	c.lock = lock
	return true
}

// openIndex opens index.db for comparison.
func (c *checker) openIndex() error {
	path := filepath.Join(c.dir, indexFile)
	x := &indexCheck{path: path}
	err := guard(func() error {
		// The free list is loaded here, where a fault in it can be caught, as bbolt's
		// own check would load it elsewhere.
		db, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: indexLockTimeout})
		if err != nil {
			return openingError(err)
		}
		x.db = db
		if err := checkLength(db); err != nil {
			return err
		}
		return x.readAll(&c.report)
	})
	var d *indexDamage
	switch {
	case errors.As(err, &d):
		x.close()
		return c.report.fault(damaged(path, -1, remedyIndex, "%v", d.err))
	case err != nil:
		x.close()
		return c.report.fault(err)
	}
	c.index = x
	return nil
}

func (x *indexCheck) close() {
	if x.db != nil {
		guard(x.db.Close)
		x.db = nil
	}
}

// readAll reads every entry, and then has bbolt check its pages, which it does
// in a goroutine of its own where a wild pointer would end the process: so
// everything it will follow has been followed here before.
func (x *indexCheck) readAll(report *CheckReport) error {
	return x.db.View(func(tx *bolt.Tx) error {
		for _, name := range [][]byte{bucketMeta, bucketState, bucketSequence, bucketHeights} {
			if tx.Bucket(name) == nil {
				return &indexDamage{fmt.Errorf("bucket %s is missing", name)}
			}
		}
		if b := tx.Bucket(bucketMeta).Get(keyMark); b != nil {
			m, err := parseMark(b)
			if err != nil {
				return &indexDamage{err}
			}
			x.mark = m
		}
		state := &index{path: x.path}
		err := tx.Bucket(bucketState).ForEach(func(k, v []byte) error {
			_, err := state.openState(k, v)
			return report.fault(err)
		})
		if err != nil {
			return err
		}
		for _, name := range [][]byte{bucketSequence, bucketHeights} {
			if err := tx.Bucket(name).ForEach(func(_, _ []byte) error { return nil }); err != nil {
				return &indexDamage{err}
			}
		}
		var first error
		for err := range tx.Check() { // to its end, or its goroutine hangs
			if first == nil {
				first = &indexDamage{err}
			}
		}
		return first
	})
}

// get runs fn on an entry.
func (x *indexCheck) get(bucket, key []byte, fn func(v []byte) error) error {
	err := guard(func() error {
		return x.db.View(func(tx *bolt.Tx) error { return fn(tx.Bucket(bucket).Get(key)) })
	})
	var d *indexDamage
	if errors.As(err, &d) {
		return damaged(x.path, -1, remedyIndex, "%v", d.err)
	}
	return err
}

// checkBlock compares a block with its entry. Blocks after the mark have none.
func (x *indexCheck) checkBlock(b Block, s *segment, end int64) error {
	if !x.mark.any || b.Height > x.mark.commit.Height {
		return nil
	}
	if b.Height == x.mark.commit.Height {
		x.marked = b.Commit == x.mark.commit && x.mark.segment == s.first && x.mark.end == end
		if !x.marked {
			return damaged(x.path, -1, remedyIndex, "its mark says that block %d ends at byte %d of segment %d with leaf %d, not at byte %d of segment %d with leaf %d",
				b.Height, x.mark.end, x.mark.segment, x.mark.commit.Size, end, s.first, b.Size)
		}
	}
	return x.get(bucketHeights, binary.BigEndian.AppendUint64(nil, b.Height), func(v []byte) error {
		if len(v) != 24 || binary.BigEndian.Uint64(v) != b.First || binary.BigEndian.Uint64(v[8:]) != b.Size || binary.BigEndian.Uint64(v[16:]) != b.Order {
			return damaged(x.path, -1, remedyIndex, "its entry for block %d is not that of leaves %d to %d", b.Height, b.First, b.Size)
		}
		x.heights++
		return nil
	})
}

// checkStatement counts the sequence entry that points at a leaf.
func (x *indexCheck) checkStatement(leaf []byte, i uint64) error {
	key, ok := sequenceOf(leaf)
	if !ok {
		return nil
	}
	return x.get(bucketSequence, key[:], func(v []byte) error {
		if len(v) == 8 && binary.BigEndian.Uint64(v) == i {
			x.sequences++
		}
		return nil
	})
}

// sequenceOf returns the sequence number of a leaf that is a statement.
func sequenceOf(leaf []byte) (key sequenceKey, ok bool) {
	if entry.KindOf(leaf) != entry.LeafStatement {
		return key, false
	}
	m, err := signer.Parse(leaf)
	if err != nil {
		return key, false
	}
	claims, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return key, false
	}
	return newSequenceKey(m.KeyID, claims.Sequence.Boot, claims.Sequence.Count), true
}

// checkIndex finds entries that nothing in the leaves accounted for.
func (c *checker) checkIndex() error {
	x := c.index
	if x == nil {
		return nil
	}
	if c.report.Leaves != c.tree.size || len(c.report.Faults) > 0 {
		// With a hole in the leaves every entry behind it would seem wrong.
		c.report.Unchecked = append(c.report.Unchecked, indexFile+" against the leaves, because of the faults found")
		return nil
	}
	if x.mark.any && !x.marked {
		return damaged(x.path, -1, remedyLeaves, "it remembers block %d up to leaf %d, where the leaves end with leaf %d: blocks were lost, or it is another ledger's",
			x.mark.commit.Height, x.mark.commit.Size, c.report.Leaves)
	}
	if x.mark.applied > c.report.Blocks {
		return damaged(x.path, -1, remedyIndex, "its state is after block %d of %d", x.mark.applied-1, c.report.Blocks)
	}
	err := guard(func() error { return x.db.View(x.countEntries(c)) })
	var d *indexDamage
	if errors.As(err, &d) {
		return damaged(x.path, -1, remedyIndex, "%v", d.err)
	}
	if err == nil {
		c.report.Checked = append(c.report.Checked, indexFile+": pages, checksums of the state, heights, sequence numbers against the statements")
	}
	return err
}

func (x *indexCheck) countEntries(c *checker) func(tx *bolt.Tx) error {
	return func(tx *bolt.Tx) error {
		// Entries that a Flush wrote during a replay may be ahead of the mark, so
		// those are looked up one by one.
		heights := uint64(tx.Bucket(bucketHeights).Stats().KeyN)
		if heights < x.heights {
			return &indexDamage{errors.New("heights are missing")}
		}
		c.report.Sequences = uint64(tx.Bucket(bucketSequence).Stats().KeyN)
		if c.report.Sequences == x.sequences {
			return nil
		}
		return x.findWrongSequence(tx, c.dir)
	}
}

// findWrongSequence looks each entry up, as some point elsewhere than at their
// statement.
func (x *indexCheck) findWrongSequence(tx *bolt.Tx, dir string) error {
	r, _, err := OpenReader(dir)
	if err != nil {
		return err
	}
	defer r.Close()
	return tx.Bucket(bucketSequence).ForEach(func(k, v []byte) error {
		if len(k) != len(sequenceKey{}) || len(v) != 8 {
			return &indexDamage{fmt.Errorf("a sequence entry of %d and %d bytes", len(k), len(v))}
		}
		leaf, err := r.Leaf(binary.BigEndian.Uint64(v))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if key, ok := sequenceOf(leaf); ok && string(key[:]) == string(k) {
			return nil
		}
		return damaged(x.path, -1, remedyIndex, "sequence number %d-%d of key %x is said to be leaf %d, which is no such statement",
			binary.BigEndian.Uint64(k[16:]), binary.BigEndian.Uint64(k[24:]), k[:16], binary.BigEndian.Uint64(v))
	})
}

// CheckVault verifies every pack of a vault without changing it: checksums and
// digests. It returns what is wrong, unfinished writes, and the number of packs.
// Somebody may be writing the vault meanwhile.
func CheckVault(dir string) (faults []Fault, torn []Torn, packs uint64, err error) {
	v := &Vault{dir: dir, disk: readOnlyDisk{}, readOnly: true}
	days, err := v.days()
	if err != nil {
		return nil, nil, 0, fmt.Errorf("checking vault: %w", err)
	}
	for _, day := range days {
		t, n, err := v.checkDay(day)
		packs += n
		if t != nil {
			torn = append(torn, *t)
		}
		var fault *Fault
		switch {
		case errors.As(err, &fault):
			faults = append(faults, *fault)
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return faults, torn, packs, fmt.Errorf("checking vault: %w", err)
		}
	}
	return faults, torn, packs, nil
}

func (v *Vault) checkDay(day string) (torn *Torn, packs uint64, err error) {
	f, salt, size, err := v.openDay(day)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	end, err := v.scanDay(f, day, salt, segmentHead, size, func(p Pack, at int64) error {
		packs++
		if p.check() != nil {
			return damaged(v.path(day), at, remedyVault, "the pack %x does not have its digest", p.Digest)
		}
		return nil
	}, noMore)
	if err == nil && end < size {
		torn = &Torn{File: v.path(day), Offset: end, Bytes: size - end}
	}
	return torn, packs, err
}
