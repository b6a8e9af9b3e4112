package pending

import "time"

// Rate lets so many through in a second, and as many as its burst at once. It is not
// safe for concurrent use.
type Rate struct {
	every time.Duration
	burst time.Duration
	// free is when all that was taken will have come back. It is never further ahead
	// than burst.
	free time.Time
}

// NewRate returns a rate of perSecond with a burst, unused at a time.
func NewRate(perSecond, burst int, now time.Time) *Rate {
	every := time.Second / time.Duration(perSecond)
	return &Rate{every: every, burst: every * time.Duration(burst), free: now}
}

// Take reports whether one more may pass now. A clock that is moved back lets nothing
// through that it would not have before.
func (r *Rate) Take(now time.Time) bool {
	if r.free.Before(now) {
		r.free = now
	}
	next := r.free.Add(r.every)
	if next.Sub(now) > r.burst {
		return false
	}
	r.free = next
	return true
}
