//go:build !linux

package slot

import "errors"

// ErrNoImage is wrapped where the machine does not run from a gokrazy disk.
var ErrNoImage = errors.New("this machine does not run from a Wattmark image")

// Find finds the disk whose root is mounted at /: there is none but on Linux.
func Find() (*Disk, error) { return nil, ErrNoImage }
