//go:build !linux

package doctor

import (
	"errors"
	"time"
)

// ownKernel is one that is not asked on this system.
type ownKernel struct{}

// Time implements Kernel.
func (ownKernel) Time() (bool, time.Duration, error) { return false, 0, errors.ErrUnsupported }

// Space implements Kernel.
func (ownKernel) Space(string) (int64, int64, error) { return 0, 0, errors.ErrUnsupported }
