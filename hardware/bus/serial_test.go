//go:build linux || darwin

package bus_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/hardware/modbus"
	"wattmark/hardware/sdm"
)

// terminal is an emulated line on a pseudo-terminal, with one meter.
func terminal(t *testing.T) (line *emulated.Terminal, meter *emulated.Meter) {
	t.Helper()
	line, err := emulated.OpenLine()
	if err != nil {
		t.Fatal(err)
	}
	meter = emulated.NewMeter("sdm120", 4711)
	meter.Set(emulated.Supply{Phases: [3]emulated.Phase{{Voltage: 230.2}}, Frequency: 50})
	line.Attach(1, meter)
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := line.Run(ctx); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		serving.Wait()
		_ = line.Close() // some tests have closed it
	})
	return line, meter
}

func meterOn(t *testing.T, b *bus.Bus, unit byte, channels ...string) *sdm.Dev {
	t.Helper()
	dev, err := sdm.NewModbus(b.Modbus(), unit, &sdm.Opts{Model: "sdm120", Channels: channels})
	if err != nil {
		t.Fatal(err)
	}
	return dev
}

func serialBus(t *testing.T, path string) *bus.Bus {
	t.Helper()
	// A busy machine may take its time over a pseudo-terminal.
	b, err := bus.New(bus.Config{Name: "rs485-1", Open: bus.Serial(path, bus.Mode{Baud: 115200}), Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestSerialPort(t *testing.T) {
	line, meter := terminal(t)
	b := serialBus(t, line.Path())
	stop := run(t, b)
	dev := meterOn(t, b, 1, "voltage_l1", "frequency")
	var batch hardware.Batch
	for _, volts := range []string{"230.2", "229.9"} {
		if err := b.Sense(t.Context(), dev, &batch); err != nil || len(batch.Values) != 2 || batch.Values[0].String() != volts {
			t.Fatalf("got %v, %v, want %s V", batch.Values, err, volts)
		}
		meter.Set(emulated.Supply{Phases: [3]emulated.Phase{{Voltage: 229.9}}, Frequency: 50})
	}

	// The port is locked: a second program is told so.
	second := serialBus(t, line.Path())
	stopSecond := run(t, second)
	if err := second.Sense(t.Context(), meterOn(t, second, 1), &batch); !errors.Is(err, hardware.ErrPermission) {
		t.Errorf("the second to open the port: %v", err)
	}
	stopSecond()

	// Nobody else's mistake costs this one a sample; after it has stopped the port is free.
	if err := b.Sense(t.Context(), dev, &batch); err != nil {
		t.Errorf("the first after the second: %v", err)
	}
	stop()
	third := serialBus(t, line.Path())
	defer run(t, third)()
	if err := third.Sense(t.Context(), meterOn(t, third, 1), &batch); err != nil {
		t.Errorf("after the first had stopped: %v", err)
	}
}

// Faults have their classes through the kernel too, and the next sample is right.
func TestSerialFaults(t *testing.T) {
	line, _ := terminal(t)
	b := serialBus(t, line.Path())
	defer run(t, b)()
	for fault, class := range map[emulated.Fault]error{
		emulated.BadCRC: hardware.ErrChecksum, emulated.Truncated: hardware.ErrMalformed, emulated.Doubled: hardware.ErrStale,
	} {
		dev := meterOn(t, b, 1, "voltage_l1") // one that did not fail before
		line.SetFaults(1, emulated.Sequence(fault))
		var batch hardware.Batch
		if err := b.Sense(t.Context(), dev, &batch); !errors.Is(err, class) || len(batch.Values) != 0 {
			t.Errorf("%s: %v, %v, want %v", fault, batch.Values, err, class)
		}
		line.SetFaults(1, nil)
		if err := b.Sense(t.Context(), meterOn(t, b, 1, "voltage_l1"), &batch); err != nil {
			t.Errorf("after %s: %v", fault, err)
		}
	}
	if s := b.Stats(); s.Opened != 1 || s.Stale == 0 {
		t.Errorf("%+v", s)
	}
}

func TestAdapterThatIsUnplugged(t *testing.T) {
	line, _ := terminal(t)
	b := serialBus(t, line.Path())
	defer run(t, b)()
	dev := meterOn(t, b, 1, "voltage_l1")
	var batch hardware.Batch
	if err := b.Sense(t.Context(), dev, &batch); err != nil {
		t.Fatal(err)
	}
	if err := line.Close(); err != nil {
		t.Fatal(err)
	}
	for _, when := range []string{"as it happens", "once it is noticed"} {
		unheld := meterOn(t, b, 1, "voltage_l1")
		if err := b.Sense(t.Context(), unheld, &batch); !errors.Is(err, hardware.ErrAbsent) || errors.Is(err, hardware.ErrTimeout) || len(batch.Values) != 0 {
			t.Errorf("%s: %v, %v", when, batch.Values, err)
		}
	}
}

func TestSerialRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("no port"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]bus.Opener{
		"nothing": bus.Serial(filepath.Join(t.TempDir(), "ttyUSB9"), bus.Mode{}), "a file": bus.Serial(file, bus.Mode{}),
		"a mode": bus.Serial(file, bus.Mode{DataBits: 9}),
	} {
		port, err := open()
		var e *hardware.Error
		if !errors.As(err, &e) || !errors.Is(err, hardware.ErrAbsent) || e.Remedy == "" {
			t.Errorf("%s: %v, %v", name, port, err)
		}
	}
}

// Eight meters are read each second; one is dead and one takes its time. The dead one
// gets a tenth of the bus, and the others lose no sample.
func TestDeadMeterCostsItsNeighboursNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := emulated.NewLine()
		line.Slowness = 250 * time.Millisecond // within the timeout
		b, err := bus.New(bus.Config{Name: "rs485-1", Open: bus.Given(line.Conn())})
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, b)
		const dead, slow, seconds = 1, 2, 120
		var meters sync.WaitGroup
		attempts := 0
		for unit := byte(1); unit <= 8; unit++ {
			line.Attach(unit, emulated.NewMeter("sdm120", uint32(unit)))
			dev := meterOn(t, b, unit, "voltage_l1", "active_power")
			meters.Go(func() {
				var batch hardware.Batch
				start := time.Now()
				for i := range seconds {
					due := start.Add(time.Duration(i) * time.Second)
					time.Sleep(time.Until(due))
					// At first all are due at once, and asked what they are.
					patience := time.Second
					if i < 3 {
						patience = 3 * time.Second
					}
					ctx, cancel := context.WithDeadline(t.Context(), due.Add(patience))
					err := b.SenseDue(ctx, dev, due, &batch)
					cancel()
					if unit == dead && !errors.Is(err, bus.ErrHeld) {
						attempts++
					} else if unit != dead && (err != nil || len(batch.Values) != 2) {
						t.Errorf("unit %d, second %d: %v", unit, i, err)
					}
				}
			})
		}
		line.SetFaults(dead, emulated.Always(emulated.Silence))
		line.SetFaults(slow, emulated.Always(emulated.Slow))
		meters.Wait()
		stop()
		// An attempt costs the timeout and as long a grace.
		if spent := time.Duration(attempts) * 600 * time.Millisecond; attempts < 3 || spent > seconds*time.Second/10 {
			t.Errorf("%d attempts at the dead one took %s of %d s", attempts, spent, seconds)
		}
		for i, s := range b.Status() {
			if s.Down != (s.Device == "sdm120 unit 1") {
				t.Errorf("device %d: %+v", i, s)
			}
		}
	})
}

