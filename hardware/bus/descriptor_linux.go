package bus

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// descriptor is an open serial port that waits without a timer of the runtime: those
// count in milliseconds, and for the last of them a thread of the runtime looks every
// 70 µs whether it is time (DESIGN.md). Port and kernel timer are in an epoll instance
// of their own, and that is what the runtime waits for. Nor is it woken when the port
// could be written to, as it would be each time a byte has left it.
//
// Close may be called from any goroutine, all else from one at a time.
type descriptor struct {
	file   *os.File
	raw    syscall.RawConn // file's
	events *os.File        // the epoll instance
	ready  syscall.RawConn // events'
	timer  *os.File
	port   int32 // file's number, for epoll only
	clock  int   // timer's number

	// What again works on, so that a wait needs no closure.
	try   func(fd uintptr) bool
	until time.Time
	done  bool
	err   error
	again func(uintptr) bool
	step  func(fd uintptr)
}

// openDescriptor opens the port at path.
func openDescriptor(path string) (_ *descriptor, err error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	d := &descriptor{port: int32(fd)}
	// Package os would have the runtime wait for what does not block.
	if err := unix.SetNonblock(fd, false); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(fd))
	}
	d.file = os.NewFile(uintptr(fd), path)
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(poll, true); err != nil {
		return nil, errors.Join(os.NewSyscallError("fcntl", err), unix.Close(poll))
	}
	d.events = os.NewFile(uintptr(poll), "epoll of "+path)
	if d.clock, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	d.timer = os.NewFile(uintptr(d.clock), "timer of "+path)
	for _, fd := range [...]int32{d.port, int32(d.clock)} {
		if err := unix.EpollCtl(poll, unix.EPOLL_CTL_ADD, int(fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: fd}); err != nil {
			if err == unix.EPERM {
				err = unix.ENOTTY // a file, which is always ready
			}
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
	}
	if d.raw, err = d.file.SyscallConn(); err != nil {
		return nil, err
	}
	if d.ready, err = d.events.SyscallConn(); err != nil {
		return nil, err
	}
	d.step = func(fd uintptr) { d.done = d.try(fd) }
	d.again = d.attempt
	return d, nil
}

// attempt tries, and reports whether that is the end of it.
func (d *descriptor) attempt(uintptr) bool {
	if d.err = d.raw.Control(d.step); d.done || d.err != nil {
		return true
	}
	if !d.until.IsZero() && !time.Now().Before(d.until) {
		d.err = os.ErrDeadlineExceeded
	}
	return d.err != nil
}

// repeat calls try until it reports that it is done, each time there is something to
// read, or room to write. After the given time, if that is one, it is
// os.ErrDeadlineExceeded.
func (d *descriptor) repeat(until time.Time, writing bool, try func(fd uintptr) bool) error {
	if left := time.Until(until); !until.IsZero() && left > 0 {
		spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(left))}
		if err := unix.TimerfdSettime(d.clock, 0, &spec, nil); err != nil {
			return os.NewSyscallError("timerfd_settime", err)
		}
	}
	if writing {
		if err := d.watch(unix.EPOLLIN | unix.EPOLLOUT); err != nil {
			return err
		}
		defer func() { _ = d.watch(unix.EPOLLIN) }() // what fails here fails in the next read
	}
	d.try, d.until, d.done, d.err = try, until, false, nil
	if err := d.ready.Read(d.again); err != nil {
		return err
	}
	return d.err
}

// pause waits until a time, whatever arrives.
func (d *descriptor) pause(until time.Time) error {
	if err := d.watch(0); err != nil {
		return err
	}
	err := d.repeat(until, false, never)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil
	}
	return errors.Join(err, d.watch(unix.EPOLLIN))
}

func never(uintptr) bool { return false }

// watch sets what of the port is waited for.
func (d *descriptor) watch(events uint32) error {
	var failed error
	err := d.ready.Control(func(poll uintptr) {
		failed = unix.EpollCtl(int(poll), unix.EPOLL_CTL_MOD, int(d.port), &unix.EpollEvent{Events: events, Fd: d.port})
	})
	return errors.Join(err, os.NewSyscallError("epoll_ctl", failed))
}

// Close ends what waits, and closes the port.
func (d *descriptor) Close() error {
	err := d.file.Close()
	for _, f := range [...]*os.File{d.events, d.timer} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
