//go:build linux || darwin

package bus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// Serial is an Opener of the serial port at path, a pseudo-terminal included. The
// port is locked against other processes (TIOCEXCL and flock): whoever opens it
// second is refused.
func Serial(path string, mode Mode) Opener {
	return func() (io.Closer, error) { return openSerial(path, mode) }
}

// serialPort is a modbus.Conn. Bytes go through a descriptor of our own, on which a read
// costs no thread and a deadline holds; package serial sets the line and holds
// TIOCEXCL.
type serialPort struct {
	descriptor *descriptor
	line       serial.Port
	mode       Mode
	deadline   time.Time

	// What the functions below work on, so that a transfer needs no closure: there is
	// one user.
	into    []byte
	from    []byte
	n       int
	err     error
	receive func(fd uintptr) bool // false when there is nothing to read
	send    func(fd uintptr) bool // false when there is no room
	peek    func(fd uintptr)
	waste   [256]byte
}

func openSerial(path string, mode Mode) (_ *serialPort, err error) {
	mode, err = mode.normal()
	if err != nil {
		return nil, openError(path, err, "correct the bus's settings")
	}
	d, err := openDescriptor(path)
	if err != nil {
		return nil, openError(path, err, "check the adapter, the name of the port and who may use it")
	}
	p := &serialPort{descriptor: d, mode: mode}
	if err := p.prepare(path); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// prepare locks and sets the open file.
func (p *serialPort) prepare(path string) (err error) {
	var locked error
	err = p.descriptor.raw.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	if err = errors.Join(err, locked); err != nil {
		return openError(path, fmt.Errorf("locking: %w", err), "end the other program that uses the port")
	}
	p.line, err = serial.Open(path, p.mode.serial())
	if err != nil {
		return openError(path, fmt.Errorf("setting %s: %w", p.mode, err), "check that it is a serial port")
	}
	p.receive = func(fd uintptr) bool {
		p.read(fd)
		return p.err != unix.EAGAIN
	}
	p.peek = p.read
	p.send = p.write
	return nil
}

// serial returns m as package serial has it.
func (m Mode) serial() *serial.Mode {
	parity := map[Parity]serial.Parity{ParityNone: serial.NoParity, ParityEven: serial.EvenParity, ParityOdd: serial.OddParity}
	stop := serial.OneStopBit
	if m.StopBits == 2 {
		stop = serial.TwoStopBits
	}
	return &serial.Mode{BaudRate: m.Baud, DataBits: m.DataBits, Parity: parity[m.Parity], StopBits: stop}
}

// setMode sets the line anew once all that was written is sent.
func (p *serialPort) setMode(m Mode) error {
	if err := p.line.Drain(); err != nil {
		return fmt.Errorf("waiting for the line to be sent empty: %w", err)
	}
	if err := p.line.SetMode(m.serial()); err != nil {
		return fmt.Errorf("setting the line to %s: %w", m, err)
	}
	return nil
}

// read reads what is there. A signal in between is not the end of it: the poller
// tells of new bytes only, so those that are there must not be left waiting.
func (p *serialPort) read(fd uintptr) {
	for {
		if p.n, p.err = unix.Read(int(fd), p.into); p.err != unix.EINTR {
			return
		}
	}
}

// write sends what there is room for. It is false where there is none for the rest.
func (p *serialPort) write(fd uintptr) bool {
	for len(p.from) > 0 {
		n, err := unix.Write(int(fd), p.from)
		switch {
		case n > 0:
			p.from = p.from[n:]
		case err == unix.EAGAIN:
			return false
		case err == nil:
			p.err = io.ErrNoProgress
			return true
		case err != unix.EINTR:
			p.err = os.NewSyscallError("write", err)
			return true
		}
	}
	return true
}

// Read waits for bytes until the deadline.
func (p *serialPort) Read(b []byte) (int, error) {
	p.into = b
	if err := p.descriptor.repeat(p.deadline, false, p.receive); err != nil {
		return 0, err
	}
	return p.result()
}

// result is what the last read gave. No bytes and no error is a line that was hung
// up: the adapter is gone.
func (p *serialPort) result() (int, error) {
	switch {
	case p.err != nil:
		return 0, os.NewSyscallError("read", p.err)
	case p.n == 0:
		return 0, io.EOF
	}
	return p.n, nil
}

// Discard implements modbus.Discarder.
func (p *serialPort) Discard() (total int, err error) {
	p.into = p.waste[:]
	for total < 1<<16 { // a line that babbles for ever is left to the next read
		if err := p.descriptor.raw.Control(p.peek); err != nil {
			return total, err
		}
		if p.err == unix.EAGAIN {
			return total, nil
		}
		n, err := p.result()
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, nil
}

// Pause implements modbus.Pauser.
func (p *serialPort) Pause(until time.Time) error { return p.descriptor.pause(until) }

// Write sends b. Mostly there is room for it at once.
func (p *serialPort) Write(b []byte) (int, error) {
	p.from, p.err = b, nil
	done := false
	err := p.descriptor.raw.Control(func(fd uintptr) { done = p.send(fd) })
	if err == nil && !done {
		err = p.descriptor.repeat(p.deadline, true, p.send)
	}
	if err == nil {
		err = p.err
	}
	return len(b) - len(p.from), err
}

// SetDeadline sets until when Read and Write wait.
func (p *serialPort) SetDeadline(t time.Time) error {
	p.deadline = t
	return nil
}

// Close unlocks and closes the port, at once: with a read that hangs in it the file
// would stay open, and with it the lock.
func (p *serialPort) Close() error {
	var err error
	_ = p.descriptor.raw.Control(func(fd uintptr) { _ = unix.Flock(int(fd), unix.LOCK_UN) }) // closing does it too
	if p.line != nil {
		err = p.line.Close()
	}
	return errors.Join(err, p.descriptor.Close())
}

// timing tells the Modbus client how long a character takes.
func (p *serialPort) timing() (baud, charBits int) { return p.mode.Baud, p.mode.charBits() }
