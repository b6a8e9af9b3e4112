package entry

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// SnapshotState is the code of an OutcomeSnapshot: Hash is the SHA-256 of the state's
// snapshot after the block before, Detail the OrderPosition of that block.
const SnapshotState = "state"

// OrderPosition says how far into the oracles' order a block reaches.
type OrderPosition struct {
	Sequence uint64   // of the last message that the block took in, 0 for none
	Digest   [32]byte // SHA-256 of that message
}

// String returns "sequence digest", as an outcome's detail has it.
func (p OrderPosition) String() string {
	return strconv.FormatUint(p.Sequence, 10) + " " + hex.EncodeToString(p.Digest[:])
}

// ParseOrderPosition reads what String wrote.
func ParseOrderPosition(text string) (OrderPosition, error) {
	var p OrderPosition
	number, digest, ok := strings.Cut(text, " ")
	b, err := hex.DecodeString(digest)
	if !ok || err != nil || len(b) != len(p.Digest) {
		return p, fmt.Errorf("%w: %q is not a position in the order", ErrForm, text)
	}
	if p.Sequence, err = strconv.ParseUint(number, 10, 64); err != nil {
		return p, fmt.Errorf("%w: %q is not a position in the order", ErrForm, text)
	}
	copy(p.Digest[:], b)
	if p.String() != text {
		return p, fmt.Errorf("%w: %q is not how a position in the order is written", ErrForm, text)
	}
	return p, nil
}
