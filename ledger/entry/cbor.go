package entry

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"
)

var (
	encMode = must(cbor.EncOptions{
		Sort:          cbor.SortCoreDeterministic,
		IndefLength:   cbor.IndefLengthForbidden,
		ShortestFloat: cbor.ShortestFloatNone,
		// A nil list is written as an empty one, and null for a list is thereby refused.
		NilContainers: cbor.NilContainerAsEmpty,
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

// keyName checks what becomes the name of a key in signed notes, which neither
// space nor plus may stand in (C2SP signed-note).
func keyName(what, s string) error {
	if strings.ContainsFunc(s, unicode.IsSpace) || strings.Contains(s, "+") {
		return fmt.Errorf("%w: %s %q holds a space or a plus sign", ErrForm, what, s)
	}
	return text(what, s, 255)
}

// maxKey bounds a raw public key in bytes; those in use have 32 and 65.
const maxKey = 128

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
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: %s is not UTF-8", ErrForm, what)
	}
	return nil
}
