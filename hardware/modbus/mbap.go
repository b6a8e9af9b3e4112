package modbus

import (
	"encoding/binary"
	"fmt"

	"wattmark/hardware"
)

// Framing is how requests and replies are put into bytes.
type Framing byte

const (
	// FramingRTU is a serial line's: unit, function, data, CRC; also when a converter
	// passes it through a TCP connection.
	FramingRTU Framing = iota
	// FramingTCP is Modbus TCP's: a header (MBAP) with a transaction number in front
	// of function and data, and no checksum.
	FramingTCP
)

// String returns the setting that chooses f for a TCP connection.
func (f Framing) String() string {
	switch f {
	case FramingRTU:
		return "rtu-over-tcp"
	case FramingTCP:
		return "modbus-tcp"
	}
	return fmt.Sprintf("framing %d", byte(f))
}

// The header of Modbus TCP ("MODBUS Messaging on TCP/IP Implementation Guide V1.0b",
// section 3.1.3): transaction number, protocol (0), length of what follows it, unit.
const (
	headerSize     = 7
	lengthAt       = 4 // where the length stands; it counts from unit on
	tcpRequestSize = headerSize + 5
	maxTCPFrame    = headerSize + 253
)

// AppendTCP appends r to b as a frame of Modbus TCP with a transaction number.
func (r Request) AppendTCP(b []byte, transaction uint16) []byte {
	b = binary.BigEndian.AppendUint16(b, transaction)
	b = append(b, 0, 0, 0, tcpRequestSize-lengthAt-2, r.Unit, byte(r.Function))
	b = binary.BigEndian.AppendUint16(b, r.Address)
	return binary.BigEndian.AppendUint16(b, r.Count)
}

// ParseTCPRequest reads a frame that AppendTCP wrote. Its errors are ErrMalformed of
// package hardware, with ErrTruncated as a detail.
func ParseTCPRequest(frame []byte) (r Request, transaction uint16, err error) {
	length, err := readHeader(frame)
	switch {
	case err != nil:
		return Request{}, 0, err
	case len(frame) < lengthAt+2+length:
		return Request{}, 0, refuse(hardware.ErrTruncated, "a request of %d bytes that says %d", len(frame), lengthAt+2+length)
	case len(frame) != tcpRequestSize || length != tcpRequestSize-lengthAt-2:
		return Request{}, 0, refuse(hardware.ErrMalformed, "a request of %d bytes, %d expected", len(frame), tcpRequestSize)
	}
	r = readRequest(frame[headerSize-1], frame[headerSize:])
	if err := r.check(); err != nil {
		return Request{}, 0, refuse(hardware.ErrMalformed, "%v", err)
	}
	return r, binary.BigEndian.Uint16(frame), nil
}

// ParseTCPReply checks that received is exactly one reply of Modbus TCP to r in its
// transaction, and returns the register bytes in it, which alias received. An exception
// is an [Exception].
func ParseTCPReply(r Request, transaction uint16, received []byte) ([]byte, error) {
	if len(received) == 0 {
		return nil, refuse(hardware.ErrStale, "the request was not answered")
	}
	length, err := readHeader(received)
	if err != nil {
		return nil, err
	}
	end := lengthAt + 2 + length
	switch got := binary.BigEndian.Uint16(received); {
	case got != transaction:
		return nil, refuse(hardware.ErrStale, "transaction %d was answered, the request was %d", got, transaction)
	case len(received) < end:
		return nil, refuse(hardware.ErrTruncated, "%d of %d bytes", len(received), end)
	case len(received) > end:
		return nil, refuse(hardware.ErrStale, "%d bytes follow the reply", len(received)-end)
	}
	return r.judge(received[headerSize-1], received[headerSize:])
}

// readHeader returns how many bytes the header of a frame says follow the length.
func readHeader(frame []byte) (length int, err error) {
	if len(frame) < headerSize+1 {
		return 0, refuse(hardware.ErrTruncated, "%d bytes", len(frame))
	}
	if protocol := binary.BigEndian.Uint16(frame[2:]); protocol != 0 {
		return 0, refuse(hardware.ErrMalformed, "protocol %d in the header, Modbus is 0", protocol)
	}
	length = int(binary.BigEndian.Uint16(frame[lengthAt:]))
	if length < 2 || length > maxTCPFrame-lengthAt-2 {
		return 0, refuse(hardware.ErrMalformed, "a length of %d in the header, 2 to %d are possible", length, maxTCPFrame-lengthAt-2)
	}
	return length, nil
}

// framingOf tells which framing a recorded request has. An RTU frame of eight bytes may
// look like a header, but no request is that short with one.
func framingOf(sent []byte) Framing {
	if len(sent) > requestSize && sent[2] == 0 && sent[3] == 0 && int(binary.BigEndian.Uint16(sent[lengthAt:])) == len(sent)-lengthAt-2 {
		return FramingTCP
	}
	return FramingRTU
}

// ReadExchange reads one recorded exchange, in either framing: a request and what came
// back. The register bytes alias received.
func ReadExchange(sent, received []byte) (Request, []byte, error) {
	if framingOf(sent) == FramingTCP {
		r, transaction, err := ParseTCPRequest(sent)
		if err != nil {
			return Request{}, nil, err
		}
		data, err := ParseTCPReply(r, transaction, received)
		return r, data, err
	}
	r, err := ParseRequest(sent)
	if err != nil {
		return Request{}, nil, err
	}
	data, err := ParseReply(r, received)
	return r, data, err
}
