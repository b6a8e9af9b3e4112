// Package service talks to the service manager that has started a daemon, by the
// protocols of sd_notify(3) and sd_watchdog_enabled(3). Without one it does nothing.
package service

import (
	"errors"
	"net"
	"os"
	"strconv"
	"time"
)

// within bounds the wait for a service manager that does not read.
const within = 2 * time.Second

// Notify tells the service manager something (sd_notify(3)). Without one it does
// nothing.
func Notify(state string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	if path[0] == '@' { // an abstract socket
		path = "\x00" + path[1:]
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	// Nobody may read it, and a daemon must end all the same.
	err = c.SetWriteDeadline(time.Now().Add(within))
	if err == nil {
		_, err = c.Write([]byte(state))
	}
	return errors.Join(err, c.Close())
}

// WatchdogEvery is how often the service manager wants to be told that all is well,
// halved as sd_watchdog_enabled(3) recommends; 0 for never.
func WatchdogEvery() time.Duration {
	us, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || us <= 0 {
		return 0
	}
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	return time.Duration(us) * time.Microsecond / 2
}
