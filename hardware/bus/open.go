package bus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/i2c/i2creg"
	"periph.io/x/host/v3/sysfs"

	"wattmark/hardware"
)

// Opener opens a bus's port: a modbus.Conn or an i2c.Bus. It is called again after
// the port failed.
type Opener func() (io.Closer, error)

// Given is an Opener of a port that is open already: an emulated bus, or one end of
// a connection. Closing the bus does not close it, so that it can be opened again.
func Given(port any) Opener {
	return func() (io.Closer, error) { return given{port}, nil }
}

// given keeps a port from being closed.
type given struct{ port any }

// Close does nothing.
func (given) Close() error { return nil }

// I2C is an Opener of the machine's I2C bus of that name or number: "/dev/i2c-1",
// "I2C1" or "1". Its speed is set where the kernel configures the bus.
func I2C(name string) Opener {
	return func() (io.Closer, error) {
		if _, err := driverreg.Init(); err != nil {
			return nil, &hardware.Error{Class: hardware.ErrAbsent, Op: "loading I2C drivers", Err: err}
		}
		b, err := i2creg.Open(name)
		if err != nil {
			return nil, openError(name, err, "enable I2C and add the user to the group of its device file")
		}
		return b, nil
	}
}

var _ = sysfs.NewI2C // sysfs registers itself with driverreg

// openError gives a failure to open a port its class.
func openError(name string, err error, remedy string) error {
	class := hardware.ErrAbsent
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EWOULDBLOCK) {
		class = hardware.ErrPermission
	}
	return &hardware.Error{Class: class, Op: fmt.Sprintf("opening %s", name), Err: err, Remedy: remedy}
}
