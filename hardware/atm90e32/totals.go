package atm90e32

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
)

// A snapshot is a version, the totals in steps of 0.01 impulse, and a CRC-32 of both.
const (
	snapshotVersion = 1
	snapshotSize    = 1 + 8*len(counted) + 4
	// maxTotal keeps a total's value within an int64.
	maxTotal = math.MaxInt64 / stepMantissa / 2
)

// Snapshot implements hardware.Persistent.
func (d *Dev) Snapshot() []byte {
	d.totalsMu.Lock()
	defer d.totalsMu.Unlock()
	b := append(make([]byte, 0, snapshotSize), snapshotVersion)
	for _, total := range d.totals {
		b = binary.BigEndian.AppendUint64(b, total)
	}
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// Restore implements hardware.Persistent.
func (d *Dev) Restore(snapshot []byte) error {
	var totals [len(counted)]uint64
	switch {
	case len(snapshot) != snapshotSize:
		return fmt.Errorf("atm90e32: a snapshot of %d bytes, want %d", len(snapshot), snapshotSize)
	case crc32.ChecksumIEEE(snapshot[:snapshotSize-4]) != binary.BigEndian.Uint32(snapshot[snapshotSize-4:]):
		return errors.New("atm90e32: the snapshot is damaged")
	case snapshot[0] != snapshotVersion:
		return fmt.Errorf("atm90e32: a snapshot of version %d, want %d", snapshot[0], snapshotVersion)
	}
	for i := range totals {
		totals[i] = binary.BigEndian.Uint64(snapshot[1+8*i:])
		if totals[i] > maxTotal {
			return fmt.Errorf("atm90e32: the snapshot's total %d is no number of steps", totals[i])
		}
	}
	d.totalsMu.Lock()
	defer d.totalsMu.Unlock()
	if d.started {
		return errors.New("atm90e32: totals are restored before the first sample only")
	}
	d.totals = totals
	return nil
}
