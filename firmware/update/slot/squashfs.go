package slot

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Constants of a SquashFS 4.0 superblock (Linux, Documentation/filesystems/squashfs.rst).
const (
	squashMagic = 0x73717368
	squashUsed  = 40   // offset of bytes_used, 64 bits
	squashPage  = 4096 // images are padded to it
)

// RootSize is the length of the root file system in a slot, as its superblock has it.
func (d *Disk) RootSize(p Partition) (int64, error) {
	dev, err := d.Open(p, false)
	if err != nil {
		return 0, err
	}
	defer dev.Close()
	return SquashSize(dev)
}

// SquashSize is the length of a SquashFS, padded as image writers pad it.
func SquashSize(r io.ReaderAt) (int64, error) {
	var b [96]byte
	if _, err := r.ReadAt(b[:], 0); err != nil {
		return 0, fmt.Errorf("reading a superblock: %w", err)
	}
	used := binary.LittleEndian.Uint64(b[squashUsed:])
	if binary.LittleEndian.Uint32(b[:]) != squashMagic || used < uint64(len(b)) || used > 1<<40 {
		return 0, fmt.Errorf("the slot holds no SquashFS")
	}
	return int64((used + squashPage - 1) / squashPage * squashPage), nil
}
