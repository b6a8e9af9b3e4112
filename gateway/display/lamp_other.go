//go:build !linux

package display

import (
	"errors"
	"fmt"
)

// nowhere stands in for lines that only Linux gives.
type nowhere struct{ line int }

// NewLamp returns a lamp that cannot be set: only Linux has such lines.
func NewLamp(_ string, line int, _ bool) Lamp { return nowhere{line} }

// String names the line as on the board.
func (n nowhere) String() string { return fmt.Sprintf("GPIO%d", n.line) }

// Set refuses.
func (nowhere) Set(bool) error { return errors.ErrUnsupported }

// Close does nothing.
func (nowhere) Close() error { return nil }
