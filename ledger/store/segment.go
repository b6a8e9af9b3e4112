package store

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// A segment file starts with
//
//	"wm-seg-1"           8 bytes
//	index of first leaf  8 bytes, big-endian
//	salt                 4 bytes: what the records' checksums start from
//	checksum             4 bytes, big-endian: CRC-32C of the 20 bytes before
const (
	segmentMagic  = "wm-seg-1"
	segmentHead   = 24
	segmentSuffix = ".seg"
	leavesDir     = "leaves"
)

// segment is one file of leaves. Its fields but f do not change.
type segment struct {
	path  string
	first uint64 // index of its first leaf
	salt  uint32

	mu sync.Mutex // guards f
	f  file       // opened when first used
}

func segmentPath(dir string, first uint64) string {
	return filepath.Join(dir, leavesDir, fmt.Sprintf("%020d%s", first, segmentSuffix))
}

func encodeHead(magic string, first uint64, salt uint32) []byte {
	b := append(make([]byte, 0, segmentHead), magic...)
	b = binary.BigEndian.AppendUint64(b, first)
	b = binary.BigEndian.AppendUint32(b, salt)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func parseHead(magic string, b []byte) (first uint64, salt uint32, err error) {
	switch {
	case len(b) < segmentHead || string(b[:6]) != magic[:6]:
		return 0, 0, fmt.Errorf("the file does not start with %q", magic)
	case binary.BigEndian.Uint32(b[20:]) != crc32.Checksum(b[:20], castagnoli):
		return 0, 0, errors.New("the file's head has a wrong checksum")
	case string(b[:8]) != magic:
		return 0, 0, fmt.Errorf("format %q is not known: a newer wattmark wrote it", b[:8])
	}
	return binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:]), nil
}

// createSegment makes an empty segment. It is durable on return, and never seen
// without its head.
func createSegment(d disk, dir string, first uint64) (*segment, error) {
	s := &segment{path: segmentPath(dir, first), first: first, salt: newSalt()}
	if err := replaceFile(d, s.path, privateFile, encodeHead(segmentMagic, first, s.salt)); err != nil {
		return nil, err
	}
	return s, nil
}

func newSalt() uint32 {
	var salt [4]byte
	rand.Read(salt[:])
	return binary.BigEndian.Uint32(salt[:])
}

// openSegment reads a segment's head.
func openSegment(d disk, path string, first uint64) (*segment, error) {
	s := &segment{path: path, first: first}
	f, err := s.handle(d)
	if err != nil {
		return nil, err
	}
	var head [segmentHead]byte
	if err := readExactly(f, head[:], 0); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	got, salt, err := parseHead(segmentMagic, head[:])
	switch {
	case err != nil:
		return nil, damaged(path, 0, remedyLeaves, "%v", err)
	case got != first:
		return nil, damaged(path, 0, remedyLeaves, "the file starts with leaf %d, which its name denies", got)
	}
	s.salt = salt
	return s, nil
}

func (s *segment) handle(d disk) (file, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		f, err := d.Open(s.path, 0)
		if err != nil {
			return nil, fmt.Errorf("opening leaves: %w", err)
		}
		s.f = f
	}
	return s.f, nil
}

func (s *segment) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return nil
	}
	err := s.f.Close()
	s.f = nil
	return err
}

// listSegments finds the segments of a store, in order.
func listSegments(d disk, dir string) (segs []*segment, err error) {
	names, err := os.ReadDir(filepath.Join(dir, leavesDir))
	if err != nil {
		return nil, fmt.Errorf("reading store: %w", err)
	}
	defer func() {
		if err != nil {
			closeSegments(segs)
		}
	}()
	for _, n := range names { // sorted by name, and so by number
		number, ok := strings.CutSuffix(n.Name(), segmentSuffix)
		if !ok {
			continue
		}
		path := filepath.Join(dir, leavesDir, n.Name())
		first, err := strconv.ParseUint(number, 10, 63)
		if err != nil || path != segmentPath(dir, first) {
			return segs, damaged(path, -1, remedyLeaves, "the name is not that of a segment")
		}
		s, err := openSegment(d, path, first)
		if err != nil {
			return segs, err
		}
		segs = append(segs, s)
	}
	if len(segs) > 0 && segs[0].first != 0 {
		return segs, damaged(segs[0].path, -1, remedyLeaves, "the leaves before %d are missing", segs[0].first)
	}
	return segs, nil
}

