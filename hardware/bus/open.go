package bus

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"

	"periph.io/x/host/v3/sysfs"

	"wattmark/hardware"
)

// Opener opens a bus's port: a modbus.Conn, an i2c.Bus or a spi.Port. It is called again after
// the port failed, and from another goroutine when an earlier call hangs. Close must
// be safe to call while the port is read from or written to, and end that if it can.
type Opener func() (io.Closer, error)

// Given is an Opener of a port that is open already: an emulated bus, or one end of
// a connection. Closing the bus does not close it, so that it can be opened again;
// nor is it closed when a transfer hangs in it.
func Given(port any) Opener {
	return func() (io.Closer, error) { return given{port}, nil }
}

// given keeps a port from being closed.
type given struct{ port any }

// Close does nothing.
func (given) Close() error { return nil }

// I2C is an Opener of the machine's I2C bus of that name or number: "/dev/i2c-1",
// "I2C1" or "1". Its speed is set where the kernel configures the bus.
//
// periph's registry is not asked: it loads all drivers for all that a board has, and
// fails when one of them lacks another.
func I2C(name string) Opener {
	return func() (io.Closer, error) {
		digits := strings.TrimPrefix(strings.TrimPrefix(name, "/dev/i2c-"), "I2C")
		number, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			return nil, openError(name, err, "name the bus as in \"/dev/i2c-1\"")
		}
		b, err := sysfs.NewI2C(int(number))
		if err != nil {
			return nil, openError(name, err, "enable I2C and add the user to the group of its device file")
		}
		return b, nil
	}
}

// SPI is an Opener of the machine's SPI port with that bus and chip select:
// "/dev/spidev0.0", "SPI0.0" or "0.0".
func SPI(name string) Opener {
	return func() (io.Closer, error) {
		digits := strings.TrimPrefix(strings.TrimPrefix(name, "/dev/spidev"), "SPI")
		bus, chipSelect, ok := strings.Cut(digits, ".")
		b, err := strconv.ParseUint(bus, 10, 16)
		c, err2 := strconv.ParseUint(chipSelect, 10, 8)
		if err = errors.Join(err, err2); !ok || err != nil {
			return nil, openError(name, err, "name the port as in \"/dev/spidev0.0\"")
		}
		p, err := sysfs.NewSPI(int(b), int(c))
		if err != nil {
			return nil, openError(name, err, "enable SPI and add the user to the group of its device file")
		}
		return p, nil
	}
}

// openError gives a failure to open a port its class.
func openError(name string, err error, remedy string) error {
	class := hardware.ErrAbsent
	for _, errno := range [...]syscall.Errno{syscall.EACCES, syscall.EPERM, syscall.EBUSY, syscall.EWOULDBLOCK} {
		if is(err, errno) {
			class = hardware.ErrPermission
		}
	}
	return &hardware.Error{Class: class, Op: fmt.Sprintf("opening %s", name), Err: err, Remedy: remedy}
}

// is reports whether errno is at the bottom of err. periph's drivers keep the text
// of the number only.
func is(err error, errno syscall.Errno) bool {
	return err != nil && (errors.Is(err, errno) || strings.HasSuffix(err.Error(), errno.Error()))
}
