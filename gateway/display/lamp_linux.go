package display

import (
	"fmt"

	"github.com/warthog618/go-gpiocdev"

	"wattmark/hardware/board"
)

// gpio is a Lamp on a line of the kernel's GPIO character device.
type gpio struct {
	chip      string // its label
	offset    int
	activeLow bool
	line      *gpiocdev.Line // nil while it is not taken
}

// NewLamp returns the lamp on a line of the chip with that label, which a first Set
// takes. activeLow is for one that is wired to the supply, and lights while the line is
// low.
func NewLamp(chip string, line int, activeLow bool) Lamp {
	return &gpio{chip: chip, offset: line, activeLow: activeLow}
}

// String names the line as on the board.
func (g *gpio) String() string { return fmt.Sprintf("GPIO%d", g.offset) }

// Set implements Lamp.
func (g *gpio) Set(on bool) error {
	value := 0
	if on {
		value = 1
	}
	if g.line != nil {
		err := g.line.SetValue(value)
		if err != nil { // the chip has gone: taken anew the next time
			_ = g.line.Close()
			g.line = nil
		}
		return err
	}
	chip, err := board.FindChip(g.chip)
	if err != nil {
		return err
	}
	options := []gpiocdev.LineReqOption{gpiocdev.WithConsumer("wattmark"), gpiocdev.AsOutput(value)}
	if g.activeLow {
		options = append(options, gpiocdev.AsActiveLow)
	}
	if g.line, err = gpiocdev.RequestLine(chip, g.offset, options...); err != nil {
		return fmt.Errorf("%s: %w", chip, err)
	}
	return nil
}

// Close implements Lamp.
func (g *gpio) Close() error {
	if g.line == nil {
		return nil
	}
	line := g.line
	g.line = nil
	err := line.SetValue(0)
	if e := line.Close(); err == nil {
		err = e
	}
	return err
}
