package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// kind says what a record of the log is.
type kind byte

const (
	kindStatement kind = 1 // a signed statement, with its pack where it has one
	kindGap       kind = 2 // a range of numbers that will not be sent
	kindMark      kind = 3 // something that became of a number
	kindFact      kind = 4 // the newest value of a name
)

// Flags in the byte of the kind.
const (
	// flagSettled: all bytes before this record in its segment were durable
	// when it was written. This tells damage from a torn tail.
	flagSettled = 0x80
	// flagNoted: the statement brings a mark along, so that the two cannot be parted:
	// it was moved from an older segment and had the mark there, or it replaces others.
	flagNoted = 0x40
	flags     = flagSettled | flagNoted
)

// logRecord is one record of the log. For a gap, seq is the first number.
type logRecord struct {
	kind    kind
	flags   byte
	boot    uint64
	seq     uint64
	payload []byte
}

const (
	recordHead = 8 // length, CRC
	minRecord  = recordHead + 3
	maxBoot    = 1<<32 - 1
	maxSeq     = 1<<62 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errEnd = errors.New("end of the log")
	errBad = errors.New("not a whole record")
)

func (r *logRecord) number() Number { return Number{r.boot, r.seq} }

// size is the length of the record on disk.
func (r *logRecord) size() int {
	return recordHead + 1 + uvarintLen(r.boot) + uvarintLen(r.seq) + len(r.payload)
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// appendRecord encodes r as it stands at an offset of a segment:
//
//	u32 length of what follows the CRC    u32 CRC32C
//	u8 kind and flags    uvarint boot    uvarint seq    payload
//
// all big-endian. The CRC also covers the segment's ordinal and the offset, so
// that bytes that a recycled segment had before, or that a file system put in
// the wrong place, are not taken for records.
func appendRecord(dst []byte, ordinal uint32, offset int, r *logRecord) []byte {
	start := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.size()-recordHead))
	dst = binary.BigEndian.AppendUint32(dst, 0)
	dst = append(dst, byte(r.kind)|r.flags)
	dst = binary.AppendUvarint(dst, r.boot)
	dst = binary.AppendUvarint(dst, r.seq)
	dst = append(dst, r.payload...)
	binary.BigEndian.PutUint32(dst[start+4:], recordCRC(ordinal, offset, dst[start:]))
	return dst
}

func recordCRC(ordinal uint32, offset int, rec []byte) uint32 {
	var place [12]byte
	binary.BigEndian.PutUint32(place[0:], ordinal)
	binary.BigEndian.PutUint32(place[4:], uint32(offset))
	copy(place[8:], rec[:4])
	return crc32.Update(crc32.Checksum(place[:], castagnoli), castagnoli, rec[recordHead:])
}

// decodeRecord reads the record at the start of buf, which stands at offset in
// the segment, and returns its size. The payload is part of buf. It returns
// errEnd where the log ends cleanly and errBad where there is something else
// than one whole record in its one encoding.
func decodeRecord(buf []byte, ordinal uint32, offset int) (logRecord, int, error) {
	var r logRecord
	if len(buf) < minRecord {
		return r, 0, errEnd
	}
	length := binary.BigEndian.Uint32(buf)
	if length == 0 {
		return r, 0, errEnd
	}
	if length < minRecord-recordHead || uint64(length) > uint64(len(buf)-recordHead) {
		return r, 0, errBad
	}
	n := recordHead + int(length)
	r.kind, r.flags = kind(buf[recordHead]&^flags), buf[recordHead]&flags
	if r.kind < kindStatement || r.kind > kindFact || (r.flags&flagNoted != 0 && r.kind != kindStatement) {
		return r, 0, errBad
	}
	if binary.BigEndian.Uint32(buf[4:]) != recordCRC(ordinal, offset, buf[:n]) {
		return r, 0, errBad
	}
	f := fields{rest: buf[recordHead+1 : n]}
	r.boot, r.seq = f.uvarint(maxBoot), f.uvarint(maxSeq)
	if f.err != nil {
		return r, 0, errBad
	}
	r.payload = f.rest
	return r, n, nil
}

// fields reads the parts of a payload; the first error sticks.
type fields struct {
	rest []byte
	err  error
}

func (f *fields) fail(what string) {
	if f.err == nil {
		f.err = fmt.Errorf("%w: %s", errBad, what)
	}
}

// uvarint reads a number in its shortest form.
func (f *fields) uvarint(limit uint64) uint64 {
	v, n := binary.Uvarint(f.rest)
	if f.err != nil || n <= 0 || n != uvarintLen(v) || v > limit {
		f.fail("number")
		return 0
	}
	f.rest = f.rest[n:]
	return v
}

// bytes reads a byte string with its length before it.
func (f *fields) bytes(limit int) []byte {
	n := f.uvarint(uint64(limit))
	if f.err != nil || n > uint64(len(f.rest)) {
		f.fail("length")
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) byte() byte {
	if f.err != nil || len(f.rest) == 0 {
		f.fail("nothing left")
		return 0
	}
	b := f.rest[0]
	f.rest = f.rest[1:]
	return b
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}
