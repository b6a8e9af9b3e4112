//go:build !unix

package main

import "os"

// lockFile does nothing where there is no advisory lock: signing with one process at a
// time is then its owner's care.
func lockFile(*os.File) error { return nil }
