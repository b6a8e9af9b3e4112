package state

import (
	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// made is an outcome that follows from what is due, not from a statement of the block.
type made struct {
	leaf []byte
	// like, where it is there, tells outcomes that this one may stand for: it rests on
	// packs that are forgotten, so that the ledger's own stands as it is.
	like func(leaf []byte) bool
	// maybe: and it may not be there at all.
	maybe bool
}

// due does what the calendars of the rules ask for in a block of this time, before any
// of its statements: all of it rests on the blocks before. before is the time of the
// last block. An error is a fault of the rules, after which nothing may be signed.
func (s *State) due(before int64) ([]made, error) {
	var out []made
	c := s.calendar()
	for _, z := range s.sortedZones() {
		more, err := s.dueInZone(z, &c, before)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// maxDue bounds the intervals that one block clears, and those that one run settles in
// it, in a zone: after a silence of months the blocks that follow take them in turn, a day
// each.
const maxDue = unit.IntervalsPerDay

func (s *State) dueInZone(z *zone, c *market.Calendar, before int64) (out []made, err error) {
	if z.Next == 0 {
		z.begin(c, s.meta.Time)
		s.touch(z)
	}
	for n := 0; n < maxDue && z.Next < unit.LastInterval && c.Beacon(z.Next) <= before; n++ {
		m, err := s.clear(z, z.Next)
		if err != nil {
			return nil, err
		}
		out = append(out, m...)
		z.Next += unit.IntervalSeconds
		s.touch(z)
	}
	for run := market.R0; run <= market.RF; run++ {
		limit := z.Next
		if run > market.R0 {
			limit = z.Runs[run-1]
		}
		day := z.Runs[run].Day()
		for n := 0; n < maxDue && z.Runs[run] < limit && c.Due(z.Runs[run], run) <= s.meta.Time; n++ {
			if v := s.intervals[spotID{z.Zone, z.Runs[run]}]; v != nil {
				m, err := s.run(z, v, run)
				if err != nil {
					return nil, err
				}
				out = append(out, m...)
			}
			z.Runs[run] += unit.IntervalSeconds
			s.touch(z)
		}
		if run == market.RF && z.Runs[run].Day() != day {
			s.dropDays(z)
		}
	}
	return out, nil
}

// run settles an interval once more.
func (s *State) run(z *zone, v *interval, run market.Run) ([]made, error) {
	if run == market.RF {
		out, err := s.correct(z, v)
		s.erase(v)
		delete(s.intervals, v.id())
		s.dropDisputes(v)
		return out, err
	}
	if v.Closed {
		if run == market.R1 {
			v.Invoiced = s.meta.Time
			s.touch(v)
		}
		return nil, nil
	}
	return s.settle(z, v, run)
}

// closing checks after the block's statements what must hold after every block.
func (s *State) closing() error {
	if err := s.closingCarbon(); err != nil {
		return err
	}
	if !s.posted {
		return nil
	}
	s.posted = false
	return s.book.Check()
}

// likeSettled tells the outcome of the same run of the same interval, whatever it says.
func likeSettled(want *entry.Settled) func([]byte) bool {
	return func(leaf []byte) bool {
		o, err := entry.ParseOutcome(leaf)
		if err != nil || o.Kind != entry.OutcomeSettled {
			return false
		}
		body, err := o.ParseBody()
		if err != nil {
			return false
		}
		got := body.(*entry.Settled)
		return got.Zone == want.Zone && got.Interval == want.Interval && got.Run == want.Run && got.Beacon == want.Beacon && got.Terms == want.Terms
	}
}
