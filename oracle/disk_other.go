//go:build !unix

package oracle

import "errors"

func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }
