package emulated

import "math/rand/v2"

// Fault is something that goes wrong in one exchange.
type Fault uint8

const (
	// NoFault lets the exchange pass.
	NoFault Fault = iota
	// Silence is no answer; on I2C nobody acknowledges.
	Silence
	// NACK is an address or byte that is not acknowledged; on a serial line, silence.
	NACK
	// StuckBus is a line held low: I2C transfers time out; on a serial line, silence.
	StuckBus
	// BadCRC damages a checksum.
	BadCRC
	// FlippedBit inverts one bit of the data.
	FlippedBit
	// Truncated loses the end of the reply.
	Truncated
	// Doubled sends the reply twice in a row. It does not exist on I2C.
	Doubled
	// Late keeps the reply back until the next request was sent. It does not exist
	// on I2C.
	Late
	// Slow delays the reply by the line's or bus's Slowness; on I2C the part
	// stretches the clock for that long.
	Slow
)

var faultNames = [...]string{
	"no fault", "silence", "nack", "stuck bus", "bad crc", "flipped bit", "truncated", "doubled", "late", "slow",
}

// String returns the fault's name in lower case.
func (f Fault) String() string {
	if int(f) < len(faultNames) {
		return faultNames[f]
	}
	return "unknown fault"
}

// Plan returns the fault of the next exchange. A nil Plan is no faults. It is called
// with the line or bus locked and must not call back.
type Plan func() Fault

func (p Plan) next() Fault {
	if p == nil {
		return NoFault
	}
	return p()
}

// Sequence gives each exchange the next of faults, and none after the last.
func Sequence(faults ...Fault) Plan {
	return func() Fault {
		if len(faults) == 0 {
			return NoFault
		}
		f := faults[0]
		faults = faults[1:]
		return f
	}
}

// Always gives every exchange the same fault.
func Always(f Fault) Plan { return func() Fault { return f } }

// Seeded gives one exchange in oneIn, on average, one of faults. The same seed gives
// the same faults.
func Seeded(seed uint64, oneIn int, faults ...Fault) Plan {
	source := rand.New(rand.NewPCG(seed, 0x9E3779B97F4A7C15))
	return func() Fault {
		if len(faults) == 0 || source.IntN(max(1, oneIn)) != 0 {
			return NoFault
		}
		return faults[source.IntN(len(faults))]
	}
}
