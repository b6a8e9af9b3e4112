package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"wattmark/hardware"
	"wattmark/hardware/atm90e32"
	"wattmark/hardware/bus"
	"wattmark/hardware/emulated"
)

// selected is an SPI port on which the test says what a transfer does.
type selected struct {
	tx        func() error
	closed    chan struct{}
	once      sync.Once
	connected int
}

func newSelected(tx func() error) *selected {
	return &selected{tx: tx, closed: make(chan struct{})}
}

func (s *selected) String() string       { return "selected" }
func (s *selected) Close() error         { s.once.Do(func() { close(s.closed) }); return nil }
func (s *selected) Duplex() conn.Duplex  { return conn.Full }
func (s *selected) Tx(_, _ []byte) error { return s.tx() }
func (s *selected) TxPackets(p []spi.Packet) error {
	return s.tx()
}
func (s *selected) Connect(physic.Frequency, spi.Mode, int) (spi.Conn, error) {
	if s.connected++; s.connected > 1 {
		return nil, errors.New("Connect() can only be called exactly once")
	}
	return s, nil
}

// connect returns the part's side of b.
func connect(t *testing.T, b *bus.Bus) spi.Conn {
	t.Helper()
	c, err := b.SPI().Connect(200*physic.KiloHertz, spi.Mode3, 8)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// onSPI is a part that is asked with one transfer.
func onSPI(c spi.Conn, name string) *part {
	return &part{name: name, sense: func(context.Context, *hardware.Batch) error { return c.Tx([]byte{1}, []byte{0}) }}
}

func TestSPIWorksInJobsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transfers := 0
		port := newSelected(func() error { transfers++; return nil })
		b := newBus(t, func(c *bus.Config) { c.Open = bus.Given(port) })
		c := connect(t, b)
		if c.String() != "i2c-1" || c.Duplex() != conn.Full || b.SPI().String() != "i2c-1" {
			t.Errorf("%s, %s", c, c.Duplex())
		}
		refused := func(when string) {
			if err := c.Tx([]byte{1}, []byte{0}); err == nil {
				t.Errorf("%s: a transfer was made", when)
			}
		}
		refused("before Run")
		stop := run(t, b)
		for range 2 {
			if err := b.Do(t.Context(), func(context.Context) error {
				if err := b.I2C().Tx(0x40, nil, nil); err == nil {
					t.Error("I2C on an SPI port")
				}
				return errors.Join(c.Tx([]byte{1}, []byte{0}), c.TxPackets([]spi.Packet{{W: []byte{1}, R: []byte{0}}}))
			}); err != nil {
				t.Error(err)
			}
			refused("between jobs")
		}
		// Another part cannot speak in its own way behind the same chip select.
		other, err := b.SPI().Connect(physic.MegaHertz, spi.Mode0, 8)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Do(t.Context(), func(context.Context) error { return other.Tx([]byte{1}, []byte{0}) }); err == nil || !strings.Contains(err.Error(), "share") {
			t.Errorf("another mode: %v", err)
		}
		stop()
		refused("after Run")
		if transfers != 4 || port.connected != 1 {
			t.Errorf("%d transfers, connected %d times", transfers, port.connected)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBus(t, nil)
		defer run(t, b)()
		c := connect(t, b)
		if err := b.Do(t.Context(), func(context.Context) error { return c.Tx([]byte{1}, []byte{0}) }); err == nil {
			t.Error("SPI on an I2C bus")
		}
		if err := b.Do(t.Context(), func(context.Context) error { return b.I2C().Tx(0x40, nil, nil) }); err != nil {
			t.Errorf("I2C after that: %v", err)
		}
	})
}

// A transfer on SPI that takes longer than 20 ms hangs: nothing on the wire can delay it.
func TestHangingSPIIsAbandoned(t *testing.T) {
	for _, limit := range []time.Duration{0, 100 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			var ports []*selected
			b := newBus(t, func(c *bus.Config) {
				c.Timeout = limit
				c.Open = func() (io.Closer, error) {
					first := len(ports) == 0
					var p *selected
					p = newSelected(func() error {
						if first {
							<-p.closed
						}
						return nil
					})
					ports = append(ports, p)
					return p, nil
				}
			})
			defer run(t, b)()
			want := max(limit, 20*time.Millisecond)
			dev := onSPI(connect(t, b), "dev")
			var batch hardware.Batch
			begin := time.Now()
			err := b.Sense(t.Context(), dev, &batch)
			if took := time.Since(begin); !errors.Is(err, hardware.ErrTimeout) || took < want || took > want*3/2 || !strings.Contains(err.Error(), fmt.Sprint(want)) {
				t.Errorf("%v after %s, want about %s", err, took, want)
			}
			time.Sleep(time.Second) // its share is good again
			if err := b.Sense(t.Context(), dev, &batch); err != nil || len(batch.Values) != 1 {
				t.Errorf("the port was opened anew: %v, %v", batch.Values, err)
			}
			if s := b.Stats(); s.Hung != 1 || s.Opened != 2 || len(ports) != 2 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// A port that fails is opened anew, and connected anew if it is another one.
func TestSPIPortThatFails(t *testing.T) {
	for text, class := range map[string]error{
		syscall.ENODEV.Error(): hardware.ErrAbsent, syscall.EACCES.Error(): hardware.ErrPermission,
	} {
		synctest.Test(t, func(t *testing.T) {
			failing := true
			tx := func() error {
				if failing {
					return errors.New("sysfs-spi: Tx() failed: " + text)
				}
				return nil
			}
			var ports []*selected
			b := newBus(t, func(c *bus.Config) {
				c.Open = func() (io.Closer, error) {
					ports = append(ports, newSelected(tx))
					return ports[len(ports)-1], nil
				}
			})
			defer run(t, b)()
			c := connect(t, b)
			ask := func(context.Context) error { return c.Tx([]byte{1}, []byte{0}) }
			var e *hardware.Error
			if err := b.Do(t.Context(), ask); !errors.Is(err, class) || !errors.As(err, &e) || e.Remedy == "" {
				t.Errorf("%s: %v", text, err)
			}
			failing = false
			if err := b.Do(t.Context(), ask); err != nil || len(ports) != 2 || ports[1].connected != 1 {
				t.Errorf("%v, %d ports", err, len(ports))
			}
			select {
			case <-ports[0].closed:
			default:
				t.Error("the first port was not closed")
			}
		})
	}
}

// A driver on an emulated port through the bus: all that is between them is real. After
// its first sample it allocates nothing.
func TestDriverOnSPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		port, chip := emulated.NewSPIPort("port"), emulated.NewATM90E32()
		chip.Set(emulated.Load{Voltage: [3]float64{230, 231, 232}, Frequency: 50})
		port.Attach(chip)
		b := newBus(t, func(c *bus.Config) { c.Open = bus.Given(port) })
		start := time.Now()
		dev, err := atm90e32.NewSPI(b.SPI(), &atm90e32.Opts{Now: func() time.Duration { return time.Since(start) }})
		if err != nil {
			t.Fatal(err)
		}
		defer run(t, b)()
		var batch hardware.Batch
		if err := b.Sense(t.Context(), dev, &batch); err != nil || batch.Values[1].String() != "231.00" {
			t.Fatal(batch.Values, err)
		}
		allocations := func(f func(ctx context.Context) error) float64 {
			return testing.AllocsPerRun(20, func() {
				if err := b.Do(t.Context(), f); err != nil {
					t.Fatal(err)
				}
			})
		}
		empty := allocations(func(context.Context) error { return nil })
		if full := allocations(func(ctx context.Context) error { return dev.Sense(ctx, &batch) }); full > empty {
			t.Errorf("%v allocations a job, of which a sample makes %v", full, full-empty)
		}
		port.Attach(nil)
		if err := b.Sense(t.Context(), dev, &batch); !errors.Is(err, hardware.ErrAbsent) || len(batch.Values) != 0 {
			t.Errorf("it came off: %v, %v", batch.Values, err)
		}
	})
}

func TestOpenSPI(t *testing.T) {
	for _, name := range []string{"", "spi", "/dev/spidev0", "0", "0.0.0", "0.256", "65536.0", "SPI1.x"} {
		if _, err := bus.SPI(name)(); err == nil || !strings.Contains(err.Error(), "spidev0.0") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := bus.SPI("/dev/spidev250.3")(); !errors.Is(err, hardware.ErrAbsent) || !strings.Contains(err.Error(), "enable SPI") {
		t.Errorf("a port that is not there: %v", err)
	}
}
