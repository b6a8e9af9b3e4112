package ingest_test

import (
	"crypto/sha256"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/ingest"
	"wattmark/oracle/wire"
)

// While a statement is on its way a copy changes nothing; once it is on the
// ledger a copy is answered with its place; another statement with its number is
// refused.
func TestSentAgain(t *testing.T) {
	in := open(t)
	frame, statement := in.reading("home-1")
	hidden, committed := in.reading("home-2")
	synctest.Test(t, func(t *testing.T) {
		defer in.run()()
		in.offer("home-1", frame, frame)
		in.offer("home-1", frame)
		in.offer("home-2", hidden, hidden)
		if diff := cmp.Diff([][]byte{statement, committed}, in.submitted()); diff != "" {
			t.Fatalf("submitted (-want +got):\n%s", diff)
		}
		f, err := wire.ParseFrame(hidden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[[32]byte][]byte{sha256.Sum256(f.Pack): f.Pack}, in.packs); diff != "" {
			t.Errorf("packs (-want +got):\n%s", diff)
		}
		if s := in.Stats(); s.Duplicates != 3 || s.Accepted != 2 || s.InFlight != 2 {
			t.Errorf("got %+v, want 3 duplicates, 2 accepted and in flight", s)
		}
		first := in.Size() + 4 // after the oracles' clocks
		in.log(statement, committed)
		if s := in.Stats(); s.InFlight != 0 || in.Held() != 0 {
			t.Errorf("got %d in flight and %d bytes held, want none", s.InFlight, in.Held())
		}

		in.offer("home-1", frame)
		in.offer("home-2", hidden)
		want := []again{{"home-1", entry.Sequence{Boot: 1, Count: 1}, first}, {"home-2", entry.Sequence{Boot: 1, Count: 1}, first + 1}}
		if diff := cmp.Diff(want, in.agains, cmp.AllowUnexported(again{})); diff != "" {
			t.Errorf("answered again (-want +got):\n%s", diff)
		}
		other := in.Reading("home-1", ledgertest.Record("home-1", "energy", 7, in.State.Time()))
		other.Claims.Sequence.Count = 1
		lie, _ := in.frame(other)
		in.offer("home-1", lie)
		if len(in.refusals) != 1 || in.refusals[0].Reason != entry.ReasonSequenceUsed {
			t.Errorf("refusals: got %+v, want the second statement with one number", in.refusals)
		}
		if got := len(in.submitted()); got != 2 {
			t.Errorf("%d statements submitted, want 2", got)
		}
	})
}

// Somebody who sends a copy of another gateway's statement does not stop it.
func TestCopyDoesNotStandInTheWay(t *testing.T) {
	in := open(t)
	frame, statement := in.reading("home-1")
	synctest.Test(t, func(t *testing.T) {
		in.prepare()
		in.Offer("home-2", frame) // both in one batch
		in.Offer("home-1", frame)
		defer in.run()()
		synctest.Wait()
		if diff := cmp.Diff([][]byte{statement}, in.submitted()); diff != "" {
			t.Errorf("submitted (-want +got):\n%s", diff)
		}
		if len(in.refusals) != 1 || in.refusals[0].gateway != "home-2" || in.refusals[0].Reason != entry.ReasonWrongGateway {
			t.Errorf("refusals: got %+v, want home-2 told that it is the wrong gateway", in.refusals)
		}
	})
}

// What the order or the store of packs did not take can be sent again at once.
func TestFailureIsForgotten(t *testing.T) {
	no := errors.New("disk full")
	for _, c := range []struct {
		name string
		fail func(*intake, func() error)
	}{
		{"order", func(in *intake, f func() error) { in.submit = f }},
		{"packs", func(in *intake, f func() error) { in.put = f }},
	} {
		in := open(t)
		frame, statement := in.reading("home-2")
		synctest.Test(t, func(t *testing.T) {
			defer in.run()()
			c.fail(in, func() error { return no })
			in.offer("home-2", frame)
			if s := in.Stats(); len(in.submitted()) > 0 || s.Accepted > 0 || s.InFlight > 0 || in.Held() > 0 {
				t.Fatalf("%s: submitted %d, got %+v and %d bytes held", c.name, len(in.submitted()), s, in.Held())
			}
			c.fail(in, nil)
			in.offer("home-2", frame)
			if diff := cmp.Diff([][]byte{statement}, in.submitted()); diff != "" {
				t.Errorf("%s: submitted once it works (-want +got):\n%s", c.name, diff)
			}
			if len(in.refusals) > 0 {
				t.Errorf("%s: the gateway was told %+v, where it is not to blame", c.name, in.refusals)
			}
		})
	}
}

// A statement that came out of no block is taken again after a while.
func TestLostFlightIsSwept(t *testing.T) {
	in := open(t)
	frame, statement := in.reading("home-1")
	other, second := in.reading("home-1")
	synctest.Test(t, func(t *testing.T) {
		defer in.run()()
		in.offer("home-1", frame)
		time.Sleep(ingest.FlightTime + time.Second) // of the bubble
		in.offer("home-1", other)                   // whatever comes, sweeps
		in.offer("home-1", frame)
		if diff := cmp.Diff([][]byte{statement, second, statement}, in.submitted()); diff != "" {
			t.Errorf("submitted (-want +got):\n%s", diff)
		}
	})
}

