package slot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrNoImage is wrapped where the machine does not run from a gokrazy disk.
var ErrNoImage = errors.New("this machine does not run from a Wattmark image")

// Find finds the disk whose root is mounted at /. The error wraps ErrNoImage where that
// is no slot of a disk that gok has laid out.
func Find() (*Disk, error) { return find("/") }

// find is Find below another root, for tests.
func find(root string) (*Disk, error) {
	device, kind, err := mounted(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoImage, err)
	}
	if kind != "squashfs" {
		return nil, fmt.Errorf("%w: its root is a file system of type %q", ErrNoImage, kind)
	}
	sys := filepath.Join(root, "sys/dev/block", device)
	running, err := number(sys)
	if err != nil {
		return nil, fmt.Errorf("%w: its root is no partition: %w", ErrNoImage, err)
	}
	if running != RootA && running != RootB {
		return nil, fmt.Errorf("%w: its root is partition %d", ErrNoImage, running)
	}
	names, err := partitions(sys)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoImage, err)
	}
	for _, p := range []Partition{Boot, RootA, RootB} {
		if names[p] == "" {
			return nil, fmt.Errorf("%w: its disk has no partition %d", ErrNoImage, p)
		}
	}
	d := &Disk{Running: running}
	if _, err := os.Stat(filepath.Join(root, "sys/firmware/efi")); err == nil {
		d.EFI = true
	}
	d.Open = func(p Partition, write bool) (Device, error) {
		name := names[p]
		if name == "" {
			return nil, fmt.Errorf("there is no partition %d", p)
		}
		flags := os.O_RDONLY
		if write {
			flags = os.O_RDWR
		}
		f, err := os.OpenFile(filepath.Join(root, "dev", name), flags, 0)
		if err != nil {
			return nil, err
		}
		return &blockDevice{f}, nil
	}
	return d, nil
}

// mounted returns the number of the device and the type of what is mounted at / last:
// after a trial's hand-over the old root is still there, below the new one.
func mounted(mountinfo string) (device, kind string, err error) {
	f, err := os.Open(mountinfo)
	if err != nil {
		return "", "", err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		// proc(5): id, parent, device, root, mount point, options, optional fields, "-", type
		before, behind, ok := strings.Cut(s.Text(), " - ")
		w, t := strings.Fields(before), strings.Fields(behind)
		if ok && len(w) >= 5 && len(t) > 0 && w[4] == "/" && t[0] != "rootfs" {
			device, kind = w[2], t[0]
		}
	}
	if device == "" {
		return "", "", fmt.Errorf("%s tells of no root", mountinfo)
	}
	return device, kind, nil
}

// number reads which partition of its disk a device is.
func number(sys string) (Partition, error) {
	b, err := os.ReadFile(filepath.Join(sys, "partition"))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	return Partition(n), err
}

// partitions returns the names in /dev of the partitions of a partition's disk.
func partitions(sys string) (map[Partition]string, error) {
	self, err := filepath.EvalSymlinks(sys)
	if err != nil {
		return nil, err
	}
	names := make(map[Partition]string)
	list, err := os.ReadDir(filepath.Dir(self))
	if err != nil {
		return nil, err
	}
	for _, e := range list {
		n, err := number(filepath.Join(filepath.Dir(self), e.Name()))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
			continue
		}
		if err != nil {
			return nil, err
		}
		names[n] = e.Name()
	}
	return names, nil
}

// blockDevice is a partition in /dev.
type blockDevice struct{ *os.File }

// Size returns the partition's length.
func (b *blockDevice) Size() (int64, error) { return b.Seek(0, io.SeekEnd) }
