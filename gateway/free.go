package gateway

import (
	"fmt"
	"strings"

	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/conn/v3/pin"
	_ "periph.io/x/host/v3/bcm283x" // the pins of the boards below

	"wattmark/hardware/board"
	"wattmark/hardware/bus"
)

// freeable are the GPIO chips whose pins can be taken from the I2C controller and given
// back to it, by their labels. The RP1 of a Pi 5 is not among them: package bcm283x
// does not know it.
var freeable = map[string]bool{"pinctrl-bcm2835": true, "pinctrl-bcm2711": true}

// freeing returns what frees the I2C bus at a port when a part holds it low, nil where
// the board does not say which pins those are or they cannot be controlled.
func freeing(b *board.Board, port string) func() error {
	if b == nil || !freeable[b.GPIOChip] {
		return nil
	}
	at, ok := b.BusAt(port)
	if !ok || at.Kind != board.I2C {
		return nil
	}
	return func() error {
		// The drivers are loaded when they are needed first, and by none that works.
		if _, err := driverreg.Init(); err != nil {
			return fmt.Errorf("the pins of the bus: %w", err)
		}
		scl, err := busPin(at.Pins["scl"])
		if err != nil {
			return err
		}
		sda, err := busPin(at.Pins["sda"])
		if err != nil {
			return err
		}
		return bus.FreeI2C(scl, sda)
	}
}

// busPin returns the pin of a GPIO line that the I2C controller has. One of which that
// cannot be seen is refused, as it could not be given back.
func busPin(line int) (gpio.PinIO, error) {
	name := fmt.Sprintf("GPIO%d", line)
	p := gpioreg.ByName(name)
	if p == nil {
		return nil, fmt.Errorf("the pin %s cannot be controlled: add the user to the group of /dev/gpiomem", name)
	}
	if a, ok := p.(gpio.RealPin); ok { // an alias
		p = a.Real()
	}
	f, ok := p.(pin.PinFunc)
	if !ok || !strings.HasPrefix(string(f.Func()), "I2C") {
		return nil, fmt.Errorf("the pin %s cannot be taken from the bus and given back: add the user to the group of /dev/gpiomem", name)
	}
	return p, nil
}
