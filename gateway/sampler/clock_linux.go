package sampler

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// kernelTime asks the kernel whether its clock follows a source, and how far it may
// be off (adjtimex(2): STA_UNSYNC, maxerror in microseconds).
func kernelTime() (synced bool, most time.Duration) {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return false, 0
	}
	return t.Status&unix.STA_UNSYNC == 0, time.Duration(t.Maxerror) * time.Microsecond
}

// setFromBattery reports whether the kernel set its clock from a battery clock when
// it started (Documentation/ABI/testing/sysfs-class-rtc: hctosys).
var setFromBattery = sync.OnceValue(func() bool {
	files, err := filepath.Glob("/sys/class/rtc/rtc*/hctosys")
	if err != nil {
		return false
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && bytes.Equal(bytes.TrimSpace(b), []byte("1")) {
			return true
		}
	}
	return false
})
