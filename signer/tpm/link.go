package tpm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Device is the kernel's resource manager for the first TPM, which lets several
// programs use it at a time.
const Device = "/dev/tpmrm0"

const (
	// headerBytes is the length of a response's tag, size and code (TPM 2.0 Library
	// Part 1, section 18.10).
	headerBytes = 10
	// maxResponse bounds a response: TPM2_MAX_COMMAND_SIZE of the PC Client profile.
	maxResponse = 4096
	// answerWithin bounds the time for one command on a socket. The kernel bounds it
	// for a device; making a key is the slowest command, with seconds.
	answerWithin = 30 * time.Second
)

// link carries commands to a TPM one at a time. It is a transport.TPM.
type link struct {
	rw     io.ReadWriteCloser
	socket net.Conn // rw, where that is a socket
}

// dial opens a character device, or connects to the unix socket of an emulator.
func dial(path string) (*link, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no TPM at %s: enable it in the firmware, or load its driver or overlay, or choose another key store", path)
	case err != nil:
		return nil, fmt.Errorf("opening the TPM: %w", err)
	case info.Mode()&fs.ModeSocket != 0:
		c, err := net.Dial("unix", path)
		if err != nil {
			return nil, fmt.Errorf("connecting to the TPM: %w", err)
		}
		return &link{rw: c, socket: c}, nil
	case info.Mode()&fs.ModeCharDevice == 0:
		return nil, fmt.Errorf("%s is no TPM: it is neither a character device nor a socket", path)
	}
	// Not os.OpenFile, whose descriptor does not block: the kernel then takes a
	// command and answers later, and a read in between finds nothing.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("opening the TPM %s: %w: let this user into the group of the device, usually tss", path, err)
	case err != nil:
		return nil, fmt.Errorf("opening the TPM %s: %w", path, err)
	}
	return &link{rw: os.NewFile(uintptr(fd), path)}, nil
}

// Send sends one command and returns the response. After an error the link is of
// no use, as the answer may still come.
func (l *link) Send(command []byte) ([]byte, error) {
	if l.socket != nil {
		if err := l.socket.SetDeadline(time.Now().Add(answerWithin)); err != nil {
			return nil, lost(err)
		}
	}
	if _, err := l.rw.Write(command); err != nil {
		return nil, lost(err)
	}
	b := make([]byte, maxResponse)
	// A device gives a response in one read and loses what does not fit; a socket may
	// cut it anywhere.
	n, err := io.ReadAtLeast(l.rw, b, headerBytes)
	if err != nil {
		return nil, lost(err)
	}
	size := int(binary.BigEndian.Uint32(b[2:]))
	if size < headerBytes || size > maxResponse || n > size {
		return nil, lost(fmt.Errorf("a response of %d bytes says that it has %d", n, size))
	}
	if _, err := io.ReadFull(l.rw, b[n:size]); err != nil {
		return nil, lost(err)
	}
	return b[:size], nil
}

func (l *link) Close() error { return l.rw.Close() }

// errLink is wrapped by failures of the link, after which it must be made anew.
var errLink = errors.New("the TPM does not answer")

func lost(err error) error { return fmt.Errorf("%w: %w", errLink, err) }
