package emulated

import (
	"os"

	"golang.org/x/sys/unix"
)

// speedOf returns the speed in baud that a terminal is set to, 0 if it does not say.
func speedOf(f *os.File) (baud int) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		if settings, err := unix.IoctlGetTermios(int(fd), unix.TCGETS2); err == nil {
			baud = int(settings.Ospeed)
		}
	})
	return baud
}
