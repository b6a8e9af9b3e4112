//go:build !unix

package witness

import "os"

// Where there is no flock, whoever starts a second witness on one directory is not
// held back.
func flock(*os.File) error { return nil }
