package oracle

import "time"

// seldom is for what an outsider can make happen as often as they like: it is logged
// once a second at most, with how often it happened. It has one owner.
type seldom struct {
	passed uint64
	logged time.Time
}

// again counts, and reports whether it is time to log, and how often it happened
// since that was last so.
func (s *seldom) again() (times uint64, ok bool) {
	s.passed++
	now := time.Now()
	if now.Sub(s.logged) < time.Second {
		return 0, false
	}
	times = s.passed
	s.passed, s.logged = 0, now
	return times, true
}
