package hardware

import (
	"context"
	"time"
)

// Identity is what a part says of itself. Fields it does not say are empty.
type Identity struct {
	Manufacturer string
	Model        string
	Serial       string
	Version      string
}

// Confidence says how sure a probe is that it met the part it looked for.
type Confidence uint8

const (
	// NotFound means that something else, or nothing, is there.
	NotFound Confidence = iota
	// Possible means that it answered as the part would, and so would others.
	Possible
	// Likely means that several values are those of the part and plausible.
	Likely
	// Certain means that the part named itself.
	Certain
)

// String returns the word for c in lower case.
func (c Confidence) String() string {
	switch c {
	case Possible:
		return "possible"
	case Likely:
		return "likely"
	case Certain:
		return "certain"
	}
	return "not found"
}

// Prober is a device that can be looked for. Probe only reads: nothing it sends
// changes a setting or a state of the part, whatever part is really there.
type Prober interface {
	Probe(ctx context.Context) (Identity, Confidence, error)
}

// CalibrationStep is one adjustment of one channel against a reference.
type CalibrationStep struct {
	Channel   string // the channel that is adjusted
	Reference Value  // what the reference says, in the channel's unit; Channel is ignored
}

// CalibrationRecord is what an adjustment did. Before and After are the part's
// setting in the unit of the channel named by Setting.
type CalibrationRecord struct {
	Identity Identity
	Step     CalibrationStep
	Setting  string
	Before   Value
	After    Value
	Evidence Transcript
}

// Calibrator is a device that stores an adjustment of its own. Nothing but
// Calibrate changes it.
type Calibrator interface {
	Calibrate(ctx context.Context, step CalibrationStep) (CalibrationRecord, error)
}

// SelfTester is a device that can check itself; a failed check is ErrDevice.
type SelfTester interface {
	SelfTest(ctx context.Context) error
}

// Continuous is a device that speaks unasked, or is better served by a steady
// rhythm. The channel closes when ctx ends. A receiver that is slow loses the
// older batch, the next one is marked Late, and the bus is never held up.
type Continuous interface {
	SenseContinuous(ctx context.Context, every time.Duration) (<-chan Batch, error)
}

// Pulse is one edge on a pulse line. At is kernel time since boot; Sequence is the
// line's own count, so that a gap in it tells how many pulses were lost.
type Pulse struct {
	At       time.Duration
	Sequence uint32
}

// PulseSource is a device that counts edges. The channel closes when ctx ends.
type PulseSource interface {
	Pulses(ctx context.Context) (<-chan Pulse, error)
}

// Persistent is a device that keeps a running total of its own, which must outlive
// the program: whoever reads the device saves what Snapshot returns beside the values,
// and gives it back before the first Sense of the next life. Both may be called from
// any goroutine.
type Persistent interface {
	// Snapshot returns the total in a form that only the same driver reads.
	Snapshot() []byte
	// Restore sets the total to that of a snapshot. One that is damaged, of another
	// driver or comes after the first Sense is refused and changes nothing.
	Restore(snapshot []byte) error
}
