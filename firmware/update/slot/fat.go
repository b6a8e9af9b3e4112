package slot

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
)

// errFAT is wrapped by the errors of a boot partition that does not read.
var errFAT = errors.New("not a FAT16 file system that can be edited")

// volume is where things are in a FAT16 file system, in bytes.
type volume struct {
	r           io.ReaderAt
	table       int64 // the first file allocation table
	tableBytes  int64
	root        int64 // the root directory
	rootBytes   int64
	data        int64 // cluster 2
	clusterSize int64
}

// Limits of what is looked at.
const (
	maxDirectory = 1 << 20 // bytes
	dirEntry     = 32
)

// openVolume reads the boot sector.
func openVolume(r io.ReaderAt) (*volume, error) {
	var b [512]byte
	if _, err := r.ReadAt(b[:], 0); err != nil {
		return nil, fmt.Errorf("reading the boot sector: %w", err)
	}
	u16 := func(at int) int64 { return int64(binary.LittleEndian.Uint16(b[at:])) }
	sector, perCluster, reserved, tables := u16(11), int64(b[13]), u16(14), int64(b[16])
	rootEntries, tableSectors := u16(17), u16(22)
	if sector != SectorSize || perCluster == 0 || perCluster&(perCluster-1) != 0 || reserved == 0 || tables == 0 || tables > 2 || rootEntries == 0 || tableSectors == 0 {
		return nil, fmt.Errorf("%w: its boot sector says otherwise", errFAT)
	}
	v := &volume{r: r, table: reserved * sector, tableBytes: tableSectors * sector, rootBytes: rootEntries * dirEntry, clusterSize: perCluster * sector}
	v.root = v.table + tables*v.tableBytes
	v.data = v.root + (v.rootBytes+sector-1)/sector*sector
	return v, nil
}

func (v *volume) cluster(n uint16) int64 { return v.data + int64(n-2)*v.clusterSize }

// next follows the chain of clusters.
func (v *volume) next(n uint16) (uint16, bool, error) {
	var b [2]byte
	at := 2 * int64(n)
	if n < 2 || at+2 > v.tableBytes {
		return 0, false, fmt.Errorf("%w: cluster %d is not in its table", errFAT, n)
	}
	if _, err := v.r.ReadAt(b[:], v.table+at); err != nil {
		return 0, false, err
	}
	n = binary.LittleEndian.Uint16(b[:])
	return n, n >= 0xfff8, nil
}

// extent is where the content of a small file lies.
type extent struct{ at, length int64 }

// find looks a file up by its path. The file must lie in one cluster.
func (v *volume) find(path string) (extent, error) {
	dir := make([]byte, v.rootBytes)
	if _, err := v.r.ReadAt(dir, v.root); err != nil {
		return extent{}, fmt.Errorf("reading the root directory: %w", err)
	}
	parts := strings.Split(path, "/")
	for i, name := range parts {
		e, ok := lookUp(dir, name)
		if !ok {
			return extent{}, fmt.Errorf("%w: there is no %s in the boot partition", errFAT, path)
		}
		if last := i == len(parts)-1; last != (e.attributes&attrDirectory == 0) {
			return extent{}, fmt.Errorf("%w: %s is not what it should be in the boot partition", errFAT, path)
		}
		if i == len(parts)-1 {
			if e.cluster < 2 || e.size == 0 || int64(e.size) > v.clusterSize {
				return extent{}, fmt.Errorf("%w: %s has %d bytes, which are not in one cluster", errFAT, path, e.size)
			}
			return extent{v.cluster(e.cluster), int64(e.size)}, nil
		}
		var err error
		if dir, err = v.directory(e.cluster); err != nil {
			return extent{}, err
		}
	}
	return extent{}, fmt.Errorf("%w: an empty path", errFAT)
}

// directory reads one that is not the root.
func (v *volume) directory(cluster uint16) ([]byte, error) {
	var dir []byte
	for end := false; !end; {
		if len(dir) >= maxDirectory {
			return nil, fmt.Errorf("%w: a directory without end", errFAT)
		}
		b := make([]byte, v.clusterSize)
		if cluster < 2 {
			return nil, fmt.Errorf("%w: a directory in cluster %d", errFAT, cluster)
		}
		if _, err := v.r.ReadAt(b, v.cluster(cluster)); err != nil {
			return nil, fmt.Errorf("reading a directory: %w", err)
		}
		dir = append(dir, b...)
		var err error
		if cluster, end, err = v.next(cluster); err != nil {
			return nil, err
		}
	}
	return dir, nil
}

// found is what a directory says of a name.
type found struct {
	attributes byte
	cluster    uint16
	size       uint32
}

const (
	attrDirectory = 0x10
	attrVolume    = 0x08
	attrLong      = 0x0f
	entryFree     = 0xe5
)

// lookUp finds a name, long or short, in the way that FAT compares them: without case.
func lookUp(dir []byte, name string) (found, bool) {
	var long []uint16 // the parts so far, last first on disk
	for ; len(dir) >= dirEntry; dir = dir[dirEntry:] {
		e := dir[:dirEntry]
		switch {
		case e[0] == 0:
			return found{}, false
		case e[0] == entryFree:
			long = nil
			continue
		case e[11]&attrLong == attrLong:
			if e[0]&0x40 != 0 {
				long = nil
			}
			long = append(longPart(e), long...)
			continue
		}
		is := strings.EqualFold(longName(long), name) || strings.EqualFold(shortName(e), name)
		long = nil
		if is && e[11]&attrVolume == 0 {
			return found{e[11], binary.LittleEndian.Uint16(e[26:]), binary.LittleEndian.Uint32(e[28:])}, true
		}
	}
	return found{}, false
}

// longPart returns the 13 characters of one entry of a long name.
func longPart(e []byte) []uint16 {
	var out []uint16
	for _, r := range [][2]int{{1, 11}, {14, 26}, {28, 32}} {
		for i := r[0]; i < r[1]; i += 2 {
			out = append(out, binary.LittleEndian.Uint16(e[i:]))
		}
	}
	return out
}

func longName(parts []uint16) string {
	for i, c := range parts {
		if c == 0 {
			parts = parts[:i]
			break
		}
	}
	return string(utf16.Decode(parts))
}

func shortName(e []byte) string {
	name, ext := strings.TrimRight(string(e[:8]), " "), strings.TrimRight(string(e[8:11]), " ")
	if ext != "" {
		name += "." + ext
	}
	return name
}
