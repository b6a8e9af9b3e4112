package pulse

import "fmt"

// GPIO says which line a meter's pulse output is wired to, and how.
type GPIO struct {
	Chip string // label of the chip, as in board.Board.GPIOChip
	Line int    // offset on the chip, the GPIO number
	// ActiveHigh is an output that drives the line up when it closes. The usual S0
	// output closes to ground.
	ActiveHigh bool
	// ExternalBias is a resistor of the circuit's own; without it the chip's is
	// switched on.
	ExternalBias bool
}

// String returns the line's number as on the board.
func (w GPIO) String() string { return fmt.Sprintf("GPIO%d", w.Line) }
