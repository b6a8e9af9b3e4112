package calibration

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"wattmark/ledger/entry"
)

// Sample is what device and reference said at one time. Values are decimal numbers as
// they were shown, without exponent; the device's are without corrections.
type Sample struct {
	At        time.Duration // since the first sample
	Device    string
	Reference string
}

// How long a comparison of registers has to last: one of the two.
const (
	EnoughTime  = 10 * time.Minute
	EnoughSteps = 100
)

// Comparison is a device and a reference side by side. The zero value is empty.
type Comparison struct {
	// Counter: the values are registers, of which differences are compared.
	Counter bool
	// Additive: the error is one of an offset, as of a temperature, and not of a ratio.
	Additive bool
	// Reference is the uncertainty of the reference (k = 2) as a share of its value, or
	// for an offset in its unit.
	Reference float64
	// Before are the factors in force.
	Before entry.Factors

	samples []Sample
	device  []float64
	other   []float64
	// The resolutions of both.
	step, otherStep resolution
}

// limitSamples bounds a comparison: a day of one a second.
const limitSamples = 86_400

// ErrFell is wrapped when a register falls during a comparison.
var ErrFell = errors.New("a register fell: begin again")

// Add appends a sample. One that repeats the time before, or has a number that is none,
// is refused and changes nothing.
func (c *Comparison) Add(s Sample) error {
	d, dDigit, err := number(s.Device)
	if err != nil {
		return fmt.Errorf("the device says %q: %w", s.Device, err)
	}
	r, rDigit, err := number(s.Reference)
	if err != nil {
		return fmt.Errorf("the reference says %q: %w", s.Reference, err)
	}
	dRise, rRise := 0.0, 0.0
	if n := len(c.samples); n > 0 {
		switch {
		case n == limitSamples:
			return fmt.Errorf("more than %d samples", limitSamples)
		case s.At <= c.samples[n-1].At:
			return fmt.Errorf("a sample at %s follows one at %s", s.At, c.samples[n-1].At)
		case c.Counter && (d < c.device[n-1] || r < c.other[n-1]):
			return ErrFell
		}
		dRise, rRise = d-c.device[n-1], r-c.other[n-1]
	}
	c.step.note(dDigit, dRise, c.Counter)
	c.otherStep.note(rDigit, rRise, c.Counter)
	c.samples = append(c.samples, s)
	c.device, c.other = append(c.device, d), append(c.other, r)
	return nil
}

// resolution is what a value moves by, as far as it is known: its last digit, or what
// all rises of a register are multiples of, as it may count by more than its last digit
// shows.
type resolution struct {
	digit  float64
	rises  int
	common int64 // divisor of all rises, in digits
}

// enoughRises is how many rises tell what a register counts by: a reading or two that
// somebody typed in do not.
const enoughRises = 10

func (r *resolution) note(digit, rise float64, counter bool) {
	if digit != r.digit { // meters show fewer digits as they count on
		*r = resolution{digit: digit}
	}
	n := int64(math.Round(rise / digit))
	if !counter || n <= 0 {
		return
	}
	r.rises++
	for a := r.common; ; {
		if a == 0 {
			r.common = n
			return
		}
		n, a = a, n%a
	}
}

func (r *resolution) step() float64 {
	if r.rises < enoughRises {
		return r.digit
	}
	return float64(r.common) * r.digit
}

// number reads a decimal number, and the value of its last digit.
func number(s string) (x, digit float64, err error) {
	x, err = strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) || strings.ContainsAny(s, "eExXpP_") {
		return 0, 0, errors.New("that is no decimal number")
	}
	_, fraction, _ := strings.Cut(s, ".")
	return x, math.Pow10(-len(fraction)), nil
}

// Len returns the number of samples.
func (c *Comparison) Len() int { return len(c.samples) }

// Lasted returns the time between the first and the last sample.
func (c *Comparison) Lasted() time.Duration {
	if len(c.samples) == 0 {
		return 0
	}
	return c.samples[len(c.samples)-1].At - c.samples[0].At
}

// Steps returns how many steps the device's register has surely gone; 0 for a gauge.
func (c *Comparison) Steps() int {
	if !c.Counter || len(c.samples) < 2 {
		return 0
	}
	if c.step.rises < enoughRises {
		return c.step.rises // what it counts by is not known yet
	}
	return int((c.device[len(c.device)-1] - c.device[0]) / c.step.step())
}

// Enough reports whether the comparison lasted long enough: 10 minutes or, of a
// register, 100 steps.
func (c *Comparison) Enough() bool {
	return c.Lasted() >= EnoughTime || c.Steps() >= EnoughSteps
}

// Digest is the SHA-256 of the samples, each a line of its time in milliseconds, the
// device's value and the reference's.
func (c *Comparison) Digest() [32]byte {
	h := sha256.New()
	for _, s := range c.samples {
		fmt.Fprintf(h, "%d %s %s\n", s.At.Milliseconds(), s.Device, s.Reference)
	}
	return [32]byte(h.Sum(nil))
}

// Kind is what a correction changes.
type Kind string

// The kinds of corrections.
const (
	Keep   Kind = "keep" // the error is within its uncertainty
	Ratio  Kind = "ratio"
	Sign   Kind = "sign"
	Offset Kind = "offset"
)

