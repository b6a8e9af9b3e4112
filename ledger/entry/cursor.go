package entry

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// cursor reads deterministic CBOR item by item, for claims and packs, of which
// every oracle reads one for each statement. Reading them with a general
// decoder cost twice as much as verifying the signature. Everything else in this
// package goes through fxamacker/cbor, against which this is fuzzed.
//
// The first error sticks; what is read after it means nothing.
type cursor struct {
	rest []byte
	err  error
}

// CBOR major types (RFC 8949 section 3.1).
const (
	majorUint  = 0
	majorNint  = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
	majorTag   = 6
)

var (
	errTruncated = errors.New("truncated")
	errShortest  = errors.New("not the shortest encoding of a number")
	errMajor     = errors.New("wrong CBOR type")
	errKeyOrder  = errors.New("map keys repeated or out of order")
	errUTF8      = errors.New("text is not UTF-8")
	errRange     = errors.New("number out of range")
	errKey       = errors.New("unknown map key")
	errTrailing  = errors.New("bytes after the end")
)

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	c.rest = nil
}

// head reads an initial byte and its argument.
func (c *cursor) head() (major byte, arg uint64) {
	if len(c.rest) == 0 {
		c.fail(errTruncated)
		return 0, 0
	}
	first := c.rest[0]
	major, arg = first>>5, uint64(first&31)
	if arg < 24 {
		c.rest = c.rest[1:]
		return major, arg
	}
	if arg > 27 {
		c.fail(errMajor) // indefinite or reserved
		return 0, 0
	}
	n := 1 << (arg - 24)
	if len(c.rest) < 1+n {
		c.fail(errTruncated)
		return 0, 0
	}
	var least uint64
	switch n {
	case 1:
		arg, least = uint64(c.rest[1]), 24
	case 2:
		arg, least = uint64(binary.BigEndian.Uint16(c.rest[1:])), 1<<8
	case 4:
		arg, least = uint64(binary.BigEndian.Uint32(c.rest[1:])), 1<<16
	case 8:
		arg, least = binary.BigEndian.Uint64(c.rest[1:]), 1<<32
	}
	if arg < least {
		c.fail(errShortest)
		return 0, 0
	}
	c.rest = c.rest[1+n:]
	return major, arg
}

// count reads the head of an array or map of at most most items.
func (c *cursor) count(major byte, most uint64) int {
	m, n := c.head()
	if c.err == nil && m != major {
		c.fail(errMajor)
	}
	if c.err == nil && n > most {
		c.fail(errRange)
	}
	if c.err != nil {
		return 0
	}
	return int(n)
}

func (c *cursor) integer() int64 {
	if len(c.rest) > 0 && c.rest[0] < 24 { // nearly always, and quickly
		n := c.rest[0]
		c.rest = c.rest[1:]
		return int64(n)
	}
	m, n := c.head()
	switch {
	case c.err != nil:
	case m > majorNint:
		c.fail(errMajor)
	case n > 1<<63-1:
		c.fail(errRange)
	case m == majorNint:
		return -1 - int64(n)
	default:
		return int64(n)
	}
	return 0
}

func (c *cursor) unsigned() uint64 {
	m, n := c.head()
	if c.err == nil && m != majorUint {
		c.fail(errMajor)
	}
	if c.err != nil {
		return 0
	}
	return n
}

// str reads a byte or text string without copying it.
func (c *cursor) str(major byte) []byte {
	s := c.raw(major)
	if major == majorText && !utf8.Valid(s) {
		c.fail(errUTF8)
		return nil
	}
	return s
}

// raw is str for what is checked to be ASCII later.
func (c *cursor) raw(major byte) []byte {
	m, n := c.head()
	switch {
	case c.err != nil:
	case m != major:
		c.fail(errMajor)
	case n > uint64(len(c.rest)):
		c.fail(errTruncated)
	default:
		s := c.rest[:n:n]
		c.rest = c.rest[n:]
		return s
	}
	return nil
}

func (c *cursor) text() string { return string(c.str(majorText)) }

// decimal reads an integer or a decimal fraction.
func (c *cursor) decimal() Decimal {
	if len(c.rest) == 0 || c.rest[0] != 0xc4 {
		return Decimal{Mantissa: c.integer()}
	}
	c.rest = c.rest[1:]
	if c.count(majorArray, 2) != 2 {
		c.fail(errMajor)
	}
	exponent := c.integer()
	d := Decimal{Mantissa: c.integer()}
	if c.err == nil && (exponent < minExponent || exponent >= 0) {
		c.fail(errRange)
	}
	d.Exponent = int8(exponent)
	return d
}

// keys walks over a map with integer keys, which must be in deterministic order:
// not negative ones first, both by rising magnitude.
type keys struct {
	pairs int
	last  int64
	later bool // a key was read before
}

// next reads the next key, or reports that there is none.
func (k *keys) next(c *cursor) (key int64, ok bool) {
	if k.pairs == 0 || c.err != nil {
		return 0, false
	}
	key = c.integer()
	if k.later && !keyBefore(k.last, key) {
		c.fail(errKeyOrder)
	}
	k.pairs, k.last, k.later = k.pairs-1, key, true
	return key, c.err == nil
}

func keyBefore(a, b int64) bool {
	switch {
	case a >= 0 && b >= 0:
		return a < b
	case a < 0 && b < 0:
		return a > b
	}
	return a >= 0
}

// end checks that nothing follows, and returns the first error.
func (c *cursor) end() error {
	if c.err == nil && len(c.rest) > 0 {
		c.fail(errTrailing)
	}
	return c.err
}