func closeSegments(segs []*segment) error {
	var all error
	for _, s := range segs {
		all = errors.Join(all, s.close())
	}
	return all
}

// lastCommit reads the commit record that ends at offset end.
func (s *segment) lastCommit(d disk, end int64) (Commit, error) {
	if end < segmentHead+commitRecord {
		return Commit{}, damaged(s.path, end, remedyLeaves, "there is no commit record")
	}
	f, err := s.handle(d)
	if err != nil {
		return Commit{}, err
	}
	var b [commitRecord]byte
	at := end - commitRecord
	if err := readExactly(f, b[:], at); err != nil {
		return Commit{}, damaged(s.path, at, remedyLeaves, "reading commit record: %v", err)
	}
	kind, payload, err := parseRecord(b[:], s.salt, leavesForm)
	if err == nil && kind != kindCommit {
		err = errForm
	}
	if err != nil {
		return Commit{}, damaged(s.path, at, remedyLeaves, "the block's commit record is wrong: %v", err)
	}
	c, err := parseCommit(payload)
	if err != nil {
		return Commit{}, damaged(s.path, at, remedyLeaves, "%v", err)
	}
	return c, nil
}

// scanner walks over the records of a segment with few reads. Its buffer holds
// several of the largest records.
type scanner struct {
	r    io.ReaderAt
	salt uint32
	form form
	next int64 // offset of the record that next returns
	end  int64 // nothing from here on is read

	buf   []byte
	from  int64 // offset of buf[0]
	have  int
	chunk int // bytes of the next read: short scans stay cheap
}

const scanBuffer = 1 << 20

// scanBuffers are reused by long scans; short ones make a small buffer.
var scanBuffers = sync.Pool{New: func() any { b := make([]byte, scanBuffer); return &b }}

// newScanner returns a scanner of a segment; the caller releases it.
func newScanner(r io.ReaderAt, salt uint32, from, end int64) *scanner {
	s := &scanner{r: r, salt: salt, form: leavesForm, next: from, end: end, from: from}
	if n := end - from; n < scanBuffer/4 {
		s.buf = make([]byte, max(n, 0))
	} else {
		s.buf = *scanBuffers.Get().(*[]byte)
	}
	s.chunk = min(len(s.buf), scanBuffer/8)
	return s
}

func (s *scanner) release() {
	b := s.buf
	s.buf = nil
	if len(b) == scanBuffer {
		scanBuffers.Put(&b)
	}
}

// record returns the next record and its offset; io.EOF at the end. The payload
// is good until the next call. After an error the scan is over.
func (s *scanner) record() (kind byte, payload []byte, at int64, err error) {
	at = s.next
	if at >= s.end {
		return 0, nil, at, io.EOF
	}
	kind, payload, err = parseRecord(s.buf[at-s.from:s.have], s.salt, s.form)
	if errors.Is(err, errShort) && s.from+int64(s.have) < s.end {
		if err := s.fill(at); err != nil {
			return 0, nil, at, err
		}
		kind, payload, err = parseRecord(s.buf[:s.have], s.salt, s.form)
	}
	if err != nil {
		return 0, nil, at, err
	}
	s.next = at + recordHead + int64(len(payload))
	return kind, payload, at, nil
}

func (s *scanner) fill(at int64) error {
	n := min(int64(s.chunk), s.end-at)
	s.chunk = min(2*s.chunk, len(s.buf))
	s.from, s.have = at, 0
	got, err := s.r.ReadAt(s.buf[:n], at)
	s.have = got
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading leaves at byte %d: %w", at, err)
	}
	return nil
}

// isRecordError tells damage from an error in reading.
func isRecordError(err error) bool {
	return errors.Is(err, errShort) || errors.Is(err, errForm) || errors.Is(err, errChecksum)
}
