package entry_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"

	"wattmark/ledger/entry"
	"wattmark/ledger/unit"
)

const spot = unit.Interval(1_750_000_500)

func price(p unit.Price) *unit.Price { return &p }

func TestMarketVectors(t *testing.T) {
	o := &entry.Order{Zone: "street", Interval: spot, Member: "m-7f3a", Side: entry.SideBuy, Nonce: 1, Steps: []entry.OrderStep{
		{Price: 300_000, Quantity: 1000, Class: entry.ClassGreenFirst, Premium: 20_000, Prefer: []string{"m-0001"}},
		{Price: -5, Quantity: 1},
	}}
	e := &entry.Standing{Member: "m-7f3a", MinSell: price(0), MaxBuy: price(250_000), From: spot}
	d := &entry.Dispute{Member: "m-7f3a", Interval: spot, Import: 4711, Evidence: bytes.Repeat([]byte{7}, 32)}
	tariff := &entry.Tariff{Zone: "street", From: spot, Currency: "EUR", FeedIn: 80_000, Retail: 300_000, Fee: 40_000, Loss: 20_000, Auction: 1, Pool: 1}
	stands := &entry.Decision{Member: "m-7f3a", Interval: spot}
	decided := &entry.Decision{Member: "m-7f3a", Interval: spot, Energy: &entry.DecidedEnergy{Import: 4711}}
	line := &entry.Disclosed{Salt: []byte("0123456789abcdef"), Line: &entry.Line{Member: "m-7f3a", Import: 1200, MaxBuy: price(250_000), Joined: true, Bought: 1044,
		GridImport: 156, Amount: -206_040_000, Counterfactual: -300_000_000}}
	totals := &entry.Totals{Surplus: 2000, Deficit: 2299, Local: 2000, LocalPrice: 140_000, GridExport: 400, GridImport: 299, Network: 40_000_000, Supplier: 54_750_000, Measured: 6, Estimated: 1}
	hidden := &entry.Disclosed{Salt: []byte("0123456789abcdef"), Totals: totals}
	fill := &entry.Filled{Side: entry.SideBuy, ID: o.ID() + ":0", Member: "m-7f3a", Quantity: 1000, Amount: -240_000_000, Fee: 20_000_000}
	cleared := bodied(t, &entry.Cleared{Zone: "street", Interval: spot, Beacon: sha256.Sum256([]byte("header")), Auction: 1, Fee: 46_000, Orders: 3,
		Open: entry.Passed{Volume: 1501, Price: 220_000, Low: 220_000, High: 220_000}, Root: sha256.Sum256([]byte("fills"))})
	settled := bodied(t, &entry.Settled{Zone: "street", Interval: spot, Run: entry.RunInvoiced, Version: 2, Beacon: sha256.Sum256([]byte("header")),
		Terms: entry.Terms{Currency: "EUR", Pool: 1, FeedIn: 50_000, Retail: 250_000, Fee: 20_000, Deviation: 100_000}, AuctionPrice: price(220_000),
		Members: 7, Totals: totals, Root: sha256.Sum256([]byte("lines"))})
	few := bodied(t, &entry.Settled{Zone: "street", Interval: spot, Version: 1, Terms: entry.Terms{Currency: "EUR", Pool: 2}, Members: 2})
	checkVectors(t, "market.json", []example{
		of("order", o, o.Encode, entry.ParseOrder),
		of("standing", e, e.Encode, entry.ParseStanding),
		of("dispute", d, d.Encode, entry.ParseDispute),
		of("tariff", tariff, tariff.Encode, entry.ParseTariff),
		of("decision that it stands", stands, stands.Encode, entry.ParseDecision),
		of("decision of a value", decided, decided.Encode, entry.ParseDecision),
		of("settled line", line, always(line.Encode), entry.ParseDisclosed),
		of("settled totals", hidden, always(hidden.Encode), entry.ParseDisclosed),
		of("fill", fill, always(fill.Encode), entry.ParseFilled),
		of("cleared", cleared, always(cleared.Encode), entry.ParseOutcome),
		of("settled", settled, always(settled.Encode), entry.ParseOutcome),
		of("settled, totals hidden", few, always(few.Encode), entry.ParseOutcome),
	})
}

