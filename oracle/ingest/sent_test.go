package ingest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/ingest"
)

// A bundle of this intake is recognised when it comes back, once, with what is in it
// and in that order. Somebody else's, or one that was changed, is not.
func TestRecognise(t *testing.T) {
	in := open(t)
	one, first := in.reading("home-1")
	two, second := in.reading("home-2")
	s, _ := in.Reading("home-1", ledgertest.Record("home-1", "energy", 3, in.State.Time())).Sign(t)
	others := ingest.EncodeBundle([][]byte{s})
	synctest.Test(t, func(t *testing.T) {
		defer in.run()()
		in.Offer("home-1", one)
		in.Offer("home-2", two)
		in.offer("home-1")
		mine := ingest.EncodeBundle([][]byte{first, second})
		for name, message := range map[string][]byte{"another oracle's": others, "nothing": nil, "shorter": mine[:len(mine)-1], "in another order": ingest.EncodeBundle([][]byte{second, first})} {
			if known := in.Recognise(message); known != nil {
				t.Errorf("%s: recognised as %d statements", name, len(known))
			}
		}
		known := in.Recognise(mine)
		if len(known) != 2 {
			t.Fatalf("%d statements, want the two that were submitted", len(known))
		}
		for i, want := range [][]byte{first, second} {
			k := known[i]
			if got := k.Input.Opened.Message().Bytes(); string(got) != string(want) || k.Size != len(want) || k.Leaf != block.LeafHash(want) {
				t.Errorf("statement %d: %d bytes with leaf %v, want %d and %v", i, k.Size, k.Leaf, len(want), block.LeafHash(want))
			}
		}
		if in.Recognise(mine) != nil {
			t.Error("recognised twice")
		}
	})
}

// What does not come back for as long as flights are remembered is given up, and a
// bundle whose bytes are used again is not taken for the one before.
func TestRecogniseIsForgotten(t *testing.T) {
	in := open(t)
	one, first := in.reading("home-1")
	two, second := in.reading("home-1")
	synctest.Test(t, func(t *testing.T) {
		defer in.run()()
		in.offer("home-1", one)
		time.Sleep(ingest.FlightTime + time.Second) // of the bubble
		in.offer("home-1", two)                     // whatever comes, sweeps
		if in.Recognise(ingest.EncodeBundle([][]byte{first})) != nil {
			t.Error("recognised after it was given up")
		}
		if known := in.Recognise(ingest.EncodeBundle([][]byte{second})); len(known) != 1 {
			t.Errorf("%d statements of the second bundle, want 1", len(known))
		}
	})
}
