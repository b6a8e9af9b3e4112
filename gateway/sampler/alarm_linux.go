package sampler

import (
	"context"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// alarm wakes one sleeper at a time of the wall's clock, or when somebody sets that.
// It is a timer of the kernel: one of the runtime counts in milliseconds, and keeps a
// thread looking for the last of them (hardware/bus/DESIGN.md).
type alarm struct {
	file *os.File // nil where the kernel has no such timer: then ordinary ones are used
	raw  syscall.RawConn
	stop func() bool

	asked bool
	until time.Time
	rings func(uintptr) bool
}

// newAlarm returns an alarm that ends with ctx.
func newAlarm(ctx context.Context) *alarm {
	a := new(alarm)
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return a
	}
	file := os.NewFile(uintptr(fd), "alarm")
	raw, err := file.SyscallConn()
	if err != nil {
		_ = file.Close() // nothing was written to it
		return a
	}
	a.file, a.raw = file, raw
	a.stop = context.AfterFunc(ctx, func() { _ = file.Close() })
	// It is asked when the sleep begins, and then whenever the timer has something to
	// say: it ran down, or the clock was set.
	a.rings = func(uintptr) bool {
		again := a.asked
		a.asked = true
		return again || !time.Now().Round(0).Before(a.until)
	}
	return a
}

// sleep waits until a time, or until the clock is set; it is false once ctx has ended.
func (a *alarm) sleep(ctx context.Context, until time.Time) bool {
	if a.file == nil {
		return sleep(ctx, min(time.Until(until.Round(0)), recheck))
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(until.UnixNano())}
	var failed error
	err := a.raw.Control(func(fd uintptr) {
		failed = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &spec, nil)
	})
	switch {
	case err != nil:
		return false // closed: ctx has ended
	case failed == unix.ECANCELED:
		return true // the clock was set
	case failed != nil:
		return sleep(ctx, min(time.Until(until.Round(0)), recheck))
	}
	a.asked, a.until = false, until
	return a.raw.Read(a.rings) == nil
}

// close lets the timer go.
func (a *alarm) close() {
	if a.file != nil && a.stop() {
		_ = a.file.Close() // nothing was written to it
	}
}
