package sampler_test

import (
	"testing"
	"time"

	"wattmark/gateway/sampler"
	"wattmark/ledger/entry"
)

// TestClockQuality tells a gateway's life by what the kernel says.
func TestClockQuality(t *testing.T) {
	var now, most time.Duration
	var synced, battery bool
	c := sampler.KernelClock(
		func() (bool, time.Duration) { return synced, most },
		func() bool { return battery },
		func() time.Duration { return now },
	)
	const day = 24 * time.Hour
	for _, step := range []struct {
		what    string
		at      time.Duration
		synced  bool
		most    time.Duration
		battery bool
		quality string
		claimed time.Duration
	}{
		{"after the boot", time.Second, false, 16 * time.Second, false, entry.ClockUnsynced, 0},
		{"still without a source", 9 * day, false, 16 * time.Second, false, entry.ClockUnsynced, 0},
		{"with a battery clock", 0, false, 0, true, entry.ClockRTC, 10 * time.Second},
		{"a day and a half later", 36 * time.Hour, false, 0, true, entry.ClockRTC, 13 * time.Second},
		{"synchronised", 2 * day, true, 250 * time.Millisecond, true, entry.ClockNTP, 250 * time.Millisecond},
		{"synchronised well", 2*day + time.Hour, true, time.Millisecond, true, entry.ClockNTP, 10 * time.Millisecond},
		{"source lost", 2*day + 2*time.Hour, false, 16 * time.Second, true, entry.ClockHoldover, 10*time.Millisecond + 180*time.Millisecond},
		{"for ten days", 12*day + time.Hour, false, 16 * time.Second, true, entry.ClockHoldover, 10*time.Millisecond + 43_200*time.Millisecond},
		{"found again", 13 * day, true, 20 * time.Millisecond, true, entry.ClockNTP, 20 * time.Millisecond},
	} {
		now, synced, most, battery = step.at, step.synced, step.most, step.battery
		if q, u := c.Quality(), c.Uncertainty(); q != step.quality || u != step.claimed {
			t.Errorf("%s: %s within %s, want %s within %s", step.what, q, u, step.quality, step.claimed)
		}
	}
}
