package hardware

import (
	"errors"
	"strings"
	"syscall"
)

// errnoClass pairs what a kernel says about an I2C transfer with its class and what
// a person can do.
type errnoClass struct {
	errno  syscall.Errno
	class  error
	remedy string
}

const remedyWiring = "check supply, SDA, SCL and the address"

// I2CError gives an error of an I2C bus its class. Linux reports a missing
// acknowledgement as ENXIO or EREMOTEIO, a line held low as ETIMEDOUT
// (Documentation/i2c/fault-codes.rst); periph's sysfs driver keeps the text of the
// number only, so the text is looked at too. Anything else is a port that does not
// work: ErrAbsent. An error that has a class keeps it.
func I2CError(err error, op string) error {
	if err == nil {
		return nil
	}
	if class := Class(err); class != nil {
		return &Error{Class: class, Op: op, Err: err}
	}
	for _, known := range i2cErrnos {
		if errors.Is(err, known.errno) || strings.HasSuffix(err.Error(), known.errno.Error()) {
			return &Error{Class: known.class, Op: op, Err: err, Remedy: known.remedy}
		}
	}
	return &Error{Class: ErrAbsent, Op: op, Err: err, Remedy: "check that the bus is enabled"}
}
