//go:build !linux

package pulse

import (
	"errors"
	"time"

	"wattmark/hardware"
)

// gpio stands in for lines that only Linux gives.
type gpio struct{ wiring GPIO }

// NewGPIO returns a line that cannot be taken: only Linux has them.
func NewGPIO(w GPIO) Line { return &gpio{w} }

// String returns the line's number as on the board.
func (g *gpio) String() string { return g.wiring.String() }

// Watch refuses.
func (g *gpio) Watch(time.Duration, func(hardware.Pulse)) error { return errors.ErrUnsupported }

// Closed refuses.
func (g *gpio) Closed() (bool, error) { return false, errors.ErrUnsupported }

// Close does nothing.
func (g *gpio) Close() error { return nil }
