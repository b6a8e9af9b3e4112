package store

import (
	"os"
	"path/filepath"

	"wattmark/ledger/block"
)

// Disk and File let tests put a file system of their own below a store.
type (
	Disk = disk
	File = file
)

// SetRunLevel sets how many leaves a run of the lookup has, for tests that have fewer, and
// returns what sets it back.
func SetRunLevel(level int) (back func()) {
	was := runLevel
	runLevel = level
	return func() { runLevel = was }
}

// LookupSizes are how many leaves a run has, and how many bytes it takes.
func LookupSizes() (leaves, bytes uint64) { return runLeaves(), runBytes() }

// OSDisk is the machine's.
var OSDisk Disk = osDisk{}

// OnDisk returns the options with d in place of the machine's.
func (o Options) OnDisk(d Disk) Options {
	o.disk = d
	return o
}

// Unsynced returns the options with bbolt not syncing its files, for tests that
// only close and open.
func (o Options) Unsynced() Options {
	o.noSync = true
	return o
}

// PublishTilesOn is PublishTiles on another disk than the store's. What was published
// before, in the same directory, it has to find out.
func (s *Store) PublishTilesOn(d Disk, dir string, size uint64, checkpoint []byte) error {
	r := s.Reader
	was, known := r.disk, r.published
	r.disk, r.published = d, nil
	defer func() { r.disk, r.published = was, known }()
	return s.PublishTiles(dir, size, checkpoint)
}

// OfHashes is a store that has nothing but the hashes of its leaves, whatever these are.
func OfHashes(dir string, hashes []block.Hash) (*Store, error) {
	b := make([]byte, nodeCount(uint64(len(hashes)))*hashSize)
	for i := range hashes {
		copy(b[nodeCount(uint64(i))*hashSize:], hashes[i][:])
	}
	if err := os.WriteFile(filepath.Join(dir, hashesFile), b, 0o600); err != nil {
		return nil, err
	}
	d, err := openDerived(osDisk{}, dir, "")
	if err != nil {
		return nil, err
	}
	r := &Reader{dir: dir, disk: osDisk{}, derived: d, trusted: true, any: true, last: Commit{Size: uint64(len(hashes))}}
	return &Store{Reader: r}, nil
}

// CloseHashes closes such a store.
func (s *Store) CloseHashes() error { return s.Reader.Close() }
