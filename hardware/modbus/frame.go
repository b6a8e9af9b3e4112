package modbus

import (
	"encoding/binary"
	"fmt"

	"wattmark/hardware"
)

// Function is a Modbus function code that reads registers.
type Function byte

const (
	// ReadHolding reads holding registers: settings, in most meters.
	ReadHolding Function = 0x03
	// ReadInput reads input registers: measurements, in most meters.
	ReadInput Function = 0x04
)

// String names the table that f reads.
func (f Function) String() string {
	switch f {
	case ReadHolding:
		return "holding"
	case ReadInput:
		return "input"
	}
	return fmt.Sprintf("function %#02x", byte(f))
}

const (
	// MaxCount is the most registers one request may ask for (V1.1b3 section 6.3).
	MaxCount = 125
	// exceptionBit is set in the function code of a reply that is an exception.
	exceptionBit = 0x80
	requestSize  = 8
	// replyOverhead is unit, function, byte count and CRC.
	replyOverhead = 5
	exceptionSize = 5
	// maxFrame is the largest RTU frame (V1.02 section 2.5.1.1).
	maxFrame = 256
)

// Request asks a unit for Count registers from Address on.
type Request struct {
	Unit     byte
	Function Function
	Address  uint16
	Count    uint16
}

// String says what is read, for errors and logs.
func (r Request) String() string {
	return fmt.Sprintf("reading %s registers %#04x-%#04x of unit %d", r.Function, r.Address, int(r.Address)+int(r.Count)-1, r.Unit)
}

// check refuses what the specification does not allow. Unit 0 is broadcast, to
// which nobody may answer; addresses above 247 are reserved, and used by some
// parts as "any address".
func (r Request) check() error {
	switch {
	case r.Function != ReadHolding && r.Function != ReadInput:
		return fmt.Errorf("%s: only functions 03 and 04 are spoken", r)
	case r.Unit == 0:
		return fmt.Errorf("%s: unit 0 is broadcast and never answers", r)
	case r.Count == 0 || r.Count > MaxCount:
		return fmt.Errorf("%s: %d registers in one request, 1 to %d are allowed", r, r.Count, MaxCount)
	case int(r.Address)+int(r.Count) > 1<<16:
		return fmt.Errorf("%s: beyond the last register", r)
	}
	return nil
}

// replySize returns the length of the frame that answers r.
func (r Request) replySize() int { return replyOverhead + 2*int(r.Count) }

// AppendRTU appends r as an RTU frame to b.
func (r Request) AppendRTU(b []byte) []byte {
	start := len(b)
	b = append(b, r.Unit, byte(r.Function))
	b = binary.BigEndian.AppendUint16(b, r.Address)
	b = binary.BigEndian.AppendUint16(b, r.Count)
	return binary.LittleEndian.AppendUint16(b, CRC(b[start:]))
}

// ParseRequest reads a frame that AppendRTU wrote. Its errors are ErrMalformed and
// ErrChecksum of package hardware.
func ParseRequest(frame []byte) (Request, error) {
	if len(frame) != requestSize {
		return Request{}, refuse(hardware.ErrMalformed, "a request of %d bytes, %d expected", len(frame), requestSize)
	}
	if !intact(frame) {
		return Request{}, refuse(hardware.ErrChecksum, "in a request")
	}
	r := Request{
		Unit:     frame[0],
		Function: Function(frame[1]),
		Address:  binary.BigEndian.Uint16(frame[2:]),
		Count:    binary.BigEndian.Uint16(frame[4:]),
	}
	if err := r.check(); err != nil {
		return Request{}, refuse(hardware.ErrMalformed, "%v", err)
	}
	return r, nil
}

// ParseReply checks that received is exactly one RTU reply to r, and returns the
// register bytes in it, which alias received. An exception is an [Exception].
func ParseReply(r Request, received []byte) ([]byte, error) {
	// What follows a reply is looked for first: a frame and zeros behind it have a
	// right checksum as a whole.
	n := len(received)
	if n > 2 && n > declaredSize(received) && intact(received[:declaredSize(received)]) {
		return nil, refuse(hardware.ErrStale, "%d bytes follow the reply", n-declaredSize(received))
	}
	if intact(received) {
		return r.judge(received)
	}
	switch {
	case n == 0:
		return nil, refuse(hardware.ErrStale, "the request was not answered")
	case n < replyOverhead:
		return nil, refuse(hardware.ErrMalformed, "truncated: %d bytes", n)
	case n < r.replySize() && received[0] == r.Unit && received[1] == byte(r.Function) && int(received[2]) == 2*int(r.Count):
		return nil, refuse(hardware.ErrMalformed, "truncated: %d of %d bytes", n, r.replySize())
	}
	return nil, refuse(hardware.ErrChecksum, "CRC %#04x, calculated %#04x",
		binary.LittleEndian.Uint16(received[len(received)-2:]), CRC(received[:len(received)-2]))
}

// declaredSize is how long a reply of at least three bytes says it is.
func declaredSize(reply []byte) int {
	if reply[1]&exceptionBit != 0 {
		return exceptionSize
	}
	return replyOverhead + int(reply[2])
}

// judge looks into a frame whose CRC holds.
func (r Request) judge(frame []byte) ([]byte, error) {
	switch {
	case frame[0] != r.Unit:
		return nil, refuse(hardware.ErrWrongDevice, "unit %d answered, unit %d was asked", frame[0], r.Unit)
	case frame[1] == byte(r.Function)|exceptionBit:
		if len(frame) != exceptionSize {
			return nil, refuse(hardware.ErrMalformed, "an exception of %d bytes", len(frame))
		}
		return nil, &hardware.Error{Class: hardware.ErrDevice, Err: Exception(frame[2])}
	case frame[1] != byte(r.Function):
		return nil, refuse(hardware.ErrMalformed, "function %#02x answered, %#02x was asked", frame[1], byte(r.Function))
	case len(frame) != r.replySize() || int(frame[2]) != 2*int(r.Count):
		return nil, refuse(hardware.ErrMalformed, "%d bytes saying %d, %d registers were asked for", len(frame), frame[2], r.Count)
	}
	return frame[3 : len(frame)-2], nil
}

// ReadExchange reads one recorded exchange: a request and what came back. It is
// what drivers decode with.
func ReadExchange(sent, received []byte) (Request, []byte, error) {
	r, err := ParseRequest(sent)
	if err != nil {
		return Request{}, nil, err
	}
	data, err := ParseReply(r, received)
	return r, data, err
}

func refuse(class error, format string, args ...any) error {
	return &hardware.Error{Class: class, Err: fmt.Errorf(format, args...)}
}

// Exception is the reason a unit gives for not answering (V1.1b3 section 7). Its
// class is ErrDevice.
type Exception byte

// Error returns the specification's name for e.
func (e Exception) Error() string {
	names := map[Exception]string{
		1: "illegal function", 2: "illegal data address", 3: "illegal data value", 4: "server device failure",
		5: "acknowledge", 6: "server device busy", 8: "memory parity error",
		10: "gateway path unavailable", 11: "gateway target device failed to respond",
	}
	if name, ok := names[e]; ok {
		return fmt.Sprintf("exception %d, %s", byte(e), name)
	}
	return fmt.Sprintf("exception %d", byte(e))
}
