//go:build linux || darwin

package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
	"wattmark/hardware/pms"
)

// crier says its number once every ten seconds and repeats what it hears.
type crier struct{ said, baud int }

func (c *crier) Talk(b []byte) ([]byte, time.Duration) {
	c.said++
	return fmt.Appendf(b, "no %d\n", c.said), 10 * time.Second
}

func (c *crier) Answer(sent, b []byte) (int, []byte, time.Duration) {
	return len(sent), append(b, sent...), 0
}

func (c *crier) Baud() int { return c.baud }

// listener is a device that takes what arrives next.
func listener(b *bus.Bus, want int) (dev *part, heard *string) {
	heard = new(string)
	return &part{name: "listener", sense: func(ctx context.Context, dst *hardware.Batch) error {
		s := b.Stream()
		if _, err := s.Discard(); err != nil {
			return &hardware.Error{Class: hardware.ErrAbsent, Err: err}
		}
		got := make([]byte, want)
		if _, err := io.ReadFull(s, got); err != nil {
			return &hardware.Error{Class: hardware.ErrTimeout, Err: err}
		}
		*heard = string(got)
		return nil
	}}, heard
}

// A part that speaks every ten seconds is waited for, though no transfer may take
// longer than three.
func TestStreamWaitsLongerThanATransferMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cable := emulated.NewCable(&crier{})
		b := newBus(t, func(c *bus.Config) { c.Open = bus.Given(cable.Conn()) })
		defer run(t, b)()
		dev, heard := listener(b, 5)
		var batch hardware.Batch
		for _, want := range []string{"no 1\n", "no 2\n", "no 3\n"} {
			if err := b.Sense(t.Context(), dev, &batch); err != nil || *heard != want {
				t.Errorf("heard %q, %v", *heard, err)
			}
		}
		if s := b.Stats(); s.Hung != 0 || s.Opened != 1 {
			t.Errorf("%+v", s)
		}
		// A job that ends with its context takes its Read along.
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		if err := b.Sense(ctx, dev, &batch); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 3050*time.Millisecond {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
	})
}

func TestStreamDeadlineAndEcho(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, func(c *bus.Config) { c.Open = bus.Given(emulated.NewCable(&crier{}).Conn()) })
		defer run(t, b)()
		if err := b.Do(t.Context(), func(context.Context) error {
			s := b.Stream()
			begin := time.Now()
			if err := s.SetDeadline(begin.Add(50 * time.Millisecond)); err != nil {
				return err
			}
			var got [8]byte
			if n, err := s.Read(got[:]); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != 50*time.Millisecond {
				t.Errorf("%d bytes, %v after %s", n, err, time.Since(begin))
			}
			if err := s.SetDeadline(time.Time{}); err != nil {
				return err
			}
			if _, err := s.Write([]byte("abc")); err != nil {
				return err
			}
			if n, err := s.Read(got[:]); string(got[:n]) != "abc" || err != nil {
				t.Errorf("the echo is %q, %v", got[:n], err)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestStreamOutsideOfJobsIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cable := emulated.NewCable(&crier{})
		b := newBus(t, func(c *bus.Config) { c.Open = bus.Given(cable.Conn()) })
		s := b.Stream()
		refused := func(when string) {
			t.Helper()
			var got [8]byte
			_, read := s.Read(got[:])
			_, write := s.Write(got[:])
			_, discard := s.Discard()
			for _, err := range []error{read, write, discard, s.SetDeadline(time.Time{}), s.(hardware.ModeSetter).SetMode("300 7E1")} {
				if err == nil {
					t.Errorf("%s: it was done", when)
				}
			}
		}
		refused("before Run")
		stop := run(t, b)
		if err := b.Do(t.Context(), func(context.Context) error { return nil }); err != nil {
			t.Fatal(err)
		}
		refused("between jobs")
		reading := make(chan struct{})
		var calls sync.WaitGroup
		calls.Go(func() {
			dev, _ := listener(b, 5)
			var batch hardware.Batch
			close(reading)
			if err := b.Sense(t.Context(), dev, &batch); err != nil {
				t.Error(err)
			}
		})
		<-reading
		synctest.Wait()
		refused("while a job reads")
		calls.Wait()
		stop()
		refused("after Run")
		wired := newBus(t, nil) // I2C
		defer run(t, wired)()
		if err := wired.Do(t.Context(), func(context.Context) error { _, err := wired.Stream().Discard(); return err }); err == nil {
			t.Error("a stream on I2C")
		}
	})
}

// The adapter is pulled out in the middle of a wait and put back in.
func TestStreamOfAnUnpluggedAdapter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cable := emulated.NewCable(&crier{})
		b := newBus(t, func(c *bus.Config) { c.Open = bus.Given(cable.Conn()) })
		defer run(t, b)()
		dev, heard := listener(b, 5)
		var batch hardware.Batch
		if err := b.Sense(t.Context(), dev, &batch); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(5*time.Second, func() { cable.Plug(false) })
		if err := b.Sense(t.Context(), dev, &batch); !errors.Is(err, syscall.EIO) {
			t.Errorf("unplugged: %v", err)
		}
		if err := b.Sense(t.Context(), dev, &batch); !errors.Is(err, hardware.ErrAbsent) || errors.Is(err, bus.ErrHeld) {
			t.Errorf("still unplugged, and nobody else on the bus to spare: %v", err)
		}
		cable.Plug(true)
		if err := b.Sense(t.Context(), dev, &batch); err != nil || *heard == "no 1\n" {
			t.Errorf("back: %q, %v", *heard, err)
		}
		if s := b.Stats(); s.Opened != 3 {
			t.Errorf("opened %d times", s.Opened)
		}
	})
}

