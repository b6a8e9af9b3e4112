package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"wattmark/ledger/block"
)

// MaxLeaf is the most bytes a leaf may have: the length prefix of a tlog-tiles
// entry bundle has 16 bits.
const MaxLeaf = 65535

// A record is
//
//	length of the payload  4 bytes, big-endian
//	kind                   1 byte
//	checksum               4 bytes, big-endian: CRC-32C over length, kind and payload
//	payload
//
// The checksum starts from the segment's salt instead of zero, so that nobody
// can put bytes into a statement that read as a record after a crash, and so
// that blocks of a deleted file never do.
const (
	recordHead = 9

	kindLeaf   = 1
	kindCommit = 2

	commitVersion = 1
	commitPayload = 1 + 8 + 8 + 32 + 8 + 32
	commitRecord  = recordHead + commitPayload
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var (
	errShort    = errors.New("record is cut short")
	errForm     = errors.New("record has an impossible kind or length")
	errChecksum = errors.New("record has a wrong checksum")
)

func appendRecord(b []byte, salt uint32, kind byte, payload []byte) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = append(b, kind)
	sum := crc32.Update(salt, castagnoli, b[start:])
	sum = crc32.Update(sum, castagnoli, payload)
	b = binary.BigEndian.AppendUint32(b, sum)
	return append(b, payload...)
}

// form tells which kinds of record a file has, and of what length.
type form func(kind byte, length uint32) bool

func leavesForm(kind byte, n uint32) bool {
	return kind == kindLeaf && n >= 1 && n <= MaxLeaf || kind == kindCommit && n == commitPayload
}

// parseRecord reads the record at the start of b, without copying. On errShort
// the record may only need more bytes than b has.
func parseRecord(b []byte, salt uint32, ok form) (kind byte, payload []byte, err error) {
	if len(b) < recordHead {
		return 0, nil, errShort
	}
	n := binary.BigEndian.Uint32(b)
	kind = b[4]
	if !ok(kind, n) {
		return 0, nil, errForm
	}
	end := recordHead + int(n)
	if len(b) < end {
		return 0, nil, errShort
	}
	sum := crc32.Update(salt, castagnoli, b[:5])
	if crc32.Update(sum, castagnoli, b[recordHead:end]) != binary.BigEndian.Uint32(b[5:]) {
		return 0, nil, errChecksum
	}
	return kind, b[recordHead:end:end], nil
}

// Commit closes a block on disk. It is the oracle's promise to sign no other
// checkpoint at Height than that of Size and Root.
type Commit struct {
	Height uint64
	// Size is the number of leaves of the ledger including this block's header:
	// the size of its checkpoint.
	Size uint64
	// Root is the root of the tree at Size: the checkpoint's.
	Root block.Hash
	// Order is the sequence number in the order of the last message that the
	// block took in, and Digest sums up that order so far; both are the orderer's
	// and opaque here.
	Order  uint64
	Digest [32]byte
}

func (c *Commit) encode() []byte {
	b := make([]byte, 0, commitPayload)
	b = append(b, commitVersion)
	b = binary.BigEndian.AppendUint64(b, c.Height)
	b = binary.BigEndian.AppendUint64(b, c.Size)
	b = append(b, c.Root[:]...)
	b = binary.BigEndian.AppendUint64(b, c.Order)
	return append(b, c.Digest[:]...)
}

func parseCommit(b []byte) (Commit, error) {
	var c Commit
	if len(b) != commitPayload {
		return c, fmt.Errorf("a commit record of %d bytes instead of %d", len(b), commitPayload)
	}
	if b[0] != commitVersion {
		return c, fmt.Errorf("commit record version %d is not known: a newer wattmark wrote it", b[0])
	}
	c.Height = binary.BigEndian.Uint64(b[1:])
	c.Size = binary.BigEndian.Uint64(b[9:])
	copy(c.Root[:], b[17:])
	c.Order = binary.BigEndian.Uint64(b[49:])
	copy(c.Digest[:], b[57:])
	return c, nil
}
