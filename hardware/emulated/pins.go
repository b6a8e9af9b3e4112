package emulated

import (
	"errors"
	"sync"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/pin"
)

// Wires are the two lines of an I2C bus as pins, with pull-ups, and a part that holds the
// data line low: in the middle of a byte, waiting for a clock that does not come. Its
// methods may be called from any goroutine.
type Wires struct {
	mu       sync.Mutex // guards the fields below
	holds    int        // clocks until the part lets go of the data line; negative is for good
	short    bool       // the clock line is held low
	clocks   int
	stops    int
	low      [2]bool // what the pins pull low: clock, data
	function [2]pin.Func
	broken   error
}

const (
	clockLine = iota
	dataLine
)

// NewWires returns lines that a part holds for so many clocks, negative for good.
func NewWires(holds int) *Wires {
	return &Wires{holds: holds, function: [2]pin.Func{"I2C1_SCL", "I2C1_SDA"}}
}

// Short holds the clock line low for good.
func (w *Wires) Short() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.short = true
}

// Break makes pins refuse to be set.
func (w *Wires) Break() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = errors.New("no such pin")
}

// Free reports whether both lines are high and the pins are the bus's again.
func (w *Wires) Free() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.high(clockLine) && w.high(dataLine) && w.function == [2]pin.Func{"I2C1_SCL", "I2C1_SDA"}
}

// Clocks returns how many clocks there were, and Stops how many stops.
func (w *Wires) Clocks() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clocks
}

// Stops returns how often the data line rose while the clock was high.
func (w *Wires) Stops() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stops
}

// SCL returns the pin of the clock line.
func (w *Wires) SCL() gpio.PinIO { return &wire{gpio.INVALID, w, clockLine} }

// SDA returns the pin of the data line.
func (w *Wires) SDA() gpio.PinIO { return &wire{gpio.INVALID, w, dataLine} }

func (w *Wires) high(line int) bool {
	if line == clockLine {
		return !w.low[clockLine] && !w.short
	}
	return !w.low[dataLine] && w.holds == 0
}

// set moves a line. The part counts falling edges of the clock.
func (w *Wires) set(line int, low bool, as pin.Func) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	clock, data := w.high(clockLine), w.high(dataLine)
	w.low[line], w.function[line] = low, as
	if clock && !w.high(clockLine) {
		w.clocks++
		w.holds = max(w.holds-1, min(w.holds, 0))
	}
	if clock && w.high(clockLine) && !data && w.high(dataLine) {
		w.stops++
	}
	return nil
}

// wire is one of the lines as a pin: it can do what FreeI2C needs, and nothing else.
type wire struct {
	gpio.PinIO
	wires *Wires
	line  int
}

var _ pin.PinFunc = (*wire)(nil)

// In lets the line go.
func (p *wire) In(gpio.Pull, gpio.Edge) error { return p.wires.set(p.line, false, gpio.IN) }

// Out pulls the line low. High is refused: a part may hold it.
func (p *wire) Out(l gpio.Level) error {
	if l == gpio.High {
		return errors.New("a line of I2C is never driven high")
	}
	return p.wires.set(p.line, true, gpio.OUT)
}

// Read returns the line's level.
func (p *wire) Read() gpio.Level {
	p.wires.mu.Lock()
	defer p.wires.mu.Unlock()
	return gpio.Level(p.wires.high(p.line))
}

// Func returns what the pin is used for.
func (p *wire) Func() pin.Func {
	p.wires.mu.Lock()
	defer p.wires.mu.Unlock()
	return p.wires.function[p.line]
}

// SupportedFuncs returns none: nobody asks.
func (p *wire) SupportedFuncs() []pin.Func { return nil }

// SetFunc gives the pin back to the bus.
func (p *wire) SetFunc(f pin.Func) error { return p.wires.set(p.line, false, f) }
