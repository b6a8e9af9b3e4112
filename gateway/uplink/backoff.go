package uplink

import (
	"fmt"
	"time"
)

// Backoff is a step that doubles with each attempt, from First up to Most.
type Backoff struct{ First, Most time.Duration }

func (b Backoff) or(first, most time.Duration) Backoff {
	if b.First == 0 {
		b.First = first
	}
	if b.Most == 0 {
		b.Most = max(most, b.First)
	}
	return b
}

func (b Backoff) check(what string) error {
	if b.First < 0 || b.Most < b.First {
		return fmt.Errorf("%s from %s to %s: the first step is more than nothing and not above the last", what, b.First, b.Most)
	}
	return nil
}

// Step returns the step of an attempt, which count from 0.
func (b Backoff) Step(attempt int) time.Duration {
	d := b.First
	for ; attempt > 0 && d < b.Most; attempt-- {
		d *= 2
	}
	return min(d, b.Most)
}

// Wait returns how long to wait before an attempt, for r drawn evenly from [0, 1):
// anything below the step.
func (b Backoff) Wait(attempt int, r float64) time.Duration {
	return time.Duration(r * float64(b.Step(attempt)))
}
