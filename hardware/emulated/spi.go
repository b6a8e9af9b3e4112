package emulated

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// Chip is a part behind a chip select. The port calls it with itself locked, one call at
// a time.
type Chip interface {
	// TxSPI shifts w in and r out, which have the same length, in one selection.
	TxSPI(w, r []byte)
	// SPI returns the mode and the highest speed that the part understands.
	SPI() (spi.Mode, physic.Frequency)
}

// SPIPort is an SPI port with its chip select, and an emulated part on it: periph's
// spi.PortCloser. Its errors read as those of Linux through periph's sysfs driver. A part
// that is spoken to in another mode, or too fast, shifts by a bit. All methods may be
// called from any goroutine.
type SPIPort struct {
	// Slowness is how long a transfer takes that a Slow fault strikes; set it before use.
	Slowness time.Duration

	name      string
	mu        sync.Mutex // guards the fields below
	chip      Chip
	plan      Plan
	connected bool
	closed    bool
	transfers int
	in        []byte // what the part receives, reused
}

var _ spi.PortCloser = (*SPIPort)(nil)

// NewSPIPort returns a port without a part: its data line reads as ones.
func NewSPIPort(name string) *SPIPort { return &SPIPort{Slowness: 5 * time.Millisecond, name: name} }

// Attach puts a part on the port, nil takes it off, as a loose wire does.
func (p *SPIPort) Attach(c Chip) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chip = c
}

// SetFaults makes transfers go wrong as plan says. Silence and NACK do not select the
// part, StuckBus holds the data line low, FlippedBit strikes what the part receives and
// what it sends, Truncated loses the second half of what it sends.
func (p *SPIPort) SetFaults(plan Plan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan = plan
}

// Transfers returns how many transfers there were.
func (p *SPIPort) Transfers() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.transfers
}

// String returns the port's name.
func (p *SPIPort) String() string { return p.name }

// LimitSpeed accepts what sysfs does and has no effect.
func (p *SPIPort) LimitSpeed(f physic.Frequency) error {
	if f < 100*physic.Hertz || f > physic.GigaHertz {
		return fmt.Errorf("sysfs-spi: invalid speed %s", f)
	}
	return nil
}

// Connect sets speed and mode. Like that of sysfs it works once.
func (p *SPIPort) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	if err := p.LimitSpeed(f); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.connected {
		return nil, errors.New("sysfs-spi: Connect() can only be called exactly once")
	}
	if bits != 8 {
		return nil, fmt.Errorf("sysfs-spi: invalid bits %d", bits)
	}
	p.connected = true
	return &spiConn{p, f, mode}, nil
}

// Close makes all further transfers fail.
func (p *SPIPort) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

// spiConn is what Connect returns.
type spiConn struct {
	port  *SPIPort
	speed physic.Frequency
	mode  spi.Mode
}

// String returns the port's name.
func (c *spiConn) String() string { return c.port.name }

// Duplex is full.
func (c *spiConn) Duplex() conn.Duplex { return conn.Full }

// TxPackets transfers each packet in a selection of its own.
func (c *spiConn) TxPackets(packets []spi.Packet) error {
	for _, packet := range packets {
		if err := c.Tx(packet.W, packet.R); err != nil {
			return err
		}
	}
	return nil
}

// Tx shifts w out and r in.
func (c *spiConn) Tx(w, r []byte) error {
	p := c.port
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(w) != len(r) {
		return fmt.Errorf("sysfs-spi: Tx(): when both w and r are used, they must be the same size; got %d and %d bytes", len(w), len(r))
	}
	if p.closed {
		return fmt.Errorf("sysfs-spi: Tx() failed: %v", syscall.EBADF)
	}
	p.transfers++
	fault := p.plan.next()
	if fault == Slow {
		time.Sleep(p.Slowness)
	}
	if p.chip == nil || fault == Silence || fault == NACK {
		fill(r, 0xFF)
		return nil
	}
	p.in = append(p.in[:0], w...)
	in := p.in
	if fault == FlippedBit {
		in[len(in)-1] ^= 0x10
	}
	mode, fastest := p.chip.SPI()
	if mode != c.mode || c.speed > fastest {
		shift(in)
	}
	p.chip.TxSPI(in, r)
	switch {
	case mode != c.mode || c.speed > fastest:
		shift(r)
	case fault == FlippedBit:
		r[len(r)-1] ^= 0x10
	case fault == StuckBus:
		fill(r, 0)
	case fault == Truncated:
		fill(r[len(r)/2:], 0xFF)
	}
	return nil
}

func fill(b []byte, with byte) {
	for i := range b {
		b[i] = with
	}
}

// shift moves b by one bit, as sampling at the other edge does.
func shift(b []byte) {
	carry := byte(0x80)
	for i, c := range b {
		b[i] = carry | c>>1
		carry = c << 7
	}
}
