//go:build !linux

package update

import "wattmark/firmware/update/slot"

// Machine is the machine that this process runs on.
type Machine struct {
	Disk  *slot.Disk
	Image Image
}

// OpenMachine finds the disk that the machine runs from: there is none but on Linux.
func OpenMachine(Image) (*Machine, error) { return nil, slot.ErrNoImage }

// Restart starts the machine again, which is only done on Linux.
func Restart() error { return slot.ErrNoImage }
