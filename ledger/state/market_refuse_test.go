package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/unit"
)

// TestMarketRefusals has every entry that the market refuses named by its reason and the
// field at fault, and change nothing.
func TestMarketRefusals(t *testing.T) {
	open := unit.Interval(ledgertest.Start/1000 + 3600)
	good := func() *entry.Order {
		return &entry.Order{Zone: "street", Interval: open, Member: "home1", Side: entry.SideSell, Nonce: 5, Steps: []entry.OrderStep{{Price: 100_000, Quantity: 10}}}
	}
	order := func(change func(*entry.Order)) func(h *hood) ledgertest.Message {
		return func(h *hood) ledgertest.Message {
			o := good()
			change(o)
			return h.Signed("home1", entry.TypeOrder, encoded(h.TB())(o.Encode()))
		}
	}
	standing := func(e *entry.Standing) func(h *hood) ledgertest.Message {
		return func(h *hood) ledgertest.Message {
			return h.Signed("home1", entry.TypeStanding, encoded(h.TB())(e.Encode()))
		}
	}
	price := unit.Price(2_000_000_000)
	for _, tt := range []struct {
		name   string
		make   func(h *hood) ledgertest.Message
		reason entry.Reason
		field  string
	}{
		{"an order of another", order(func(o *entry.Order) { o.Member = "home2" }), entry.ReasonNotAuthorised, "member"},
		{"another zone", order(func(o *entry.Order) { o.Zone = "village" }), entry.ReasonUnknownZone, "zone"},
		{"a gate that has closed", order(func(o *entry.Order) { o.Interval -= 3600 }), entry.ReasonGateClosed, "interval"},
		{"an interval too far ahead", order(func(o *entry.Order) { o.Interval += 9000 }), entry.ReasonGateClosed, "interval"},
		{"a nonce that was used", order(func(o *entry.Order) { o.Nonce = 1 }), entry.ReasonBadOrder, "nonce"},
		{"a quantity of nothing", order(func(o *entry.Order) { o.Steps[0].Quantity = 0 }), entry.ReasonBadOrder, "steps[0].quantity"},
		{"a negative quantity", order(func(o *entry.Order) { o.Steps[0].Quantity = -7 }), entry.ReasonBadOrder, "steps[0].quantity"},
		{"a price out of range", order(func(o *entry.Order) { o.Steps[0].Price = price }), entry.ReasonBadOrder, "steps[0].price"},
		{"more than the connection carries", order(func(o *entry.Order) { o.Steps[0].Quantity = 5001 }), entry.ReasonBadOrder, "steps"},
		{"an offer with a premium", order(func(o *entry.Order) { o.Steps[0].Premium = 1 }), entry.ReasonBadOrder, "steps[0].premium"},
		{"own orders that cross", order(func(o *entry.Order) { o.Side, o.Steps[0].Price = entry.SideBuy, 400_000 }), entry.ReasonBadOrder, "steps[0].price"},
		{"what is no order", func(h *hood) ledgertest.Message { return h.Signed("home1", entry.TypeOrder, []byte{0xa0}) }, entry.ReasonBadPayload, ""},
		{"an order of a gateway", func(h *hood) ledgertest.Message {
			s := &ledgertest.Statement{Key: h.GatewayKey("home1"), Type: entry.TypeOrder, Content: entry.ContentCBOR, Payload: encoded(h.TB())(good().Encode()),
				Claims: entry.Claims{Issuer: "urn:wattmark:gateway:home1", Audience: ledgertest.Origin, IssuedAt: h.Now / 1000, Sequence: entry.Sequence{Boot: 9, Count: 1}}}
			return h.Deliver(s.Sign(h.TB()))
		}, entry.ReasonNotAuthorised, ""},
		{"a number that was used", func(h *hood) ledgertest.Message {
			h.Count["home1"]--
			return h.Signed("home1", entry.TypeOrder, encoded(h.TB())(good().Encode()))
		}, entry.ReasonSequenceUsed, ""},
		{"a standing entry for what has begun", standing(&entry.Standing{Member: "home1", From: open - 3600}), entry.ReasonWrongInterval, "from"},
		{"a standing price out of range", standing(&entry.Standing{Member: "home1", MinSell: &price, From: open}), entry.ReasonBadOrder, "min_sell"},
		{"a standing entry of another", standing(&entry.Standing{Member: "home2", From: open}), entry.ReasonNotAuthorised, "member"},
		{"a dispute of what was not invoiced", func(h *hood) ledgertest.Message {
			d := &entry.Dispute{Member: "home1", Interval: open, Evidence: make([]byte, 32)}
			return h.Signed("home1", entry.TypeDispute, encoded(h.TB())(d.Encode()))
		}, entry.ReasonUnknownLine, "interval"},
		{"a tariff that comes too soon", func(h *hood) ledgertest.Message { return h.Tariff(ledgertest.HoodTariff(open)) }, entry.ReasonWrongInterval, ""},
		{"a decision of no dispute", func(h *hood) ledgertest.Message {
			d := &entry.Decision{Member: "home1", Interval: open}
			m := &entry.Motion{Kind: entry.MotionDecision, Height: h.State.Height() + 1, Body: encoded(h.TB())(d.Encode())}
			return h.Deliver(h.Stated(0, entry.TypeMotion, encoded(h.TB())(m.Encode())).Sign(h.TB()))
		}, entry.ReasonUnknownLine, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHood(t, 2)
			h.KeepExports(true)
			h.At(60, order(func(o *entry.Order) { o.Nonce = 4 })(h))
			if diff := cmp.Diff([]entry.Reason{"", ""}, h.Last().Result.Reasons); diff != "" {
				t.Fatal(diff)
			}
			m := tt.make(h)
			b := h.At(60, m)
			if diff := cmp.Diff([]entry.Reason{"", tt.reason}, b.Result.Reasons); diff != "" {
				t.Fatal(diff)
			}
			o, err := entry.ParseOutcome(b.Result.Refusals[0])
			if err != nil || o.Detail != tt.field || o.Hash != m.Identity() {
				t.Errorf("outcome %+v, %v: want the field %q", o, err, tt.field)
			}
			again := newHood(t, 2)
			again.At(60, order(func(o *entry.Order) { o.Nonce = 4 })(again))
			again.At(60)
			if diff := cmp.Diff(again.State.Export(), h.State.Export()); diff != "" {
				t.Errorf("it changed the state:\n%s", diff)
			}
		})
	}
}

