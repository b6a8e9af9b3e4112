//go:build !linux

package sampler

import "time"

// kernelTime knows nothing of a source on this system.
func kernelTime() (synced bool, most time.Duration) { return false, 0 }

// setFromBattery is what other systems do when they start.
func setFromBattery() bool { return true }
