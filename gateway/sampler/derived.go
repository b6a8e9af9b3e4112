package sampler

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"wattmark/hardware"
	"wattmark/ledger/entry"
)

// MassFlow is the method that makes a mass of CO2 of a concentration and a flow: with C
// ppm above the background, p in Pa, T in K and Q in m3/s, the flow in kg/s is
//
//	C 10^-6 x p Q x 0.0440095 / (8.314462618 T)
//
// rounded half away from zero to 1 ug/s, and below the background nothing. The molar
// mass of CO2 is that of the CIAAW's atomic weights of 2021, 44.0095 g/mol, and the gas
// constant that of CODATA 2018, which is exact.
const MassFlow = "mass-flow/1"

// Input names a channel of a device of the same metering point.
type Input struct{ Device, Channel string }

// String returns "device.channel".
func (i Input) String() string { return i.Device + "." + i.Channel }

// Derived is a device that is computed from others of its metering point: it has the
// channels co2_mass_flow and co2_mass.
type Derived struct {
	Name    string // as a device's
	Subject string
	Method  string // MassFlow

	CO2         Input         // concentration, in ppm
	Flow        Input         // volume_flow in m3/s, or
	Velocity    Input         // gas_velocity in m/s, times
	Area        entry.Decimal // of the duct, in m2
	Temperature Input         // in Cel
	Pressure    Input         // in Pa
	// Background is the concentration of ambient air, which is not emitted, in ppm.
	Background entry.Decimal
	// Uncertainty is the expanded uncertainty (k = 2) of the flow as a share of it.
	Uncertainty entry.Decimal
}

// About describes d as a device.
func (d *Derived) About() hardware.Descriptor {
	return hardware.Descriptor{Model: "derived", Part: d.Method, Channels: []hardware.Channel{
		hardware.NewChannel("co2_mass_flow", hardware.Limits{}), hardware.NewChannel("co2_mass", hardware.Limits{}),
	}}
}

// inputs are in the order of the formula.
func (d *Derived) inputs() []Input {
	flow := d.Flow
	if flow == (Input{}) {
		flow = d.Velocity
	}
	return []Input{d.CO2, flow, d.Temperature, d.Pressure}
}