// TestDispute has a member dispute an invoiced line, and the oracles decide it: the last
// run settles that member again, alone.
func TestDispute(t *testing.T) {
	h := newHood(t, 2)
	at := unit.Interval(ledgertest.Start/1000 + 1800)
	h.At(900)
	h.At(900, h.Deliver(h.Read("home1", at.StartMilli(), 0, 0).Sign(t)), h.Deliver(h.Read("home2", at.StartMilli(), 0, 0).Sign(t)))
	h.At(900, h.Deliver(h.Read("home1", at.EndMilli(), 500, 0).Sign(t)), h.Deliver(h.Read("home2", at.EndMilli(), 0, 300).Sign(t)))
	h.At(3600)
	h.At(60)
	d := &entry.Dispute{Member: "home1", Interval: at, Import: 50, Evidence: make([]byte, 32)}
	dispute := func() ledgertest.Message { return h.Signed("home1", entry.TypeDispute, encoded(t)(d.Encode())) }
	b := h.At(60, dispute())
	if diff := cmp.Diff([]entry.Reason{"", ""}, b.Result.Reasons); diff != "" {
		t.Fatal(diff)
	}
	if got := h.At(1, dispute()).Result.Reasons[1]; got != entry.ReasonAlreadyKnown {
		t.Errorf("a second dispute: %q", got)
	}
	e := &entry.Decision{Member: "home1", Interval: at, Energy: &entry.DecidedEnergy{Import: 50}}
	m := &entry.Motion{Kind: entry.MotionDecision, Height: h.State.Height() + 1, Body: encoded(t)(e.Encode())}
	h.At(60, h.Deliver(h.Stated(0, entry.TypeMotion, encoded(t)(m.Encode())).Sign(t)))
	if got := h.State.Disputes(); len(got) != 1 || got[0].Decided == nil || got[0].Ended == 0 {
		t.Errorf("disputes %+v", got)
	}
	before := balance(h, "member:home1")
	h.At(3600)
	var corrected *entry.Settled
	for _, o := range bodies[*entry.Settled](t, h.Last()) {
		if o.Interval == at && o.Run == entry.RunCorrection {
			corrected = o
		}
	}
	if corrected == nil || corrected.Version != 3 {
		t.Fatalf("no correction among %+v", bodies[*entry.Settled](t, h.Last()))
	}
	// The part in the pool stands: 200 Wh less from the supplier, and 250 Wh to it.
	if got := balance(h, "member:home1") - before; got != 200*300_000+250*80_000 {
		t.Errorf("the decision is worth %d", got)
	}
}