// A Read that hangs in the kernel is abandoned; the driver does not go on behind it.
func TestStreamThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hung{release: make(chan struct{})}
		opened := 0
		cable := emulated.NewCable(&crier{})
		b := newBus(t, func(c *bus.Config) {
			c.Open = func() (io.Closer, error) {
				if opened++; opened == 1 {
					return h, nil
				}
				return bus.Given(cable.Conn())()
			}
		})
		defer run(t, b)()
		var batch hardware.Batch
		dev, _ := listener(b, 5)
		if err := b.Sense(t.Context(), dev, &batch); !errors.Is(err, hardware.ErrTimeout) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if err := b.Sense(t.Context(), dev, &batch); err != nil {
			t.Errorf("on the port that was opened anew: %v", err)
		}
		if s := b.Stats(); s.Hung != 1 || s.Opened != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// hung is a port on which Read does not return until it is closed.
type hung struct {
	once    sync.Once
	release chan struct{}
}

func (h *hung) Read([]byte) (int, error)    { <-h.release; return 0, io.EOF }
func (h *hung) Write(b []byte) (int, error) { return len(b), nil }
func (h *hung) SetDeadline(time.Time) error { return nil }
func (h *hung) Discard() (int, error)       { return 0, nil }
func (h *hung) Close() error                { h.once.Do(func() { close(h.release) }); return nil }

// cableBus is a bus on a pseudo-terminal with the part at its end.
func cableBus(t *testing.T, part any, mode bus.Mode) *bus.Bus {
	t.Helper()
	cable, err := emulated.OpenCable(part)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := cable.Run(ctx); err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		serving.Wait()
		_ = cable.Close()
	})
	b, err := bus.New(bus.Config{Name: "head", Open: bus.Serial(cable.Path(), mode)})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The line is set anew in the kernel: a part at another speed is understood only then.
func TestStreamSetsTheLinesMode(t *testing.T) {
	b := cableBus(t, &crier{baud: 300}, bus.Mode{Baud: 9600})
	defer run(t, b)()
	if err := b.Do(t.Context(), func(context.Context) error {
		s := b.Stream()
		m := s.(hardware.ModeSetter)
		echo := func() string {
			if _, err := s.Discard(); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write([]byte("hello")); err != nil {
				t.Fatal(err)
			}
			var got []byte
			var buf [64]byte
			for len(got) < 5 {
				n, err := s.Read(buf[:])
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, buf[:n]...)
			}
			return string(got)
		}
		if err := m.SetMode("300 7E1"); err != nil {
			return err
		}
		for got := ""; got != "hello"; got = echo() { // what it said at 9600 comes first
			continue
		}
		if err := m.SetMode("9600 8N1"); err != nil {
			return err
		}
		if got := echo(); got == "hello" {
			t.Error("it is understood at the wrong speed")
		}
		if err := m.SetMode("9600 9X1"); err == nil {
			t.Error("a mode that is none was set")
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// A converter on the network is a serial line too, whose mode cannot be set.
func TestStreamOverAConverter(t *testing.T) {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for i := range 2 { // the first connection breaks in the middle
			c, err := server.Accept()
			if err != nil {
				return
			}
			if i == 0 {
				_, _ = c.Write([]byte("no"))
				_ = c.Close()
				continue
			}
			_, _ = io.Copy(c, c)
			_ = c.Close()
		}
	})
	defer serving.Wait()
	defer server.Close()
	b := newBus(t, func(c *bus.Config) { c.Open = bus.Converter(server.Addr().String()) })
	defer run(t, b)()
	if err := b.Do(t.Context(), func(context.Context) error {
		_, err := io.ReadFull(b.Stream(), make([]byte, 5))
		return err
	}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("from a connection that broke: %v", err)
	}
	if err := b.Do(t.Context(), func(context.Context) error {
		s := b.Stream()
		if err := s.(hardware.ModeSetter).SetMode("300 7E1"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("setting the mode: %v", err)
		}
		if _, err := s.Write([]byte("hello")); err != nil {
			return err
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(s, got); err != nil || !slices.Equal(got, []byte("hello")) {
			t.Errorf("the echo is %q, %v", got, err)
		}
		if n, err := s.Discard(); n != 0 || err != nil {
			t.Errorf("discarded %d, %v", n, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// A part that speaks unasked goes on by itself within a job, and the bus is free for the
// next one when that ends.
func TestStreamGoesOnInAJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, func(c *bus.Config) { c.Open = bus.Given(emulated.NewCable(emulated.NewPMS()).Conn()) })
		defer run(t, b)()
		dev, err := pms.NewSerial(b.Stream(), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = b.Do(t.Context(), func(ctx context.Context) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			batches, err := dev.SenseContinuous(ctx, 0)
			if err != nil {
				return err
			}
			for got := 0; got < 3; got++ {
				if batch, ok := <-batches; !ok || len(batch.Values) == 0 {
					return fmt.Errorf("%d batches, then %v, and it goes on: %v", got, batch.Values, ok)
				}
			}
			cancel()
			for range batches { // one may have come; the line is let go when it is closed
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		var batch hardware.Batch
		if err := b.Sense(t.Context(), dev, &batch); err != nil || len(batch.Values) == 0 {
			t.Errorf("after it: %v, %v", batch.Values, err)
		}
	})
}
