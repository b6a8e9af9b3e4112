package update

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"

	"wattmark/firmware/update/slot"
)

// Machine is the machine that this process runs on.
type Machine struct {
	Disk  *slot.Disk
	Image Image
}

// OpenMachine finds the disk that the machine runs from and measures the root that is
// mounted: it reads all of it. What said says of itself is filled up with the digest,
// the size and the kernel's release.
func OpenMachine(said Image) (*Machine, error) {
	d, err := slot.Find()
	if err != nil {
		return nil, err
	}
	if said.Size, err = d.RootSize(d.Running); err != nil {
		return nil, err
	}
	if said.Root, err = d.Digest(d.Running, said.Size); err != nil {
		return nil, err
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("asking for the kernel's release: %w", err)
	}
	said.Kernel = string(bytes.TrimRight(u.Release[:], "\x00"))
	return &Machine{d, said}, nil
}

// Restart starts the machine again. All that is to survive has been synced by then; the
// rest is given a chance.
func Restart() error {
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}