// TestSealedVectors has what later came for sealed orders.
func TestSealedVectors(t *testing.T) {
	o := &entry.Order{Zone: "street", Interval: spot, Member: "m-7f3a", Side: entry.SideBuy, Nonce: 1, Steps: []entry.OrderStep{{Price: 300_000, Quantity: 1000}}}
	salt := bytes.Repeat([]byte{7}, entry.SealSalt)
	sealed, err := o.Seal(salt)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := o.Open(salt)
	if err != nil {
		t.Fatal(err)
	}
	read := func(b []byte) (*entry.OpenedOrder, error) {
		o, _, err := entry.ParseOpenedOrder(b)
		return o, err
	}
	checkVectors(t, "sealed.json", []example{
		of("sealed order", sealed, sealed.Encode, entry.ParseSealedOrder),
		of("opened order", opened, opened.Encode, read),
	})
	if !sealed.Opens(opened, o) {
		t.Error("the order does not open its seal")
	}
	for name, other := range map[string]func() (*entry.OpenedOrder, *entry.Order){
		"another salt": func() (*entry.OpenedOrder, *entry.Order) {
			return &entry.OpenedOrder{Salt: bytes.Repeat([]byte{8}, entry.SealSalt), Order: opened.Order}, o
		},
		"another nonce": func() (*entry.OpenedOrder, *entry.Order) {
			later := *o
			later.Nonce++
			return opened, &later
		},
	} {
		if with, order := other(); sealed.Opens(with, order) {
			t.Errorf("%s opens the seal", name)
		}
	}
	short := &entry.OpenedOrder{Salt: opened.Salt[1:], Order: opened.Order}
	if _, err := short.Encode(); !errors.Is(err, entry.ErrForm) {
		t.Errorf("a salt that can be guessed: %v", err)
	}
	if _, err := o.Seal(opened.Salt[1:]); !errors.Is(err, entry.ErrForm) {
		t.Errorf("a seal with it: %v", err)
	}
}

// FuzzParseSealed reads sealed and opened orders, and wants what reads to be written the same.
func FuzzParseSealed(f *testing.F) {
	for _, b := range readVectors(f, "sealed.json") {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := entry.ParseSealedOrder(b); err == nil {
			if again, err := s.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%x is written %x: %v", b, again, err)
			}
		}
		if o, _, err := entry.ParseOpenedOrder(b); err == nil {
			if again, err := o.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Errorf("%x is written %x: %v", b, again, err)
			}
		}
	})
}

// TestFeederVectors has what later came to tariffs and settlements.
func TestFeederVectors(t *testing.T) {
	tariff := &entry.Tariff{Zone: "street", From: spot, Currency: "EUR", FeedIn: 80_000, Retail: 300_000, Auction: 1, Pool: 1,
		Feeder: &entry.Feeder{Subject: "mp-9", Import: "import", Export: "export", Tolerance: 250}}
	missing := unit.Energy(-300)
	settled := bodied(t, &entry.Settled{Zone: "street", Interval: spot, Version: 1, Terms: entry.Terms{Currency: "EUR", Pool: 1}, Members: 6,
		Totals: &entry.Totals{Measured: 6}, Unaccounted: &missing, Alarm: true})
	checkVectors(t, "feeder.json", []example{
		of("tariff with a feeder", tariff, tariff.Encode, entry.ParseTariff),
		of("settled, with an alarm", settled, always(settled.Encode), entry.ParseOutcome),
	})
}

func bodied(t *testing.T, b entry.Body) *entry.Outcome {
	t.Helper()
	o, err := entry.Bodied(b)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOrderRefused(t *testing.T) {
	for name, change := range map[string]func(*entry.Order){
		"no zone":            func(o *entry.Order) { o.Zone = "" },
		"not an interval":    func(o *entry.Order) { o.Interval++ },
		"no side":            func(o *entry.Order) { o.Side = 0 },
		"no nonce":           func(o *entry.Order) { o.Nonce = 0 },
		"eleven steps":       func(o *entry.Order) { o.Steps = make([]entry.OrderStep, 11) },
		"a class of its own": func(o *entry.Order) { o.Steps = []entry.OrderStep{{Class: 3}} },
		"eleven friends":     func(o *entry.Order) { o.Steps = []entry.OrderStep{{Prefer: make([]string, 11)}} },
	} {
		o := &entry.Order{Zone: "z", Interval: spot, Member: "m", Side: 1, Nonce: 1}
		change(o)
		if _, err := o.Encode(); !errors.Is(err, entry.ErrForm) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseMarket(f *testing.F) {
	for _, b := range readSeeds("market.json") {
		f.Add(b)
	}
	type encoder interface{ Encode() ([]byte, error) }
	f.Fuzz(func(t *testing.T, b []byte) {
		same := func(v encoder, err error) {
			if err != nil {
				return
			}
			if again, err := v.Encode(); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%x encodes to %x, %v", b, again, err)
			}
		}
		o, err := entry.ParseOrder(b)
		same(o, err)
		s, err := entry.ParseStanding(b)
		same(s, err)
		d, err := entry.ParseDispute(b)
		same(d, err)
		ta, err := entry.ParseTariff(b)
		same(ta, err)
		de, err := entry.ParseDecision(b)
		same(de, err)
		if l, err := entry.ParseDisclosed(b); err == nil && !bytes.Equal(l.Encode(), b) {
			t.Fatalf("line %x encodes to %x", b, l.Encode())
		}
		if l, err := entry.ParseFilled(b); err == nil && !bytes.Equal(l.Encode(), b) {
			t.Fatalf("fill %x encodes to %x", b, l.Encode())
		}
		if l, err := entry.ParseOutcome(b); err == nil && !bytes.Equal(l.Encode(), b) {
			t.Fatalf("outcome %x encodes to %x", b, l.Encode())
		}
	})
}
