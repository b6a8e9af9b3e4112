package gateway

import (
	"errors"
	"slices"
	"sync"
	"time"

	"wattmark/gateway/console"
	"wattmark/gateway/sampler"
	"wattmark/hardware"
)

// live is the newest values of each device, and how its attempts ended.
type live struct {
	mu      sync.Mutex // guards devices and what they point to
	devices map[deviceKey]*reading
}

// deviceKey tells devices of several metering points apart.
type deviceKey struct{ subject, name string }

// reading is what is known of one device.
type reading struct {
	at       time.Time // of the values; zero where there were none yet
	values   []console.Value
	err      error     // of the last attempt
	since    time.Time // of the first attempt that failed in the row at hand
	failures map[string]uint64
	// unchanged counts the attempts in a row that gave the very same values.
	unchanged uint64
	// evidence is what went over the bus in the last attempt, at its time.
	evidence hardware.Transcript
	tried    time.Time
}

func newLive() *live { return &live{devices: make(map[deviceKey]*reading)} }

// note takes the outcome of an attempt.
func (l *live) note(s sampler.Sample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := deviceKey{s.Subject, s.Device}
	r := l.devices[key]
	if r == nil {
		r = &reading{failures: make(map[string]uint64)}
		l.devices[key] = r
	}
	if s.Evidence != nil {
		r.evidence, r.tried = s.Evidence.Clone(), s.At
	}
	if s.Err != nil {
		if r.err == nil {
			r.since = s.Due
		}
		r.failures[className(s.Err)]++
		r.err = s.Err
		return
	}
	r.err, r.at, r.since = nil, s.At, time.Time{}
	before := slices.Clone(r.values)
	r.values = r.values[:0]
	for _, v := range s.Values {
		c := &s.About.Channels[v.Channel]
		r.values = append(r.values, console.Value{
			Channel: c.Name, Unit: string(c.Unit), Value: v.String(), Kind: c.Kind.String(), Quality: v.Quality.String(),
		})
	}
	if slices.Equal(before, r.values) {
		r.unchanged++
	} else {
		r.unchanged = 0
	}
}

// className is the class of a failure as a label.
func className(err error) string {
	if class := hardware.Class(err); class != nil {
		return class.Error()
	}
	return "other"
}

// of returns a copy of what is known of a device.
func (l *live) of(key deviceKey) reading {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.devices[key]
	if r == nil {
		return reading{}
	}
	out := *r
	out.values = slices.Clone(r.values)
	out.failures = make(map[string]uint64, len(r.failures))
	for class, n := range r.failures {
		out.failures[class] = n
	}
	return out
}

// telling are channels, the one that says most of a device first.
var telling = []string{"active_power", "power_dc", "active_power_import", "active_power_generated", "co2", "pm2_5", "active_energy_import",
	"pulses", "volume_flow", "gas_velocity", "temperature", "voltage_l1"}

// headline is the value that says most of a device, nil if there is none.
func (r *reading) headline() *console.Value {
	for _, name := range telling {
		for i := range r.values {
			if r.values[i].Channel == name {
				return &r.values[i]
			}
		}
	}
	if len(r.values) > 0 {
		return &r.values[0]
	}
	return nil
}

// remedy is what a driver says to do about a failure, empty if it does not.
func remedy(err error) string {
	e := new(hardware.Error)
	if errors.As(err, &e) {
		return e.Remedy
	}
	return ""
}
