//go:build linux || darwin

package bus

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
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

// serialPort is a modbus.Conn. Bytes go through a file of our own, on which a read
// costs no thread and a deadline holds; package serial sets the line and holds
// TIOCEXCL.
type serialPort struct {
	file *os.File
	raw  syscall.RawConn
	line serial.Port
	mode Mode

	// What readOnce works on, so that a read needs no closure: there is one reader.
	into     []byte
	n        int
	err      error
	readOnce func(fd uintptr) bool
	peek     func(fd uintptr) bool
	waste    [256]byte
}

func openSerial(path string, mode Mode) (_ *serialPort, err error) {
	mode, err = mode.normal()
	if err != nil {
		return nil, openError(path, err, "correct the bus's settings")
	}
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, openError(path, err, "check the adapter, the name of the port and who may use it")
	}
	p := &serialPort{file: file, mode: mode}
	if err := p.prepare(path); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// prepare locks and sets the open file.
func (p *serialPort) prepare(path string) (err error) {
	if p.raw, err = p.file.SyscallConn(); err != nil {
		return openError(path, err, "")
	}
	var locked error
	err = p.raw.Control(func(fd uintptr) { locked = unix.Flock(int(fd), unix.LOCK_EX|unix.LOCK_NB) })
	if err = errors.Join(err, locked); err != nil {
		return openError(path, fmt.Errorf("locking: %w", err), "end the other program that uses the port")
	}
	p.line, err = serial.Open(path, p.mode.serial())
	if err != nil {
		return openError(path, fmt.Errorf("setting %s: %w", p.mode, err), "check that it is a serial port")
	}
	p.readOnce = func(fd uintptr) bool {
		p.read(fd)
		return p.err != unix.EAGAIN
	}
	p.peek = func(fd uintptr) bool {
		p.read(fd)
		return true
	}
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

// Read waits for bytes until the deadline.
func (p *serialPort) Read(b []byte) (int, error) {
	p.into = b
	if err := p.raw.Read(p.readOnce); err != nil {
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
	if err := p.file.SetReadDeadline(time.Time{}); err != nil {
		return 0, err
	}
	p.into = p.waste[:]
	for total < 1<<16 { // a line that babbles for ever is left to the next read
		if err := p.raw.Read(p.peek); err != nil {
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

// Write sends b.
func (p *serialPort) Write(b []byte) (int, error) { return p.file.Write(b) }

// SetDeadline sets until when Read and Write wait.
func (p *serialPort) SetDeadline(t time.Time) error { return p.file.SetDeadline(t) }

// Close unlocks and closes the port, at once: with a read that hangs in it the file
// would stay open, and with it the lock.
func (p *serialPort) Close() error {
	var err error
	if p.raw != nil {
		_ = p.raw.Control(func(fd uintptr) { _ = unix.Flock(int(fd), unix.LOCK_UN) }) // closing does it too
	}
	if p.line != nil {
		err = p.line.Close()
	}
	return errors.Join(err, p.file.Close())
}

// timing tells the Modbus client how long a character takes.
func (p *serialPort) timing() (baud, charBits int) { return p.mode.Baud, p.mode.charBits() }
