package audit_test

import (
	"strings"
	"testing"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/unit"
)

// TestDescribeMarket puts every leaf of a neighbourhood that trades into words.
func TestDescribeMarket(t *testing.T) {
	h := ledgertest.NewHood(t, 2)
	at := unit.Interval(ledgertest.Start/1000 + 3600)
	encode := func(b []byte, err error) []byte {
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	price := unit.Price(90_000)
	order := entry.Order{Zone: ledgertest.Zone, Interval: at, Member: "home1", Side: entry.SideSell, Nonce: 1, Steps: []entry.OrderStep{{Price: 100_000, Quantity: 7}}}
	standing := entry.Standing{Member: "home2", MinSell: &price, From: at}
	h.At(60, h.Signed("home1", entry.TypeOrder, encode(order.Encode())), h.Signed("home2", entry.TypeStanding, encode(standing.Encode())))
	h.At(7200)
	h.At(7200)
	dispute := entry.Dispute{Member: "home1", Interval: at, Import: 3, Evidence: make([]byte, 32)}
	h.At(1, h.Signed("home1", entry.TypeDispute, encode(dispute.Encode())))
	said := make(map[string]bool)
	for i, leaf := range h.All() {
		d := audit.Describe(uint64(i), leaf)
		if d.Err != nil {
			t.Errorf("leaf %d: %v", i, d.Err)
		}
		for _, f := range d.Fields {
			said[f.Name] = true
		}
		said[strings.Fields(d.Summary)[0]] = true
	}
	for _, want := range []string{"admits member", "order of", "step 0", "standing wish of", "sells for at least", "cleared:", "settled:", "root of the fills", "root of the lines", "totals"} {
		if !said[want] {
			t.Errorf("no leaf says %q: %v", want, said)
		}
	}
}
