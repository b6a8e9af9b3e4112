//go:build !linux && !darwin

package bus

import (
	"errors"
	"io"
)

// Serial is an Opener that fails: ports cannot be locked on this system.
func Serial(path string, _ Mode) Opener {
	return func() (io.Closer, error) {
		return nil, openError(path, errors.ErrUnsupported, "use Linux")
	}
}
