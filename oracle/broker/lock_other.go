//go:build !unix

package broker

import "os"

// flock does nothing where there is no advisory lock: running one broker a store is then the operator's care.
func flock(*os.File) error { return nil }
