package hardwaretest

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/hardware"
	"wattmark/hardware/emulated"
)

// Bench is a driver in front of an emulated part that measures something steady: no
// two samples differ, but for hardware.WarmingUp. Device and part are new, and nothing was said to the part.
type Bench struct {
	Device hardware.Device
	// Faults makes exchanges with the part go wrong as plan says.
	Faults func(plan emulated.Plan)
	// Attach puts the part on its bus, where it is at first, or takes it off.
	Attach func(on bool)
	// Exchanges counts what the part was asked, faults included. Of a part that speaks
	// unasked it counts the frames.
	Exchanges func() int
	// Push says that the part speaks unasked, or that it has messages rather than
	// registers. A fault then strikes one of its frames, and Attach unplugs the adapter: a
	// part that is silent is no part that is gone.
	Push bool
	// Changes counts the commands among them that change a setting or state of the
	// part; nil where the driver's bus cannot carry any.
	Changes func() int
	// Classes holds, for each fault that the part's protocol knows, what becomes of a
	// Sense that meets it, or of the next one where the part answers in that; nil is a
	// good sample.
	Classes map[emulated.Fault]error
	// Kept names the channels that the device adds from totals of its own, which are in
	// no recording.
	Kept []string

	now hardware.Clock
}

// Factory makes a Bench. Device and part go by the clock now. It is called within
// and without a bubble of synctest.
type Factory func(t testing.TB, now hardware.Clock) *Bench

// clock returns a monotonic clock that passes in bubbles of synctest.
func clock() hardware.Clock {
	booted := time.Now().Add(-time.Hour)
	return func() time.Duration { return time.Since(booted) }
}

// inBubble makes each of the checks a subtest with a Bench of its own and time that
// passes at once. At its end the bubble fails a goroutine that the driver left.
func inBubble(t *testing.T, name string, factory Factory, check func(t *testing.T, b *Bench)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			now := clock()
			b := factory(t, now)
			b.now = now
			check(t, b)
		})
	})
}

// attempt takes a sample, patient with ErrNoData for as long as the descriptor says.
func (b *Bench) attempt(t testing.TB, dst *hardware.Batch) error {
	about := b.Device.Describe()
	for end := time.Now().Add(about.Settle); ; {
		err := b.sense(t, dst)
		if !errors.Is(err, hardware.ErrNoData) || !time.Now().Before(end) {
			return err
		}
		time.Sleep(about.Settle / 20)
	}
}

// sense is one call of Sense, with what holds for each.
func (b *Bench) sense(t testing.TB, dst *hardware.Batch) error {
	t.Helper()
	dst.Values = append(dst.Values, hardware.Value{Mantissa: 1 << 40}) // an old value, to be replaced
	err := b.Device.Sense(t.Context(), dst)
	if err != nil {
		checkError(t, b.Device.String(), err, dst)
		return err
	}
	about := b.Device.Describe()
	checkValues(t, &about, dst)
	return nil
}

// sample is an attempt that must succeed.
func (b *Bench) sample(t testing.TB, when string) *hardware.Batch {
	t.Helper()
	var dst hardware.Batch
	if err := b.attempt(t, &dst); err != nil {
		t.Fatalf("%s %s: %v", b.Device, when, err)
	}
	if len(dst.Values) == 0 {
		t.Fatalf("%s %s: a sample without values", b.Device, when)
	}
	return &dst
}

// checkError checks that err has one class, says where it happened, and came without
// values.
func checkError(t testing.TB, device string, err error, dst *hardware.Batch) {
	t.Helper()
	var e *hardware.Error
	switch {
	case hardware.Class(err) == nil || !errors.As(err, &e):
		t.Errorf("%s: an error without class: %v", device, err)
	case e.Device != device && device != "":
		t.Errorf("%s: the error does not say so: %v", device, err)
	}
	if len(dst.Values) != 0 {
		t.Errorf("%s: %d values beside the error %v", device, len(dst.Values), err)
	}
}

// checkValues checks that values stand in the order of channels, once each, and are
// marked where they are out of range, and there only.
func checkValues(t testing.TB, about *hardware.Descriptor, b *hardware.Batch) {
	t.Helper()
	next := 0
	for _, v := range b.Values {
		i := int(v.Channel)
		if i < next || i >= len(about.Channels) {
			t.Errorf("%s: a value of channel %d of %d stands where %d or later should", about.Model, i, len(about.Channels), next)
			return
		}
		next = i + 1
		c := &about.Channels[i]
		if out := v.Quality&hardware.OutOfRange != 0; out == c.Limits.Contain(v) {
			t.Errorf("%s: %s %s is %s, its range %d to %d x 10^%d", about.Model, c.Name, v, v.Quality, c.Limits.Low, c.Limits.High, c.Limits.Exponent)
		}
		if _, err := v.Quality.MarshalText(); err != nil {
			t.Errorf("%s: %s: %v", about.Model, c.Name, err)
		}
	}
}

// recorded returns the values that Decode gives too, without what timeless takes away.
func (b *Bench) recorded(values []hardware.Value) []hardware.Value {
	about := b.Device.Describe()
	return slices.DeleteFunc(timeless(values), func(v hardware.Value) bool {
		return slices.Contains(b.Kept, about.Channels[v.Channel].Name)
	})
}

// timeless returns values without the doubt that comes from the clock alone, and not
// from what the part said.
func timeless(values []hardware.Value) []hardware.Value {
	same := slices.Clone(values)
	for i := range same {
		same[i].Quality &^= hardware.WarmingUp
	}
	return same
}
