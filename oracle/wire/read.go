package wire

import (
	"encoding/binary"
	"errors"

	"wattmark/ledger/block"
)

var (
	errTruncated = errors.New("truncated")
	errShortest  = errors.New("not the shortest encoding of a number")
	errType      = errors.New("wrong CBOR type")
	errLength    = errors.New("wrong length")
	errVersion   = errors.New("another version")
	errTrailing  = errors.New("bytes after the end")
	errShared    = errors.New("a hash again that is shared with the item before")
)

// reader reads what Receipts.Encode writes, and nothing else. There are many
// hashes to a statement, and a general decoder cost a gateway more than verifying
// them. The first error sticks; what is read after it means nothing.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// head reads the head of an item of a major type, in its shortest form.
func (r *reader) head(major byte) uint64 {
	if len(r.rest) == 0 {
		r.fail(errTruncated)
		return 0
	}
	first := r.rest[0]
	arg := uint64(first & 31)
	if first>>5 != major || arg > 27 {
		r.fail(errType)
		return 0
	}
	if arg < 24 {
		r.rest = r.rest[1:]
		return arg
	}
	n := 1 << (arg - 24)
	if len(r.rest) < 1+n {
		r.fail(errTruncated)
		return 0
	}
	var least uint64
	switch b := r.rest[1:]; n {
	case 1:
		arg, least = uint64(b[0]), 24
	case 2:
		arg, least = uint64(binary.BigEndian.Uint16(b)), 1<<8
	case 4:
		arg, least = uint64(binary.BigEndian.Uint32(b)), 1<<16
	default:
		arg, least = binary.BigEndian.Uint64(b), 1<<32
	}
	if arg < least {
		r.fail(errShortest)
		return 0
	}
	r.rest = r.rest[1+n:]
	return arg
}

// count reads the head of an array of at most MaxItems items, none of which is
// shorter than least bytes.
func (r *reader) count(least int) int {
	n := r.head(4)
	if r.err == nil && (n > MaxItems || n > uint64(len(r.rest)/least)) {
		r.fail(errLength)
	}
	if r.err != nil {
		return 0
	}
	return int(n)
}

// tuple reads the head of an array of n items.
func (r *reader) tuple(n uint64) {
	if r.head(4) != n {
		r.fail(errLength)
	}
}

// bytes returns the content of a byte string, which refers to what is read.
func (r *reader) bytes() []byte {
	n := r.head(2)
	if n > uint64(len(r.rest)) {
		r.fail(errTruncated)
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// array fills a with a byte string of its length.
func (r *reader) array(a []byte) {
	if b := r.bytes(); r.err == nil && len(b) != len(a) {
		r.fail(errLength)
	} else {
		copy(a, b)
	}
}

func (r *reader) receipts() *Receipts {
	r.tuple(4)
	version := r.head(0)
	if r.err == nil && version != receiptsWhole && version != receiptsVersion {
		r.fail(errVersion)
	}
	out := &Receipts{Checkpoint: append([]byte{}, r.bytes()...)}
	out.Signatures = make([]ReceiptSignature, r.count(3))
	for i := range out.Signatures {
		s := &out.Signatures[i]
		r.tuple(2)
		r.array(s.KeyID[:])
		s.Signature = append([]byte{}, r.bytes()...)
	}
	out.Items = make([]ReceiptItem, r.count(5))
	var before []block.Hash
	for i := range out.Items {
		it := &out.Items[i]
		if version == receiptsWhole {
			r.tuple(4)
			it.Boot, it.Count, it.Index = r.head(0), r.head(0), r.head(0)
			it.Path = r.path(nil)
			continue
		}
		r.tuple(5)
		it.Boot, it.Count, it.Index = r.head(0), r.head(0), r.head(0)
		shared := r.shared(len(before))
		it.Path = r.path(before[len(before)-shared:])
		if own := len(it.Path) - shared; own > 0 && shared < len(before) && it.Path[own-1] == before[len(before)-1-shared] {
			r.fail(errShared)
		}
		before = it.Path
	}
	if r.err == nil && len(r.rest) > 0 {
		r.fail(errTrailing)
	}
	return out
}

// shared reads how many of n hashes an item shares.
func (r *reader) shared(n int) int {
	k := r.head(0)
	if k > uint64(n) {
		r.fail(errLength)
		return 0
	}
	return int(k)
}

// path reads the hashes of an item, and returns them with those that it shares behind.
func (r *reader) path(shared []block.Hash) []block.Hash {
	own := r.count(34)
	if own+len(shared) > maxPath {
		r.fail(errLength)
		own = 0
	}
	path := make([]block.Hash, own, own+len(shared))
	for k := range path {
		r.array(path[k][:])
	}
	return append(path, shared...)
}
