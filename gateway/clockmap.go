package gateway

import (
	"time"

	"wattmark/ledger/entry"
)

// watch notices when time arrives and when the clock is moved. The signing goroutine
// owns it.
type watch struct {
	ticking bool
	offset  time.Duration // wall clock less monotonic clock, when last looked at
	owed    bool          // statements of this boot were signed before there was a time
}

// movedBy is how far a clock is moved at least for its statements to need another map.
const movedBy = time.Second

// look returns the map that is due from now on, nil for none. The clock of a
// demonstration needs none: its time is not the world's in any case.
func (w *watch) look(clock Clock, boot uint64) *entry.ClockMap {
	quality := clock.Quality()
	mono, now := clock.Monotonic(), clock.Now()
	offset := now.Sub(time.Unix(0, 0)) - mono
	moved := offset - w.offset
	first := !w.ticking
	w.ticking, w.offset = true, offset
	m := &entry.ClockMap{
		Boot: boot, Monotonic: uint64(mono), Time: now.UnixMilli(), Uncertainty: uint64(clock.Uncertainty()), Quality: quality,
	}
	switch {
	case quality == entry.ClockSimulated:
		return nil
	case quality == entry.ClockUnsynced:
		w.owed = true
		return nil
	case w.owed:
		w.owed = false
		return m
	case !first && (moved > movedBy || moved < -movedBy):
		m.Step = moved.Milliseconds()
		return m
	}
	return nil
}

// signClock signs a map of the clock, if one is due.
func (g *Gateway) signClock() error {
	m := g.watch.look(g.cfg.Clock, g.boot)
	if m == nil && g.owedMap == nil {
		return nil
	}
	if m != nil {
		g.owedMap = m
	}
	payload, err := g.owedMap.Encode()
	if err == nil {
		_, err = g.signDraft(&draft{typ: entry.TypeClockMap, content: entry.ContentCBOR, payload: payload})
	}
	if err != nil {
		return err // it stays owed
	}
	g.cfg.Log.Info("signed what time it is", "quality", g.owedMap.Quality, "step_ms", g.owedMap.Step)
	g.owedMap = nil
	return nil
}
