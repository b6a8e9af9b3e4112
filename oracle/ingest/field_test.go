package ingest_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

// Calibrations and clock maps are taken in and answered as readings are, by their
// numbers, which they share with them. What the rules would refuse is told at once.
func TestFieldEntriesAreTaken(t *testing.T) {
	in := open(t)
	calibration, calibrated := in.frame(in.Calibration("home-1", in.Calibrated(1010)))
	clockMap, mapped := in.frame(in.ClockMap("home-1", &entry.ClockMap{Boot: 1, Time: in.State.Time(), Quality: entry.ClockNTP}))
	reading, read := in.frame(in.Reading("home-1", ledgertest.Record("home-1", "energy", 7, in.State.Time())))
	other := in.Calibrated(1010)
	other.Corrections[0].Channel = "nothing"
	unknown, _ := in.frame(in.Calibration("home-1", other))
	synctest.Test(t, func(t *testing.T) {
		defer in.run()()
		in.offer("home-1", calibration, clockMap, reading, unknown)
		if diff := cmp.Diff([][]byte{calibrated, mapped, read}, in.submitted()); diff != "" {
			t.Fatalf("submitted (-want +got):\n%s", diff)
		}
		if len(in.refusals) != 1 || in.refusals[0].Reason != entry.ReasonUnknownChannel || in.refusals[0].Count != 4 {
			t.Errorf("refusals: got %+v, want the one that calibrates an unknown channel", in.refusals)
		}
		first := in.Size() + 4 // after the oracles' clocks
		in.log(calibrated, mapped, read)
		if s := in.Stats(); s.InFlight != 0 {
			t.Errorf("%d are still in flight", s.InFlight)
		}
		in.offer("home-1", calibration, clockMap)
		want := []again{{"home-1", entry.Sequence{Boot: 1, Count: 1}, first}, {"home-1", entry.Sequence{Boot: 1, Count: 2}, first + 1}}
		if diff := cmp.Diff(want, in.agains, cmp.AllowUnexported(again{})); diff != "" {
			t.Errorf("answered again (-want +got):\n%s", diff)
		}
	})
}
