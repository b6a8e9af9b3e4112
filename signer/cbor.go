package signer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// The reader and the writer below know just the CBOR that a COSE_Sign1 of this
// package is made of. A general decoder would have to be told to refuse
// everything else and its result be encoded again to find a second encoding;
// this one cannot accept one, allocates nothing, and is fuzzed against
// fxamacker/cbor.

const (
	majorUint  = 0
	majorNint  = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorTag   = 6
)

var errTruncated = errors.New("truncated")

// reader walks over deterministic CBOR. After a failed read its state is not
// to be used.
type reader struct{ rest []byte }

// head reads an initial byte and its argument, refusing every form but the
// shortest and every indefinite length.
func (r *reader) head() (major byte, arg uint64, err error) {
	if len(r.rest) == 0 {
		return 0, 0, errTruncated
	}
	major, info := r.rest[0]>>5, r.rest[0]&31
	n := 0
	switch {
	case info < 24:
		arg = uint64(info)
	case info <= 27:
		n = 1 << (info - 24)
	default:
		return 0, 0, errors.New("indefinite length or reserved head")
	}
	if len(r.rest) < 1+n {
		return 0, 0, errTruncated
	}
	var least uint64
	switch n {
	case 1:
		arg, least = uint64(r.rest[1]), 24
	case 2:
		arg, least = uint64(binary.BigEndian.Uint16(r.rest[1:])), 1<<8
	case 4:
		arg, least = uint64(binary.BigEndian.Uint32(r.rest[1:])), 1<<16
	case 8:
		arg, least = binary.BigEndian.Uint64(r.rest[1:]), 1<<32
	}
	if arg < least {
		return 0, 0, errors.New("not the shortest encoding of a number")
	}
	r.rest = r.rest[1+n:]
	return major, arg, nil
}

func (r *reader) expect(major byte, what string) (uint64, error) {
	m, arg, err := r.head()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	if m != major {
		return 0, fmt.Errorf("%s: wrong CBOR type %d", what, m)
	}
	return arg, nil
}

// str reads a byte or text string without copying it.
func (r *reader) str(major byte, what string) ([]byte, error) {
	n, err := r.expect(major, what)
	if err != nil {
		return nil, err
	}
	if n > uint64(len(r.rest)) {
		return nil, fmt.Errorf("%s: %w", what, errTruncated)
	}
	s := r.rest[:n:n]
	r.rest = r.rest[n:]
	return s, nil
}

// integer reads an integer that fits an int64.
func (r *reader) integer(what string) (int64, error) {
	m, arg, err := r.head()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	if m > majorNint || arg > 1<<62 {
		return 0, fmt.Errorf("%s: not an integer in range", what)
	}
	if m == majorNint {
		return -1 - int64(arg), nil
	}
	return int64(arg), nil
}

// skip passes over one item of any kind and returns its bytes. Maps must have
// their keys in order, at most depth levels deep.
func (r *reader) skip(depth int) ([]byte, error) {
	start := r.rest
	if depth == 0 {
		return nil, errors.New("nested too deeply")
	}
	m, arg, err := r.head()
	if err != nil {
		return nil, err
	}
	switch m {
	case majorBytes, majorText:
		if arg > uint64(len(r.rest)) {
			return nil, errTruncated
		}
		if m == majorText && !utf8.Valid(r.rest[:arg]) {
			return nil, errors.New("text is not UTF-8")
		}
		r.rest = r.rest[arg:]
	case majorArray, majorMap:
		if arg > uint64(len(r.rest)) { // each item has at least one byte
			return nil, errTruncated
		}
		var last []byte
		for i := uint64(0); i < arg; i++ {
			item, err := r.skip(depth - 1)
			if err != nil {
				return nil, err
			}
			if m == majorArray {
				continue
			}
			if i > 0 && string(item) <= string(last) {
				return nil, errors.New("map keys out of order or repeated")
			}
			last = item
			if _, err := r.skip(depth - 1); err != nil {
				return nil, err
			}
		}
	case majorTag:
		if _, err := r.skip(depth - 1); err != nil {
			return nil, err
		}
	case 7: // simple values and floats: true, false, null alone
		if len(start)-len(r.rest) != 1 || arg < 20 || arg > 22 {
			return nil, errors.New("floats and unusual simple values are not used")
		}
	}
	n := len(start) - len(r.rest)
	return start[:n:n], nil
}

func appendHead(b []byte, major byte, arg uint64) []byte {
	major <<= 5
	switch {
	case arg < 24:
		return append(b, major|byte(arg))
	case arg < 1<<8:
		return append(b, major|24, byte(arg))
	case arg < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(arg))
	case arg < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(arg))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), arg)
}

func appendInt(b []byte, v int64) []byte {
	if v < 0 {
		return appendHead(b, majorNint, uint64(-1-v))
	}
	return appendHead(b, majorUint, uint64(v))
}

func appendBytes(b, s []byte) []byte { return append(appendHead(b, majorBytes, uint64(len(s))), s...) }

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, majorText, uint64(len(s))), s...)
}
