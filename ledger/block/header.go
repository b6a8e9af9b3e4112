package block

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// HeaderVersion is the version of the header format that this package writes.
const HeaderVersion = 1

// Header closes a block. It is the block's last leaf.
type Header struct {
	_       struct{} `cbor:",toarray"`
	Version uint64
	Origin  string // the ledger's origin
	Height  uint64 // 0 for genesis
	Prev    Hash   // leaf hash of the header before; zero in genesis
	First   uint64 // index of the block's first leaf
	Size    uint64 // this header's own index: leaves [First, Size) are the block's
	Root    Hash   // root of the tree of the leaves [0, Size)
	Time    int64  // block time, Unix milliseconds UTC
}

var (
	encMode = must(cbor.CoreDetEncOptions().EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		MaxNestedLevels:  8,
		MaxArrayElements: 4096,
		MaxMapPairs:      64,
		UTF8:             cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return v
}

// maxSize bounds the leaves of a ledger and its blocks, so that sums of them
// never overflow.
const maxSize = 1 << 60

// ErrForm is wrapped by every decoding error of this package.
var ErrForm = errors.New("not well formed")

// decode reads b into v and refuses every encoding but the deterministic one.
func decode(what string, b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrForm, err)
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", what, ErrForm, err)
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("%s: %w: not deterministic CBOR", what, ErrForm)
	}
	return nil
}

// Encode writes the header as the bytes of its leaf.
func (h *Header) Encode() []byte { return must(encMode.Marshal(h)) }

// ParseHeader reads a header leaf.
func ParseHeader(b []byte) (*Header, error) {
	var h Header
	if err := decode("header", b, &h); err != nil {
		return nil, err
	}
	switch {
	case h.Version != HeaderVersion:
		return nil, fmt.Errorf("header: %w: version %d is not known", ErrForm, h.Version)
	case h.Height > maxSize || h.Size > maxSize:
		return nil, fmt.Errorf("header: %w: height %d or size %d is out of range", ErrForm, h.Height, h.Size)
	case !validName(h.Origin):
		return nil, fmt.Errorf("header: %w: %q is not an origin", ErrForm, h.Origin)
	case h.First > h.Size:
		return nil, fmt.Errorf("header: %w: block %d starts at leaf %d after its end %d", ErrForm, h.Height, h.First, h.Size)
	case h.Time < 0 || h.Time > 1<<50:
		return nil, fmt.Errorf("header: %w: time %d ms is out of range", ErrForm, h.Time)
	}
	return &h, nil
}

// ErrChain is wrapped by every break in the chain of headers.
var ErrChain = errors.New("header chain is broken")

// Follows checks that h is the header right after prev, whose leaf hash is
// prevHash. For genesis prev is nil.
func (h *Header) Follows(prev *Header, prevHash Hash) error {
	if prev == nil {
		if h.Height != 0 || h.Prev != (Hash{}) || h.First != 0 {
			return fmt.Errorf("%w: the first header has height %d and starts at leaf %d", ErrChain, h.Height, h.First)
		}
		return nil
	}
	switch {
	case h.Origin != prev.Origin:
		return fmt.Errorf("%w: block %d is of ledger %q, not %q", ErrChain, h.Height, h.Origin, prev.Origin)
	case h.Height != prev.Height+1:
		return fmt.Errorf("%w: block %d follows block %d", ErrChain, h.Height, prev.Height)
	case h.Prev != prevHash:
		return fmt.Errorf("%w: block %d does not name the header of block %d", ErrChain, h.Height, prev.Height)
	case h.First != prev.Size+1:
		return fmt.Errorf("%w: block %d starts at leaf %d, not %d", ErrChain, h.Height, h.First, prev.Size+1)
	case h.Time < prev.Time:
		return fmt.Errorf("%w: block %d is older than block %d", ErrChain, h.Height, prev.Height)
	}
	return nil
}
