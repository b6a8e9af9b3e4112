package bus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wattmark/hardware"
)

// device is what a bus knows of one. Its fields are guarded by Bus.mu, but for
// scratch, which is the worker's.
type device struct {
	dev     hardware.Device
	name    string
	settle  time.Duration
	scratch hardware.Batch // Sense writes here: a call that hangs must not hold the caller's batch

	failures int
	last     error
	since    time.Time // of the first of the failures, by the bus's clock
	until    time.Time // back-off, by the bus's clock
	share    time.Time // its part of the wire is used up until then, real time
	hung     bool      // a call into the driver has not come back
}

// device returns what is known of dev, which is made known by its first use.
func (b *Bus) device(dev hardware.Device) (*device, error) {
	if dev == nil {
		return nil, fmt.Errorf("%s: no device", b.config.Name)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[dev]
	if d == nil {
		d = &device{dev: dev, name: dev.String(), settle: dev.Describe().Settle}
		b.devices[dev] = d
		b.order = append(b.order, d)
	}
	return d, nil
}

// held returns why the device is not to be tried now, nil if it may be.
func (d *device) held(now, real time.Time) error {
	switch {
	case d.hung:
		return &hardware.Error{Class: hardware.ErrTimeout, Err: ErrHeld, Remedy: "an earlier transfer still hangs in the kernel"}
	case now.Before(d.until), real.Before(d.share):
		class := hardware.Class(d.last)
		if class == nil {
			class = hardware.ErrAbsent
		}
		return &hardware.Error{Class: class, Err: fmt.Errorf("%w: %d in a row, the last: %w", ErrHeld, d.failures, d.last)}
	}
	return nil
}

// account notes how a sample ended. ErrNoData is an answer; a caller who gave up is
// not the device's failure. A device that is alone on its bus has no neighbours to
// leave time to.
func (d *device) account(err error, took time.Duration, alone bool, config *Config) {
	share := time.Now().Add(shareFactor * took)
	if alone {
		share = time.Time{}
	}
	switch {
	case err == nil, errors.Is(err, hardware.ErrNoData):
		d.failures, d.last, d.until, d.share = 0, nil, time.Time{}, time.Time{}
		return
	case errors.Is(err, context.Canceled):
		return
	case errors.Is(err, context.DeadlineExceeded) && took < config.answer():
		// It had less time than it may take, as most of the caller's went by in the
		// queue. What it did take still goes against its share.
		d.last = err
		d.share = share
		return
	}
	now := config.Clock.Now()
	if d.failures == 0 {
		d.since = now
	}
	d.failures++
	d.last = err
	d.share = share
	if d.failures >= failuresBeforeBackOff {
		d.until = now.Add(backOff(d.failures-failuresBeforeBackOff, config.Jitter()))
	}
}

// backOff doubles from 2 s to 60 s, within 20 % of that by jitter in [0, 1).
func backOff(step int, jitter float64) time.Duration {
	d := longestBackOff
	if step < 5 {
		d = firstBackOff << step
	}
	return time.Duration(float64(d) * (0.8 + 0.4*jitter))
}

// Status is how a device fares.
type Status struct {
	Device   string
	Down     bool // three failures in a row, and none but failures since
	Failures int  // in a row
	Since    time.Time
	Last     error // the last failure, nil when all is well
}

// Status returns how the devices fare, in the order of their first use.
func (b *Bus) Status() []Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Status, 0, len(b.order))
	for _, d := range b.order {
		s := Status{Device: d.name, Failures: d.failures, Last: d.last, Down: d.failures >= failuresBeforeBackOff}
		if d.failures > 0 {
			s.Since = d.since
		}
		all = append(all, s)
	}
	return all
}

// Stats are counts since the bus was made.
type Stats struct {
	Jobs     uint64 // that ran
	Failed   uint64 // of them
	Held     uint64 // samples not tried for their device's failures
	Refused  uint64 // for a full queue
	Opened   uint64 // times the port was opened
	Hung     uint64 // transfers abandoned
	Freed    uint64 // times that an I2C bus was held low and freed
	Stale    uint64 // replies that did not belong to their request
	Busy     time.Duration
	Failures map[string]uint64 // by class
}

// Stats returns the counts up to now.
func (b *Bus) Stats() Stats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.stats
	s.Failures = make(map[string]uint64, len(b.stats.Failures))
	for class, n := range b.stats.Failures {
		s.Failures[class] = n
	}
	if w := b.worker.Load(); w != nil {
		s.Stale += w.stale()
	}
	return s
}
