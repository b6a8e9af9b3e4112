package modbus_test

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
	"wattmark/hardware/modbus"
)

// bench is a line with two meters and a client on it.
type bench struct {
	line   *emulated.Line
	client *modbus.RTU
	one    *emulated.Meter
	t      hardware.Transcript
}

func newBench(t *testing.T) *bench {
	b := &bench{line: emulated.NewLine(), one: emulated.NewMeter("sdm120", 1)}
	two := emulated.NewMeter("sdm120", 2)
	b.line.Attach(1, b.one)
	b.line.Attach(2, two)
	b.setVolts(230)
	two.Set(emulated.Supply{Phases: [3]emulated.Phase{{Voltage: 110}}})
	conn := b.line.Conn()
	t.Cleanup(func() { conn.Close() })
	b.client = modbus.NewRTU(conn, modbus.RTUOpts{})
	return b
}

func (b *bench) setVolts(v float64) {
	b.one.Set(emulated.Supply{Phases: [3]emulated.Phase{{Voltage: v}}})
}

func (b *bench) read(unit byte) (float32, error) {
	b.t.Reset()
	r := volts
	r.Unit = unit
	data, err := b.client.Exchange(context.Background(), r, &b.t)
	if err != nil {
		return 0, err
	}
	return math.Float32frombits(binary.BigEndian.Uint32(data)), nil
}

func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for range 3 {
			if v, err := b.read(1); err != nil || v != 230 {
				t.Fatalf("got %v, %v", v, err)
			}
		}
		if sent, received := b.t.Exchange(0); len(sent) != 8 || len(received) != 9 {
			t.Errorf("the evidence is %s", b.t.String())
		}
		if b.client.Stale() != 0 {
			t.Errorf("%d stale replies", b.client.Stale())
		}
	})
}

func TestExchangeFaults(t *testing.T) {
	for fault, class := range map[emulated.Fault]error{
		emulated.Silence: hardware.ErrAbsent, emulated.BadCRC: hardware.ErrChecksum, emulated.FlippedBit: hardware.ErrChecksum,
		emulated.Truncated: hardware.ErrMalformed, emulated.Doubled: hardware.ErrStale, emulated.Slow: hardware.ErrTimeout,
	} {
		t.Run(fault.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.line.SetFaults(1, emulated.Sequence(fault))
				if v, err := b.read(1); !errors.Is(err, class) {
					t.Errorf("got %v, %v, want %v", v, err, class)
				}
				if v, err := b.read(2); err != nil || v != 110 {
					t.Errorf("the neighbour paid for it: %v, %v", v, err)
				}
				if v, err := b.read(1); err != nil || v != 230 {
					t.Errorf("it did not recover: %v, %v", v, err)
				}
			})
		})
	}
}

// A reply that comes after the next request to the same unit looks like the answer to
// it. Its value is old: it must not be taken for a new one.
func TestLateReplyIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.line.SetFaults(1, emulated.Sequence(emulated.Late))
		if v, err := b.read(1); !errors.Is(err, hardware.ErrAbsent) {
			t.Fatalf("got %v, %v", v, err)
		}
		b.setVolts(240)
		if v, err := b.read(1); !errors.Is(err, hardware.ErrStale) {
			t.Errorf("the old reply was taken: %v, %v", v, err)
		}
		if b.client.Stale() != 1 {
			t.Errorf("%d stale replies counted, want 1", b.client.Stale())
		}
		if v, err := b.read(1); err != nil || v != 240 {
			t.Errorf("it did not recover: %v, %v", v, err)
		}
	})
}

func TestLateReplyOfANeighbour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.line.SetFaults(1, emulated.Sequence(emulated.Late))
		if _, err := b.read(1); !errors.Is(err, hardware.ErrAbsent) {
			t.Fatal(err)
		}
		if v, err := b.read(2); err == nil {
			t.Errorf("two replies to one request were taken as %v", v)
		}
		if v, err := b.read(2); err != nil || v != 110 {
			t.Errorf("it did not recover: %v, %v", v, err)
		}
	})
}

func TestExceptionIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		_, err := b.client.Exchange(t.Context(), modbus.Request{Unit: 1, Function: modbus.ReadInput, Address: 0x4000, Count: 2}, &b.t)
		var exception modbus.Exception
		if !errors.As(err, &exception) || exception != 2 {
			t.Fatalf("got %v", err)
		}
		if v, err := b.read(1); err != nil || v != 230 {
			t.Errorf("it did not recover: %v, %v", v, err)
		}
	})
}

func TestContextEndsAnExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.line.SetFaults(1, emulated.Always(emulated.Silence))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := b.client.Exchange(ctx, volts, &b.t)
		if took := time.Since(start); took > 150*time.Millisecond {
			t.Errorf("it went on for %s", took)
		}
		if !errors.Is(err, hardware.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

// A reply that is still on its way when a caller gives up is not the next unit's.
func TestReplyAfterTheContextIsNobodys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.line.Slowness = 250 * time.Millisecond
		b.line.SetFaults(1, emulated.Sequence(emulated.Slow))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := b.client.Exchange(ctx, volts, &b.t); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if v, err := b.read(2); err != nil || v != 110 {
			t.Errorf("the neighbour paid for it: %v, %v", v, err)
		}
		if b.client.Stale() != 1 {
			t.Errorf("%d stale replies counted, want 1", b.client.Stale())
		}
		begin := time.Now()
		if v, err := b.read(2); err != nil || v != 110 || time.Since(begin) > 50*time.Millisecond {
			t.Errorf("it goes on waiting: %v, %v, %s", v, err, time.Since(begin))
		}
	})
}

func TestABrokenPortIsNoTimeout(t *testing.T) {
	b := newBench(t)
	conn := b.line.Conn()
	conn.Close()
	client := modbus.NewRTU(conn, modbus.RTUOpts{})
	if _, err := client.Exchange(t.Context(), volts, &b.t); !errors.Is(err, hardware.ErrAbsent) || errors.Is(err, hardware.ErrTimeout) {
		t.Errorf("got %v", err)
	}
}

func TestBadRequestSendsNothing(t *testing.T) {
	b := newBench(t)
	for _, r := range []modbus.Request{
		{Unit: 0, Function: modbus.ReadInput, Count: 1}, {Unit: 1, Function: 0x10, Count: 1},
		{Unit: 1, Function: modbus.ReadInput}, {Unit: 1, Function: modbus.ReadInput, Count: 126},
		{Unit: 1, Function: modbus.ReadInput, Address: 0xFFFF, Count: 2},
	} {
		if _, err := b.client.Exchange(t.Context(), r, &b.t); err == nil {
			t.Errorf("%v was sent", r)
		}
	}
	if b.line.Requests() != 0 || b.t.Len() != 0 {
		t.Error("something was sent")
	}
}

// A connection without Discard, such as TCP to a serial converter, works too.
func TestExchangeOverAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		defer ours.Close()
		go func() {
			request := make([]byte, 8)
			for {
				if _, err := theirs.Read(request); err != nil {
					return
				}
				for _, b := range bytesOf(t, voltsReply) { // byte by byte, as a slow line gives them
					time.Sleep(time.Millisecond)
					if _, err := theirs.Write([]byte{b}); err != nil {
						return
					}
				}
			}
		}()
		var tr hardware.Transcript
		client := modbus.NewRTU(ours, modbus.RTUOpts{Baud: 9600})
		for range 2 {
			if data, err := client.Exchange(t.Context(), volts, &tr); err != nil || len(data) != 4 {
				t.Fatalf("got % x, %v", data, err)
			}
		}
	})
}

func TestExchangeAllocatesNothing(t *testing.T) {
	b := newBench(t)
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

// piecemeal is a Conn whose reply comes eight bytes at a time, as from the queue of a
// UART. Its reads are counted.
type piecemeal struct {
	reply    []byte
	char     time.Duration
	asked    time.Time
	taken    int
	reads    int
	deadline time.Time
}

func (p *piecemeal) Write(b []byte) (int, error) {
	p.asked = time.Now()
	return len(b), nil
}

func (p *piecemeal) Read(b []byte) (int, error) {
	p.reads++
	for {
		come := int(time.Since(p.asked)/p.char) / 8 * 8
		if come >= len(p.reply)/8*8 {
			come = min(int(time.Since(p.asked)/p.char), len(p.reply))
		}
		if n := copy(b, p.reply[p.taken:max(p.taken, come)]); n > 0 {
			p.taken += n
			return n, nil
		}
		if !time.Now().Before(p.deadline) {
			return 0, os.ErrDeadlineExceeded
		}
		time.Sleep(min(p.char, time.Until(p.deadline)))
	}
}

func (p *piecemeal) SetDeadline(t time.Time) error { p.deadline = t; return nil }
func (p *piecemeal) Discard() (int, error)         { return 0, nil }
func (p *piecemeal) Pause(until time.Time) error   { time.Sleep(time.Until(until)); return nil }
func (p *piecemeal) Close() error                  { return nil }

// A reply that comes in pieces costs a read for the first, one for the rest of each
// slice of time, and one for the silence: not one for each piece.
func TestRepliesInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const baud = 9600
		r := modbus.Request{Unit: 1, Function: modbus.ReadInput, Address: 0, Count: 30}
		reply := append([]byte{1, 4, 60}, make([]byte, 60)...)
		reply = binary.LittleEndian.AppendUint16(reply, modbus.CRC(reply))
		conn := &piecemeal{reply: reply, char: 11 * time.Second / baud}
		var record hardware.Transcript
		data, err := modbus.NewRTU(conn, modbus.RTUOpts{Baud: baud}).Exchange(t.Context(), r, &record)
		if err != nil || len(data) != 60 {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		if conn.reads > 5 {
			t.Errorf("%d reads of a reply in %d pieces", conn.reads, len(reply)/8+1)
		}
	})
}
