package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// usage is what the kernel counted of this process.
func usage() (u syscall.Rusage, ok bool) {
	return u, syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	u, ok := usage()
	if !ok {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// startPeak gives back what is not used and lets the kernel count the peak of this
// process's memory anew, where it can (proc(5), clear_refs): else what peakRSS
// returns is that of the whole run.
func startPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
}

// peakRSS is the most memory that this process held since startPeak, in megabytes,
// 0 where nobody says.
func peakRSS() float64 {
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
				kb, err := strconv.ParseFloat(f[1], 64)
				if err == nil {
					return kb / 1024
				}
			}
		}
	}
	u, ok := usage()
	if !ok {
		return 0
	}
	if runtime.GOOS == "darwin" {
		return float64(u.Maxrss) / (1 << 20) // in bytes there
	}
	return float64(u.Maxrss) / (1 << 10)
}
