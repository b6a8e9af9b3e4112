package gateway_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"wattmark/gateway"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/signer"
)

// TestPanel: a screen and a lamp show how the gateway fares while it runs, and are dark
// afterwards; one that is not there is told, and costs no reading.
func TestPanel(t *testing.T) {
	port, _ := line(t)
	wires, screen, lamp := emulated.NewBus("i2c"), emulated.NewSSD1306(), new(emulated.Lamp)
	cfg := config(t, t.TempDir(), port, newKey(t, signer.EdDSA))
	cfg.Buses = append(cfg.Buses, gateway.Bus{Name: "air", Open: bus.Given(wires)})
	cfg.Panel = gateway.Panel{ScreenBus: "air", Lamp: lamp}

	run := func() (failure string, warned bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var g *gateway.Gateway
		n := 0
		cfg.OnSigned = func(gateway.Signed) {
			s := g.Status()
			if n++; n < 2 || s.Display == nil || !screen.On() && s.Display.ScreenFailure == "" {
				return
			}
			failure = s.Display.ScreenFailure
			for _, w := range s.Warnings {
				warned = warned || w.Code == "screen" && strings.Contains(w.Remedy, "display.address")
			}
			cancel()
		}
		var err error
		if g, _, err = gateway.Open(cfg); err != nil {
			t.Fatal(err)
		}
		if err := g.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n < 2 || lamp.Changes() == 0 || lamp.On() || screen.On() {
			t.Errorf("%d statements were signed; the lamp changed %d times; at the end it is lit: %v, and the screen on: %v", n, lamp.Changes(), lamp.On(), screen.On())
		}
		return failure, warned
	}
	if failure, warned := run(); !strings.Contains(failure, "the screen up at 0x3c") || !warned {
		t.Errorf("of a screen that is not there the status says %q, warned %v", failure, warned)
	}
	wires.Attach(0x3c, screen)
	if failure, _ := run(); failure != "" || screen.Data() < 1024 {
		t.Errorf("of a screen that is there the status says %q; it got %d bytes", failure, screen.Data())
	}

	cfg.Panel.ScreenBus = "nowhere"
	if _, _, err := gateway.Open(cfg); err == nil || !strings.Contains(err.Error(), `the screen is on the bus "nowhere"`) {
		t.Errorf("a screen on a bus that is not there: %v", err)
	}
}
