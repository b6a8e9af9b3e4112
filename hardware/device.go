package hardware

import (
	"context"
	"time"

	"periph.io/x/conn/v3"
)

// Device is one part on one bus.
//
// String names model and place for people ("sdm630 unit 1"). Halt, the only method
// that may be called while another runs, leaves the part idle; it waits for a
// running Sense. All other calls are serial: the owner of the bus makes them.
//
// A constructor checks its options and touches no bus. The part is identified and
// set up by the first Sense, in the goroutine that owns the bus: a part that is
// missing when the program starts can still appear later.
type Device interface {
	conn.Resource

	// Describe returns what Sense delivers. It is constant after construction; the
	// caller must not change the slices it holds.
	Describe() Descriptor

	// Sense takes one coherent snapshot into dst, whose storage it reuses: after
	// the first call on a part with registers it allocates nothing. It returns
	// within 50 ms of the end of ctx. On an error dst holds no values, and the
	// evidence is what was exchanged until then; errors.Is tells the class
	// (ErrAbsent and its neighbours). A value is never an old one passed off as
	// new, and a bus error is never reported as a timeout.
	Sense(ctx context.Context, dst *Batch) error
}

// Decoder turns recorded bytes into values: the code that Sense uses, without a
// device at the other end.
type Decoder interface {
	// Decode replaces dst's values and warnings with those of t. It never panics,
	// whatever t holds, and reports refused bytes by the classes of Sense.
	Decode(t *Transcript, dst *Batch) error
}

// Kind tells a running total from a state.
type Kind uint8

const (
	// Gauge is a state at one instant. A setting read back from a part is a gauge.
	Gauge Kind = iota
	// Counter is a register: a total that only grows between resets. Differences
	// are taken at settlement, never by a driver.
	Counter
)

// String returns "gauge" or "counter".
func (k Kind) String() string {
	if k == Counter {
		return "counter"
	}
	return "gauge"
}

// Channel is one quantity a device delivers. Its name is one that Lookup knows.
type Channel struct {
	Name   string
	Unit   Unit
	Kind   Kind
	Limits Limits // what the maker states for the part; zero when nothing is stated
	// Wrap is the number at which a counter starts again from zero, as its width makes
	// it; zero where that is not known. Its Channel and Quality mean nothing.
	Wrap Value
}

// Descriptor says what a device is and delivers. Value.Channel is an index into
// Channels, and a batch's values stand in that order.
type Descriptor struct {
	Model    string // name in the configuration and on the command line: "sdm630"
	Part     string // name on the label: "Eastron SDM630"
	Channels []Channel
	// Settle is the longest time from set-up or from one result to the next one, or
	// that one takes: how long a caller may have to be patient with ErrNoData and with
	// Sense. Zero for a part that always has an answer at once.
	Settle time.Duration
}

// Index returns the index of the named channel, or -1.
func (d *Descriptor) Index(name string) int {
	for i := range d.Channels {
		if d.Channels[i].Name == name {
			return i
		}
	}
	return -1
}

// Limits is a closed range, Low x 10^Exponent to High x 10^Exponent in the
// channel's unit. The zero value is no limit.
type Limits struct {
	Low, High int64
	Exponent  int8
}

// Contain reports whether v lies within l.
func (l Limits) Contain(v Value) bool {
	if l == (Limits{}) {
		return true
	}
	return compare(v.Mantissa, v.Exponent, l.Low, l.Exponent) >= 0 &&
		compare(v.Mantissa, v.Exponent, l.High, l.Exponent) <= 0
}

// Clock returns the monotonic time since boot. Options of drivers take one so
// that a simulated street can run faster than the wall; nil means Monotonic.
type Clock func() time.Duration

// Or returns c, or Monotonic when c is nil.
func (c Clock) Or() Clock {
	if c == nil {
		return Monotonic
	}
	return c
}
