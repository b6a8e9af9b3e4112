package gateway

import (
	"fmt"
	"slices"

	"wattmark/gateway/console"
	"wattmark/gateway/display"
	"wattmark/hardware/board"
	"wattmark/hardware/bus"
)

// DisplayTable is [display]: what shows on the device itself how the gateway fares.
type DisplayTable struct {
	Screen        string `toml:"screen"`  // ssd1306; empty for none
	Bus           string `toml:"bus"`     // that the screen is on
	Address       uint16 `toml:"address"` // of the screen, 0 for the usual one
	Flip          bool   `toml:"flip"`    // it is mounted upside down
	Lamp          string `toml:"lamp"`    // a pin; empty for none
	LampActiveLow bool   `toml:"lamp_active_low"`
}

// Panel is the display of a gateway's configuration.
type Panel struct {
	ScreenBus string // a Bus's name, empty for no screen
	Address   uint16
	Flip      bool
	Lamp      display.Lamp // nil for none
}

// screenModel is the one that there is.
const screenModel = "ssd1306"

// checkDisplay wants a screen on a bus of its kind, at an address that nothing else has,
// and a lamp on a pin.
func (f *File) checkDisplay(buses []string) {
	d := &f.Display
	if d.Screen == "" {
		for _, key := range []string{"bus", "address", "flip"} {
			if _, given := f.fill.Lines["display."+key]; given {
				f.mistake("display."+key, `add screen = "ssd1306", or take it out`, "display.%s without a screen", key)
			}
		}
	} else if f.among("display.screen", d.Screen, screenModel) {
		f.checkScreen(buses)
	}
	if _, given := f.fill.Lines["display.lamp_active_low"]; given && d.Lamp == "" {
		f.mistake("display.lamp_active_low", `add lamp = "GPIO27", or take it out`, "display.lamp_active_low without a lamp")
	}
	if d.Lamp == "" {
		return
	}
	b, err := f.Board()
	if err != nil {
		f.mistake("display.lamp", "set gateway.board, or take it out", "the lamp is on a pin, and %v", err)
	} else if _, err := b.ParsePin(d.Lamp); err != nil {
		f.mistake("display.lamp", "take a free one of GPIO2 to GPIO27", "display.lamp: %v", err)
	}
}

func (f *File) checkScreen(buses []string) {
	d := &f.Display
	i := slices.Index(buses, d.Bus)
	switch {
	case d.Bus == "":
		f.mistake("display", `add bus = "…", the name of a [[bus]] of kind i2c`, "the screen has no bus")
		return
	case i < 0:
		f.mistake("display.bus", "add a [[bus]] of that name and of kind i2c", "the screen is on the bus %q, which is not there", d.Bus)
		return
	case f.Buses[i].Kind != BusI2C:
		f.mistake("display.bus", "it belongs on one of kind i2c", "the screen cannot be on bus %q of kind %s", d.Bus, f.Buses[i].Kind)
		return
	}
	if d.Address != 0 && d.Address != display.Address && d.Address != display.Address+1 {
		f.mistake("display.address", "take 0x3c or 0x3d", "display.address: a screen is never at %#02x", d.Address)
	}
}

// screenAddress is where the screen is.
func (d *DisplayTable) screenAddress() uint16 {
	if d.Address != 0 {
		return d.Address
	}
	return display.Address
}

// lampUse is the pin of the lamp, where there is one that is right.
func (f *File) lampUse(b *board.Board) (board.Use, bool) {
	if f.Display.Lamp == "" {
		return board.Use{}, false
	}
	pin, err := b.ParsePin(f.Display.Lamp)
	return board.Use{Function: "the lamp of [display]", Lines: []int{pin.Line}}, err == nil
}

// panel returns the display of the file.
func (f *File) panel() Panel {
	d := &f.Display
	out := Panel{}
	if d.Screen != "" {
		out.ScreenBus, out.Address, out.Flip = d.Bus, d.Address, d.Flip
	}
	if b, err := f.Board(); err == nil && d.Lamp != "" {
		if pin, err := b.ParsePin(d.Lamp); err == nil {
			out.Lamp = display.NewLamp(b.GPIOChip, pin.Line, d.LampActiveLow)
		}
	}
	return out
}

// openPanel prepares what shows on the device how the gateway fares, nil for nothing.
func (g *Gateway) openPanel(buses map[string]*bus.Bus) error {
	p := &g.cfg.Panel
	c := display.Config{Lamp: p.Lamp, Tell: g.Status, Log: g.cfg.Log}
	if p.ScreenBus != "" {
		b := buses[p.ScreenBus]
		if b == nil {
			return fmt.Errorf("the screen is on the bus %q, which is not given", p.ScreenBus)
		}
		c.Screen = display.NewScreen(b, p.Address, p.Flip)
	}
	if c.Screen != nil || c.Lamp != nil {
		g.panel = display.New(c)
	}
	return nil
}

// panelStatus tells what hinders the display, nil where there is none.
func (g *Gateway) panelStatus() *console.Display {
	if g.panel == nil {
		return nil
	}
	s := g.panel.Status()
	return &s
}
