package street

import (
	"context"
	"fmt"
	"sync"
	"time"

	"wattmark/ledger/entry"
)

// MaxSpeed is the most a clock can be faster than the wall: a day in 24 s.
const MaxSpeed = 3600

// Clock is the street's time: the wall's, made faster by a whole factor, or one
// that stands until it is stepped. It is computed from the wall's monotonic clock
// and never added up, so it does not drift; it never goes back. All methods are
// safe for concurrent use.
type Clock struct {
	mu      sync.Mutex // guards all below
	wall    time.Time  // when since was taken, with its monotonic part
	since   time.Time  // the street's time at wall, UTC
	start   time.Time  // the first time of all
	speed   int64      // 0 stands
	changed chan struct{}
	tickers map[*ticker]struct{}
	show    []func(time.Time) // told what time it is before anybody acts on it
}

// ticker is one caller's schedule; its next time is guarded by the clock's mu.
type ticker struct{ next time.Time }

// NewClock returns a clock that shows start now and goes speed times as fast as
// the wall, 1 to [MaxSpeed]; at speed 0 it stands and is moved by [Clock.Step].
func NewClock(start time.Time, speed int) (*Clock, error) {
	if start.Year() < 1970 || start.Year() > 2200 { // nanoseconds since 1970 end in 2262
		return nil, fmt.Errorf("a clock cannot start at %s: the years are 1970 to 2200", start.UTC())
	}
	c := &Clock{changed: make(chan struct{}), tickers: make(map[*ticker]struct{})}
	c.start = start.Round(0).UTC()
	c.since, c.wall = c.start, time.Now()
	if err := c.SetSpeed(speed); err != nil {
		return nil, err
	}
	return c, nil
}

// Now returns the street's time, in UTC and without a monotonic part.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

// now moves the reference on now and then, which is exact since the speed is a
// whole number: the product below would wrap after a month at the highest.
func (c *Clock) now() time.Time {
	wall := time.Now()
	now := c.at(wall)
	if wall.Sub(c.wall) > time.Hour {
		c.since, c.wall = now, wall
	}
	return now
}

// at is what the clock shows at a moment of the wall. The caller holds mu.
func (c *Clock) at(wall time.Time) time.Time {
	return c.since.Add(wall.Sub(c.wall) * time.Duration(c.speed))
}

// Monotonic returns the time since the clock was made, in the street's time: the
// time since boot of everything in the street.
func (c *Clock) Monotonic() time.Duration { return c.Now().Sub(c.start) }

// Quality returns [entry.ClockSimulated], which statements signed by this clock
// must carry.
func (c *Clock) Quality() string { return entry.ClockSimulated }

// Uncertainty returns 0: a simulated clock claims nothing.
func (c *Clock) Uncertainty() time.Duration { return 0 }

// After sends the time once d of the street's time has passed. While the clock
// stands it never does, and a goroutine waits.
func (c *Clock) After(d time.Duration) <-chan time.Time {
	at := c.Now().Add(d)
	ch := make(chan time.Time, 1)
	go func() {
		if c.WaitUntil(context.Background(), at) == nil {
			ch <- at
		}
	}()
	return ch
}

// Speed returns how many times as fast as the wall the clock goes; 0 stands.
func (c *Clock) Speed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int(c.speed)
}

