package gateway_test

import (
	"strings"
	"testing"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpioreg"
	"periph.io/x/conn/v3/pin"

	"wattmark/gateway"
	"wattmark/hardware/board"
	"wattmark/hardware/emulated"
)

// named is an emulated pin as a board's registry has it.
type named struct {
	gpio.PinIO
	pin.PinFunc
	name string
}

func (p named) Name() string { return p.name }

// pinsOf puts wires where the pins of a board's first I2C bus are.
func pinsOf(t *testing.T, w *emulated.Wires) {
	t.Helper()
	for name, p := range map[string]gpio.PinIO{"GPIO2": w.SDA(), "GPIO3": w.SCL()} {
		if err := gpioreg.Register(named{p, p.(pin.PinFunc), name}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := gpioreg.Unregister(name); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFreeing(t *testing.T) {
	known, _ := board.Lookup("4b")
	other, _ := board.Lookup("5")
	for _, c := range []struct {
		what string
		b    *board.Board
		port string
	}{{"no board", nil, "/dev/i2c-1"}, {"a chip that is not known", other, "/dev/i2c-1"}, {"no port of the header", known, "/dev/i2c-20"}, {"a serial port", known, "/dev/ttyAMA0"}} {
		if gateway.Freeing(c.b, c.port) != nil {
			t.Errorf("%s: the bus can be freed", c.what)
		}
	}
	free := gateway.Freeing(known, "/dev/i2c-1")
	if free == nil {
		t.Fatal("the bus of a known board cannot be freed")
	}
	if gpioreg.ByName("GPIO2") != nil {
		t.Skip("this machine has the pins of a board: they are left alone")
	}
	if err := free(); err == nil || !strings.Contains(err.Error(), "GPIO3 cannot be controlled: add the user to the group of /dev/gpiomem") {
		t.Errorf("without pins: %v", err)
	}
	w := emulated.NewWires(7)
	pinsOf(t, w)
	if err := free(); err != nil || !w.Free() || w.Stops() != 1 {
		t.Errorf("held for 7 clocks: %v, free %v, %d stops", err, w.Free(), w.Stops())
	}
	// A pin that somebody uses for something else is not taken.
	if err := w.SCL().Out(gpio.Low); err != nil {
		t.Fatal(err)
	}
	if err := free(); err == nil || !strings.Contains(err.Error(), "given back") {
		t.Errorf("a pin that is an output: %v", err)
	}
}
