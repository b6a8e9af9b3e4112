package store

import (
	"encoding/binary"
	"fmt"
)

// tornOrDamaged decides what the end of a segment is from the last whole commit
// (offset from) on, where the record at bad cannot be read for the given reason:
// nil means an unfinished block, which may be cut off, since Append did not return.
//
// The pages of one write may reach the disk in any order, so leaves may well be
// readable behind a hole. But a commit record in that stretch, whole or nearly,
// means that the block may have been acknowledged and signed: cutting it off
// could break a promise, so that is damage for a person to judge.
func tornOrDamaged(f file, s *segment, from, bad, size int64, newest bool, height uint64, why error) error {
	what := "the segment ends in the middle of a block"
	if isRecordError(why) {
		what = why.Error()
	}
	if !newest {
		return damaged(s.path, bad, remedyLeaves, "%s, and there is a segment behind it", what)
	}
	at, err := findRecord(f, s.salt, leavesForm, kindCommit, commitPayload, from, size)
	if err == nil && at < 0 {
		at, err = findCommitLike(f, from, size, height)
	}
	if err != nil {
		return err
	}
	if at >= 0 {
		return damaged(s.path, bad, remedyLeaves, "%s, but the block's commit record is behind it at byte %d: it may have been acknowledged", what, at)
	}
	return nil
}

// findRecord looks in [from, size) for a valid record of a kind with a payload of
// n bytes, less than 65536. It returns its offset, or -1.
func findRecord(f file, salt uint32, ok form, kind byte, n int, from, size int64) (int64, error) {
	const window = scanBuffer
	b := make([]byte, min(window+int64(recordHead+n), max(size-from, 0)))
	for at := from; at < size; at += window {
		have := int(min(int64(len(b)), size-at))
		if err := readExactly(f, b[:have], at); err != nil {
			return -1, fmt.Errorf("looking for a record: %w", err)
		}
		for i := 0; i < min(have, window); i++ {
			if b[i] != 0 || i+recordHead+n > have {
				continue // the length's first byte is 0
			}
			if got, payload, err := parseRecord(b[i:have], salt, ok); err == nil && got == kind && len(payload) == n {
				return at + int64(i), nil
			}
		}
	}
	return -1, nil
}

// findCommitLike looks at the very end of [from, size) for something that was
// meant to be the commit record of a height.
func findCommitLike(f file, from, size int64, height uint64) (int64, error) {
	if size-from < commitRecord {
		return -1, nil
	}
	var end [commitRecord]byte
	if err := readExactly(f, end[:], size-commitRecord); err != nil {
		return -1, fmt.Errorf("looking for a commit record: %w", err)
	}
	if !resemblesCommit(end[:], height) {
		return -1, nil
	}
	return size - commitRecord, nil
}

// resemblesCommit reports whether most of the bytes that are known beforehand
// of a block's commit record are there.
func resemblesCommit(b []byte, height uint64) bool {
	want := binary.BigEndian.AppendUint32(nil, commitPayload)
	want = append(want, kindCommit)
	got := append([]byte{}, b[:5]...)
	want = binary.BigEndian.AppendUint64(append(want, commitVersion), height)
	got = append(got, b[recordHead:recordHead+9]...)
	same := 0
	for i := range want {
		if got[i] == want[i] {
			same++
		}
	}
	return same >= len(want)-1 // zeros, which a hole reads as, match in up to 11 of 14
}
