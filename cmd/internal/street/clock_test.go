package street_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"wattmark/cmd/internal/street"
)

var morning = time.Date(2026, 6, 1, 11, 20, 3, 0, time.UTC)

func newClock(t *testing.T, speed int) *street.Clock {
	t.Helper()
	c, err := street.NewClock(morning, speed)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClockSpeeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, 60)
		time.Sleep(time.Second)
		if got, want := c.Now(), morning.Add(time.Minute); !got.Equal(want) {
			t.Errorf("after a second at 60: %s, want %s", got, want)
		}
		if err := c.SetSpeed(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got, want := c.Monotonic(), 61*time.Second; got != want {
			t.Errorf("after another at 1: %s since the start, want %s", got, want)
		}
		if err := c.SetSpeed(street.MaxSpeed); err != nil {
			t.Fatal(err)
		}
		before := c.Now()
		for range 60 { // at the highest a month is more than nanoseconds can count at once
			time.Sleep(24 * time.Hour)
			c.Now()
		}
		if got, want := c.Now().Unix()-before.Unix(), int64(60*86_400*street.MaxSpeed); got != want {
			t.Errorf("two months at the highest speed are %d s, want %d", got, want)
		}
		if c.Now().Location() != time.UTC {
			t.Error("the time is not in UTC")
		}
	})
}

// TestClockBase: the clock goes on from its base at its speed, whatever it went through.
func TestClockBase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, 60)
		for i, speed := range []int{15, 15, 3600, 1, 0, 240} {
			time.Sleep(time.Duration(i) * 40 * time.Minute)
			before := c.Now()
			if err := c.SetSpeed(speed); err != nil {
				t.Fatal(err)
			}
			if !c.Now().Equal(before) {
				t.Errorf("the clock went from %s to %s when its speed was set to %d", before, c.Now(), speed)
			}
			time.Sleep(time.Duration(i) * time.Minute)
			wall, at, is := c.Base()
			if want := at.Add(time.Since(wall) * time.Duration(speed)); is != speed || !c.Now().Equal(want) {
				t.Errorf("at speed %d, said to be %d, it is %s, want %s", speed, is, c.Now(), want)
			}
		}
	})
}

func TestEveryIsAligned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := newClock(t, 60)
		wall := time.Now()
		ticks := c.Every(ctx, 10*time.Second, 2*time.Second)
		for i := range 1000 {
			got := <-ticks
			want := time.Date(2026, 6, 1, 11, 20, 12+10*i, 0, time.UTC)
			if !got.Equal(want) {
				t.Fatalf("tick %d is at %s, want %s", i, got, want)
			}
			if now := c.Now(); now.Before(want) || now.Sub(want) > time.Millisecond {
				t.Fatalf("tick %d for %s came at %s", i, want, now)
			}
		}
		// No drift: 9,999 s of the street's time are 166.65 s of the wall's.
		if gone := time.Since(wall); gone < 166650*time.Millisecond || gone > 166651*time.Millisecond {
			t.Errorf("1,000 ticks took %s", gone)
		}
		cancel()
		if _, ok := <-ticks; ok {
			t.Error("a tick after the end")
		}
	})
}

func TestEveryLeavesOutWhatWasMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, 10)
		ticks := c.Every(t.Context(), 10*time.Second, 0)
		first := <-ticks
		time.Sleep(5500 * time.Millisecond) // 55 s
		var late []time.Duration
		for range 3 {
			late = append(late, (<-ticks).Sub(first))
		}
		// The next was waiting; of those that passed meanwhile only the newest comes.
		want := []time.Duration{10 * time.Second, 50 * time.Second, 60 * time.Second}
		for i := range want {
			if late[i] != want[i] {
				t.Fatalf("ticks at %v after the first, want %v", late, want)
			}
		}
	})
}

func TestEveryFollowsTheSpeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, 1)
		ticks := c.Every(t.Context(), 15*time.Minute, 0)
		wall := time.Now()
		synctest.Wait() // it waits for 11:30, ten minutes at this speed
		if err := c.SetSpeed(600); err != nil {
			t.Fatal(err)
		}
		<-ticks
		if gone := time.Since(wall); gone > time.Second {
			t.Errorf("597 s at 600 took %s", gone)
		}
	})
}

func TestStepLeavesNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := newClock(t, 0)
		time.Sleep(time.Hour)
		if !c.Now().Equal(morning) {
			t.Fatal("a standing clock moved")
		}
		count := func(period time.Duration) <-chan int {
			out, ticks := make(chan int), c.Every(ctx, period, 0)
			go func() {
				n := 0
				for at := range ticks {
					if now := c.Now(); now.Before(at) || now.Sub(at) > period {
						t.Errorf("tick of %s at %s", at, now)
					}
					n++
				}
				out <- n
			}()
			return out
		}
		quick, slow := count(time.Second), count(15*time.Minute)
		if got := c.Schedules(); got != 2 {
			t.Errorf("%d schedules, want 2", got)
		}
		if err := c.Step(ctx, morning.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if got, want := c.Now(), morning.Add(time.Hour); !got.Equal(want) {
			t.Errorf("stepped to %s, want %s", got, want)
		}
		if err := c.Step(ctx, morning); err != nil || !c.Now().Equal(morning.Add(time.Hour)) {
			t.Errorf("a step back: %v, at %s", err, c.Now())
		}
		cancel()
		if a, b := <-quick, <-slow; a != 3600 || b != 4 {
			t.Errorf("%d and %d ticks in an hour, want 3600 and 4", a, b)
		}
		synctest.Wait()
		if got := c.Schedules(); got != 0 {
			t.Errorf("%d schedules are left", got)
		}
	})
}

func TestStepEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClock(t, 0)
		c.Every(t.Context(), time.Second, 0) // nobody receives
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Step(ctx, morning.Add(time.Hour)) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("got %v", err)
		}
	})
}

func TestClockRefuses(t *testing.T) {
	for _, speed := range []int{-1, street.MaxSpeed + 1} {
		if _, err := street.NewClock(morning, speed); err == nil {
			t.Errorf("speed %d accepted", speed)
		}
	}
	if _, err := street.NewClock(time.Time{}, 1); err == nil {
		t.Error("the year 1 accepted")
	}
	c := newClock(t, 1)
	if err := c.Step(t.Context(), morning.Add(time.Hour)); err == nil {
		t.Error("a running clock was stepped")
	}
	if c.Quality() != "simulated" {
		t.Errorf("quality %q", c.Quality())
	}
}
