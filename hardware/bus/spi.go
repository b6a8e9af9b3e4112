package bus

import (
	"fmt"
	"syscall"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"

	"wattmark/hardware"
)

// defaultSPITimeout is far more than a transfer of a few words takes at any speed.
const defaultSPITimeout = 20 * time.Millisecond

// spiTimeout is how long a transfer on SPI may take.
func (c *Config) spiTimeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return defaultSPITimeout
}

// hurry makes the bus look early whether a transfer hangs.
func (w *worker) hurry() {
	w.brisk.Store(true)
	select {
	case w.quick <- struct{}{}:
	default:
	}
}

// SPI returns the way to the part behind a port's chip select. Connect may be called
// before Run, and touches nothing; what it returns works inside jobs only.
func (b *Bus) SPI() spi.Port { return selected{b} }

// selected is a bus as the driver of an SPI part sees it.
type selected struct{ bus *Bus }

// String returns the bus's name.
func (s selected) String() string { return s.bus.config.Name }

// Connect returns the connection; the port itself is connected by its first transfer.
func (s selected) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	return &line{s.bus, lineMode{f, mode, bits}}, nil
}

// lineMode is how a part is spoken to.
type lineMode struct {
	speed physic.Frequency
	mode  spi.Mode
	bits  int
}

// connection is how a port was connected, which it can be once.
type connection struct {
	port spi.Port
	mode lineMode
	conn spi.Conn
}

// line is a connection to a part.
type line struct {
	bus  *Bus
	mode lineMode
}

// String returns the bus's name.
func (l *line) String() string { return l.bus.config.Name }

// Duplex implements conn.Conn.
func (l *line) Duplex() conn.Duplex {
	if l.mode.mode&spi.HalfDuplex != 0 {
		return conn.Half
	}
	return conn.Full
}

// Tx implements conn.Conn.
func (l *line) Tx(w, r []byte) error {
	return l.timed(func(c spi.Conn) error { return c.Tx(w, r) })
}

// TxPackets implements spi.Conn.
func (l *line) TxPackets(p []spi.Packet) error {
	return l.timed(func(c spi.Conn) error { return c.TxPackets(p) })
}

// timed makes one transfer.
func (l *line) timed(transfer func(spi.Conn) error) error {
	w := l.bus.worker.Load()
	if w == nil || !w.working.Load() || !w.enter() {
		return outside(l.bus, "SPI port")
	}
	if w.spi == nil {
		w.leave()
		return outside(l.bus, "SPI port")
	}
	w.allowed.Store(int64(l.bus.config.spiTimeout()))
	c, err := l.bus.connect(w.spi, l.mode)
	if err == nil {
		err = transfer(c)
		// No part has a say in a transfer: whatever goes wrong is the port's doing.
		w.broken = w.broken || err != nil
	}
	w.leave()
	return spiError(err)
}

// connect returns the connection of a port, which is made by its first transfer and
// again after it was opened anew.
func (b *Bus) connect(port spi.Port, mode lineMode) (spi.Conn, error) {
	b.mu.Lock()
	known := b.spi
	b.mu.Unlock()
	switch {
	case known.port != port:
	case known.mode != mode:
		return nil, fmt.Errorf("%s: one part speaks %s %s, another %s %s: they cannot share a chip select", b.config.Name,
			known.mode.mode, known.mode.speed, mode.mode, mode.speed)
	default:
		return known.conn, nil
	}
	c, err := port.Connect(mode.speed, mode.mode, mode.bits)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spi = connection{port, mode, c}
	return c, nil
}

// spiError gives a failure of a port its class.
func spiError(err error) error {
	if err == nil || hardware.Class(err) != nil {
		return err
	}
	for _, errno := range [...]syscall.Errno{syscall.EACCES, syscall.EPERM} {
		if is(err, errno) {
			return &hardware.Error{Class: hardware.ErrPermission, Err: err, Remedy: "add the user to the group of the port's device file"}
		}
	}
	return &hardware.Error{Class: hardware.ErrAbsent, Err: err, Remedy: "check that SPI is enabled"}
}
