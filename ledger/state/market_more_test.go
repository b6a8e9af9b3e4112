package state_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/account"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
	"wattmark/signer"
)

// TestOrderWithinABlock has orders, standing entries and readings of different members
// come in any order within a block: what waits for the gate and what meters said is the
// same.
func TestOrderWithinABlock(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		h, again := newHood(t, 4), newHood(t, 4)
		at := unit.Interval(ledgertest.Start/1000 + 3600)
		make := func(h *hood, i int) []ledgertest.Message {
			name := h.Homes[i]
			min := unit.Price(100_000 + i)
			o := &entry.Order{Zone: ledgertest.Zone, Interval: at, Member: name, Side: 1 + i%2, Nonce: 1, Steps: []entry.OrderStep{{Price: unit.Price(100_000 * (1 + i)), Quantity: 100}}}
			return []ledgertest.Message{
				h.Signed(name, entry.TypeOrder, encoded(t)(o.Encode())),
				h.Signed(name, entry.TypeStanding, encoded(t)((&entry.Standing{Member: name, MinSell: &min, From: at}).Encode())),
				h.Deliver(h.Read(name, ledgertest.Start+1000, int64(i), 7).Sign(t)),
			}
		}
		var messages, same []ledgertest.Message
		for i := range h.Homes {
			messages, same = append(messages, make(h, i)...), append(same, make(again, i)...)
		}
		h.At(60, messages...)
		again.At(60, rapid.Permutation(same).Draw(rt, "order")...)
		kept := func(h *hood) (out []string) {
			for _, c := range h.State.Export() {
				if strings.ContainsRune("xys", rune(c.Key[0])) {
					out = append(out, fmt.Sprintf("%q %x", c.Key, c.Value))
				}
			}
			return out
		}
		want := kept(h)
		if len(want) != 12 {
			rt.Fatalf("%d records, want one for each entry: %v", len(want), h.Last().Result.Reasons)
		}
		if diff := cmp.Diff(want, kept(again)); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// TestForgottenReadingStands has a member's metering point forgotten after the invoice:
// what was settled stands, nobody can show that member's line any more, the others' lines
// are proved as before, and who has none of its packs replays the ledger to the end.
func TestForgottenReadingStands(t *testing.T) {
	h := newHood(t, 5)
	at := unit.Interval(ledgertest.Start/1000 + 1800)
	h.At(900)
	for _, edge := range []int64{at.StartMilli(), at.EndMilli()} {
		var m []ledgertest.Message
		for i, name := range h.Homes {
			m = append(m, h.Deliver(h.Read(name, edge+100, int64(100*i), int64(400-100*i)).Sign(t)))
		}
		h.At(900, m...)
	}
	h.At(3000)
	before := h.State.Spots(ledgertest.Zone, at, at+1)[0]
	if before.Run != entry.RunInvoiced || before.Totals.Measured != 5 {
		t.Fatalf("before: %+v", before)
	}
	balances := func() (out []string) {
		h.State.Accounts(func(id account.ID, a unit.Amount) { out = append(out, fmt.Sprint(id, a)) })
		return out
	}
	had := balances()
	body := encoded(t)((&entry.Forgetting{Subject: ledgertest.Subject("home2"), Reason: "moved out"}).Encode())
	m := entry.Motion{Kind: entry.MotionForget, Height: h.State.Height() + 1, Body: body}
	h.At(10, h.Deliver(h.Stated(0, entry.TypeMotion, encoded(t)(m.Encode())).Sign(t)))
	if _, err := h.State.Disclose(ledgertest.Zone, "home2", at); err == nil {
		t.Error("the line of who was forgotten can be shown")
	}
	after := h.State.Spots(ledgertest.Zone, at, at+1)[0]
	if after.Root != before.Root || !after.Closed {
		t.Errorf("the root was %x, is %x", before.Root, after.Root)
	}
	checkSpot(t, h, at)
	if diff := cmp.Diff(had, balances()); diff != "" {
		t.Errorf("balances:\n%s", diff)
	}
	for _, c := range h.State.Export() {
		if strings.HasPrefix(string(c.Key), "y"+ledgertest.Subject("home2")) {
			t.Errorf("registers are still there: %q", c.Key)
		}
	}
	h.At(7200) // past the last run
	for _, o := range bodies[*entry.Settled](t, h.Last()) {
		if o.Interval == at {
			t.Errorf("it was settled again: %+v", o)
		}
	}
	gone := make(map[string]bool)
	for _, b := range h.Blocks {
		for i := range b.Messages {
			if in := b.Messages[i].Input(); in.Pack != nil && strings.Contains(string(in.Pack), ledgertest.Subject("home2")) {
				gone[string(in.Opened.Message().Payload)] = true
			}
		}
	}
	opaque := 0
	replay(t, h.Chain, func(digest []byte) []byte {
		if gone[string(digest)] {
			return nil
		}
		return h.Packs(digest)
	}, func(b *ledgertest.Block, _ *state.State, r *state.Result) {
		opaque += r.Opaque
		if diff := difference(b.Result.Leaves, r.Leaves); diff != "" {
			t.Fatalf("block %d: leaves\n%s", b.Header.Height, diff)
		}
	})
	if opaque != 2 {
		t.Errorf("%d readings could not be judged, want 2", opaque)
	}
}

// TestFeederIsHeldAgainstMembers has a zone with a meter that all hang on: what it shows
// and no member's meter is said, and an alarm where it is more than the tariff tolerates.
func TestFeederIsHeldAgainstMembers(t *testing.T) {
	for _, tt := range []struct {
		stolen int64
		alarm  bool
	}{{0, false}, {40, false}, {41, true}, {-41, true}} {
		h := newHood(t, 5)
		s := h.Enrolment("feeder", signer.ES256, entry.ModeOpen)
		e, err := entry.ParseEnrolment(s.Payload)
		if err != nil {
			t.Fatal(err)
		}
		e.Points[0].Channels = []entry.Channel{
			{Name: "export", Unit: "Wh", Kind: entry.KindCounter, Most: entry.Int(1_000_000)}, {Name: "import", Unit: "Wh", Kind: entry.KindCounter, Most: entry.Int(1_000_000)},
		}
		s.Payload = encoded(t)(e.Encode())
		h.At(0, h.Deliver(s.Sign(t)))
		at := unit.Interval(ledgertest.Start/1000 + 9000)
		next := ledgertest.HoodTariff(at)
		next.Feeder = &entry.Feeder{Subject: ledgertest.Subject("feeder"), Import: "import", Export: "export", Tolerance: 40}
		if got := h.At(60, h.Tariff(next)).Result.Reasons[1]; got != "" {
			t.Fatal(got)
		}
		h.At(9000 - 60)
		for i, edge := range []int64{at.StartMilli(), at.EndMilli()} {
			m := []ledgertest.Message{h.Deliver(h.Read("feeder", edge+50, 1000+tt.stolen*int64(i), 300).Sign(t))}
			for _, name := range h.Homes {
				m = append(m, h.Deliver(h.Read(name, edge+100, 200, 60).Sign(t)))
			}
			h.At(450, m...)
		}
		var got *entry.Settled
		for _, o := range bodies[*entry.Settled](t, h.At(1200)) {
			if o.Interval == at {
				got = o
			}
		}
		if got == nil || got.Unaccounted == nil || *got.Unaccounted != unit.Energy(tt.stolen) || got.Alarm != tt.alarm {
			t.Errorf("%d Wh stolen: %+v", tt.stolen, got)
		}
		if _, err := state.Load(h.Charter, records(h.State.Export())); err != nil {
			t.Error(err)
		}
	}
}

// TestLongSilence has months pass between two blocks: those behind take what is due in
// turn.
func TestLongSilence(t *testing.T) {
	h := newHood(t, 1)
	h.At(60)
	h.At(40 * 24 * 3600)
	counts := func() (cleared, settled int) {
		b := h.At(1)
		return len(bodies[*entry.Cleared](t, b)), len(bodies[*entry.Settled](t, b))
	}
	cleared, settled := counts()
	if cleared != unit.IntervalsPerDay || settled != 2*unit.IntervalsPerDay {
		t.Errorf("a block clears %d intervals and settles %d", cleared, settled)
	}
	// There is no interval behind the year 9999, and blocks go on.
	last := newHood(t, 1)
	last.At(int64(unit.LastInterval) - last.Now/1000 - 3600)
	for range 4 {
		last.At(3600)
	}
	if z := last.State.Zones()[0]; z.Next != unit.LastInterval {
		t.Errorf("the calendar stands at %s, want %s", z.Next, unit.LastInterval)
	}
}

// FuzzLoadMarket puts a record of the market's into a state that has one, and executes a
// block on what loads.
func FuzzLoadMarket(f *testing.F) {
	h := newHood(f, 3)
	at := unit.Interval(ledgertest.Start/1000 + 1800)
	h.At(900, h.Signed("home1", entry.TypeOrder, encoded(f)((&entry.Order{Zone: ledgertest.Zone, Interval: at + 1800, Member: "home1", Side: 1, Nonce: 1}).Encode())))
	for _, edge := range []int64{at.StartMilli(), at.EndMilli()} {
		var m []ledgertest.Message
		for _, name := range h.Homes {
			m = append(m, h.Deliver(h.Read(name, edge, 100, 10).Sign(f)))
		}
		h.At(900, m...)
	}
	h.At(1000)
	h.Vote(entry.ParamMarketSealed, 1)
	h.At(0, h.Seal(&entry.Order{Zone: ledgertest.Zone, Interval: at + 7200, Member: "home2", Side: 2, Nonce: 1}, 1))
	export := h.State.Export()
	for i, c := range export {
		f.Add(uint16(i), c.Key, c.Value)
	}
	clock := h.Clock(0, h.Now+900_000)
	message := h.Deliver(clock.Sign(f))
	f.Fuzz(func(t *testing.T, at uint16, k, v []byte) {
		list := append([]state.Change(nil), export...)
		list[int(at)%len(list)] = state.Change{Key: k, Value: v}
		s, err := state.Load(h.Charter, records(list))
		if err != nil {
			return
		}
		again, err := state.Load(h.Charter, records(s.Export()))
		if err != nil {
			t.Fatalf("its export does not load: %v", err)
		}
		if diff := cmp.Diff(s.Export(), again.Export()); diff != "" {
			t.Fatalf("loaded from its export it is another:\n%s", diff)
		}
		s.Execute(1000, [32]byte{1}, []state.Input{message.Input()})
	})
}
