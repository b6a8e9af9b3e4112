package calibration

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// watch returns a channel that tells, until ctx ends, when a file was moved into a
// directory, as requests are, and how often to look into it all the same: a gateway that
// looked every two seconds would be woken all its life for what somebody does twice a
// year. The function waits for the end.
func watch(ctx context.Context, dir string) (news <-chan struct{}, every time.Duration, wait func()) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, idle, func() {}
	}
	events := os.NewFile(uintptr(fd), "inotify")
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_ONLYDIR); err != nil {
		_ = events.Close() // nothing was written to it
		return nil, idle, func() {}
	}
	ch := make(chan struct{}, 1)
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() { _ = events.Close() })
	go func() {
		defer close(ended)
		// What an event says does not matter, so it does not either if some were lost.
		b := make([]byte, 4096)
		for {
			if _, err := events.Read(b); err != nil {
				return
			}
			select {
			case ch <- struct{}{}:
			default:
			}
		}
	}()
	return ch, seldom, func() { <-ended }
}

// seldom is how often a directory that is watched is looked into: it may have been taken
// away and put back.
const seldom = time.Minute
