package emulated_test

import (
	"context"
	"encoding/binary"
	"math"
	"sync"
	"testing"
	"time"

	other "github.com/grid-x/modbus"
	"wattmark/hardware/emulated"
)

// serve runs line until the test ends.
func serve(t *testing.T) *emulated.Terminal {
	t.Helper()
	line, err := emulated.OpenLine()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := line.Run(ctx); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		if err := line.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return line
}

// Somebody else's Modbus client reads the meter through its own serial port code.
func TestAnotherClientReadsTheMeter(t *testing.T) {
	line := serve(t)
	meter := emulated.NewMeter("sdm630", 4711)
	line.Attach(7, meter)
	meter.Set(emulated.Supply{
		Phases:    [3]emulated.Phase{{Voltage: 230.2, Current: 2, Power: -460}, {Voltage: 231}, {Voltage: 229}},
		Frequency: 49.98, ImportWh: 12_345_678, ExportWh: 5_000,
	})
	handler := other.NewRTUClientHandler(line.Path())
	handler.BaudRate, handler.Parity, handler.Timeout = 115200, "N", time.Second
	handler.SlaveID = 7
	if err := handler.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
	defer handler.Close()
	client := other.NewClient(handler)
	for address, want := range map[uint16]float32{
		0x0000: 230.2, 0x000C: -460, 0x0034: -460, 0x001E: -460 / 460.4, 0x0046: 49.98, 0x0048: 12345.678, 0x004A: 5, 0x0156: 12350.678, 0x0050: 0,
	} {
		data, err := client.ReadInputRegisters(context.Background(), address, 2)
		if err != nil {
			t.Fatalf("register %#04x: %v", address, err)
		}
		if got := math.Float32frombits(binary.BigEndian.Uint32(data)); math.Abs(float64(got-want)) > 1e-6 {
			t.Errorf("register %#04x: got %v, want %v", address, got, want)
		}
	}
	for name, refused := range map[string]func() ([]byte, error){
		"81 registers":     func() ([]byte, error) { return client.ReadInputRegisters(context.Background(), 0, 81) },
		"behind the table": func() ([]byte, error) { return client.ReadInputRegisters(context.Background(), 0x2000, 2) },
		"coils":            func() ([]byte, error) { return client.ReadCoils(context.Background(), 0, 8) },
		"a write": func() ([]byte, error) {
			return client.WriteMultipleRegisters(context.Background(), 0x0C, 2, []byte{0, 0, 0, 0})
		},
	} {
		if data, err := refused(); err == nil {
			t.Errorf("%s: answered % x", name, data)
		}
	}
	if serial, err := client.ReadHoldingRegisters(context.Background(), 0xFC00, 2); err != nil || binary.BigEndian.Uint32(serial) != 4711 {
		t.Errorf("serial number % x, %v", serial, err)
	}
}

func TestTerminalRunsAgainAndCloses(t *testing.T) {
	line, err := emulated.OpenLine()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := line.Run(ctx); err != nil {
			t.Errorf("after the end of its context: %v", err)
		}
	}
	done := make(chan error)
	go func() { done <- line.Run(context.Background()) }()
	if err := line.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	if err := <-done; err != nil {
		t.Errorf("after closing: %v", err)
	}
}
