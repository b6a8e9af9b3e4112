package bus

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged is how long, in milliseconds, what was sent may be without a sign of
// the other end. The kernel's own limit is a quarter of an hour.
const unacknowledged = 10_000

// userTimeout sets that limit on a socket (tcp(7), TCP_USER_TIMEOUT).
func userTimeout(_, _ string, c syscall.RawConn) error {
	var set error
	err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, unacknowledged)
	})
	return errors.Join(err, set)
}
