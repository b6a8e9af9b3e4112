package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// newSealedHood is a neighbourhood that seals its orders until the gate, and takes ten
// minutes to open them.
func newSealedHood(tb testing.TB, homes int) *hood {
	h := newHood(tb, homes)
	h.Vote(entry.ParamMarketSealed, 1)
	return h
}

// TestSealedOrders has two neighbours trade by orders that nobody could read before the
// gate, and a third one keep its seal closed.
func TestSealedOrders(t *testing.T) {
	h := newSealedHood(t, 3)
	at := unit.Interval(ledgertest.Start/1000 + 3600)
	order := func(name string, side int, price unit.Price, nonce uint64) *entry.Order {
		return &entry.Order{Zone: ledgertest.Zone, Interval: at, Member: name, Side: side, Nonce: nonce, Steps: []entry.OrderStep{{Price: price, Quantity: 300}}}
	}
	sell, buy, third := order("home1", entry.SideSell, 120_000, 2), order("home2", entry.SideBuy, 250_000, 1), order("home3", entry.SideBuy, 290_000, 1)
	expect := func(b *ledgertest.Block, want ...entry.Reason) {
		t.Helper()
		if diff := cmp.Diff(append([]entry.Reason{""}, want...), b.Result.Reasons); diff != "" {
			t.Fatal(diff)
		}
	}
	expect(h.At(60, h.Seal(order("home1", entry.SideSell, 1, 1), 9), h.Seal(sell, 1), h.Seal(buy, 2), h.Seal(third, 3)), "", "", "", "")
	if got := len(h.State.Seals(ledgertest.Zone, at)); got != 3 {
		t.Errorf("%d seals wait, want 3: the first of home1 was replaced", got)
	}
	if got := h.State.Orders(ledgertest.Zone, at); len(got) != 0 {
		t.Errorf("before the gate anybody reads %v", got)
	}
	expect(h.At(60, h.Unseal(sell, 1)), entry.ReasonGateClosed)
	restored, err := state.Load(h.Charter, records(h.State.Export()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h.State.Seals(ledgertest.Zone, at), restored.Seals(ledgertest.Zone, at)); diff != "" {
		t.Errorf("after a restart (-want +got):\n%s", diff)
	}
	h.At(3600 - 60 - 60 - 900) // the gate
	expect(h.At(1, h.Unseal(sell, 1), h.Unseal(sell, 1), h.Unseal(buy, 2), h.Seal(order("home3", entry.SideSell, 5, 1), 4)),
		"", entry.ReasonBadOrder, "", entry.ReasonGateClosed)
	h.At(600) // gives the beacon
	late := h.At(1, h.Unseal(third, 3))
	expect(late, entry.ReasonGateClosed)
	if got := h.State.Seals(ledgertest.Zone, at); len(got) != 0 {
		t.Errorf("%d seals are left when the interval is cleared", len(got))
	}
	var cleared *entry.Cleared
	for _, o := range bodies[*entry.Cleared](t, late) {
		if o.Interval == at {
			cleared = o
		}
	}
	if cleared == nil || cleared.Orders != 2 || cleared.Open.Volume != 300 {
		t.Errorf("cleared to %+v", cleared)
	}
	sameAudited(t, h.Chain)
}

// TestSealRefusals has every seal, and every opening, that is refused change nothing.
func TestSealRefusals(t *testing.T) {
	at := unit.Interval(ledgertest.Start/1000 + 3600)
	good := func() *entry.Order {
		return &entry.Order{Zone: ledgertest.Zone, Interval: at, Member: "home1", Side: entry.SideSell, Nonce: 4, Steps: []entry.OrderStep{{Price: 100_000, Quantity: 10}}}
	}
	const sealing, revealing = 60, 2700 // seconds from the start to a time that takes each
	for _, tt := range []struct {
		name   string
		at     int64
		make   func(h *hood) ledgertest.Message
		reason entry.Reason
		field  string
	}{
		{"an order that is not sealed", sealing, func(h *hood) ledgertest.Message {
			return h.Signed("home1", entry.TypeOrder, encoded(h.TB())(good().Encode()))
		}, entry.ReasonSealing, ""},
		{"a seal of another's order", sealing, func(h *hood) ledgertest.Message {
			s, err := good().Seal(ledgertest.Salt(1))
			if err != nil {
				t.Fatal(err)
			}
			s.Member = "home2"
			return h.Signed("home1", entry.TypeSealedOrder, encoded(h.TB())(s.Encode()))
		}, entry.ReasonNotAuthorised, "member"},
		{"a seal for another zone", sealing, func(h *hood) ledgertest.Message {
			o := good()
			o.Zone = "village"
			return h.Seal(o, 1)
		}, entry.ReasonUnknownZone, "zone"},
		{"a seal with a nonce that was used", sealing, func(h *hood) ledgertest.Message { return h.Seal(good(), 2) }, entry.ReasonBadOrder, "nonce"},
		{"a seal behind the gate", revealing, func(h *hood) ledgertest.Message {
			o := good()
			o.Nonce++
			return h.Seal(o, 1)
		}, entry.ReasonGateClosed, "interval"},
		{"what is no seal", sealing, func(h *hood) ledgertest.Message { return h.Signed("home1", entry.TypeSealedOrder, []byte{0xa0}) }, entry.ReasonBadPayload, ""},
		{"an opening before the gate", sealing, func(h *hood) ledgertest.Message { return h.Unseal(good(), 1) }, entry.ReasonGateClosed, "interval"},
		{"another salt", revealing, func(h *hood) ledgertest.Message { return h.Unseal(good(), 2) }, entry.ReasonBadOrder, "seal"},
		{"another order behind the seal", revealing, func(h *hood) ledgertest.Message {
			o := good()
			o.Steps[0].Price++
			return h.Unseal(o, 1)
		}, entry.ReasonBadOrder, "seal"},
		{"the other side, which has no seal", revealing, func(h *hood) ledgertest.Message {
			o := good()
			o.Side = entry.SideBuy
			return h.Unseal(o, 1)
		}, entry.ReasonBadOrder, "seal"},
		{"what opens nothing", revealing, func(h *hood) ledgertest.Message { return h.Signed("home1", entry.TypeOpenedOrder, []byte{0xa0}) }, entry.ReasonBadPayload, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			until := func() *hood {
				h := newSealedHood(t, 2)
				h.KeepExports(true)
				h.At(30, h.Seal(good(), 1))
				h.At(tt.at - 30)
				return h
			}
			h, again := until(), until()
			m := tt.make(h)
			b := h.At(1, m)
			if diff := cmp.Diff([]entry.Reason{"", tt.reason}, b.Result.Reasons); diff != "" {
				t.Fatal(diff)
			}
			if o, err := entry.ParseOutcome(b.Result.Refusals[0]); err != nil || o.Detail != tt.field {
				t.Errorf("outcome %+v, %v: want the field %q", o, err, tt.field)
			}
			again.At(1)
			if diff := cmp.Diff(again.State.Export(), h.State.Export()); diff != "" {
				t.Errorf("it changed the state:\n%s", diff)
			}
		})
	}
}

