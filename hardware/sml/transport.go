package sml

import (
	"bytes"
	"errors"
	"fmt"

	"wattmark/hardware"
	"wattmark/hardware/push"
)

// The sequences of the transport protocol (section 8.1): four escape bytes, then four
// that say what they are for.
var (
	escape = []byte{0x1B, 0x1B, 0x1B, 0x1B}
	begin  = []byte{0x1B, 0x1B, 0x1B, 0x1B, 0x01, 0x01, 0x01, 0x01}
)

const (
	endMark = 0x1A // then how many fill bytes precede, then the checksum
	maxFill = 3
	sizeEnd = 8
)

// scan implements push.Scan. A file begins with its start sequence and ends with the end
// sequence, or where another one begins.
func scan(b []byte) (start, end int) {
	start = bytes.Index(b, begin)
	if start < 0 {
		// The last bytes may be the beginning of a beginning.
		for n := min(len(begin)-1, len(b)); n > 0; n-- {
			if bytes.HasPrefix(begin, b[len(b)-n:]) {
				return len(b) - n, 0
			}
		}
		return len(b), 0
	}
	for i := start + len(begin); ; {
		n := bytes.Index(b[i:], escape)
		if n < 0 {
			return start, 0
		}
		i += n
		if len(b)-i < sizeEnd {
			return start, 0
		}
		switch next := b[i+4 : i+8]; {
		case next[0] == endMark:
			return start, i + sizeEnd
		case bytes.Equal(next, begin[4:]):
			return start, i
		case bytes.Equal(next, escape):
			i += sizeEnd
		default:
			i++ // lost bytes: what follows may make sense again
		}
	}
}

// file checks the file that b is from start to end sequence, and returns its messages.
func file(b []byte) ([]byte, error) {
	if len(b) > push.MaxFrame {
		return nil, refuse(hardware.ErrMalformed, fmt.Errorf("a file of %d bytes; at most %d are taken", len(b), push.MaxFrame))
	}
	n := len(b) - sizeEnd
	if n < len(begin) || !bytes.Equal(b[n:n+4], escape) || b[n+4] != endMark {
		return nil, refuse(hardware.ErrTruncated, errors.New("the file has no end"))
	}
	want := uint16(b[n+6]) | uint16(b[n+7])<<8
	if got := crcX25(b[:n+6]); got != want {
		return nil, refuse(hardware.ErrChecksum, fmt.Errorf("the file's is %04X, its bytes make %04X", want, got))
	}
	body := b[len(begin):n]
	fill := int(b[n+5])
	if fill > maxFill || fill > len(body) {
		return nil, refuse(hardware.ErrMalformed, fmt.Errorf("%d fill bytes", fill))
	}
	return unescape(body[:len(body)-fill])
}

// unescape returns body with the doubled escape sequences single again. Nearly always
// there are none, and body is returned as it is.
func unescape(body []byte) ([]byte, error) {
	if !bytes.Contains(body, escape) {
		return body, nil
	}
	plain := make([]byte, 0, len(body))
	for {
		i := bytes.Index(body, escape)
		if i < 0 {
			return append(plain, body...), nil
		}
		if !bytes.HasPrefix(body[i+len(escape):], escape) {
			return nil, refuse(hardware.ErrMalformed, errors.New("an escape sequence that is none of the protocol's"))
		}
		plain = append(plain, body[:i+len(escape)]...)
		body = body[i+2*len(escape):]
	}
}

// crcX25 is the checksum of DIN EN 62056-46, CRC-16/X-25, least significant byte first
// in the file.
func crcX25(b []byte) uint16 {
	crc := uint16(0xFFFF)
	for _, c := range b {
		crc ^= uint16(c)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0x8408
			} else {
				crc >>= 1
			}
		}
	}
	return ^crc
}

func refuse(class, err error) error {
	return &hardware.Error{Class: class, Op: "reading an SML file", Err: err}
}
