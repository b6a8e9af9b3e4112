package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"wattmark/gateway/enrol"
	"wattmark/gateway/homeassistant"
	"wattmark/gateway/outbox"
	"wattmark/gateway/sampler"
	"wattmark/gateway/uplink"
	"wattmark/hardware/board"
	"wattmark/hardware/bus"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// Clock is the time a gateway lives by: the machine's ([sampler.MachineClock]), or
// one that runs faster than the wall.
type Clock interface {
	sampler.Clock
	// After sends the time once that much of it has passed.
	After(d time.Duration) <-chan time.Time
	// Monotonic is the time since boot.
	Monotonic() time.Duration
	// Quality is one of the Clock constants of package entry.
	Quality() string
	// Uncertainty is how far Now may be off, 0 where nothing is claimed.
	Uncertainty() time.Duration
}

// Bus is a bus of the gateway's machine.
type Bus struct {
	Name string
	// Open opens its port; nil for the pins of the header, which parts open themselves.
	Open bus.Opener
	// Timeout and Gap are the bus's; zero values are its defaults.
	Timeout, Gap time.Duration
	// Recover frees an I2C bus that a part holds low; nil where that cannot be done.
	Recover func() error
}

// Device is a part on a bus, and the metering point that it measures.
type Device struct {
	Name    string // among the devices of its metering point
	Model   string // one of [Models]
	Bus     string // a Bus's name
	Address uint16 // Modbus unit, or I2C address, 0 for the part's own
	// BusKind is the kind of its bus, where the model can be on several.
	BusKind BusKind
	// Board has the pins that a part without a bus is on; nil for other parts.
	Board *board.Board
	// Settings are the keys of the model, as a [File] has them; nil is its defaults.
	Settings any
	Subject  string // the metering point's pseudonym
	Mode     string // [entry.ModeOpen] or [entry.ModeCommitted], as the point is registered
	Period   time.Duration
	Offset   time.Duration
	Disabled bool // it is not read, and its gaps say so
}

// Config is what a gateway works with. Fields are required unless they say what
// their zero value means.
type Config struct {
	Name string // in subjects and claims, as it is enrolled
	// Dir is the state directory; the outbox lies below it.
	Dir string
	// BootID is the kernel's boot id (random(4)). Where it is the one of the last
	// start, the process was restarted and not the machine. Empty raises the boot
	// count in any case.
	BootID string
	Clock  Clock
	Key    signer.Signer

	// Origin names the ledger that statements are for, Policy says which receipts
	// count, and OracleKeys are the oracles' statement keys, which sign refusals. Both are
	// where the gateway begins: it follows the oracles from there, and keeps in Dir how.
	Origin     string
	Policy     *block.Policy
	OracleKeys map[signer.KeyID]signer.PublicKey

	Buses   []Bus
	Devices []Device
	// Derived are channels that are computed from those of devices.
	Derived []sampler.Derived
	// PackMaxAge is the span of the samples in one pack; 0 is 60 s.
	PackMaxAge time.Duration
	// FlushAfter is how long a signed statement may wait, by the wall, for others to
	// become durable together; 0 is 5 s. A power cut loses what waits.
	FlushAfter time.Duration
	// Drain is how long Run goes on sending at its end, until every statement has a
	// receipt; 0 is not at all, as what is left is sent after the next start.
	Drain time.Duration
	// OutboxBytes limits the outbox on disk; 0 is 256 MB. It is never more than half of
	// what is free when the gateway starts.
	OutboxBytes int64
	// FsyncEach makes each statement durable by itself.
	FsyncEach bool

	Transport uplink.Transport
	// Certificate is what Transport shows the broker, nil for a plain connection.
	Certificate *enrol.Client
	// Resend, Reconnect and MaxRate are the uplink's; zero values are its defaults.
	Resend, Reconnect uplink.Backoff
	MaxRate           int

	// Root is the SHA-256 of the root file system that the machine runs from, which each
	// statement names; nil where it does not run from an image.
	Root []byte
	// Firmware, if set, tells of the image in the birth.
	Firmware func() *wire.Firmware

	// What follows is only told, in the status and the birth. Digest is that of the configuration
	// file, KeyBackend where the key is, ClockWarn the uncertainty from which the status
	// warns, 0 for never.
	Digest     string
	KeyBackend string
	ClockWarn  time.Duration

	// HomeAssistant is where readings are shown, besides; its Broker is empty for nowhere.
	// Gateway, Devices and Log are filled in.
	HomeAssistant homeassistant.Config

	// Panel shows on the device itself how the gateway fares; its zero value is nothing.
	Panel Panel

	// The hooks, if set, are told what happens, from the gateway's goroutines, and
	// must return soon.
	OnSample  func(sampler.Sample)
	OnSigned  func(Signed)
	OnReceipt func(uplink.Receipt)
	OnRefusal func(uplink.Refusal)
	Log       *slog.Logger // nil drops everything
}

// Signed is a statement that was signed and logged.
type Signed struct {
	outbox.Number
	Subject   string // empty for what is about no metering point
	Type      string // one of the Type constants of package entry
	Statement []byte
	Pack      []byte // salt and records of a committed pack, else nil
}

const (
	defaultFlushAfter = 5 * time.Second
	defaultPeriod     = 10 * time.Second
)

// complete fills defaults in and checks what no part below checks.
func (c *Config) complete() error {
	if c.FlushAfter == 0 {
		c.FlushAfter = defaultFlushAfter
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if err := entry.CheckGateway(c.Name); err != nil {
		return err
	}
	switch {
	case c.Dir == "":
		return errors.New("a gateway needs a state directory")
	case c.Clock == nil, c.Key == nil:
		return errors.New("a gateway needs a clock and a key")
	case c.FlushAfter < 0 || c.Drain < 0:
		return fmt.Errorf("flushing after %s and draining for %s: neither can be negative", c.FlushAfter, c.Drain)
	}
	for i := range c.Devices {
		d := &c.Devices[i]
		if d.Period == 0 {
			d.Period = defaultPeriod
		}
		if d.Mode != entry.ModeOpen && d.Mode != entry.ModeCommitted {
			return fmt.Errorf("device %q: mode %q is neither %q nor %q", d.Name, d.Mode, entry.ModeOpen, entry.ModeCommitted)
		}
	}
	return nil
}
