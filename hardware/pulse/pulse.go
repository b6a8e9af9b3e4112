package pulse

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"sync"
	"syscall"
	"time"

	"wattmark/hardware"
)

// Debounce is for how long a contact must rest before its state counts. A pulse and
// the pause after it last at least 30 ms each (IEC 62053-31, 5.2).
const Debounce = 20 * time.Millisecond

// Line is an input line and what the kernel does for it. Its errors wrap those of the
// system (syscall.ENODEV and so on).
type Line interface {
	// String names the line for people: "GPIO17".
	String() string
	// Watch takes the line and from then on calls edge for each time that the contact
	// closes and rests for the given time, one call at a time, from a goroutine of its
	// own. Sequence starts from 1. It is not called on a line that is watched.
	Watch(debounce time.Duration, edge func(hardware.Pulse)) error
	// Closed reports whether the contact is closed, or that the line has gone.
	Closed() (bool, error)
	// Close gives the line back, if it is watched. No edge comes after it returned.
	Close() error
}

// Opts are the settings of a pulse input.
type Opts struct {
	// PulsesPerKWh is the meter constant as on its label, a decimal such as "1000" or
	// "0.1"; empty counts pulses only.
	PulsesPerKWh string
	// Energy is the channel that the energy belongs to: default active_energy_import.
	Energy string
	Now    hardware.Clock // nil is hardware.Monotonic
}

// Indices of channels.
const (
	pulses = iota
	energy
)

// Dev is one pulse input.
type Dev struct {
	line  Line
	about hardware.Descriptor
	rate  rate
	now   hardware.Clock

	mu sync.Mutex // guards the line and the fields below: Halt may come at any time
	// watching says that the line is held; taken that it ever was; released is when it
	// last ceased to be.
	watching, taken bool
	released        time.Duration

	tally tally
}

var (
	_ hardware.Device      = (*Dev)(nil)
	_ hardware.PulseSource = (*Dev)(nil)
	_ hardware.Persistent  = (*Dev)(nil)
)

// New returns the counter of pulses on line, which it does not take yet: the first
// Sense, or Pulses, does.
func New(line Line, opts *Opts) (*Dev, error) {
	o := Opts{}
	if opts != nil {
		o = *opts
	}
	d := &Dev{line: line, now: o.Now.Or()}
	d.about = hardware.Descriptor{Model: "s0", Part: "S0 pulse input", Channels: []hardware.Channel{
		pulses: hardware.NewChannel("pulses", hardware.Limits{}),
	}}
	if o.Energy == "" {
		o.Energy = "active_energy_import"
	}
	if unit, kind, ok := hardware.Lookup(o.Energy); !ok || unit != hardware.WattHour || kind != hardware.Counter {
		return nil, fmt.Errorf("s0: %q is no register of active energy", o.Energy)
	}
	if o.PulsesPerKWh != "" {
		var err error
		if d.rate, err = parseRate(o.PulsesPerKWh); err != nil {
			return nil, fmt.Errorf("s0: pulses per kWh: %w", err)
		}
		d.about.Channels = append(d.about.Channels, hardware.NewChannel(o.Energy, hardware.Limits{}))
	}
	return d, nil
}

// String returns model and line.
func (d *Dev) String() string { return "s0 on " + d.line.String() }

// Describe implements hardware.Device.
func (d *Dev) Describe() hardware.Descriptor { return d.about }

// Sense takes the line, if it is not held, and returns the count: that of the moment,
// even while nothing pulses.
func (d *Dev) Sense(ctx context.Context, dst *hardware.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dst.Reset()
	begin := d.now()
	err := d.sense(ctx, dst)
	dst.Span(begin, d.now())
	if err != nil {
		dst.ResetValues()
		return hardware.Locate(err, d.String(), "")
	}
	return nil
}

