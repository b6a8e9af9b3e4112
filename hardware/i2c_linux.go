package hardware

import "syscall"

var i2cErrnos = []errnoClass{
	{syscall.ENXIO, ErrAbsent, remedyWiring},
	{syscall.EREMOTEIO, ErrAbsent, remedyWiring},
	{syscall.ETIMEDOUT, ErrTimeout, "the bus is held low: check for a short, or take parts off one by one"},
	{syscall.EACCES, ErrPermission, "add the user to the group of the bus's device file"},
	{syscall.EPERM, ErrPermission, "add the user to the group of the bus's device file"},
}
