//go:build !linux

package emulated

import "syscall"

// notAcknowledged stands in for EREMOTEIO, which only Linux has.
const notAcknowledged = syscall.ENXIO