// Result is what a comparison comes to. Error and Uncertainty are shares of the value
// (0.01 is one per cent), or in the channel's unit where Additive.
type Result struct {
	Device      float64 // mean, or the register's difference, corrected as it is now
	Reference   float64
	Error       float64 // of Device against Reference
	Uncertainty float64 // of Error, k = 2
	Additive    bool
	Kind        Kind
	After       entry.Factors
}

// Result compares. It is an error where nothing was measured that a correction could be
// computed from.
func (c *Comparison) Result() (Result, error) {
	r := Result{Additive: c.Additive, Kind: Keep, After: c.Before}
	raw, other, spread, err := c.figures()
	if err != nil {
		return r, err
	}
	ratio, offset := float(c.Before.Ratio)*float64(c.Before.Sign), float(c.Before.Offset)
	if c.Counter {
		offset = 0
	}
	r.Device, r.Reference = ratio*raw+offset, other
	if c.Additive {
		r.Error = r.Device - other
		r.Uncertainty = 2 * math.Hypot(math.Hypot(spread, math.Abs(ratio)*c.step.step()/root12), math.Hypot(c.otherStep.step()/root12, c.Reference/2))
		if math.Abs(r.Error) > r.Uncertainty {
			r.Kind = Offset
			r.After.Offset = decimal(other-ratio*raw, 4)
		}
		return r, nil
	}
	if other == 0 || raw == 0 {
		return r, fmt.Errorf("device and reference say %v and %v: nothing flows that could be compared", raw, other)
	}
	// Of a register both ends are read to a step.
	d, o := c.step.step()/root12, c.otherStep.step()/root12
	if c.Counter {
		d, o = d*math.Sqrt2, o*math.Sqrt2
	}
	r.Error = (r.Device - other) / math.Abs(other)
	r.Uncertainty = 2 * math.Hypot(math.Hypot(spread, d/raw), math.Hypot(o/other, c.Reference/2))
	scale := math.Abs((other - offset) / raw)
	if other-offset == 0 {
		return r, errors.New("the reference says no more than the offset in force: compare under a load")
	}
	sign := c.Before.Sign
	if !c.Counter {
		sign = 1
		if (other-offset)*raw < 0 {
			sign = -1
		}
	}
	switch {
	case sign != c.Before.Sign:
		// A clamp the wrong way round is no reason to believe the rest of the error.
		r.Kind, r.After.Sign = Sign, sign
		if left := math.Abs(scale/float(c.Before.Ratio) - 1); left > r.Uncertainty {
			r.After.Ratio = decimal(scale, 6)
		}
	case math.Abs(r.Error) > r.Uncertainty:
		r.Kind, r.After.Ratio = Ratio, decimal(scale, 6)
	}
	if r.After.Ratio.Mantissa <= 0 {
		return r, fmt.Errorf("a ratio of %v cannot be: check that both measure the same", scale)
	}
	return r, nil
}

// root12 makes the width of a rectangle its standard deviation.
var root12 = math.Sqrt(12)

// figures are the means, or the differences of registers, and the standard uncertainty
// that the samples' spread gives: of the ratio, or of the difference.
func (c *Comparison) figures() (raw, other, spread float64, err error) {
	n := len(c.samples)
	if c.Counter {
		if n < 2 {
			return 0, 0, 0, errors.New("registers are compared over a time: there is one sample")
		}
		return c.device[n-1] - c.device[0], c.other[n-1] - c.other[0], 0, nil
	}
	if n == 0 {
		return 0, 0, 0, errors.New("there is no sample")
	}
	for i := range n {
		raw += c.device[i] / float64(n)
		other += c.other[i] / float64(n)
	}
	if n == 1 {
		return raw, other, 0, nil
	}
	// The residuals of each pair against the means: what both do together cancels.
	sum := 0.0
	for i := range n {
		residual := c.device[i] - raw - (c.other[i] - other)
		if !c.Additive {
			if raw == 0 || other == 0 {
				continue
			}
			residual = c.device[i]/raw - c.other[i]/other
		}
		sum += residual * residual
	}
	return raw, other, math.Sqrt(sum / float64(n-1) / float64(n)), nil
}

func float(d entry.Decimal) float64 { return float64(d.Mantissa) * math.Pow10(int(d.Exponent)) }

// decimal rounds to that many digits behind the point.
func decimal(x float64, digits int8) entry.Decimal {
	m := math.Round(x * math.Pow10(int(digits)))
	if math.Abs(m) > 1<<53 {
		return entry.Decimal{} // refused as no ratio, and no offset is as large
	}
	d := entry.Decimal{Mantissa: int64(m), Exponent: -digits}
	for d.Exponent < 0 && d.Mantissa%10 == 0 {
		d.Mantissa, d.Exponent = d.Mantissa/10, d.Exponent+1
	}
	return d
}

// Uncertain returns an uncertainty rounded up to two digits, as a record has it.
func Uncertain(share float64) entry.Decimal {
	if share <= 0 || math.IsInf(share, 0) || math.IsNaN(share) {
		return entry.Decimal{}
	}
	exponent := int(math.Floor(math.Log10(share))) - 1
	m := int64(math.Ceil(share/math.Pow10(exponent) - 1e-9))
	if m == 100 {
		m, exponent = 10, exponent+1
	}
	return entry.Decimal{Mantissa: m, Exponent: int8(exponent)}
}
