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
