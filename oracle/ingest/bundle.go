package ingest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"wattmark/signer"
)

const bundleVersion = 1

// MaxBundle is the largest bundle in bytes: below the order's message limit.
const MaxBundle = 900 << 10

// maxStatements is how many statements a bundle may hold.
const maxStatements = 1024

// ErrBundle is wrapped by every error of ParseBundle.
var ErrBundle = errors.New("not a bundle")

// EncodeBundle writes statements as one message of the order: version byte 1,
// then each statement behind its length as a big-endian uint32.
func EncodeBundle(statements [][]byte) []byte { return appendBundle(nil, statements) }

// appendBundle appends what EncodeBundle writes to b.
func appendBundle(b []byte, statements [][]byte) []byte {
	n := 1
	for _, s := range statements {
		n += 4 + len(s)
	}
	b = append(slices.Grow(b, n), bundleVersion)
	for _, s := range statements {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

// ParseBundle reads what EncodeBundle wrote. The result refers to b.
func ParseBundle(b []byte) ([][]byte, error) {
	if len(b) == 0 || len(b) > 1<<20 || b[0] != bundleVersion {
		return nil, fmt.Errorf("%w: %d bytes that do not start with version 1", ErrBundle, len(b))
	}
	var out [][]byte
	for b = b[1:]; len(b) > 0; {
		if len(b) < 4 {
			return nil, fmt.Errorf("%w: truncated", ErrBundle)
		}
		n := uint64(binary.BigEndian.Uint32(b))
		if b = b[4:]; n > signer.MaxMessage || n > uint64(len(b)) {
			return nil, fmt.Errorf("%w: a statement of %d bytes in %d", ErrBundle, n, len(b))
		}
		if len(out) == maxStatements {
			return nil, fmt.Errorf("%w: more than %d statements", ErrBundle, maxStatements)
		}
		out = append(out, b[:n:n])
		b = b[n:]
	}
	return out, nil
}
