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
