package pulse

import (
	"fmt"
	"syscall"
	"time"

	"github.com/warthog618/go-gpiocdev"
	"golang.org/x/sys/unix"

	"wattmark/hardware"
	"wattmark/hardware/board"
)

// gpioEvents is how many edges the kernel keeps for us: 16 s of the fastest meter.
const gpioEvents = 1024

// gpio is a Line of the kernel's GPIO character device (uAPI version 2, Linux 5.10).
// It is not safe for concurrent use, as Dev uses it.
type gpio struct {
	wiring GPIO
	line   *gpiocdev.Line
}

// NewGPIO returns the line that w names. It is taken by Watch.
func NewGPIO(w GPIO) Line { return &gpio{wiring: w} }

// String returns the line's number as on the board.
func (g *gpio) String() string { return g.wiring.String() }

// Watch finds the chip by its label and takes the line, debounced by the kernel.
func (g *gpio) Watch(debounce time.Duration, edge func(hardware.Pulse)) error {
	chip, err := board.FindChip(g.wiring.Chip)
	if err != nil {
		return err
	}
	options := []gpiocdev.LineReqOption{
		gpiocdev.WithABIVersion(2), // the first that numbers edges
		gpiocdev.WithConsumer("wattmark"), gpiocdev.WithMonotonicEventClock, gpiocdev.WithDebounce(debounce), gpiocdev.WithEventBufferSize(gpioEvents),
		// An active-low line rises, for the kernel, when its contact closes to ground.
		gpiocdev.WithRisingEdge,
		gpiocdev.WithEventHandler(func(e gpiocdev.LineEvent) {
			edge(hardware.Pulse{At: e.Timestamp + sleptFor(), Sequence: e.LineSeqno})
		}),
	}
	switch {
	case g.wiring.ExternalBias:
		options = append(options, gpiocdev.WithBiasDisabled)
	case g.wiring.ActiveHigh:
		options = append(options, gpiocdev.WithPullDown)
	default:
		options = append(options, gpiocdev.WithPullUp)
	}
	if !g.wiring.ActiveHigh {
		options = append(options, gpiocdev.AsActiveLow)
	}
	line, err := gpiocdev.RequestLine(chip, g.wiring.Line, options...)
	if err != nil {
		return fmt.Errorf("%s: %w", chip, err)
	}
	g.line = line
	return nil
}

// Closed asks the kernel for the level of the line.
func (g *gpio) Closed() (bool, error) {
	if g.line == nil {
		return false, syscall.ENODEV
	}
	v, err := g.line.Value()
	return v == 1, err
}

// Close gives the line back.
func (g *gpio) Close() error {
	if g.line == nil {
		return nil
	}
	line := g.line
	g.line = nil
	return line.Close()
}

// sleptFor is how far the time since boot is ahead of the monotonic clock that stamps
// edges: the time that the machine was suspended.
func sleptFor() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("internal error: CLOCK_MONOTONIC: " + err.Error())
	}
	return max(0, (hardware.Monotonic() - time.Duration(ts.Nano())).Truncate(time.Millisecond))
}
