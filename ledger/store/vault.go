package store

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// Pack is the hidden part of a committed statement: the preimage (salt and
// records) of the digest that the statement carries.
type Pack struct {
	// Subject is whom it can be forgotten for: the metering point's pseudonym.
	Subject string
	// Digest is the SHA-256 of Preimage.
	Digest   [32]byte
	Preimage []byte
}

// Limits of the vault, in bytes.
const (
	MaxSubject  = 255
	MaxPreimage = 256 << 10
)

// A file of packs has a segment's head, with its own magic and 0 for the first
// leaf, and records of two kinds. What one Put writes ends with a record of the
// second, so that an unfinished Put is told from damage.
const (
	packsMagic  = "wm-pack1"
	packsSuffix = ".packs"

	kindPack = 3 // length of subject (1), subject, digest (32), preimage
	kindDone = 4 // number of packs of the Put (4)

	donePayload  = 4
	maxPack      = 1 + MaxSubject + 32 + MaxPreimage
	maxDayLength = 32
)

func packsForm(kind byte, n uint32) bool {
	return kind == kindPack && n >= 1+32 && n <= maxPack || kind == kindDone && n == donePayload
}

func (p *Pack) check() error {
	switch {
	case p.Subject == "" || len(p.Subject) > MaxSubject:
		return fmt.Errorf("%w: a pack's subject of %d bytes instead of 1 to %d", ErrRefused, len(p.Subject), MaxSubject)
	case len(p.Preimage) > MaxPreimage:
		return fmt.Errorf("%w: a preimage of %d bytes, over the limit of %d", ErrRefused, len(p.Preimage), MaxPreimage)
	case sha256.Sum256(p.Preimage) != p.Digest:
		return fmt.Errorf("%w: a pack's preimage does not have the digest %x", ErrRefused, p.Digest)
	}
	return nil
}

func (p *Pack) encode() []byte {
	b := make([]byte, 0, 1+len(p.Subject)+32+len(p.Preimage))
	b = append(b, byte(len(p.Subject)))
	b = append(b, p.Subject...)
	b = append(b, p.Digest[:]...)
	return append(b, p.Preimage...)
}

// parsePack reads a record's payload. The preimage is not copied.
func parsePack(b []byte) (p Pack, err error) {
	n := 1 + int(b[0])
	if len(b) < n+32 || n == 1 {
		return p, errForm
	}
	p.Subject = string(b[1:n])
	copy(p.Digest[:], b[n:])
	p.Preimage = b[n+32:]
	return p, nil
}

// Vault keeps the packs of committed statements, apart from the ledger, so that
// they can be forgotten and be backed up by rules of their own. It is safe for
// concurrent use. Packs lie in one file a day; vault/index.db, which says where,
// is derived and knows nothing but digests.
type Vault struct {
	dir      string
	disk     disk
	readOnly bool
	noSync   bool
	lock     *os.File // nil for a reader

	mu     sync.RWMutex // guards everything below, and the files
	index  *vaultIndex
	day    string // of the file that Put last wrote
	f      file   // that file, or nil
	salt   uint32
	end    int64 // where it ends
	failed error
}

// VaultReport says what OpenVault found.
type VaultReport struct {
	// Torn are the unfinished writes that were cut off, or passed over by a
	// reader. They were never acknowledged.
	Torn []Torn
	// IndexRebuilt says why the index was built anew; empty if it was not.
	IndexRebuilt string
}

// OpenVault opens a vault for writing and makes it if there is none. The
// Options' sizes do not matter.
func OpenVault(dir string, o Options) (*Vault, VaultReport, error) {
	o, err := o.complete()
	if err != nil {
		return nil, VaultReport{}, err
	}
	if err := makeDir(o.disk, dir, privateDir); err != nil {
		return nil, VaultReport{}, fmt.Errorf("making vault: %w", err)
	}
	lock, err := lockFile(filepath.Join(dir, lockName))
	if err != nil {
		return nil, VaultReport{}, err
	}
	v := &Vault{dir: dir, disk: o.disk, noSync: o.noSync, lock: lock}
	return v.open(func() error { return removeTemps(o.disk, dir) }, filepath.Join(dir, indexFile))
}

