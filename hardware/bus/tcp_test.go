package bus_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/hardware/modbus"
)

// served is an emulated server with one meter behind it.
type served struct {
	*emulated.Server
	stop func() // ends it, and waits
}

func newServed(t *testing.T, modbusTCP bool) *served {
	t.Helper()
	s, err := emulated.Listen(modbusTCP)
	if err != nil {
		t.Fatal(err)
	}
	meter := emulated.NewMeter("sdm120", 4711)
	meter.Set(emulated.Supply{Phases: [3]emulated.Phase{{Voltage: 230.2}}, Frequency: 50})
	s.Attach(1, meter)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	stop := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return &served{s, stop}
}

// openers are the two framings that go through TCP.
var openers = map[bool]func(address string) bus.Opener{true: bus.ModbusTCP, false: bus.Converter}

func tcpBus(t *testing.T, open bus.Opener, timeout time.Duration) *bus.Bus {
	t.Helper()
	b, err := bus.New(bus.Config{Name: "plant", Open: open, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(run(t, b))
	return b
}

func TestMetersThroughTCP(t *testing.T) {
	for modbusTCP, open := range openers {
		s := newServed(t, modbusTCP)
		b := tcpBus(t, open(s.Address()), 10*time.Second)
		dev := meterOn(t, b, 1, "voltage_l1", "frequency")
		var batch hardware.Batch
		for range 3 {
			if err := b.Sense(t.Context(), dev, &batch); err != nil || batch.Values[0].String() != "230.2" {
				t.Errorf("modbus tcp %v: %v, %v", modbusTCP, batch.Values, err)
			}
		}
		if stats := b.Stats(); stats.Opened != 1 || stats.Failed != 0 || stats.Stale != 0 {
			t.Errorf("modbus tcp %v: %+v", modbusTCP, stats)
		}
		if err := b.Do(t.Context(), func(context.Context) error {
			_, err := b.Stream().Discard()
			return err
		}); (err == nil) != !modbusTCP {
			t.Errorf("modbus tcp %v: as a line: %v", modbusTCP, err)
		}
	}
}

// A unit behind a network is given a second, which is more than one on a wire.
func TestPatienceThroughTCP(t *testing.T) {
	var waiting sync.WaitGroup
	for modbusTCP, open := range openers {
		s := newServed(t, modbusTCP)
		s.Slowness = 500 * time.Millisecond
		s.SetFaults(1, emulated.Sequence(emulated.Slow))
		b := tcpBus(t, open(s.Address()), 0)
		waiting.Go(func() {
			var batch hardware.Batch
			if err := b.Sense(t.Context(), meterOn(t, b, 1, "voltage_l1"), &batch); err != nil {
				t.Errorf("modbus tcp %v: %v", modbusTCP, err)
			}
		})
	}
	waiting.Wait()
}

// After a request that was not answered what comes on the connection belongs to nobody.
func TestUnansweredThroughModbusTCP(t *testing.T) {
	s := newServed(t, true)
	s.SetFaults(1, emulated.Sequence(emulated.NoFault, emulated.NoFault, emulated.NoFault, emulated.Late))
	b := tcpBus(t, bus.ModbusTCP(s.Address()), 200*time.Millisecond)
	dev := meterOn(t, b, 1, "voltage_l1")
	var batch hardware.Batch
	if err := b.Sense(t.Context(), dev, &batch); err != nil { // the voltage, the meter's code and its serial number
		t.Fatal(err)
	}
	if err := b.Sense(t.Context(), dev, &batch); !errors.Is(err, hardware.ErrAbsent) || len(batch.Values) != 0 {
		t.Errorf("unanswered: %v, %v", batch.Values, err)
	}
}

func TestServerThatGoesAway(t *testing.T) {
	for modbusTCP, open := range openers {
		s := newServed(t, modbusTCP)
		b := tcpBus(t, open(s.Address()), 10*time.Second)
		read := func() error {
			var tr hardware.Transcript
			return b.Do(t.Context(), func(ctx context.Context) error {
				_, err := b.Modbus().Exchange(ctx, modbus.Request{Unit: 1, Function: modbus.ReadInput, Count: 2}, &tr)
				return err
			})
		}
		if err := read(); err != nil {
			t.Fatal(err)
		}
		s.Cut()
		if err := read(); err != nil && !errors.Is(err, hardware.ErrAbsent) {
			t.Errorf("modbus tcp %v: a connection that was cut: %v", modbusTCP, err)
		}
		if err := read(); err != nil {
			t.Errorf("modbus tcp %v: it does not connect anew: %v", modbusTCP, err)
		}
		s.stop()
		for range 3 {
			if err := read(); !errors.Is(err, hardware.ErrAbsent) || errors.Is(err, hardware.ErrTimeout) {
				t.Errorf("modbus tcp %v: nobody is there: %v", modbusTCP, err)
			}
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{address, "no address", "127.0.0.1:http-alt-nothing"} {
		for modbusTCP, open := range openers {
			b := tcpBus(t, open(where), 0)
			var batch hardware.Batch
			err := b.Sense(t.Context(), meterOn(t, b, 1), &batch)
			var e *hardware.Error
			if !errors.As(err, &e) || e.Class != hardware.ErrAbsent || e.Remedy == "" {
				t.Errorf("%s, modbus tcp %v: %v", where, modbusTCP, err)
			}
		}
		if _, err := bus.TellFraming(t.Context(), where, 1, time.Second); !errors.Is(err, hardware.ErrAbsent) {
			t.Errorf("%s: %v", where, err)
		}
	}
}

func TestTellFraming(t *testing.T) {
	for modbusTCP, want := range map[bool]modbus.Framing{true: modbus.FramingTCP, false: modbus.FramingRTU} {
		s := newServed(t, modbusTCP)
		if f, err := bus.TellFraming(t.Context(), s.Address(), 1, 300*time.Millisecond); err != nil || f != want {
			t.Errorf("a server of %s speaks %s, %v", want, f, err)
		}
	}
}
