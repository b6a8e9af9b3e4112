package sampler

import (
	"context"
	"errors"
	"fmt"
	"time"

	"wattmark/hardware"
)

// Interval is what energy is settled by: half-open, aligned to UTC.
const Interval = 900 * time.Second

// lateAfter is how far from an interval's end a register may be read without being
// marked late.
const lateAfter = 2 * time.Second

// Clock is the time that samples are due by. It may run faster than the wall.
type Clock interface {
	Now() time.Time
	// Every delivers the times offset, offset+period, ... since 1970 UTC, each when
	// the clock shows it, the first one after now. A receiver that is not ready
	// holds the next one up; of those that have passed it gets the newest only. The
	// channel is closed when ctx ends.
	Every(ctx context.Context, period, offset time.Duration) <-chan time.Time
}

// Bus is how a device is read: a bus.Bus. Its errors wrap the classes of package
// hardware.
type Bus interface {
	SenseDue(ctx context.Context, dev hardware.Device, due time.Time, dst *hardware.Batch) error
}

// Device is one device and its schedule.
type Device struct {
	Name   string // among the devices of its metering point
	Device hardware.Device
	Bus    Bus
	// Subject is the pseudonym of the metering point that the device measures.
	Subject        string
	Period, Offset time.Duration
	// Disabled says that the device is not read, as while it is being repaired: its
	// channels have gaps of that reason.
	Disabled bool
}

func (d *Device) check() error {
	if d.Name == "" || d.Subject == "" || d.Device == nil || d.Bus == nil {
		return errors.New("name, metering point, driver and bus must be given")
	}
	if err := checkPeriod("period", d.Period); err != nil {
		return err
	}
	if d.Offset < 0 || d.Offset >= d.Period {
		return fmt.Errorf("offset %s is not within the period of %s", d.Offset, d.Period)
	}
	about := d.Device.Describe()
	for _, c := range about.Channels {
		if c.Kind == hardware.Counter && d.Offset > lateAfter {
			return fmt.Errorf("offset %s: %s has registers, which are read within %s of an interval's end", d.Offset, about.Part, lateAfter)
		}
	}
	return nil
}

func checkPeriod(what string, d time.Duration) error {
	if d < time.Second || Interval%d != 0 {
		return fmt.Errorf("%s %s does not divide %s", what, d, Interval)
	}
	return nil
}

// floor returns the last multiple of d since 1970 that is not after t.
func floor(t time.Time, d time.Duration) time.Time {
	ms, step := t.UnixMilli(), d.Milliseconds()
	n := ms / step
	if ms < 0 && ms%step != 0 {
		n--
	}
	return time.UnixMilli(n * step).UTC()
}