// OpenVaultReader opens a vault to read it as it is now, without a lock and
// without writing to it; somebody else may be writing it. It builds an index of its
// own in a temporary file. What is forgotten later is not found any more; what
// comes later is not seen.
func OpenVaultReader(dir string) (*Vault, VaultReport, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, VaultReport{}, fmt.Errorf("opening vault: %w", err)
	}
	tmp, err := os.CreateTemp("", "wattmark-vault-*.db")
	if err != nil {
		return nil, VaultReport{}, fmt.Errorf("opening vault: %w", err)
	}
	tmp.Close()
	v := &Vault{dir: dir, disk: readOnlyDisk{}, readOnly: true}
	return v.open(func() error { return nil }, tmp.Name())
}

func (v *Vault) open(prepare func() error, index string) (*Vault, VaultReport, error) {
	var report VaultReport
	err := prepare()
	if err == nil {
		v.index, report.IndexRebuilt, err = openVaultIndex(index, v.readOnly, v.noSync)
	}
	if err == nil {
		err = v.catchUp(&report)
	}
	if err != nil {
		v.Close()
		return nil, report, fmt.Errorf("opening vault %s: %w", v.dir, err)
	}
	return v, report, nil
}

// days lists the days that have a file, in order.
func (v *Vault) days() ([]string, error) {
	names, err := os.ReadDir(v.dir)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range names {
		if day, ok := strings.CutSuffix(n.Name(), packsSuffix); ok {
			out = append(out, day)
		}
	}
	return out, nil
}

func (v *Vault) path(day string) string { return filepath.Join(v.dir, day+packsSuffix) }

// catchUp brings the index up to the files.
func (v *Vault) catchUp(report *VaultReport) error {
	days, err := v.days()
	if err != nil {
		return err
	}
	for _, day := range days {
		torn, err := v.catchUpDay(day)
		if err != nil {
			return err
		}
		if torn != nil {
			report.Torn = append(report.Torn, *torn)
		}
	}
	return v.index.dropMissing(days)
}

func (v *Vault) catchUpDay(day string) (*Torn, error) {
	f, salt, size, err := v.openDay(day)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	from, err := v.index.indexed(day, salt)
	if err != nil {
		return nil, err
	}
	if from > size {
		return nil, damaged(v.path(day), size, remedyVault, "the file lost its end: it had %d bytes", from)
	}
	// Packs count from when their Put is seen to be whole.
	var group []Pack
	var at []int64
	end, err := v.scanDay(f, day, salt, from, size, func(p Pack, offset int64) error {
		group, at = append(group, Pack{Digest: p.Digest}), append(at, offset)
		return nil
	}, func() error {
		for i, p := range group {
			if err := v.index.put(p.Digest, location{day, at[i]}); err != nil {
				return err
			}
		}
		group, at = group[:0], at[:0]
		return nil
	})
	if err != nil {
		return nil, err
	}
	if end > from {
		v.index.setIndexed(day, salt, end)
	}
	if !v.readOnly {
		// What was found must be durable before anybody relies on it.
		if err := errors.Join(cutTo(f, end), f.Sync()); err != nil {
			return nil, err
		}
	}
	if end < size {
		return &Torn{File: v.path(day), Offset: end, Bytes: size - end}, nil
	}
	return nil, nil
}

func (v *Vault) openDay(day string) (f file, salt uint32, size int64, err error) {
	path := v.path(day)
	if f, err = v.disk.Open(path, 0); err != nil {
		return nil, 0, 0, err
	}
	var head [segmentHead]byte
	if err = readExactly(f, head[:], 0); err == nil || errors.Is(err, io.ErrUnexpectedEOF) {
		_, salt, err = parseHead(packsMagic, head[:])
		if err != nil {
			err = damaged(path, 0, remedyVault, "%v", err)
		}
	}
	if err == nil {
		size, err = f.Size()
	}
	if err != nil {
		f.Close()
		return nil, 0, 0, err
	}
	return f, salt, size, nil
}

