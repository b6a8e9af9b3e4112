//go:build !linux

package hardware

import "syscall"

var i2cErrnos = []errnoClass{
	{syscall.ENXIO, ErrAbsent, remedyWiring},
	{syscall.ETIMEDOUT, ErrTimeout, "the bus is held low: check for a short, or take parts off one by one"},
	{syscall.EACCES, ErrPermission, "check who may use the bus"},
	{syscall.EPERM, ErrPermission, "check who may use the bus"},
}
