package bus_test

import (
	"context"
	"errors"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
)

func TestFreeI2C(t *testing.T) {
	for _, c := range []struct {
		holds  int
		clocks int // and one for the stop
		want   string
	}{{0, 1, ""}, {1, 2, ""}, {8, 9, ""}, {9, 10, ""}, {10, 9, "data line"}, {-1, 9, "data line"}} {
		w := emulated.NewWires(c.holds)
		err := bus.FreeI2C(w.SCL(), w.SDA())
		if c.want == "" && (err != nil || !w.Free() || w.Stops() != 1) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || w.Stops() != 0) {
			t.Errorf("held for %d clocks: %v, free %v, %d stops", c.holds, err, w.Free(), w.Stops())
		}
		if w.Clocks() != c.clocks {
			t.Errorf("held for %d clocks: %d clocks, want %d", c.holds, w.Clocks(), c.clocks)
		}
	}
	w := emulated.NewWires(3)
	w.Short()
	if err := bus.FreeI2C(w.SCL(), w.SDA()); err == nil || !strings.Contains(err.Error(), "clock line") || w.Clocks() != 0 {
		t.Errorf("the clock line is held: %v", err)
	}
	w = emulated.NewWires(3)
	w.Break()
	if err := bus.FreeI2C(w.SCL(), w.SDA()); err == nil || err.Error() != "no such pin" {
		t.Errorf("pins that cannot be set: %v", err)
	}
}

// heldLow is a bus on which transfers time out until the wires are free.
func heldLow(t *testing.T, w *emulated.Wires, free func() error) *bus.Bus {
	return newBus(t, func(c *bus.Config) {
		c.Open = bus.Given(newWires(func(uint16) error {
			if !w.Free() {
				return errors.New("sysfs-i2c: " + syscall.ETIMEDOUT.Error()) // as periph tells it
			}
			return nil
		}))
		c.Recover = free
	})
}

func TestBusThatIsHeldLowIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := emulated.NewWires(7)
		b := heldLow(t, w, func() error { return bus.FreeI2C(w.SCL(), w.SDA()) })
		defer run(t, b)()
		dev := onBus(func() *bus.Bus { return b }, "dev", 0x40)
		var batch hardware.Batch
		if err := b.Sense(t.Context(), dev, &batch); !errors.Is(err, hardware.ErrTimeout) || len(batch.Values) != 0 {
			t.Errorf("while it is held: %v, %v", batch.Values, err)
		}
		if err := b.Do(t.Context(), func(context.Context) error { return b.I2C().Tx(0x40, nil, nil) }); err != nil {
			t.Errorf("freed: %v", err)
		}
		if s := b.Stats(); s.Freed != 1 || s.Opened != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// What cannot be freed is said, and tried once a second at most.
func TestBusThatCannotBeFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := emulated.NewWires(-1)
		tries := 0
		b := heldLow(t, w, func() error { tries++; return bus.FreeI2C(w.SCL(), w.SDA()) })
		defer run(t, b)()
		ask := func(context.Context) error { return hardware.I2CError(b.I2C().Tx(0x40, nil, nil), "asking") }
		for i := range 4 {
			err := b.Do(t.Context(), ask)
			var e *hardware.Error
			if !errors.As(err, &e) || e.Class != hardware.ErrTimeout || e.Op != "asking" {
				t.Errorf("got %v", err)
			}
			if said := strings.Contains(err.Error(), "after nine clocks"); said != (i%2 == 0) {
				t.Errorf("call %d: %v", i, err)
			}
			if i == 1 {
				time.Sleep(time.Second)
			}
		}
		if s := b.Stats(); tries != 2 || s.Freed != 0 {
			t.Errorf("%d tries, %+v", tries, s)
		}
	})
}

// Pins that hang are given up as a transfer is.
func TestFreeingMayHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := emulated.NewWires(-1)
		b := heldLow(t, w, func() error { <-release; return nil })
		defer run(t, b)()
		dev := onBus(func() *bus.Bus { return b }, "dev", 0x40)
		var batch hardware.Batch
		if err := b.Sense(t.Context(), dev, &batch); !errors.Is(err, hardware.ErrTimeout) || !strings.Contains(err.Error(), "abandoned") {
			t.Errorf("got %v", err)
		}
		close(release)
		if s := b.Stats(); s.Hung != 1 {
			t.Errorf("%+v", s)
		}
	})
}
