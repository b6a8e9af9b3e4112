//go:build !linux

package hardware

import "time"

var start = time.Now()

// Monotonic returns the time since the program started, where the time since boot
// is not to be had.
func Monotonic() time.Duration { return time.Since(start) }
