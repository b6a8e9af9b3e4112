package sml

import (
	"errors"
	"fmt"

	"wattmark/hardware"
)

// The types of an element (section 6.3), in its first byte.
const (
	typeOctets   = 0x0
	typeBool     = 0x4
	typeInteger  = 0x5
	typeUnsigned = 0x6
	typeList     = 0x7
)

// limits of what is taken: lists are not deep, and not long.
const (
	maxDepth = 8
	maxItems = 512
)

// element is one element: a list's length is how many elements follow, any other's data
// is its own.
type element struct {
	kind  byte
	items int
	data  []byte
}

// absent reports whether an optional element is left out: an octet string of no bytes.
func (e element) absent() bool { return e.kind == typeOctets && len(e.data) == 0 }

// unsigned returns an unsigned number.
func (e element) unsigned() (n uint64, ok bool) {
	if e.kind != typeUnsigned || len(e.data) == 0 || len(e.data) > 8 {
		return 0, false
	}
	for _, c := range e.data {
		n = n<<8 | uint64(c)
	}
	return n, true
}

// signed returns a signed number.
func (e element) signed() (n int64, ok bool) {
	if e.kind != typeInteger || len(e.data) == 0 || len(e.data) > 8 {
		return 0, false
	}
	n = int64(int8(e.data[0]))
	for _, c := range e.data[1:] {
		n = n<<8 | int64(c)
	}
	return n, true
}

// reader takes elements from the front of what is left.
type reader struct{ rest []byte }

func malformed(format string, args ...any) error {
	return refuse(hardware.ErrMalformed, fmt.Errorf(format, args...))
}

// next returns the next element.
func (r *reader) next() (e element, err error) {
	if len(r.rest) == 0 {
		return e, refuse(hardware.ErrTruncated, errors.New("an element is missing"))
	}
	head := r.rest[0]
	e.kind = head >> 4 & 0x7
	size, heads := int(head&0x0F), 1
	for head&0x80 != 0 { // the length goes on in the next byte
		if heads == 4 || heads >= len(r.rest) {
			return e, malformed("an element's length of %d bytes", heads)
		}
		head = r.rest[heads]
		if head&0x70 != 0 {
			return e, malformed("an element's length goes on with %#02x", head)
		}
		size = size<<4 | int(head&0x0F)
		heads++
	}
	if e.kind == typeList {
		if size > maxItems {
			return e, malformed("a list of %d elements; at most %d are taken", size, maxItems)
		}
		e.items, r.rest = size, r.rest[heads:]
		return e, nil
	}
	switch e.kind {
	case typeOctets, typeBool, typeInteger, typeUnsigned:
	default:
		return e, malformed("an element of type %d", e.kind)
	}
	if size < heads || size > len(r.rest) {
		return e, refuse(hardware.ErrTruncated, fmt.Errorf("an element of %d bytes, of which %d are there", size, len(r.rest)))
	}
	e.data, r.rest = r.rest[heads:size], r.rest[size:]
	return e, nil
}

// list takes the head of a list of n elements.
func (r *reader) list(n int, what string) error {
	e, err := r.next()
	if err == nil && (e.kind != typeList || e.items != n) {
		err = malformed("%s is no list of %d", what, n)
	}
	return err
}

// skip takes n elements with all that is in them.
func (r *reader) skip(n int) error { return r.skipTo(n, maxDepth) }

func (r *reader) skipTo(n, depth int) error {
	if depth == 0 {
		return malformed("lists more than %d deep", maxDepth)
	}
	for range n {
		e, err := r.next()
		if err == nil {
			err = r.skipTo(e.items, depth-1)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