// scanDay gives the packs of a file from an offset on, calls done after each
// finished Put, and returns where the last one ends. Packs after that are of an
// unfinished one.
func (v *Vault) scanDay(f file, day string, salt uint32, from, size int64, fn func(p Pack, at int64) error, done func() error) (end int64, err error) {
	sc := newScanner(f, salt, from, size)
	sc.form, sc.chunk = packsForm, len(sc.buf)
	defer sc.release()
	end = from
	for {
		kind, payload, at, err := sc.record()
		if errors.Is(err, io.EOF) && at == end {
			return end, nil
		}
		if errors.Is(err, io.EOF) || isRecordError(err) {
			behind, findErr := findRecord(f, salt, packsForm, kindDone, donePayload, at, size)
			if findErr != nil {
				return end, findErr
			}
			if behind >= 0 {
				return end, damaged(v.path(day), at, remedyVault, "%v, and there are packs behind it", err)
			}
			return end, nil
		}
		if err != nil {
			return end, fmt.Errorf("%s: %w", v.path(day), err)
		}
		if kind == kindDone {
			end = at + recordHead + donePayload
			if err := done(); err != nil {
				return end, err
			}
			continue
		}
		p, err := parsePack(payload)
		if err != nil {
			return end, damaged(v.path(day), at, remedyVault, "%v", err)
		}
		if err := fn(p, at); err != nil {
			return end, err
		}
	}
}