// Bundles stay below the order's limit, and everything is in one of them, once.
func TestBundles(t *testing.T) {
	in := open(t)
	var frames, want [][]byte
	offer := func(s *ledgertest.Statement) {
		frame, statement := in.frame(s)
		frames, want = append(frames, frame), append(want, statement)
	}
	for range 600 {
		offer(in.Reading("home-1", ledgertest.Record("home-1", "energy", 5, ledgertest.Start)))
	}
	for range 40 {
		var records []entry.Record
		for i := range int64(entry.MaxRecords) {
			r := ledgertest.Record("home-1", "energy", 1<<50+i, ledgertest.Start+i*1_000_001)
			r.Name += "-with-a-name-that-is-quite-long"
			records = append(records, r)
		}
		offer(in.Reading("home-1", records...))
	}
	synctest.Test(t, func(t *testing.T) {
		defer in.run()()
		in.offer("home-1", frames...)
		for i, b := range in.bundles {
			if n := len(ingest.EncodeBundle(b)); n > ingest.MaxBundle || len(b) == 0 || len(b) > ingest.BundleMost {
				t.Errorf("bundle %d has %d statements and %d bytes", i, len(b), n)
			}
		}
		if len(in.bundles) < 4 || len(in.bundles) > 8 {
			t.Errorf("%d bundles of %d statements", len(in.bundles), len(want))
		}
		got := make(map[block.Hash]int)
		for _, s := range in.submitted() {
			got[block.LeafHash(s)]++
		}
		for i, s := range want {
			if n := got[block.LeafHash(s)]; n != 1 {
				t.Errorf("statement %d is in %d bundles", i, n)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d statements submitted, want %d", len(got), len(want))
		}
	})
}

// A statement that comes alone is ordered at once; those that come one after another
// share a bundle.
func TestPace(t *testing.T) {
	in := open(t)
	next := func(n int) (frames [][]byte) {
		for range n {
			f, _ := in.reading("home-1")
			frames = append(frames, f)
		}
		return frames
	}
	alone, trickle := next(1), next(30)
	synctest.Test(t, func(t *testing.T) {
		defer in.run()()
		bundles := func() (sizes []int) {
			synctest.Wait()
			in.mu.Lock()
			defer in.mu.Unlock()
			for _, b := range in.bundles {
				sizes = append(sizes, len(b))
			}
			return sizes
		}
		in.Offer("home-1", alone[0])
		if diff := cmp.Diff([]int{1}, bundles()); diff != "" {
			t.Fatalf("bundles after one statement (-want +got):\n%s", diff)
		}
		for _, f := range trickle { // ten in each pace
			time.Sleep(ingest.Pace / 10)
			in.Offer("home-1", f)
		}
		time.Sleep(ingest.Pace)
		got := bundles()
		sum := 0
		for _, n := range got {
			sum += n
		}
		if sum != 1+len(trickle) || len(got) < 4 || len(got) > 5 {
			t.Errorf("bundles of %v statements, want %d statements in bundles of about ten", got, 1+len(trickle))
		}
	})
}

// Nothing that a gateway sends makes an oracle keep more than its bounds.
func TestQueueIsBounded(t *testing.T) {
	for _, c := range []struct {
		name        string
		size, limit int
	}{
		{"many", 10, ingest.QueueSize},
		{"large", wire.MaxFrame, ingest.QueueBytes / wire.MaxFrame},
	} {
		in := open(t)
		frame := make([]byte, c.size)
		n := 0
		synctest.Test(t, func(t *testing.T) {
			in.prepare()
			for in.Offer("home-1", frame) {
				n++
			}
			if n != c.limit || in.Stats().Dropped != 1 {
				t.Errorf("%s: took %d frames of %d bytes and counted %d dropped, want %d and 1", c.name, n, c.size, in.Stats().Dropped, c.limit)
			}
			defer in.run()()
			synctest.Wait()
			good, statement := in.reading("home-1")
			in.offer("home-1", good)
			if diff := cmp.Diff([][]byte{statement}, in.submitted()); diff != "" {
				t.Errorf("%s: submitted once the queue is empty (-want +got):\n%s", c.name, diff)
			}
			if got := in.Stats().Refused[entry.ReasonMalformed]; got != uint64(n) {
				t.Errorf("%s: %d refusals, want %d", c.name, got, n)
			}
		})
	}
}

func TestFlightsAreBounded(t *testing.T) {
	for _, c := range []struct {
		name           string
		flights, bytes int // 0 for plenty
	}{{"statements", 2, 0}, {"bytes", 0, 1}} {
		in := open(t)
		var frames, statements [][]byte
		for range 3 {
			f, s := in.reading("home-1")
			frames, statements = append(frames, f), append(statements, s)
		}
		if c.flights == 0 {
			c.flights, c.bytes = 100, len(frames[0])+len(frames[1])
		} else {
			c.bytes = 1 << 20
		}
		synctest.Test(t, func(t *testing.T) {
			in.prepare()
			in.SetMost(c.flights, c.bytes)
			defer in.run()()
			for _, f := range frames {
				in.offer("home-1", f)
			}
			if diff := cmp.Diff(statements[:2], in.submitted()); diff != "" {
				t.Fatalf("%s: submitted while full (-want +got):\n%s", c.name, diff)
			}
			if s := in.Stats(); s.Dropped != 1 || s.InFlight != 2 || in.Held() > c.bytes {
				t.Errorf("%s: got %+v and %d bytes held, want 1 dropped, 2 in flight, at most %d bytes", c.name, s, in.Held(), c.bytes)
			}
			if _, ok := in.Take(block.LeafHash(statements[0])); !ok {
				t.Errorf("%s: the first flight was forgotten, and its receipt with it", c.name)
			}
			in.offer("home-1", frames[2])
			if diff := cmp.Diff(statements, in.submitted()); diff != "" {
				t.Errorf("%s: submitted with room again (-want +got):\n%s", c.name, diff)
			}
		})
	}
}
