package bus_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"wattmark/hardware"
	"wattmark/hardware/bus"
)

// No machine that tests run on has this bus. The kernel is asked for it by its
// device file, whichever way it is named.
func TestI2CBusThatIsNotThere(t *testing.T) {
	for _, name := range []string{"/dev/i2c-60123", "I2C60123", "60123"} {
		port, err := bus.I2C(name)()
		var e *hardware.Error
		if !errors.As(err, &e) || e.Class != hardware.ErrAbsent || e.Remedy == "" || !strings.Contains(err.Error(), "/dev/i2c-60123") {
			t.Errorf("%s: got %v, %v", name, port, err)
		}
	}
	for _, name := range []string{"", "/dev/ttyUSB0", "I2C", "-1", "70000", "/dev/i2c-1x"} {
		if port, err := bus.I2C(name)(); !errors.Is(err, hardware.ErrAbsent) {
			t.Errorf("%q: got %v, %v", name, port, err)
		}
	}
}

func TestClassesOfOpening(t *testing.T) {
	for _, c := range []struct {
		err   error
		class error
	}{
		{&fs.PathError{Op: "open", Path: "/dev/ttyUSB0", Err: syscall.EACCES}, hardware.ErrPermission},
		{fmt.Errorf("sysfs-i2c: are you member of group 'plugdev'? %v", syscall.EACCES), hardware.ErrPermission}, // as periph tells it
		{fmt.Errorf("locking: %w", syscall.EWOULDBLOCK), hardware.ErrPermission},
		{syscall.EBUSY, hardware.ErrPermission},
		{&fs.PathError{Op: "open", Path: "/dev/ttyUSB0", Err: syscall.ENOENT}, hardware.ErrAbsent},
		{fmt.Errorf("sysfs-i2c: bus #7 is not configured: %v", syscall.ENOENT), hardware.ErrAbsent},
	} {
		if err := bus.OpenError(c.err); hardware.Class(err) != c.class || !errors.Is(err, c.err) {
			t.Errorf("%v: got %v, want %v", c.err, err, c.class)
		}
	}
}
