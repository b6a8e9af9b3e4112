package modbus_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	simon "github.com/simonvetter/modbus"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/modbus"
)

// tcpBench is a server of Modbus TCP with one meter behind it, and a client.
type tcpBench struct {
	line   *emulated.Line
	socket *emulated.Socket
	client *modbus.TCP
	t      hardware.Transcript
}

func newTCPBench() *tcpBench {
	b := &tcpBench{line: emulated.NewLine()}
	meter := emulated.NewMeter("sdm120", 1)
	meter.Set(emulated.Supply{Phases: [3]emulated.Phase{{Voltage: 230}}})
	b.line.Attach(1, meter)
	b.line.Slowness = 1500 * time.Millisecond
	b.socket = b.line.Socket(true)
	b.client = modbus.NewTCP(b.socket, modbus.TCPOpts{})
	return b
}

func (b *tcpBench) read(ctx context.Context) (float32, error) {
	b.t.Reset()
	data, err := b.client.Exchange(ctx, volts, &b.t)
	if err != nil {
		return 0, err
	}
	return math.Float32frombits(binary.BigEndian.Uint32(data)), nil
}

func TestTCPExchange(t *testing.T) {
	b := newTCPBench()
	for range 3 {
		if v, err := b.read(t.Context()); err != nil || v != 230 {
			t.Fatalf("got %v, %v", v, err)
		}
	}
	if want := "> 00 03 00 00 00 06 01 04 00 00 00 02\n< 00 03 00 00 00 07 01 04 04 43 66 00 00\n"; b.t.String() != want {
		t.Errorf("the evidence is\n%s, want\n%s", b.t.String(), want)
	}
	if b.socket.Connections() != 1 || b.client.Stale() != 0 {
		t.Errorf("%d connections, %d stale", b.socket.Connections(), b.client.Stale())
	}
}

// After what went wrong the connection is another, on which no old reply can come.
func TestTCPFaultsEndTheConnection(t *testing.T) {
	for fault, class := range map[emulated.Fault]error{
		emulated.Silence: hardware.ErrAbsent, emulated.Late: hardware.ErrAbsent, emulated.Slow: hardware.ErrAbsent,
		emulated.Truncated: hardware.ErrTruncated, emulated.Doubled: hardware.ErrStale,
	} {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newTCPBench()
				b.line.SetFaults(1, emulated.Sequence(fault))
				if v, err := b.read(t.Context()); !errors.Is(err, class) {
					t.Errorf("got %v, %v, want %v", v, err, class)
				}
				if v, err := b.read(t.Context()); err != nil || v != 230 || b.socket.Connections() != 2 {
					t.Errorf("then: %v, %v, %d connections", v, err, b.socket.Connections())
				}
			})
		})
	}
}

func TestTCPExceptionKeepsTheConnection(t *testing.T) {
	b := newTCPBench()
	_, err := b.client.Exchange(t.Context(), modbus.Request{Unit: 1, Function: modbus.ReadInput, Address: 0x4000, Count: 2}, &b.t)
	var exception modbus.Exception
	if !errors.As(err, &exception) || exception != 2 {
		t.Fatalf("got %v", err)
	}
	if v, err := b.read(t.Context()); err != nil || v != 230 || b.socket.Connections() != 1 {
		t.Errorf("then: %v, %v, %d connections", v, err, b.socket.Connections())
	}
}

func TestTCPContextEndsAnExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newTCPBench()
		b.line.SetFaults(1, emulated.Sequence(emulated.Silence))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := b.read(ctx)
		if took := time.Since(start); took > 150*time.Millisecond {
			t.Errorf("it went on for %s", took)
		}
		if !errors.Is(err, hardware.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if v, err := b.read(t.Context()); err != nil || v != 230 || b.socket.Connections() != 2 {
			t.Errorf("then: %v, %v, %d connections", v, err, b.socket.Connections())
		}
	})
}

// A connection that cannot be made anew is not used again after a failure.
func TestTCPOnAPlainConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() {
			var request [12]byte
			for {
				if _, err := theirs.Read(request[:]); err != nil {
					return
				} // and no answer
			}
		}()
		client := modbus.NewTCP(ours, modbus.TCPOpts{Timeout: 10 * time.Millisecond})
		var tr hardware.Transcript
		for range 2 {
			if _, err := client.Exchange(t.Context(), volts, &tr); !errors.Is(err, hardware.ErrAbsent) {
				t.Errorf("got %v", err)
			}
		}
		if tr.Len() != 1 {
			t.Errorf("it was asked %d times", tr.Len())
		}
	})
}

