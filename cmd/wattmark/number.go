package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// numbers gives out the numbers of the statements that a key signs, each once: whoever
// signs two statements with one number proves against himself, and his key is put into
// quarantine. The last one is kept beside the key, durable before it is used, so that
// neither a process that is killed nor two that sign at once give a number out again.
type numbers struct {
	path string // the key's
}

const maxNumberFile = 64

// next returns a number above all that were given out, and not below the one that the
// ledger expects.
func (n numbers) next(expected uint64) (count uint64, err error) {
	path := n.path + ".number"
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, fmt.Errorf("the number of the last statement: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := lockFile(f); err != nil {
		return 0, fmt.Errorf("locking %s: %w", path, err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxNumberFile))
	if err != nil {
		return 0, err
	}
	var last uint64
	if s := strings.TrimSpace(string(b)); s != "" {
		if last, err = strconv.ParseUint(s, 10, 53); err != nil {
			return 0, fmt.Errorf("%s holds %q, which is no number of a statement: write one there that is above all that this key has signed", path, s)
		}
	}
	count = max(last+1, expected)
	// Of fixed width, so that what a power cut leaves is one number or the other.
	if _, err = f.WriteAt(fmt.Appendf(nil, "%020d\n", count), 0); err == nil {
		err = f.Sync()
	}
	return count, err
}
