package street

import (
	"context"
	"errors"
	"sync"
	"time"

	"wattmark/hardware/emulated"
)

// refresh is how often, by the wall, the meters are set: often enough that at the
// demonstration's sixty-fold speed a register is at most 3 s behind. At the moments
// a [Clock] delivers they are set besides.
const refresh = 50 * time.Millisecond

// Run lets the meters answer and keeps them at what the clock says, until ctx ends
// or a line breaks.
func (s *Street) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var running sync.WaitGroup
	terminals := []*emulated.Terminal{s.stack.terminal}
	for _, l := range s.lines {
		terminals = append(terminals, l.terminal)
	}
	broken := make([]error, len(terminals))
	for i, t := range terminals {
		running.Go(func() {
			if broken[i] = t.Run(ctx); broken[i] != nil {
				cancel()
			}
		})
	}
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			s.show(s.clock.Now())
		case <-ctx.Done():
		}
	}
	running.Wait()
	return errors.Join(broken...)
}

// show sets all meters and sensors to a time, unless they show a later one or
// nearly that one: every gateway's clock tells of the same boundary.
func (s *Street) show(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if least := time.Duration(s.clock.Speed()) * time.Millisecond; !s.shown.IsZero() && t.Sub(s.shown) <= least {
		return
	}
	s.shown = t
	ms := t.UnixMilli()
	for i, h := range s.homes {
		state := s.homeState(h, ms)
		s.lines[i].show(&state)
	}
	state := s.feederState(ms)
	s.lines[len(s.homes)].show(&state)
	s.stack.show(air(s.seed, ms))
}

// Now returns the street at what its meters show.
func (s *Street) Now() Snapshot {
	s.mu.Lock()
	t := s.shown
	s.mu.Unlock()
	return s.At(t)
}