// SetSpeed makes the clock go on from where it is at another speed.
func (c *Clock) SetSpeed(speed int) error {
	if speed < 0 || speed > MaxSpeed {
		return fmt.Errorf("speed %d is not between 0 and %d", speed, MaxSpeed)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := time.Now()
	c.since, c.wall = c.at(wall), wall
	c.speed = int64(speed)
	c.wake()
	return nil
}

// Base returns a moment of the wall, and what the clock showed then, from which on it goes
// at its speed: who keeps the three can tell later what it shows.
func (c *Clock) Base() (wall, at time.Time, speed int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wall, c.since, int(c.speed)
}

// wake lets everybody who waits look at the clock again. The caller holds mu.
func (c *Clock) wake() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Every returns a channel that delivers the times offset, offset+period, ...
// counted from midnight UTC of 1 January 1970, each at that time and none before
// the first one after now. A receiver that is not ready holds the next one up;
// times that have passed by then are left out, but for the newest. It panics if
// period is not positive. The channel is closed when ctx ends.
func (c *Clock) Every(ctx context.Context, period, offset time.Duration) <-chan time.Time {
	if period <= 0 {
		panic(fmt.Sprintf("internal error: a period of %s", period))
	}
	c.mu.Lock()
	t := &ticker{next: Boundary(c.now(), period, offset).Add(period)}
	c.tickers[t] = struct{}{}
	c.mu.Unlock()

	ch := make(chan time.Time)
	go func() {
		defer close(ch)
		defer c.drop(t)
		for due := t.next; c.WaitUntil(ctx, due) == nil; {
			c.tell()
			select {
			case ch <- due:
			case <-ctx.Done():
				return
			}
			due = c.advance(t, period, offset)
		}
	}()
	return ch
}

// follow makes show be called just before a time of [Clock.Every] is delivered,
// and before a standing clock is stepped, so that what is measured at that time is
// there to be measured.
func (c *Clock) follow(show func(time.Time)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.show = append(c.show, show)
}

// tell calls those who follow, without the mutex: they may ask for the time.
func (c *Clock) tell() {
	c.mu.Lock()
	now, show := c.now(), c.show
	c.mu.Unlock()
	for _, f := range show {
		f(now)
	}
}

// advance sets the time that follows the one just delivered.
func (c *Clock) advance(t *ticker, period, offset time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	t.next = t.next.Add(period)
	if newest := Boundary(c.now(), period, offset); newest.After(t.next) {
		t.next = newest
	}
	if c.speed == 0 {
		c.wake() // Step waits for it
	}
	return t.next
}

func (c *Clock) drop(t *ticker) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.tickers, t)
	c.wake()
}

// WaitUntil returns nil once the clock shows at or later, or ctx's error.
func (c *Clock) WaitUntil(ctx context.Context, at time.Time) error {
	for {
		c.mu.Lock()
		left, speed, changed := at.Sub(c.now()), c.speed, c.changed
		c.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return err
		}
		if left <= 0 {
			return nil
		}
		var reached <-chan time.Time
		if speed > 0 {
			// Rounded up: a timer that is early would only be set again.
			reached = time.After(time.Duration((int64(left) + speed - 1) / speed))
		}
		select {
		case <-reached:
		case <-changed:
		case <-ctx.Done():
		}
	}
}

// Schedules returns how many channels of [Clock.Every] are open: whoever steps the clock waits
// for those that it is to stop for.
func (c *Clock) Schedules() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tickers)
}

// Step moves a standing clock to a later time, stopping at each time that one of
// [Clock.Every] is due until it has been received, so that none is left out:
// while a receiver works on one, the clock shows at most the next. It must not be
// called twice at the same time, nor by a receiver.
func (c *Clock) Step(ctx context.Context, to time.Time) error {
	for {
		wait, err := c.step(to)
		if wait == nil || err != nil {
			return err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// step goes on to the next time that is due, and returns what to wait for before
// it is called again: nil at the end.
func (c *Clock) step(to time.Time) (<-chan struct{}, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		if c.speed != 0 {
			return nil, errNotStanding(c.speed)
		}
		next := to
		for t := range c.tickers {
			if !t.next.After(c.since) {
				return c.changed, nil // due now and not yet received
			}
			if t.next.Before(next) {
				next = t.next
			}
		}
		if !next.After(c.since) {
			return nil, nil
		}
		show := c.show
		c.mu.Unlock()
		for _, f := range show {
			f(next)
		}
		c.mu.Lock()
		if c.speed != 0 || !next.After(c.since) {
			continue // somebody set the speed meanwhile
		}
		c.since = next
		c.wake()
	}
}

func errNotStanding(speed int64) error {
	return fmt.Errorf("a clock at speed %d is not stepped: set the speed to 0", speed)
}

// Boundary returns the last of the times offset, offset+period, ... since 1970
// that is not after t.
func Boundary(t time.Time, period, offset time.Duration) time.Time {
	n := t.UnixNano() - int64(offset)
	return time.Unix(0, floorDiv(n, int64(period))*int64(period)+int64(offset)).UTC()
}
