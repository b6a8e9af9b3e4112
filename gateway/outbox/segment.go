package outbox

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
)

const (
	segmentBytes  = 256 << 10 // size of a segment file
	maxSegment    = 16 << 20  // of a file that Open reads
	headerBytes   = 256       // less than a sector, so that it is written whole or not at all
	segmentMagic  = "WMOUTBOX"
	formatVersion = 1
	maxGatewayID  = 64
)

// header stands at the start of a segment. It repeats what the outbox must
// know when every older segment is gone.
type header struct {
	size      uint32 // bytes of the file
	ordinal   uint32
	boot      uint64
	reserved  uint64 // highest number reserved in boot
	last      Number // last statement before this segment
	lastHash  [32]byte
	doubt     bool // made while the disk failed: the segment before may not be durable
	gatewayID string
}

func (h *header) encode() []byte {
	b := append(make([]byte, 0, headerBytes), segmentMagic...)
	b = binary.BigEndian.AppendUint32(b, formatVersion)
	b = binary.BigEndian.AppendUint32(b, h.size)
	b = binary.BigEndian.AppendUint32(b, h.ordinal)
	b = binary.BigEndian.AppendUint64(b, h.boot)
	b = binary.BigEndian.AppendUint64(b, h.reserved)
	b = binary.BigEndian.AppendUint64(b, h.last.Boot)
	b = binary.BigEndian.AppendUint64(b, h.last.Seq)
	b = append(b, h.lastHash[:]...)
	if h.doubt {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	b = append(b, byte(len(h.gatewayID)))
	b = append(b, h.gatewayID...)
	b = b[:headerBytes]
	binary.BigEndian.PutUint32(b[headerBytes-4:], crc32.Checksum(b[:headerBytes-4], castagnoli))
	return b
}

var errHeader = errors.New("not a whole segment header")

func decodeHeader(b []byte) (header, error) {
	var h header
	if len(b) < headerBytes || string(b[:8]) != segmentMagic ||
		binary.BigEndian.Uint32(b[headerBytes-4:]) != crc32.Checksum(b[:headerBytes-4], castagnoli) {
		return h, errHeader
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != formatVersion {
		return h, fmt.Errorf("segment of format version %d: this program knows version %d", v, formatVersion)
	}
	h.size = binary.BigEndian.Uint32(b[12:])
	h.ordinal = binary.BigEndian.Uint32(b[16:])
	h.boot = binary.BigEndian.Uint64(b[20:])
	h.reserved = binary.BigEndian.Uint64(b[28:])
	h.last = Number{binary.BigEndian.Uint64(b[36:]), binary.BigEndian.Uint64(b[44:])}
	copy(h.lastHash[:], b[52:84])
	h.doubt = b[84] == 1
	n := int(b[85])
	if n > maxGatewayID || h.boot > maxBoot || h.last.Boot > h.boot || h.reserved > maxSeq || h.last.Seq > maxSeq {
		return h, errHeader
	}
	h.gatewayID = string(b[86 : 86+n])
	if !bytes.Equal(h.encode(), b[:headerBytes]) {
		return h, errHeader
	}
	return h, nil
}

const (
	segmentSuffix = ".seg"
	corruptSuffix = ".corrupt"
)

// segmentName is the file's name: the ordinal, which sorts, then the number of
// the first statement it can hold, for people.
func segmentName(ordinal uint32, first Number) string {
	return fmt.Sprintf("%010d-b%d-s%d%s", ordinal, first.Boot, first.Seq, segmentSuffix)
}

// parseSegmentName returns the ordinal in a segment's name.
func parseSegmentName(name string) (uint32, bool) {
	digits, _, ok := strings.Cut(name, "-")
	if !ok || len(digits) != 10 {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil && n > 0
}

// segment is one file of the log. live counts what still keeps it on disk.
type segment struct {
	ordinal   uint32
	name      string
	size      int
	live      int   // statements and gaps that lie here and are needed
	liveBytes int64 // their bytes
	doubt     bool  // the disk refused to make it durable
}

// placed is a record and where it lies in its segment.
type placed struct {
	logRecord
	off, size int
}

// scan is what reading a segment from end to end gives.
type scan struct {
	records []placed
	end     int      // offset behind the last whole record of the unbroken run
	torn    bool     // something other than a clean end stands there
	behind  []placed // whole records behind that point
	damaged bool     // one of them says that what is missing had been durable
	settled int      // offset up to which the records say that all is durable
}

// scanBudget bounds the bytes that a search behind a bad record may put through
// the CRC: lengths found in rubbish must not make it quadratic.
const scanBudget = 32 << 20

// scanSegment reads all records of a segment. Payloads are parts of data.
func scanSegment(data []byte, ordinal uint32) scan {
	s := scan{end: min(headerBytes, len(data))}
	for {
		r, n, err := decodeRecord(data[s.end:], ordinal, s.end)
		if err != nil {
			s.torn = err == errBad
			break
		}
		s.records = append(s.records, placed{r, s.end, n})
		if r.flags&flagSettled != 0 {
			s.settled = s.end
		}
		s.end += n
	}
	budget := scanBudget
	for at := s.end; at+minRecord <= len(data) && budget > 0; {
		rest := data[at:]
		if length := binary.BigEndian.Uint32(rest); length == 0 || uint64(length) > uint64(len(rest)) {
			at++
			continue
		} else if k := rest[recordHead] &^ flags; k >= byte(kindStatement) && k <= byte(kindFact) {
			budget -= int(length)
		}
		r, n, err := decodeRecord(rest, ordinal, at)
		if err != nil {
			at++
			continue
		}
		s.behind = append(s.behind, placed{r, at, n})
		s.damaged = s.damaged || r.flags&flagSettled != 0
		at += n
	}
	s.torn = s.torn || len(s.behind) > 0
	return s
}