// A deadline holds on the port, what nobody asked for can be dropped, and closing
// the port ends a read in it: so a line that is given up is free at once.
func TestSerialPortByItself(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer slave.Close()
	opened, err := bus.Serial(slave.Name(), bus.Mode{Baud: 115200})()
	if err != nil {
		t.Fatal(err)
	}
	port := opened.(interface {
		modbus.Conn
		modbus.Discarder
	})
	buffer := make([]byte, 1000)
	if err := port.SetDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := port.Read(buffer); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing came: %d, %v", n, err)
	}
	if n, err := port.Discard(); n != 0 || err != nil {
		t.Errorf("nothing to drop: %d, %v", n, err)
	}

	// The first byte that can be read says that all have arrived: they came together.
	noise := bytes.Repeat([]byte("noise"), 100)
	if _, err := master.Write(noise); err != nil {
		t.Fatal(err)
	}
	if err := port.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if n, err := port.Read(buffer[:1]); n != 1 || err != nil {
		t.Errorf("noise: %d, %v", n, err)
	}
	if n, err := port.Discard(); n != len(noise)-1 || err != nil {
		t.Errorf("dropped %d of %d, %v", n, len(noise)-1, err)
	}
	// What arrives in a pause does not end it, and is there after it.
	if _, err := master.Write([]byte("early")); err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(20 * time.Millisecond)
	if err := opened.(modbus.Pauser).Pause(until); err != nil || runtime.GOOS == "linux" && time.Now().Before(until) {
		t.Errorf("paused until %s: %v", until, err)
	}
	if n, err := port.Read(buffer); string(buffer[:n]) != "early" || err != nil {
		t.Errorf("after the pause: %q, %v", buffer[:n], err)
	}
	if _, err := port.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	if n, err := io.ReadFull(master, buffer[:5]); string(buffer[:n]) != "hello" {
		t.Errorf("sent %q, %v", buffer[:n], err)
	}

	ended := make(chan error)
	go func() {
		_, err := port.Read(make([]byte, 1))
		ended <- err
	}()
	if err := port.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("a read of nothing succeeded")
	}
	again, err := bus.Serial(slave.Name(), bus.Mode{})()
	if err != nil {
		t.Fatalf("after it was closed: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
