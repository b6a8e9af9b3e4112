package ledger_test

import (
	"runtime"
	"testing"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// BenchmarkHomeInterval tells what the state keeps of one home in one interval from its
// gate to its last run: DESIGN.md of ledger/market has the bound that follows.
func BenchmarkHomeInterval(b *testing.B) {
	const homes, days = 20, 2
	for b.Loop() {
		h := ledgertest.NewHood(b, homes)
		h.Vote(entry.ParamMarketRF, 90*24*3600)
		at := unit.Interval(ledgertest.Start/1000 + 3600)
		var sizes [2]uint64
		var stored [2]int
		for n := range days * unit.IntervalsPerDay {
			edge := at + unit.Interval(n)*unit.IntervalSeconds
			var m []ledgertest.Message
			for _, name := range h.Homes {
				m = append(m, h.Deliver(h.Read(name, edge.StartMilli()+200, 200, 50).Sign(b)))
			}
			h.At(max(1, edge.Start()+60-h.Now/1000), m...)
			if half := n - unit.IntervalsPerDay + 1; half == 0 || n == days*unit.IntervalsPerDay-1 {
				i := min(half, 1)
				s, err := state.Load(h.Charter, func(fn func(k, v []byte) error) error {
					for _, c := range h.State.Export() {
						if err := fn(c.Key, c.Value); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
				for _, c := range s.Export() {
					stored[i] += len(c.Key) + len(c.Value)
				}
				sizes[i] = heapOf(s)
			}
		}
		per := float64(homes * unit.IntervalsPerDay)
		b.ReportMetric(float64(sizes[1]-sizes[0])/per, "B/home-interval")
		b.ReportMetric(float64(stored[1]-stored[0])/per, "stored-B/home-interval")
	}
}

// heapOf is what a state alone holds: what is freed when it goes.
func heapOf(s *state.State) uint64 {
	var with, without runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&with)
	runtime.KeepAlive(s)
	s = nil
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&without)
	return with.HeapAlloc - without.HeapAlloc
}
