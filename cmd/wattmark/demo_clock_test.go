package main

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"wattmark/cmd/internal/street"
)

// clockStep is what somebody does with a street.
type clockStep struct {
	wait   time.Duration
	speed  int  // that is chosen
	writes int  // of street.json in it, before the process is killed
	start  bool // killed and started again
	away   time.Duration
}

var errKilled = errors.New("killed")

// TestStreetTimeGoesOn: whatever speeds are chosen, and whenever the process is killed and
// started again, the street's time never goes back; at a change it goes on from where it was,
// and at a start as if it had never stood.
func TestStreetTimeGoesOn(t *testing.T) {
	speed := rapid.OneOf(rapid.SampledFrom([]int{1, 15, 60, 240}), rapid.IntRange(1, street.MaxSpeed))
	wait := rapid.Map(rapid.Int64Range(0, int64(3*time.Hour)), func(n int64) time.Duration { return time.Duration(n) })
	step := rapid.Custom(func(t *rapid.T) clockStep {
		return clockStep{wait.Draw(t, "wait"), speed.Draw(t, "speed"), rapid.SampledFrom([]int{0, 1, 2}).Draw(t, "writes"), rapid.Bool().Draw(t, "start"), wait.Draw(t, "away")}
	})
	rapid.Check(t, func(r *rapid.T) {
		steps, first := rapid.SliceOfN(step, 1, 8).Draw(r, "steps"), speed.Draw(r, "first")
		var wrong error
		synctest.Test(t, func(t *testing.T) { wrong = goesOn(t.TempDir(), first, steps) })
		if wrong != nil {
			r.Fatal(wrong)
		}
	})
}

func goesOn(dir string, speed int, steps []clockStep) error {
	open := func() (*demo, error) {
		d := &demo{demoOptions: &demoOptions{dir: dir, speed: speed, gateways: 1, given: func(string) bool { return false }}}
		return d, d.openClock()
	}
	d, err := open()
	if err != nil {
		return err
	}
	for i, s := range steps {
		time.Sleep(s.wait)
		before, left := d.clock.Now(), s.writes
		err := setSpeed(d.clock, streetFile{Homes: 1}, s.speed, func(f *streetFile) error {
			if left--; left < 0 {
				return errKilled
			}
			return d.keep(f)
		})
		switch now := d.clock.Now(); {
		case err != nil && !errors.Is(err, errKilled):
			return err
		case !now.Equal(before):
			return fmt.Errorf("step %d: at a change the clock went from %s to %s", i, before, now)
		case err == nil && d.clock.Speed() != s.speed:
			return fmt.Errorf("step %d: the clock goes at %d, want %d", i, d.clock.Speed(), s.speed)
		}
		if err == nil && !s.start {
			continue
		}
		is := d.clock.Speed()
		time.Sleep(s.away)
		last, killed := d.clock.Now(), err != nil // what it would show, had it not been killed
		if d, err = open(); err != nil {
			return err
		}
		switch now := d.clock.Now(); {
		case now.Before(last):
			return fmt.Errorf("step %d: it was %s, and at the next start it is %s", i, last, now)
		case !killed && !now.Equal(last):
			return fmt.Errorf("step %d: at speed %d it would be %s, and at the next start it is %s", i, is, last, now)
		}
	}
	return nil
}