func (d *Dev) sense(ctx context.Context, dst *hardware.Batch) error {
	if err := ctx.Err(); err != nil {
		return &hardware.Error{Class: hardware.ErrTimeout, Err: err}
	}
	if err := d.hold(); err != nil {
		return err
	}
	count := d.tally.total()
	dst.Add(hardware.Value{Channel: pulses, Mantissa: count}, hardware.Limits{})
	if len(d.about.Channels) > energy {
		v, ok := d.rate.energy(count)
		if !ok {
			return &hardware.Error{Class: hardware.ErrMalformed, Op: "computing the energy", Err: hardware.ErrOverflow,
				Remedy: "check the pulses per kWh and the count that was restored"}
		}
		v.Channel = energy
		dst.Add(v, hardware.Limits{})
	}
	d.tally.warn(dst)
	return nil
}

// Pulses takes the line, if it is not held, and returns a channel of the pulses that
// come from then on. A receiver that is slow loses pulses, and sees it by their
// Sequence, which begins again whenever the line is taken anew; the count loses none.
func (d *Dev) Pulses(ctx context.Context) (<-chan hardware.Pulse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.hold(); err != nil {
		return nil, hardware.Locate(err, d.String(), "")
	}
	to := d.tally.subscribe()
	context.AfterFunc(ctx, func() { d.tally.unsubscribe(to) })
	return to, nil
}

// hold makes sure that the line is held and still there; d.mu is held.
func (d *Dev) hold() error {
	if d.watching {
		_, err := d.line.Closed()
		if err != nil {
			_ = d.release() // it has gone: giving it back can say no more than that
			return lineError(err, "reading the line")
		}
		return nil
	}
	now := d.now()
	d.tally.begin(now)
	if err := d.line.Watch(Debounce, d.tally.edge); err != nil {
		return lineError(err, "taking the line")
	}
	if d.taken {
		d.tally.note(hardware.WarnSkipped, fmt.Sprintf("the line was not held for %s: what came then is not counted", (now-d.released).Round(time.Millisecond)))
	}
	d.watching, d.taken = true, true
	return nil
}

// release gives the line back; d.mu is held.
func (d *Dev) release() error {
	d.watching, d.released = false, d.now()
	return d.line.Close()
}

// Halt gives the line back. What pulses until the next Sense is not counted.
func (d *Dev) Halt() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.watching {
		return nil
	}
	if err := d.release(); err != nil {
		return hardware.Locate(lineError(err, "giving the line back"), d.String(), "")
	}
	return nil
}

// lineError gives an error of the system its class.
func lineError(err error, op string) error {
	for _, errno := range [...]syscall.Errno{syscall.EBUSY, syscall.EACCES, syscall.EPERM} {
		if errors.Is(err, errno) {
			return &hardware.Error{Class: hardware.ErrPermission, Op: op, Err: err,
				Remedy: "see who holds the line (gpioinfo), and add the user to the group of the chip's device file"}
		}
	}
	return &hardware.Error{Class: hardware.ErrAbsent, Op: op, Err: err, Remedy: "check the name of the line and of its chip"}
}

// snapshotSize is the length of a snapshot: "s0", version 1, the count in 8 bytes and
// the CRC-32C of all that in 4, both big-endian.
const (
	snapshotMagic = "s0\x01"
	snapshotSize  = len(snapshotMagic) + 8 + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Snapshot implements hardware.Persistent.
func (d *Dev) Snapshot() []byte {
	b := append(make([]byte, 0, snapshotSize), snapshotMagic...)
	b = binary.BigEndian.AppendUint64(b, uint64(d.tally.total()))
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Restore implements hardware.Persistent.
func (d *Dev) Restore(snapshot []byte) error {
	const sum = snapshotSize - 4
	switch {
	case len(snapshot) != snapshotSize || string(snapshot[:len(snapshotMagic)]) != snapshotMagic:
		return fmt.Errorf("%s: %d bytes are no snapshot of a pulse count", d, len(snapshot))
	case crc32.Checksum(snapshot[:sum], castagnoli) != binary.BigEndian.Uint32(snapshot[sum:]):
		return fmt.Errorf("%s: the snapshot is damaged: its checksum does not match", d)
	}
	count := binary.BigEndian.Uint64(snapshot[len(snapshotMagic):])
	if count > math.MaxInt64 {
		return fmt.Errorf("%s: a count of %d is above %d", d, count, int64(math.MaxInt64))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.taken {
		return fmt.Errorf("%s: it counts already: restore before the first Sense", d)
	}
	d.tally.set(int64(count))
	return nil
}
