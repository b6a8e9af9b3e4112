package bus

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// descriptor is an open serial port. Close may be called from any goroutine, all else
// from one at a time.
type descriptor struct {
	file *os.File
	raw  syscall.RawConn
}

// openDescriptor opens the port at path.
func openDescriptor(path string) (*descriptor, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	raw, err := file.SyscallConn()
	return &descriptor{file, raw}, err
}

// repeat calls try until it reports that it is done, each time there is something to
// read, or room to write. After the given time, if that is one, it is
// os.ErrDeadlineExceeded.
func (d *descriptor) repeat(until time.Time, writing bool, try func(fd uintptr) bool) error {
	if err := d.file.SetDeadline(until); err != nil {
		return err
	}
	if writing {
		return d.raw.Write(try)
	}
	return d.raw.Read(try)
}

// pause does not wait: here a reader is woken for each piece.
func (d *descriptor) pause(time.Time) error { return nil }

// Close ends what waits, and closes the port.
func (d *descriptor) Close() error { return d.file.Close() }
