package doctor

import (
	"math"
	"time"

	"golang.org/x/sys/unix"
)

// ownKernel is the machine's at hand.
type ownKernel struct{}

// Time implements Kernel (adjtimex(2): STA_UNSYNC, maxerror in microseconds).
func (ownKernel) Time() (synced bool, most time.Duration, err error) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, 0, err
	}
	return t.Status&unix.STA_UNSYNC == 0, time.Duration(t.Maxerror) * time.Microsecond, nil
}

// Space implements Kernel (statfs(2)).
func (ownKernel) Space(path string) (free, files int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(path, &s); err != nil {
		return 0, 0, err
	}
	files = -1
	if s.Files > 0 {
		files = int64(min(s.Ffree, math.MaxInt64))
	}
	return int64(min(s.Bavail, math.MaxInt64/uint64(max(s.Bsize, 1)))) * int64(s.Bsize), files, nil
}
