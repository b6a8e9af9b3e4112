package outbox

import (
	"os"
	"path/filepath"
)

// defaultMaxBytes is what segments may take where nothing is said.
const defaultMaxBytes = 256 << 20

// Limit is how many bytes an outbox in a directory of the machine may take: want, 0
// for 256 MB, and at most half of what is free there, the outbox's own segments
// counted as free. It is never below the least that Open takes, 1 MB.
func Limit(dir string, want int64) (int64, error) {
	if want == 0 {
		want = defaultMaxBytes
	}
	free, err := Free(dir)
	if err != nil {
		return 0, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		names = nil // a directory with brackets in its name: nothing is added
	}
	for _, name := range names {
		if info, err := os.Stat(name); err == nil {
			free += info.Size()
		}
	}
	return max(min(want, free/2), minSegments*segmentBytes), nil
}