// TestSealsAreVoidWithoutSealing has the oracles end the sealing while a seal waits: it
// opens no more, and goes with its interval.
func TestSealsAreVoidWithoutSealing(t *testing.T) {
	h := newSealedHood(t, 2)
	at := unit.Interval(ledgertest.Start/1000 + 3600)
	o := &entry.Order{Zone: ledgertest.Zone, Interval: at, Member: "home1", Side: entry.SideSell, Nonce: 1, Steps: []entry.OrderStep{{Price: 1, Quantity: 10}}}
	h.At(60, h.Seal(o, 1))
	h.Vote(entry.ParamMarketSealed, 2) // all but 1 is off
	h.At(2700-60, h.Unseal(o, 1))
	if got := h.Last().Result.Reasons[1]; got != entry.ReasonSealing {
		t.Errorf("it opens: %q", got)
	}
	h.At(1)
	if got := h.State.Seals(ledgertest.Zone, at); len(got) != 0 {
		t.Errorf("%d seals are left", len(got))
	}
	sameAudited(t, h.Chain)
}

// TestSealedIsAsOpen draws orders and has a neighbourhood clear them sealed, in any order of
// opening, and another one open: the auctions find the same orders and volume.
func TestSealedIsAsOpen(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at := unit.Interval(ledgertest.Start/1000 + 3600)
		sealed, plain := newSealedHood(t, 4), newHood(t, 4)
		var seals, opens, orders []ledgertest.Message
		for i, name := range sealed.Homes {
			for nonce := range rapid.Uint64Range(0, 2).Draw(rt, "orders") {
				o := &entry.Order{Zone: ledgertest.Zone, Interval: at, Member: name, Side: 1 + i%2, Nonce: nonce + 1, Steps: []entry.OrderStep{{
					Price: unit.Price(rapid.Int64Range(1, 4).Draw(rt, "price") * 100_000), Quantity: unit.Energy(rapid.Int64Range(1, 500).Draw(rt, "quantity"))}}}
				seals = append(seals, sealed.Seal(o, byte(i)))
				orders = append(orders, plain.Signed(name, entry.TypeOrder, encoded(t)(o.Encode())))
				if nonce > 0 {
					opens = opens[:len(opens)-1] // the one before was replaced
				}
				opens = append(opens, sealed.Unseal(o, byte(i)))
			}
		}
		sealed.At(60, seals...)
		plain.At(60, orders...)
		if len(opens) > 0 {
			opens = rapid.Permutation(opens).Draw(rt, "opened")
		}
		var cleared []*entry.Cleared
		for _, h := range []*hood{sealed, plain} {
			h.At(3600 - 60 - 900)
			if h == sealed {
				h.At(1, opens...)
				h.At(600)
			}
			for _, o := range bodies[*entry.Cleared](t, h.At(1)) {
				if o.Interval == at {
					cleared = append(cleared, o)
				}
			}
		}
		if len(cleared) != 2 || cleared[0].Orders != cleared[1].Orders || cleared[0].Open != cleared[1].Open {
			rt.Fatalf("sealed and open: %+v", cleared)
		}
	})
}
