package market_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// levels are the prices of a drawn market: few, so that orders tie.
var levels = []unit.Price{-unit.MaxPrice, -70_000, -1, 0, 1, 50_000, 50_001, 120_000, 120_001, 250_000, unit.MaxPrice}

func member(n int) string { return fmt.Sprint("m", n) }

// drawAuction draws up to most orders of at most largest Wh each.
func drawAuction(t *rapid.T, most int, largest int64) *market.Auction {
	a := &market.Auction{
		Rule: rapid.SampledFrom([]market.Rule{market.Uniform, market.PayAsBid}).Draw(t, "rule"),
		Fee:  unit.Price(rapid.SampledFrom([]int64{0, 1, 20_000, int64(market.MaxFee)}).Draw(t, "fee")),
	}
	a.Beacon[0] = rapid.Byte().Draw(t, "beacon")
	near := rapid.SampledFrom(levels)
	price := rapid.OneOf(near, rapid.Custom(func(t *rapid.T) unit.Price { return unit.Price(rapid.Int64Range(0, 300_000).Draw(t, "any price")) }))
	quantity := rapid.OneOf(rapid.Just(int64(1)), rapid.Int64Range(1, largest))
	orders := rapid.IntRange(0, most).Draw(t, "orders")
	for i := range orders {
		who := rapid.IntRange(0, 8).Draw(t, "member")
		p, q := price.Draw(t, "price"), unit.Energy(quantity.Draw(t, "quantity"))
		if rapid.Bool().Draw(t, "offer") {
			class := rapid.SampledFrom([]market.Class{market.Any, market.Green}).Draw(t, "class")
			a.Offers = append(a.Offers, market.Offer{ID: fmt.Sprint("o", i), Member: member(who), Price: p, Quantity: q, Class: class})
			continue
		}
		b := market.Bid{ID: fmt.Sprint("b", i), Member: member(who), Price: p, Quantity: q}
		if b.Class = rapid.SampledFrom([]market.Class{market.Any, market.Green, market.GreenFirst}).Draw(t, "class"); b.Class != market.Any {
			b.Premium = unit.Price(rapid.SampledFrom([]int64{0, 1, 30_000, int64(market.MaxFee)}).Draw(t, "premium"))
		}
		for _, n := range rapid.SliceOfNDistinct(rapid.IntRange(0, 8), 0, 4, rapid.ID).Draw(t, "prefer") {
			if n != who {
				b.Prefer = append(b.Prefer, member(n))
			}
		}
		a.Bids = append(a.Bids, b)
	}
	return a
}

func clear(t *rapid.T, a *market.Auction) *market.Clearing {
	c, err := market.Clear(a)
	if err != nil {
		t.Fatalf("%+v: %v", a, err)
	}
	return c
}

// TestClearAsTheDesignSays holds auctions against the reference, Wh by Wh.
func TestClearAsTheDesignSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAuction(t, 24, 20)
		c, want := clear(t, a), refer(a)
		trades, err := c.Trades()
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(
			[]any{want.green, want.open, want.bids, want.offers, want.trades},
			[]any{c.Green, c.Open, c.Bids, c.Offers, trades}); diff != "" {
			t.Fatalf("%+v (-reference +got):\n%s", a, diff)
		}
	})
}

// demand is what bids and offers would trade at a price, at least and at most: those
// at exactly that price may or may not.
func demand(a *market.Auction, c *market.Clearing, green bool, p unit.Price) (bidLeast, bidMost, offerLeast, offerMost unit.Energy) {
	for i, b := range a.Bids {
		in, v := b.Quantity, b.Price-a.Fee
		switch {
		case green:
			v += b.Premium
		default:
			in -= c.Bids[i].Green
		}
		if green && b.Class == market.Any || !green && b.Class == market.Green {
			continue
		}
		if v > p {
			bidLeast += in
		}
		if v >= p {
			bidMost += in
		}
	}
	for i, o := range a.Offers {
		in := o.Quantity
		if !green {
			in -= c.Offers[i].Green
		} else if o.Class != market.Green {
			continue
		}
		if o.Price < p {
			offerLeast += in
		}
		if o.Price <= p {
			offerMost += in
		}
	}
	return bidLeast, bidMost, offerLeast, offerMost
}

// TestVolumeAndPrices holds both passes of large markets against the definition: no
// single price allows more energy, and Low to High are all prices that clear it.
func TestVolumeAndPrices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAuction(t, 200, int64(unit.MaxQuantity/1000))
		a.Rule = market.Uniform
		c := clear(t, a)
		for _, green := range []bool{true, false} {
			p := c.Open
			if green {
				p = c.Green
			}
			var most unit.Energy
			candidates := []unit.Price{}
			for _, b := range a.Bids {
				candidates = append(candidates, b.Price-a.Fee, b.Price+b.Premium-a.Fee)
			}
			for _, o := range a.Offers {
				candidates = append(candidates, o.Price)
			}
			for _, at := range candidates {
				_, bid, _, offer := demand(a, c, green, at)
				most = max(most, min(bid, offer))
			}
			if p.Volume != most {
				t.Fatalf("%+v: pass trades %d Wh and could trade %d", a, p.Volume, most)
			}
			if most == 0 {
				continue
			}
			clears := func(at unit.Price) bool {
				bidLeast, bidMost, offerLeast, offerMost := demand(a, c, green, at)
				return bidLeast <= most && most <= bidMost && offerLeast <= most && most <= offerMost
			}
			for _, at := range []unit.Price{p.Low, p.Price, p.High} {
				if !clears(at) {
					t.Fatalf("%+v: %d does not clear %d Wh", a, at, most)
				}
			}
			if clears(p.Low-1) || clears(p.High+1) || p.Price < p.Low || p.Price > p.High {
				t.Fatalf("%+v: %d to %d are not all prices that clear, or %d is not among them", a, p.Low, p.High, p.Price)
			}
		}
	})
}

