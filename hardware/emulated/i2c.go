package emulated

import (
	"fmt"
	"sync"
	"syscall"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Part is a chip on an emulated I2C bus. The bus calls it with itself locked, one
// call at a time.
type Part interface {
	// WriteI2C takes the bytes of one write transfer; false is not acknowledged.
	WriteI2C(b []byte) bool
	// ReadI2C fills b as the part would; false is not acknowledged.
	ReadI2C(b []byte) bool
}

// repeatedStarter is a Part that minds a read that follows a write without a stop.
type repeatedStarter interface{ repeatedStart() bool }

// Bus is an I2C bus with emulated parts: periph's i2c.BusCloser. Its errors read as
// those of Linux through periph's sysfs driver. All methods may be called from any
// goroutine.
type Bus struct {
	// Slowness is how long a Slow part stretches the clock; set it before use.
	Slowness time.Duration

	name     string
	mu       sync.Mutex // guards the fields below
	parts    map[uint16]*socket
	closed   bool
	transfer int
}

// socket is a part at an address, with its faults.
type socket struct {
	part Part
	plan Plan
	// pending is a fault of data that was drawn by a write: it shows in the next read.
	pending Fault
}

var _ i2c.BusCloser = (*Bus)(nil)

// NewBus returns a bus without parts.
func NewBus(name string) *Bus {
	return &Bus{Slowness: 150 * time.Millisecond, name: name, parts: map[uint16]*socket{}}
}

// Attach puts p on the bus at the given address. It panics if that is taken.
func (b *Bus) Attach(address uint16, p Part) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parts[address] != nil {
		panic(fmt.Sprintf("internal error: I2C address %#02x is taken", address))
	}
	b.parts[address] = &socket{part: p}
}

// Detach takes the part at the address off the bus, as a loose wire does.
func (b *Bus) Detach(address uint16) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.parts, address)
}

// SetFaults makes transfers with the part at the address go wrong as plan says.
func (b *Bus) SetFaults(address uint16, plan Plan) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.parts[address]; s != nil {
		s.plan, s.pending = plan, NoFault
	}
}

// Transfers returns how many calls of Tx reached a part.
func (b *Bus) Transfers() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.transfer
}

// String returns the bus's name.
func (b *Bus) String() string { return b.name }

// SetSpeed accepts what the standard allows for standard, fast and fast-plus mode.
func (b *Bus) SetSpeed(f physic.Frequency) error {
	if f < physic.KiloHertz || f > physic.MegaHertz {
		return fmt.Errorf("sysfs-i2c: invalid speed %s", f)
	}
	return nil
}

// Close makes all further transfers fail.
func (b *Bus) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// Tx writes w, if any, and then reads r, if any, with a repeated start between.
func (b *Bus) Tx(address uint16, w, r []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return failure(syscall.EBADF)
	}
	s := b.parts[address]
	if s == nil {
		return failure(notAcknowledged)
	}
	b.transfer++
	fault := s.plan.next()
	switch fault {
	case Silence, NACK:
		return failure(notAcknowledged)
	case StuckBus:
		return failure(syscall.ETIMEDOUT)
	case Slow:
		time.Sleep(b.Slowness)
		fault = NoFault
	}
	if fault != NoFault {
		s.pending = fault
	}
	if len(w) > 0 && !s.part.WriteI2C(w) {
		return failure(notAcknowledged)
	}
	if len(r) == 0 {
		return nil
	}
	if rs, ok := s.part.(repeatedStarter); len(w) > 0 && ok && !rs.repeatedStart() {
		return failure(notAcknowledged)
	}
	if !s.part.ReadI2C(r) {
		return failure(notAcknowledged)
	}
	s.spoil(r)
	return nil
}

// spoil applies the pending fault to what was read.
func (s *socket) spoil(r []byte) {
	switch s.pending {
	case BadCRC:
		r[len(r)-1] ^= 0x5A
	case FlippedBit:
		r[0] ^= 0x10
	case Truncated: // the part lets go of the data line, which then reads as ones
		for i := len(r) / 2; i < len(r); i++ {
			r[i] = 0xFF
		}
	}
	s.pending = NoFault
}

// failure is what a program sees of errno through periph's sysfs driver, which
// keeps its text only.
func failure(errno syscall.Errno) error { return fmt.Errorf("sysfs-i2c: %v", errno) }