// digest is the SHA-256 of the configuration, in hexadecimal: of a line for each of
// its keys, with its name, a space and its value.
func (d *Derived) digest() string {
	text := fmt.Sprintf("method %s\nsubject %s\nname %s\nco2 %s\nflow %s\nvelocity %s\narea %s\ntemperature %s\npressure %s\nbackground %s\nuncertainty %s\n",
		d.Method, d.Subject, d.Name, d.CO2, d.Flow, d.Velocity, d.Area, d.Temperature, d.Pressure, d.Background, d.Uncertainty)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// ErrNotClaimable is wrapped where something is to be derived that proves no emission.
var ErrNotClaimable = errors.New("proves no emission")

// Check refuses what cannot be computed, or what no claim may be made of.
func (d *Derived) Check() error {
	none := Input{}
	switch {
	case d.Name == "" || d.Subject == "":
		return errors.New("name and metering point must be given")
	case d.Method != MassFlow:
		return fmt.Errorf("method %q is not known: there is %q", d.Method, MassFlow)
	case d.CO2.Channel == "eco2":
		return fmt.Errorf("%s: eCO2 is guessed from other gases and %w: use a sensor that measures CO2", d.CO2, ErrNotClaimable)
	case d.Flow == none && d.Velocity == none:
		return fmt.Errorf("%s: a concentration alone %w: give the flow, or the velocity and the area of the duct", d.CO2, ErrNotClaimable)
	case d.Flow != none && d.Velocity != none:
		return errors.New("flow and velocity are both given: which one counts?")
	case (d.Velocity != none) != (d.Area.Mantissa > 0) || d.Area.Mantissa < 0:
		return errors.New("the area of the duct goes with the velocity, and is above nothing")
	case d.Background.Mantissa <= 0:
		return fmt.Errorf("the background of ambient air in ppm must be given: without it ambient air would be an emission, and %w", ErrNotClaimable)
	case d.Uncertainty.Mantissa <= 0:
		return errors.New("the uncertainty must be given, as a share of the flow: 0.05 for 5 per cent")
	}
	return nil
}

// derived is a Derived at work. The sampler's mutex guards it.
type derived struct {
	*Derived
	point *point
	*member
	inputs []feed
	config string

	mass big.Int // ug x ms: the total, as exact as the flows are
	last int64   // the time of the newest flow in Unix milliseconds
	flow int64   // the newest flow in ug/s
	runs bool    // there is a newest flow, and no gap since
}

// feed is the newest value of an input.
type feed struct {
	member  *member
	channel int
	unit    hardware.Unit

	value   entry.Decimal
	at      time.Time
	quality hardware.Quality
}

// freshFor is how many periods of its device an input may be old.
const freshFor = 2

// fresh reports whether the value may be used for a sample at a time.
func (f *feed) fresh(at time.Time) bool {
	return !f.at.IsZero() && f.quality&hardware.Barring == 0 && at.Sub(f.at) <= freshFor*f.member.device.Period
}

// uses takes the values of a sample of m, and reports whether it is time to compute:
// when there is a new concentration.
func (d *derived) uses(m *member, at time.Time, values []hardware.Value) bool {
	for i := range d.inputs {
		f := &d.inputs[i]
		if f.member != m {
			continue
		}
		for _, v := range values {
			if int(v.Channel) != f.channel {
				continue
			}
			if c, ok := m.channels[f.channel].correct(v); ok {
				f.value, f.at, f.quality = c, at, v.Quality
			}
		}
	}
	return d.inputs[0].member == m
}

// sense computes a flow and the total up to it, with the least doubtful quality that
// its inputs allow, and false where one of them is missing, old or barred.
func (d *derived) sense(at time.Time) ([]hardware.Value, bool) {
	ms := at.UnixMilli()
	var quality hardware.Quality
	for i := range d.inputs {
		f := &d.inputs[i]
		if !f.fresh(at) {
			d.runs = false
			return nil, false
		}
		quality |= f.quality
	}
	if d.inputs[0].at != at { // no concentration was read with this sample
		d.runs = false
		return nil, false
	}
	flow, ok := massFlow(d.inputs[0].value, d.Background, d.inputs[1].value, d.area(), d.inputs[2].value, d.inputs[3].value)
	if !ok {
		d.runs = false
		return nil, false
	}
	if d.runs {
		// The mean of both ends times the time between them; a gap adds nothing.
		step := new(big.Int).Mul(big.NewInt(flow+d.flow), big.NewInt(ms-d.last))
		d.mass.Add(&d.mass, step)
	}
	d.flow, d.last, d.runs = flow, ms, true
	total := new(big.Int).Quo(&d.mass, big.NewInt(2*1000)) // whole ug
	if !total.IsInt64() {
		return nil, false
	}
	return []hardware.Value{
		{Channel: 0, Mantissa: flow, Exponent: microgram, Quality: quality},
		{Channel: 1, Mantissa: total.Int64(), Exponent: microgram, Quality: quality},
	}, true
}

// forget drops what was read: the times of it are those of a clock that was moved.
func (d *derived) forget() {
	d.runs = false
	for i := range d.inputs {
		d.inputs[i].at = time.Time{}
	}
}

// microgram is the exponent of 1 ug in kg.
const microgram = -9

func (d *derived) area() entry.Decimal {
	if d.Velocity == (Input{}) {
		return entry.Int(1)
	}
	return d.Area
}

// massFlow is the formula of MassFlow, in ug/s. It is false where the temperature is
// not above absolute zero, a pressure or flow is negative or the result does not fit.
func massFlow(co2, background, flow, area, celsius, pressure entry.Decimal) (int64, bool) {
	above, err1 := co2.Sub(background)
	kelvin, err2 := celsius.Sub(entry.Decimal{Mantissa: -273_15, Exponent: -2})
	if err1 != nil || err2 != nil || kelvin.Mantissa <= 0 || pressure.Mantissa < 0 || flow.Mantissa < 0 {
		return 0, false
	}
	if above.Mantissa <= 0 {
		return 0, true
	}
	// 0.0440095 kg/mol and 8.314462618 J/(mol K) as integers, and ug in a kg.
	n := big.NewInt(440_095)
	for _, f := range []entry.Decimal{above, flow, area, pressure} {
		n.Mul(n, big.NewInt(f.Mantissa))
	}
	den := new(big.Int).Mul(big.NewInt(8_314_462_618), big.NewInt(kelvin.Mantissa))
	e := int(above.Exponent) + int(flow.Exponent) + int(area.Exponent) + int(pressure.Exponent) - int(kelvin.Exponent)
	e += -6 /* ppm */ - 7 /* molar mass */ + 9 /* gas constant */ + 9 /* ug */
	for ; e > 0; e-- {
		n.Mul(n, ten)
	}
	for ; e < 0; e++ {
		den.Mul(den, ten)
	}
	q := roundDiv(n, den)
	return q.Int64(), q.IsInt64()
}

// remarks label what was derived, as entry.DerivationSuffixes asks for.
func (d *derived) remarks(name string, ms int64, out []entry.Record) []entry.Record {
	inputs := make([]string, 0, 4)
	for _, i := range d.Derived.inputs() {
		inputs = append(inputs, i.String())
	}
	for i, text := range []string{d.Method, strings.Join(inputs, " "), d.config} {
		out = append(out, entry.Record{Name: name + entry.DerivationSuffixes[i], Time: ms, Text: text})
	}
	return append(out, entry.Record{Name: name + ".uncertainty", Time: ms, Text: d.Uncertainty.String()})
}

// bind finds the inputs among the devices of the point.
func (d *derived) bind() error {
	for i, in := range d.Derived.inputs() {
		f, err := d.point.feed(in)
		if err != nil {
			return err
		}
		wants := [...]hardware.Unit{hardware.PartsPerMillion, hardware.CubicMetrePerSecond, hardware.Celsius, hardware.Pascal}[i]
		if i == 1 && d.Flow == (Input{}) {
			wants = hardware.MetrePerSecond
		}
		if f.unit != wants {
			return fmt.Errorf("%s is in %s, and in its place stands what is in %s", in, f.unit, wants)
		}
		d.inputs = append(d.inputs, f)
	}
	return nil
}

func (p *point) feed(in Input) (feed, error) {
	for _, m := range p.members {
		if m.device == nil || m.derived != nil || m.device.Name != in.Device {
			continue
		}
		i := m.about.Index(in.Channel)
		if i < 0 {
			return feed{}, fmt.Errorf("device %q has no channel %q", in.Device, in.Channel)
		}
		return feed{member: m, channel: i, unit: m.about.Channels[i].Unit}, nil
	}
	return feed{}, fmt.Errorf("metering point %q has no device %q", p.subject, in.Device)
}
