package api_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/ledger/unit"
	"wattmark/oracle/api"
)

// TestBook: what stood at a gate is told without names, five orders together at least, and
// how many were rationed; the last order of a member counts.
func TestBook(t *testing.T) {
	h := ledgertest.NewHood(t, 12)
	at := unit.Interval((h.Now/1000/900 + 8) * 900)
	order := func(n int, nonce uint64, side int, steps ...entry.OrderStep) ledgertest.Message {
		o := entry.Order{Zone: ledgertest.Zone, Interval: at, Member: h.Homes[n], Side: side, Steps: steps, Nonce: nonce}
		b, err := o.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return h.Signed(h.Homes[n], entry.TypeOrder, b)
	}
	messages := []ledgertest.Message{order(0, 1, entry.SideSell, entry.OrderStep{Price: 10_000, Quantity: 9999})}
	// Six sell 100 Wh each at 100,000 and above, six ask for 150 each at one price, fee and loss within.
	for n := range 6 {
		messages = append(messages, order(n, 2, entry.SideSell, entry.OrderStep{Price: 100_000 + unit.Price(n)*1000, Quantity: 100}))
		messages = append(messages, order(6+n, 1, entry.SideBuy, entry.OrderStep{Price: 200_000, Quantity: 150}))
	}
	h.At(1, messages...)
	for h.Now/1000 <= int64(at) {
		h.At(450)
	}
	dir := filepath.Join(t.TempDir(), "ledger")
	h.Save(dir)
	l, _, err := ledger.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	a := api.New(api.Config{Ledger: l})
	item, err := a.Interval(ledgertest.Zone, at)
	if err != nil {
		t.Fatal(err)
	}
	if c := item.ClearedDetail; c.Orders != 12 || c.Open.VolumeWh != 600 {
		t.Fatalf("cleared: %+v", c)
	}
	got, err := a.Book(item)
	if err != nil {
		t.Fatal(err)
	}
	fee := unit.Price(46_000) // the network's, and a fiftieth of the retail price for losses
	want := &api.BookItem{
		Bids:   []api.StepItem{{Price: 200_000 - fee, Wh: 900, Orders: 6}},
		Offers: []api.StepItem{{Price: 102_500, Wh: 600, Orders: 6}},
		// 600 Wh for 900 asked for at one price: each gets two thirds.
		Rationed: 6,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the book (-want +got):\n%s", diff)
	}

	before, err := a.Interval(ledgertest.Zone, at-900)
	if err != nil {
		t.Fatal(err)
	}
	if none, err := a.Book(before); err != nil || len(none.Bids)+len(none.Offers) != 0 || none.Far {
		t.Errorf("of an interval without orders: %+v, %v", none, err)
	}
	// One that says more orders than are found has them out of reach.
	item.ClearedDetail.Orders = 13
	fresh := api.New(api.Config{Ledger: l})
	if far, err := fresh.Book(item); err != nil || !far.Far || far.Bids != nil {
		t.Errorf("with an order that is not found: %+v, %v", far, err)
	}
}
