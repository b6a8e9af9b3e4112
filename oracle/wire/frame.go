package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"wattmark/ledger/entry"
	"wattmark/signer"
)

const frameVersion = 1

// MaxPack bounds the preimage of a committed pack in bytes.
const MaxPack = entry.MaxPreimage

// MaxFrame is the largest frame in bytes.
const MaxFrame = 5 + signer.MaxMessage + MaxPack

// Frame is how a statement travels: version byte 1, the statement's length as a
// big-endian uint32, the statement, and the preimage of its pack, which is empty
// where the pack is open.
type Frame struct {
	Statement []byte
	Pack      []byte
}

// ErrFrame is wrapped by every error of ParseFrame.
var ErrFrame = errors.New("not a frame")

// Encode writes the frame.
func (f Frame) Encode() []byte {
	b := make([]byte, 0, 5+len(f.Statement)+len(f.Pack))
	b = append(b, frameVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.Statement)))
	b = append(b, f.Statement...)
	return append(b, f.Pack...)
}

// ErrTooLarge is wrapped when a frame or a part of it is over its limit.
var ErrTooLarge = errors.New("too large")

// ParseFrame reads a frame. The result refers to b.
func ParseFrame(b []byte) (Frame, error) {
	if len(b) > MaxFrame {
		return Frame{}, fmt.Errorf("%w: %d bytes: %w, the limit is %d", ErrFrame, len(b), ErrTooLarge, MaxFrame)
	}
	if len(b) < 5 || b[0] != frameVersion {
		return Frame{}, fmt.Errorf("%w: it starts with version 1 and a length of four bytes", ErrFrame)
	}
	n := uint64(binary.BigEndian.Uint32(b[1:]))
	rest := b[5:]
	switch {
	case n > signer.MaxMessage:
		return Frame{}, fmt.Errorf("%w: a statement of %d bytes: %w, the limit is %d", ErrFrame, n, ErrTooLarge, signer.MaxMessage)
	case n > uint64(len(rest)):
		return Frame{}, fmt.Errorf("%w: a statement of %d bytes in %d", ErrFrame, n, len(rest))
	}
	f := Frame{Statement: rest[:n:n]}
	if len(rest) > int(n) {
		f.Pack = rest[n:]
	}
	if len(f.Pack) > MaxPack {
		return Frame{}, fmt.Errorf("%w: a pack of %d bytes: %w, the limit is %d", ErrFrame, len(f.Pack), ErrTooLarge, MaxPack)
	}
	return f, nil
}