// TestFillsAddUp looks at every line of large markets: I2 to I4.
func TestFillsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAuction(t, 200, int64(unit.MaxQuantity/1000))
		c := clear(t, a)
		var bought, sold unit.Energy
		var sum unit.Money
		for i, b := range a.Bids {
			f := c.Bids[i]
			bought += f.Quantity
			sum += f.Amount + f.Fee
			limit := int64(b.Price)*int64(f.Quantity) + int64(b.Premium)*int64(f.Green)
			if f.Quantity < 0 || f.Quantity > b.Quantity || -int64(f.Amount) > limit || f.Fee != unit.Money(int64(a.Fee)*int64(f.Quantity)) {
				t.Fatalf("bid %+v is filled with %+v", b, f)
			}
			if a.Rule == market.PayAsBid && -int64(f.Amount) != limit {
				t.Fatalf("bid %+v pays %d, not its limit %d", b, -f.Amount, limit)
			}
		}
		for i, o := range a.Offers {
			f := c.Offers[i]
			sold += f.Quantity
			sum += f.Amount
			if f.Quantity < 0 || f.Quantity > o.Quantity || int64(f.Amount) < int64(o.Price)*int64(f.Quantity) || f.Fee != 0 {
				t.Fatalf("offer %+v is filled with %+v", o, f)
			}
		}
		if bought != sold || bought != c.Volume() || sum != 0 {
			t.Fatalf("bought %d, sold %d, volume %d, money %d", bought, sold, c.Volume(), sum)
		}
		trades, err := c.Trades()
		if err != nil {
			t.Fatal(err)
		}
		for i, tr := range trades {
			if i > 0 && tr.Green && !trades[i-1].Green {
				t.Fatal("a green trade stands behind an open one")
			}
			if tr.Green && a.Offers[tr.Offer].Class != market.Green || tr.Green && a.Bids[tr.Bid].Class == market.Any || !tr.Green && a.Bids[tr.Bid].Class == market.Green {
				t.Fatalf("trade %+v of %+v and %+v", tr, a.Bids[tr.Bid], a.Offers[tr.Offer])
			}
		}
	})
}

// TestOrderOfOrders shuffles what is given: I8 and I9.
func TestOrderOfOrders(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := drawAuction(t, 60, 30)
		want, err := clear(t, a).AppendJSON(nil)
		if err != nil {
			t.Fatal(err)
		}
		shuffled := *a
		shuffled.Bids = rapid.Permutation(a.Bids).Draw(t, "bids")
		shuffled.Offers = rapid.Permutation(a.Offers).Draw(t, "offers")
		before := slices.Clone(shuffled.Bids)
		got, err := clear(t, &shuffled).AppendJSON(nil)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%v\ngot  %swant %s", err, got, want)
		}
		if diff := gocmp.Diff(before, shuffled.Bids); diff != "" {
			t.Fatalf("the orders have changed:\n%s", diff)
		}
	})
}

// TestClearRefusesOrders gives to Clear what no file can hold.
func TestClearRefusesOrders(t *testing.T) {
	for field, change := range map[string]func(*market.Auction){
		"rule":               func(a *market.Auction) { a.Rule = 0 },
		"fee":                func(a *market.Auction) { a.Fee = -1 },
		"bids":               func(a *market.Auction) { a.Bids = make([]market.Bid, market.MaxOrders+1) },
		"offers":             func(a *market.Auction) { a.Offers = make([]market.Offer, market.MaxOrders+1) },
		"bids[0].quantity":   func(a *market.Auction) { a.Bids[0].Quantity = -1 },
		"bids[0].price":      func(a *market.Auction) { a.Bids[0].Price = unit.MaxPrice + 1 },
		"bids[0].premium":    func(a *market.Auction) { a.Bids[0].Premium = 1 },
		"bids[0].class":      func(a *market.Auction) { a.Bids[0].Class = 3 },
		"offers[0].price":    func(a *market.Auction) { a.Offers[0].Price = -unit.MaxPrice - 1 },
		"offers[0].quantity": func(a *market.Auction) { a.Offers[0].Quantity = unit.MaxQuantity + 1 },
		"offers[0].class":    func(a *market.Auction) { a.Offers[0].Class = market.GreenFirst },
	} {
		a := &market.Auction{
			Rule:   market.Uniform,
			Bids:   []market.Bid{{ID: "b", Member: "anna", Price: 2, Quantity: 1}},
			Offers: []market.Offer{{ID: "o", Member: "ben", Price: 1, Quantity: 1}},
		}
		change(a)
		var fault *market.Fault
		if c, err := market.Clear(a); c != nil || !errors.As(err, &fault) || fault.Field != field {
			t.Errorf("Clear with a bad %s: got %v, %v", field, c, err)
		}
		if err := a.Check(); !errors.As(err, &fault) || fault.Field != field {
			t.Errorf("Check with a bad %s: got %v", field, err)
		}
	}
}
