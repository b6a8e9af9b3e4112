package hardware

import (
	"context"
	"math"
	"time"
)

// Batch is one snapshot of a device. Its storage is reused from call to call;
// CopyTo keeps it.
type Batch struct {
	// At is the monotonic time since boot at the middle of the exchange, by the
	// clock of the device's options.
	At time.Duration
	// Took is how long the exchange lasted.
	Took time.Duration
	// Values stand in the order of Descriptor.Channels. A channel may be missing:
	// nothing stands in for it.
	Values []Value
	// Evidence holds the bytes that went over the bus.
	Evidence Transcript
	// Warnings start with a code such as WarnSkipped, then a colon and detail.
	Warnings []string
	// Identity is what the part said of itself in this exchange, if it did.
	Identity Identity
	// Models are the numbers of the SunSpec models that the part listed, in order.
	Models []uint16
	// MeterTime is the part's own clock, if it told it.
	MeterTime MeterTime
}

// MeterTime is a meter's own clock: local time, without a zone.
type MeterTime struct {
	Local  string // as 2006-01-02T15:04:05; empty when the meter did not tell
	Season Season
}

// Season says whether a meter's clock runs on summer time.
type Season byte

// The seasons.
const (
	SeasonUnsaid Season = 0
	Summer       Season = 'S'
	Winter       Season = 'W'
)

// MaxWarnings is how many warnings a batch takes.
const MaxWarnings = 64

// Codes that begin a warning.
const (
	WarnNoChecksum   = "no_checksum"
	WarnResync       = "resync"
	WarnTrailing     = "trailing"
	WarnNotANumber   = "not_a_number"
	WarnDisagrees    = "register_disagrees"
	WarnNotReady     = "conversion_not_ready"
	WarnWorkaround   = "vendor_workaround"
	WarnSkipped      = "skipped"
	maximumValues    = math.MaxUint8 + 1
	warningSeparator = ": "
)

// Reset empties b and keeps its storage.
func (b *Batch) Reset() {
	b.At, b.Took = 0, 0
	b.Evidence.Reset()
	b.ResetValues()
}

// ResetValues empties all but At, Took and Evidence: what Decode does first.
func (b *Batch) ResetValues() {
	b.Values = b.Values[:0]
	b.Warnings = b.Warnings[:0]
	b.Identity = Identity{}
	b.Models = b.Models[:0]
	b.MeterTime = MeterTime{}
}

// CopyTo makes dst equal to b without sharing storage, reusing dst's.
func (b *Batch) CopyTo(dst *Batch) {
	dst.At, dst.Took = b.At, b.Took
	dst.Values = append(dst.Values[:0], b.Values...)
	dst.Warnings = append(dst.Warnings[:0], b.Warnings...)
	dst.Identity, dst.MeterTime = b.Identity, b.MeterTime
	dst.Models = append(dst.Models[:0], b.Models...)
	b.Evidence.copyTo(&dst.Evidence)
}

// Span sets At and Took from the clock's times before and after the exchange.
func (b *Batch) Span(begin, end time.Duration) {
	b.Took = end - begin
	b.At = begin + b.Took/2
}

// Take is the middle of most drivers' Sense: it empties b, exchanges bytes with the part,
// which are the evidence, notes when that was, and has d decode them. On an error b holds
// no values.
func (b *Batch) Take(ctx context.Context, now Clock, exchange func(context.Context, *Transcript) error, d Decoder) error {
	b.Reset()
	begin := now()
	err := exchange(ctx, &b.Evidence)
	b.Span(begin, now())
	if err == nil {
		err = d.Decode(&b.Evidence, b)
	}
	if err != nil {
		b.ResetValues()
	}
	return err
}

// Add appends v, marked OutOfRange when limits do not contain it.
func (b *Batch) Add(v Value, limits Limits) {
	if len(b.Values) == maximumValues {
		return // one value for each of 256 channels is all there can be
	}
	if !limits.Contain(v) {
		v.Quality |= OutOfRange
	}
	b.Values = append(b.Values, v)
}

// AddFloat32 appends f with its exponent moved by scale (3 turns kWh into Wh). NaN
// and infinity are left out with a warning that names the channel.
func (b *Batch) AddFloat32(channel uint8, name string, f float32, scale int8, q Quality, limits Limits) {
	mantissa, exponent, ok := Float32(f)
	if !ok {
		b.Warn(WarnNotANumber, name)
		return
	}
	// Whole numbers stay whole: 12.5 kWh is 12500 Wh, not 125 x 10^2.
	power := int(exponent) + int(scale)
	for power > 0 && mantissa != 0 && mantissa > -1e17 && mantissa < 1e17 {
		mantissa *= 10
		power--
	}
	if mantissa == 0 && power > 0 {
		power = 0
	}
	b.Add(Value{Channel: channel, Mantissa: mantissa, Exponent: int8(power), Quality: q}, limits)
}

// Warn appends a warning. After MaxWarnings of them further ones are dropped: bytes
// from outside must not fill memory with complaints, nor should a driver make them up
// once they are dropped.
func (b *Batch) Warn(code, detail string) {
	if len(b.Warnings) < MaxWarnings {
		b.Warnings = append(b.Warnings, code+warningSeparator+detail)
	}
}
