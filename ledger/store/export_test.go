package store

// Disk and File let tests put a file system of their own below a store.
type (
	Disk = disk
	File = file
)

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
