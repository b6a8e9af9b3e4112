//go:build unix

package oracle

import "golang.org/x/sys/unix"

// freeSpace returns the bytes that are left for this process where dir lies.
func freeSpace(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return uint64(s.Bavail) * uint64(s.Bsize), nil
}
