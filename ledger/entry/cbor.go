package entry

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

var (
	encMode = must(cbor.EncOptions{
		Sort:          cbor.SortCoreDeterministic,
		IndefLength:   cbor.IndefLengthForbidden,
		ShortestFloat: cbor.ShortestFloatNone,
	}.EncMode())
	decMode = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		MaxNestedLevels:   8,
		MaxArrayElements:  4096,
		MaxMapPairs:       64,
		IntDec:            cbor.IntDecConvertNone,
		UTF8:              cbor.UTF8RejectInvalid,
	}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic("internal error: " + err.Error())
	}
	return v
}

// ErrForm is wrapped by every decoding error of this package.
var ErrForm = errors.New("not a well-formed entry")

// encode writes v, which must be of a type that always encodes.
func encode(v any) []byte { return must(encMode.Marshal(v)) }

// decode reads b into v, strictly, and refuses any encoding but the one that
// encode would have written.
func decode(what string, b []byte, v any) error {
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrForm, what, err)
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrForm, what, err)
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("%w: %s: not deterministic CBOR", ErrForm, what)
	}
	return nil
}

// text checks a string that comes from outside.
func text(what, s string, most int) error {
	if s == "" || len(s) > most {
		return fmt.Errorf("%w: %s has %d bytes instead of 1 to %d", ErrForm, what, len(s), most)
	}
	for i := range len(s) {
		if s[i] < 0x20 || s[i] == 0x7f {
			return fmt.Errorf("%w: %s holds a control character", ErrForm, what)
		}
	}
	return nil
}
