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

// Some parts that stand alone on their line answer to an address that is every such
// part's, from the range that V1.02 section 2.2 reserves. They reply with it, or with
// the address they were given.
const (
	// AnyPZEM is what each PZEM-004T answers to.
	AnyPZEM = 0xF8
	// AnySenseair is what each sensor by Senseair answers to.
	AnySenseair = 0xFE
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

// check refuses what the specification does not allow in any framing.
func (r Request) check() error {
	switch {
	case r.Function != ReadHolding && r.Function != ReadInput:
		return fmt.Errorf("%s: only functions 03 and 04 are spoken", r)
	case r.Count == 0 || r.Count > MaxCount:
		return fmt.Errorf("%s: %d registers in one request, 1 to %d are allowed", r, r.Count, MaxCount)
	case int(r.Address)+int(r.Count) > 1<<16:
		return fmt.Errorf("%s: beyond the last register", r)
	}
	return nil
}

// checkRTU is check on a serial line, where unit 0 is broadcast: nobody may answer.
func (r Request) checkRTU() error {
	if r.Unit == 0 {
		return fmt.Errorf("%s: unit 0 is broadcast and never answers", r)
	}
	return r.check()
}

// answeredBy reports whether a reply of unit may be one to r.
func (r Request) answeredBy(unit byte) bool {
	return unit == r.Unit || anyone(r.Unit) && unit != 0
}

// anyone reports whether unit is an address that any part of a kind answers to.
func anyone(unit byte) bool { return unit == AnyPZEM || unit == AnySenseair }

// replySize returns the length of the RTU frame that answers r.
func (r Request) replySize() int { return replyOverhead + 2*int(r.Count) }

// AppendRTU appends r as an RTU frame to b.
func (r Request) AppendRTU(b []byte) []byte {
	start := len(b)
	b = append(b, r.Unit, byte(r.Function))
	b = binary.BigEndian.AppendUint16(b, r.Address)
	b = binary.BigEndian.AppendUint16(b, r.Count)
	return binary.LittleEndian.AppendUint16(b, CRC(b[start:]))
}

// ParseRequest reads a frame that AppendRTU wrote. Its errors are ErrMalformed, with
// ErrTruncated as a detail, and ErrChecksum of package hardware.
func ParseRequest(frame []byte) (Request, error) {
	switch {
	case len(frame) < requestSize:
		return Request{}, refuse(hardware.ErrTruncated, "a request of %d bytes, %d expected", len(frame), requestSize)
	case len(frame) > requestSize:
		return Request{}, refuse(hardware.ErrMalformed, "a request of %d bytes, %d expected", len(frame), requestSize)
	case !intact(frame):
		return Request{}, refuse(hardware.ErrChecksum, "in a request")
	}
	r := readRequest(frame[0], frame[1:])
	if err := r.checkRTU(); err != nil {
		return Request{}, refuse(hardware.ErrMalformed, "%v", err)
	}
	return r, nil
}

// readRequest reads function, address and count of a request to a unit, unchecked.
func readRequest(unit byte, pdu []byte) Request {
	return Request{Unit: unit, Function: Function(pdu[0]), Address: binary.BigEndian.Uint16(pdu[1:]), Count: binary.BigEndian.Uint16(pdu[3:])}
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
		return r.judge(received[0], received[1:n-2])
	}
	switch {
	case n == 0:
		return nil, refuse(hardware.ErrStale, "the request was not answered")
	case n < replyOverhead:
		return nil, refuse(hardware.ErrTruncated, "%d bytes", n)
	case n < declaredSize(received) && r.answeredBy(received[0]) && received[1] == byte(r.Function):
		return nil, refuse(hardware.ErrTruncated, "%d of %d bytes", n, declaredSize(received))
	}
	return nil, refuse(hardware.ErrChecksum, "CRC %#04x, calculated %#04x",
		binary.LittleEndian.Uint16(received[n-2:]), CRC(received[:n-2]))
}

// declaredSize is how long a reply of at least three bytes says it is.
func declaredSize(reply []byte) int {
	if reply[1]&exceptionBit != 0 {
		return exceptionSize
	}
	return replyOverhead + int(reply[2])
}

// judge looks into a reply that came undamaged: who sent it, and its function code and
// data, of which there is one byte at least.
func (r Request) judge(unit byte, pdu []byte) ([]byte, error) {
	switch {
	case !r.answeredBy(unit):
		return nil, refuse(hardware.ErrWrongDevice, "unit %d answered, unit %d was asked", unit, r.Unit)
	case pdu[0] == byte(r.Function)|exceptionBit:
		if len(pdu) != 2 {
			return nil, refuse(hardware.ErrWrongReply, "an exception of %d bytes", len(pdu))
		}
		return nil, &exceptions[pdu[1]]
	case pdu[0] != byte(r.Function):
		return nil, refuse(hardware.ErrWrongReply, "function %#02x answered, %#02x was asked", pdu[0], byte(r.Function))
	case len(pdu) != 2+2*int(r.Count) || int(pdu[1]) != 2*int(r.Count):
		return nil, refuse(hardware.ErrWrongReply, "%d bytes after the function, %d registers were asked for", len(pdu)-1, r.Count)
	}
	return pdu[2:], nil
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

// exceptions are the errors of all exceptions, made once: a recording may hold thousands.
// Nobody changes them.
var exceptions = func() (all [256]hardware.Error) {
	for i := range all {
		all[i] = hardware.Error{Class: hardware.ErrDevice, Err: Exception(i)}
	}
	return all
}()
