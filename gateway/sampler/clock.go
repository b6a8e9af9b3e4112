package sampler

import (
	"context"
	"sync"
	"time"

	"wattmark/hardware"
	"wattmark/ledger/entry"
)

// MachineClock is the clock of the machine. It sets nothing; it reads how far the
// kernel trusts its time. It is safe for concurrent use.
type MachineClock struct {
	kernel kernel

	mu       sync.Mutex // guards the fields below
	synced   bool       // the kernel was synchronised at some time
	lost     time.Duration
	lastKnow time.Duration // uncertainty when it was last synchronised
}

// kernel is what the machine's clock asks.
type kernel struct {
	time      func() (synced bool, most time.Duration)
	battery   func() bool
	monotonic func() time.Duration
	alarms    bool // it has timers that know the wall's time
}

// NewMachineClock returns the machine's clock.
func NewMachineClock() *MachineClock {
	return &MachineClock{kernel: kernel{kernelTime, setFromBattery, hardware.Monotonic, true}}
}

// Now returns the wall's time in UTC.
func (c *MachineClock) Now() time.Time { return time.Now().UTC() }

// Monotonic returns the time since the machine booted.
func (c *MachineClock) Monotonic() time.Duration { return c.kernel.monotonic() }

// After sends the time once d has passed.
func (c *MachineClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

// recheck is how long Every relies on an ordinary timer before it looks at the wall's clock,
// which somebody may have set.
const recheck = 5 * time.Second

// Every implements Clock.
func (c *MachineClock) Every(ctx context.Context, period, offset time.Duration) <-chan time.Time {
	ch := make(chan time.Time)
	go func() {
		defer close(ch)
		bell := new(alarm)
		if c.kernel.alarms {
			bell = newAlarm(ctx)
		}
		defer bell.close()
		next := nextDue(time.Now(), period, offset)
		for {
			now := time.Now()
			left := next.Sub(now.Round(0))
			if left > period { // the clock was set back
				next = nextDue(now, period, offset)
				continue
			}
			if left > 0 {
				if !bell.sleep(ctx, next) {
					return
				}
				continue
			}
			if newest := nextDue(now, period, offset).Add(-period); newest.After(next) {
				next = newest
			}
			select {
			case ch <- next:
			case <-ctx.Done():
				return
			}
			next = next.Add(period)
		}
	}()
	return ch
}

// nextDue returns the first due time after t.
func nextDue(t time.Time, period, offset time.Duration) time.Time {
	return floor(t.Add(-offset), period).Add(offset + period)
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// How far a clock may be off, by its quality.
const (
	holdoverPPM = 50
	leastNTP    = 10 * time.Millisecond
	rtcError    = 10 * time.Second
	rtcPerDay   = 2 * time.Second
)

// Quality returns one of the Clock constants of package entry.
func (c *MachineClock) Quality() string {
	q, _ := c.state()
	return q
}

// Uncertainty returns how far the time may be off, 0 where nothing is claimed.
func (c *MachineClock) Uncertainty() time.Duration {
	_, u := c.state()
	return u
}

func (c *MachineClock) state() (string, time.Duration) {
	synced, most := c.kernel.time()
	now := c.kernel.monotonic()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case synced:
		c.synced, c.lost, c.lastKnow = true, now, max(most, leastNTP)
		return entry.ClockNTP, c.lastKnow
	case c.synced:
		return entry.ClockHoldover, c.lastKnow + (now-c.lost)*holdoverPPM/1_000_000
	case c.kernel.battery():
		return entry.ClockRTC, rtcError + now/(24*time.Hour/rtcPerDay)
	}
	return entry.ClockUnsynced, 0
}