func TestTCPExchangeAllocatesNothing(t *testing.T) {
	b := newTCPBench()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if n := testing.AllocsPerRun(20, func() {
		b.t.Reset()
		if _, err := b.client.Exchange(ctx, volts, &b.t); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// registers is a unit as package simonvetter/modbus serves it.
type registers struct{}

func (registers) HandleCoils(*simon.CoilsRequest) ([]bool, error) {
	return nil, simon.ErrIllegalFunction
}
func (registers) HandleDiscreteInputs(*simon.DiscreteInputsRequest) ([]bool, error) {
	return nil, simon.ErrIllegalFunction
}
func (registers) HandleHoldingRegisters(r *simon.HoldingRegistersRequest) ([]uint16, error) {
	if r.IsWrite {
		return nil, simon.ErrIllegalFunction
	}
	return count(r.Addr, r.Quantity)
}
func (registers) HandleInputRegisters(r *simon.InputRegistersRequest) ([]uint16, error) {
	return count(r.Addr+1000, r.Quantity)
}

// count gives each register its own address, up to 2000.
func count(from, quantity uint16) (words []uint16, _ error) {
	for i := range quantity {
		if from+i > 2000 {
			return nil, simon.ErrIllegalDataAddress
		}
		words = append(words, from+i)
	}
	return words, nil
}

// The other end is somebody else's reading of the specification.
func TestTCPAgainstAnotherServer(t *testing.T) {
	probe, err := net.Listen("tcp", "127.0.0.1:0") // the server cannot say which port it took
	if err != nil {
		t.Fatal(err)
	}
	address := probe.Addr().String()
	if err := probe.Close(); err != nil {
		t.Fatal(err)
	}
	server, err := simon.NewServer(&simon.ServerConfiguration{URL: "tcp://" + address, Timeout: time.Minute, MaxClients: 5}, registers{})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	}()
	dial := func(context.Context) (modbus.Conn, error) { return net.Dial("tcp", address) }
	conn, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := modbus.NewTCP(conn, modbus.TCPOpts{Timeout: 10 * time.Second})
	var tr hardware.Transcript
	for _, r := range []modbus.Request{
		{Unit: 1, Function: modbus.ReadHolding, Address: 7, Count: 125},
		{Unit: 255, Function: modbus.ReadInput, Address: 0, Count: 1},
		{Unit: 0, Function: modbus.ReadHolding, Address: 2000, Count: 1},
	} {
		data, err := client.Exchange(t.Context(), r, &tr)
		if err != nil {
			t.Errorf("%s: %v", r, err)
			continue
		}
		want, _ := count(r.Address, r.Count)
		if r.Function == modbus.ReadInput {
			want, _ = count(r.Address+1000, r.Count)
		}
		for i, w := range want {
			if got := binary.BigEndian.Uint16(data[2*i:]); got != w {
				t.Errorf("%s: register %d is %d, want %d", r, i, got, w)
			}
		}
	}
	if _, err := client.Exchange(t.Context(), modbus.Request{Unit: 1, Function: modbus.ReadHolding, Address: 2000, Count: 2}, &tr); !errors.Is(err, hardware.ErrDevice) {
		t.Errorf("beyond its registers: %v", err)
	}
	if f, err := modbus.Tell(t.Context(), dial, 1, 10*time.Second); err != nil || f != modbus.FramingTCP {
		t.Errorf("it speaks %s, %v", f, err)
	}
}

// serve runs an emulated server until the test ends.
func serve(t *testing.T, modbusTCP bool) *emulated.Server {
	t.Helper()
	s, err := emulated.Listen(modbusTCP)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
	return s
}

func TestTell(t *testing.T) {
	for _, modbusTCP := range []bool{true, false} {
		s := serve(t, modbusTCP)
		s.Attach(1, emulated.NewMeter("sdm120", 1))
		dial := func(context.Context) (modbus.Conn, error) { return net.Dial("tcp", s.Address()) }
		want := modbus.FramingRTU
		if modbusTCP {
			want = modbus.FramingTCP
		}
		if f, err := modbus.Tell(t.Context(), dial, 1, 300*time.Millisecond); err != nil || f != want {
			t.Errorf("a server of %s speaks %s, %v", want, f, err)
		}
		if f, err := modbus.Tell(t.Context(), dial, 2, 20*time.Millisecond); !errors.Is(err, hardware.ErrAbsent) {
			t.Errorf("a unit that is not there speaks %s, %v", f, err)
		}
	}
	refused := errors.New("refused")
	if _, err := modbus.Tell(t.Context(), func(context.Context) (modbus.Conn, error) { return nil, refused }, 1, 0); !errors.Is(err, refused) {
		t.Errorf("no server: %v", err)
	}
}

// What Tell asks in one framing is no request in the other, whichever unit is asked: a
// line must not take it for a write, nor for anything else.
func TestQuestionIsNoFrameOfTheOther(t *testing.T) {
	for unit := range 256 {
		q := modbus.Request{Unit: byte(unit), Function: modbus.ReadHolding, Address: 0, Count: 1}
		frame := q.AppendTCP(nil, 1)
		for n := 4; n <= len(frame); n++ { // a line may see the end of a frame anywhere
			if modbus.CRC(frame[:n-2]) == binary.LittleEndian.Uint16(frame[n-2:]) {
				t.Errorf("unit %d: the first %d bytes of % x have a right checksum", unit, n, frame)
			}
		}
	}
}