// Put keeps packs under a day such as 2026-11-24, which names their file. They
// are durable when Put returns nil. A pack that is there already is passed over. Bad packs
// are refused with ErrRefused, all or none. After an error in writing the vault
// takes nothing more until it is opened again.
func (v *Vault) Put(day string, packs []Pack) error {
	if !validDay(day) {
		return fmt.Errorf("%w: %q is no name for a day's packs", ErrRefused, day)
	}
	for i := range packs {
		if err := packs[i].check(); err != nil {
			return err
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case v.failed != nil:
		return v.failed
	case v.readOnly:
		return fmt.Errorf("%w: the vault was opened for reading", ErrRefused)
	}
	fresh, err := v.fresh(packs)
	if err != nil || len(fresh) == 0 {
		return err
	}
	if err := v.use(day); err != nil {
		return err
	}
	var b []byte
	at := make([]int64, len(fresh))
	for i, p := range fresh {
		at[i] = v.end + int64(len(b))
		b = appendRecord(b, v.salt, kindPack, p.encode())
	}
	b = appendRecord(b, v.salt, kindDone, binary.BigEndian.AppendUint32(nil, uint32(len(fresh))))
	if _, err = v.f.WriteAt(b, v.end); err == nil {
		err = v.f.Sync()
	}
	if err != nil {
		v.failed = fmt.Errorf("vault: it is not known whether packs were stored, open it again: %w", err)
		return v.failed
	}
	v.end += int64(len(b))
	for i, p := range fresh {
		if err := v.index.put(p.Digest, location{day, at[i]}); err != nil {
			return err
		}
	}
	v.index.setIndexed(day, v.salt, v.end)
	return nil
}

func validDay(day string) bool {
	if day == "" || len(day) > maxDayLength || day[0] == '-' {
		return false
	}
	return !strings.ContainsFunc(day, func(r rune) bool {
		return r != '-' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// fresh leaves out what the vault has, and what packs has twice. Two subjects
// cannot share a pack, as forgetting one would take it from the other.
func (v *Vault) fresh(packs []Pack) ([]Pack, error) {
	var out []Pack
	subjects := make(map[[32]byte]string)
	for _, p := range packs {
		subject, ok := subjects[p.Digest]
		if !ok {
			have, err := v.find(p.Digest)
			switch {
			case errors.Is(err, ErrNotFound):
				out = append(out, p)
				subject = p.Subject
			case err != nil:
				return nil, err
			default:
				subject = have.Subject
			}
			subjects[p.Digest] = subject
		}
		if subject != p.Subject {
			return nil, fmt.Errorf("%w: the pack %x is there for another subject", ErrRefused, p.Digest)
		}
	}
	return out, nil
}

// use makes a day's file the one that Put writes.
func (v *Vault) use(day string) error {
	if v.f != nil && v.day == day {
		return nil
	}
	v.leave()
	path := v.path(day)
	if !exists(path) {
		if err := replaceFile(v.disk, path, privateFile, encodeHead(packsMagic, 0, newSalt())); err != nil {
			return err
		}
	}
	f, salt, size, err := v.openDay(day)
	if err != nil {
		return err
	}
	v.f, v.day, v.salt, v.end = f, day, salt, size
	return nil
}

func (v *Vault) leave() {
	if v.f != nil {
		v.f.Close()
		v.f = nil
	}
}

// find reads a pack. The caller holds mu.
func (v *Vault) find(digest [32]byte) (Pack, error) {
	at, ok, err := v.index.get(digest)
	if err != nil {
		return Pack{}, err
	}
	if !ok {
		return Pack{}, fmt.Errorf("%w: the vault has no pack %x", ErrNotFound, digest)
	}
	f, salt, _, err := v.openDay(at.day)
	if v.readOnly && errors.Is(err, os.ErrNotExist) {
		return Pack{}, fmt.Errorf("%w: the file with pack %x was removed", ErrNotFound, digest)
	}
	if err != nil {
		return Pack{}, err
	}
	defer f.Close()
	kind, payload, err := readRecord(f, salt, at.offset, packsForm, maxPack)
	if err == nil && kind != kindPack {
		err = errForm
	}
	var p Pack
	if err == nil {
		p, err = parsePack(payload)
	}
	if err == nil && (p.Digest != digest || sha256.Sum256(p.Preimage) != digest) {
		err = errChecksum
	}
	if v.readOnly && isRecordError(err) {
		// Forgetting somebody rewrote the file meanwhile.
		return v.findAgain(digest)
	}
	if err != nil {
		return Pack{}, damaged(v.path(at.day), at.offset, remedyVault, "pack %x: %v", digest, err)
	}
	return p, nil
}

func noMore() error { return nil }

func (v *Vault) findAgain(digest [32]byte) (Pack, error) {
	days, err := v.days()
	if err != nil {
		return Pack{}, err
	}
	var found *Pack
	for _, day := range days {
		f, salt, size, err := v.openDay(day)
		if err != nil {
			return Pack{}, err
		}
		_, err = v.scanDay(f, day, salt, segmentHead, size, func(p Pack, _ int64) error {
			if p.Digest != digest || sha256.Sum256(p.Preimage) != digest {
				return nil
			}
			p.Preimage = append([]byte(nil), p.Preimage...)
			found = &p
			return errStop
		}, noMore)
		f.Close()
		if found != nil {
			return *found, nil
		}
		if err != nil {
			return Pack{}, err
		}
	}
	return Pack{}, fmt.Errorf("%w: the vault has no pack %x", ErrNotFound, digest)
}

// Get returns the preimage of a digest, checked against it; ErrNotFound if the
// vault does not have it, or no more.
func (v *Vault) Get(digest [32]byte) ([]byte, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if errors.Is(v.failed, ErrClosed) {
		return nil, ErrClosed
	}
	p, err := v.find(digest)
	return p.Preimage, err
}

// Has reports whether the vault has a digest's preimage, without reading it.
func (v *Vault) Has(digest [32]byte) (bool, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if errors.Is(v.failed, ErrClosed) {
		return false, ErrClosed
	}
	_, ok, err := v.index.get(digest)
	return ok, err
}

// Close ends the vault's use of its files.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if errors.Is(v.failed, ErrClosed) {
		return nil
	}
	v.failed = ErrClosed
	v.leave()
	var err error
	if v.index != nil {
		err = v.index.close()
	}
	if v.lock != nil {
		err = errors.Join(err, unlockFile(v.lock))
	}
	return err
}
