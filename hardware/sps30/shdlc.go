package sps30

import (
	"bytes"
	"fmt"

	"wattmark/hardware"
)

// Bytes of SHDLC frames (5.1).
const (
	flag   = 0x7E // begins and ends a frame
	escape = 0x7D // the next byte is stuffed: its bit 5 is inverted
)

// maxFrame bounds a frame as it is on the wire, all its 255 data bytes stuffed.
const maxFrame = 2 + 2*(5+255)

// failing is the bit of a reply's state that says that the status register has an error.
const failing = 0x80

// appendRequest appends a request as it goes over the wire (5.1).
func appendRequest(b []byte, command byte, data ...byte) []byte {
	b = append(b, flag)
	sum := command + byte(len(data))
	b = stuff(b, 0) // the part's address
	b = stuff(b, command)
	b = stuff(b, byte(len(data)))
	for _, c := range data {
		sum += c
		b = stuff(b, c)
	}
	return append(stuff(b, ^sum), flag)
}

func stuff(b []byte, c byte) []byte {
	switch c {
	case flag, escape, 0x11, 0x13:
		return append(b, escape, c^0x20)
	}
	return append(b, c)
}

// cut is the uart.Cutter of frames.
func cut(b []byte) (skip, length int) {
	skip = bytes.IndexByte(b, flag)
	if skip < 0 {
		return len(b), 0
	}
	if end := bytes.IndexByte(b[skip+1:], flag); end >= 0 {
		return skip, end + 2
	}
	return skip, 0
}

// content is what a frame carries.
type content struct {
	bytes [5 + 255]byte // address, command, state of replies, length, data
	n     int
}

// unstuff reads a whole frame, flags included, and checks its checksum.
func (c *content) unstuff(frame []byte) error {
	c.n = 0
	sum := byte(0)
	for i := 1; i < len(frame)-1; i++ {
		v := frame[i]
		if v == escape {
			i++
			switch v = frame[i] ^ 0x20; v {
			case flag, escape, 0x11, 0x13:
			default:
				return refuse(hardware.ErrMalformed, "byte %#02x after %#02x is not a stuffed one", frame[i], escape)
			}
		}
		if c.n == len(c.bytes) {
			return refuse(hardware.ErrMalformed, "a frame of %d bytes", len(frame))
		}
		c.bytes[c.n] = v
		c.n++
		sum += v
	}
	switch {
	case c.n < 4:
		return refuse(hardware.ErrTruncated, "a frame of %d bytes", len(frame))
	case sum != 0xFF:
		return &hardware.Error{Class: hardware.ErrChecksum, Err: fmt.Errorf("the bytes of the frame add up to %#02x, not 0xff", sum)}
	}
	c.n-- // the checksum is done with
	return nil
}

// reply is what answers a request.
type reply struct {
	command, state byte
	data           []byte // of the content, valid until it changes
}

// read reads the one reply that was received.
func (c *content) read(received []byte) (reply, error) {
	if len(received) == 0 {
		return reply{}, &hardware.Error{Class: hardware.ErrStale, Err: fmt.Errorf("the request was not answered")}
	}
	skip, length := cut(received)
	switch {
	case skip > 0:
		return reply{}, refuse(hardware.ErrMalformed, "the reply begins with %#02x, not %#02x", received[0], flag)
	case length == 0:
		return reply{}, refuse(hardware.ErrTruncated, "the frame has no end")
	case length < len(received):
		return reply{}, &hardware.Error{Class: hardware.ErrStale, Err: fmt.Errorf("%d bytes follow the reply", len(received)-length)}
	}
	if err := c.unstuff(received); err != nil {
		return reply{}, err
	}
	b := c.bytes[:c.n]
	switch {
	case b[0] != 0:
		return reply{}, &hardware.Error{Class: hardware.ErrWrongDevice, Err: fmt.Errorf("address %d answered, the part has 0", b[0])}
	case len(b) < 4 || int(b[3]) != len(b)-4:
		return reply{}, refuse(hardware.ErrTruncated, "length and number of bytes differ")
	}
	return reply{command: b[1], state: b[2], data: b[4:]}, nil
}

// request reads a request that was sent: its command and its data.
func (c *content) request(sent []byte) (command byte, data []byte, err error) {
	if skip, length := cut(sent); skip != 0 || length != len(sent) {
		return 0, nil, refuse(hardware.ErrMalformed, "%d bytes sent are no frame", len(sent))
	}
	if err := c.unstuff(sent); err != nil {
		return 0, nil, refuse(hardware.ErrMalformed, "the frame sent: %w", err.(*hardware.Error).Err)
	}
	b := c.bytes[:c.n]
	if b[0] != 0 || int(b[2]) != len(b)-3 {
		return 0, nil, refuse(hardware.ErrMalformed, "the frame sent is no request")
	}
	return b[1], b[3:], nil
}

// states are what a part says when it does not do what it was told (5.2).
var states = map[byte]string{
	0x01: "wrong data length", 0x02: "unknown command", 0x03: "no access right", 0x04: "illegal parameter",
	0x28: "internal argument out of range", 0x43: "not allowed in this state",
}

// stateNotAllowed is the answer to a read of a part that does not measure, and to a start
// of one that does.
const stateNotAllowed = 0x43

// refused is the error of a reply's state, nil for none.
func (r reply) refused() error {
	code := r.state &^ failing
	if code == 0 {
		return nil
	}
	text, ok := states[code]
	if !ok {
		text = "an error that the data sheet does not list"
	}
	return &hardware.Error{Class: hardware.ErrDevice, Err: fmt.Errorf("command %#02x: state %#02x, %s", r.command, code, text)}
}

func refuse(class error, format string, args ...any) error {
	return &hardware.Error{Class: class, Err: fmt.Errorf(format, args...)}
}
