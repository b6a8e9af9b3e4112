package market_test

import (
	"bytes"
	"errors"
	"math/big"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// drawPool draws a street, often with members whose limits and tariffs differ.
func drawPool(t *rapid.T, most int, largest int64) *market.Pool {
	price := rapid.OneOf(rapid.SampledFrom(levels), rapid.Custom(func(t *rapid.T) unit.Price { return unit.Price(rapid.Int64Range(0, 300_000).Draw(t, "any price")) }))
	maybe := func(label string) *unit.Price {
		if rapid.IntRange(0, 3).Draw(t, label+" set") != 0 {
			return nil
		}
		return new(price.Draw(t, label))
	}
	p := &market.Pool{
		Rule: rapid.SampledFrom([]market.PoolRule{market.MidMarket, market.SupplyDemand}).Draw(t, "rule"),
		Tariff: market.Tariff{
			FeedIn: price.Draw(t, "feed in"), Retail: price.Draw(t, "retail"),
			Fee:  unit.Price(rapid.SampledFrom([]int64{0, 1, 20_000, int64(market.MaxFee)}).Draw(t, "fee")),
			Loss: unit.PPM(rapid.SampledFrom([]int64{0, 1, 40_000, 1_000_000}).Draw(t, "loss")),
		},
		Deviation:    unit.PPM(rapid.SampledFrom([]int64{0, 100_000, 1_000_000}).Draw(t, "deviation")),
		AuctionPrice: maybe("auction price"),
	}
	if rapid.Bool().Draw(t, "ordinary tariff") {
		p.Tariff = market.Tariff{FeedIn: 50_000, Retail: 250_000, Fee: 20_000, Loss: 40_000}
	}
	if p.Rule == market.SupplyDemand {
		p.Tariff.FeedIn = max(0, p.Tariff.FeedIn)
	}
	p.Beacon[0] = rapid.Byte().Draw(t, "beacon")
	quantity := rapid.OneOf(rapid.Just(int64(0)), rapid.Just(int64(1)), rapid.Int64Range(0, largest))
	for i := range rapid.IntRange(0, most).Draw(t, "members") {
		m := market.Meter{
			Member: member(i), MinSell: maybe("min sell"), MaxBuy: maybe("max buy"), FeedIn: maybe("own feed in"), Retail: maybe("own retail"),
			Quality: rapid.SampledFrom([]market.Quality{market.Measured, market.Measured, market.Measured, market.Estimated, market.Missing}).Draw(t, "quality"),
		}
		if m.Quality != market.Missing {
			m.Import, m.Export = unit.Energy(quantity.Draw(t, "import")), unit.Energy(quantity.Draw(t, "export"))
		}
		if rapid.IntRange(0, 2).Draw(t, "orders") == 0 {
			m.Sold, m.Bought = unit.Energy(quantity.Draw(t, "sold")), unit.Energy(quantity.Draw(t, "bought"))
		}
		p.Members = append(p.Members, m)
	}
	return p
}

// settle settles a pool whose sums fit: drawn energies are small enough.
func settle(t *rapid.T, p *market.Pool) *market.Settlement {
	s, err := market.Settle(p)
	if err != nil {
		t.Fatalf("%+v: %v", p, err)
	}
	return s
}

// TestSettleAsTheDesignSays holds pools against the reference.
func TestSettleAsTheDesignSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPool(t, 12, rapid.SampledFrom([]int64{3, 2000, int64(unit.MaxQuantity) / 1000}).Draw(t, "largest"))
		s, want := settle(t, p), referSettle(p)
		exact := func(m unit.Money) *big.Int { return big.NewInt(int64(m)) }
		if diff := gocmp.Diff(
			[]any{want.mid, want.open, want.fee, want.surplus, want.deficit, want.local, want.shares, want.network, want.fund, want.loss, want.supplier},
			[]any{s.Mid, s.Open, s.Fee, s.Surplus, s.Deficit, s.Local, s.Members, exact(s.Network), exact(s.Fund), exact(s.Loss), exact(s.Supplier)},
			gocmp.Comparer(func(x, y *big.Int) bool { return x.Cmp(y) == 0 })); diff != "" {
			t.Fatalf("%+v (-reference +got):\n%s", p, diff)
		}
		if s.Local > 0 && s.LocalPrice != want.price {
			t.Fatalf("%+v: local price %d, want %d", p, s.LocalPrice, want.price)
		}
	})
}

// TestSharesAddUp looks at every line: I1 to I4.
func TestSharesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPool(t, 150, int64(unit.MaxQuantity)/1000)
		s := settle(t, p)
		var sold, bought, toGrid, fromGrid unit.Energy
		sum := s.Network + s.Fund + s.Loss + s.Supplier
		for i, r := range s.Members {
			m := p.Members[i]
			if min(r.Sold, r.Bought, r.GridExport, r.GridImport) < 0 || r.Net != m.Sold-m.Bought+r.Sold-r.Bought+r.GridExport-r.GridImport {
				t.Fatalf("%+v: %+v", m, r)
			}
			if m.Quality != market.Measured && r.Sold+r.Bought > 0 {
				t.Fatalf("%+v: %+v: what is not measured joined", m, r)
			}
			if m.MinSell != nil && r.Sold > 0 && s.LocalPrice < *m.MinSell || m.MaxBuy != nil && r.Bought > 0 && s.LocalPrice+s.Fee > *m.MaxBuy {
				t.Fatalf("%+v trades at %d with a fee of %d", m, s.LocalPrice, s.Fee)
			}
			sold, bought = sold+r.Sold, bought+r.Bought
			toGrid, fromGrid = toGrid+r.GridExport, fromGrid+r.GridImport
			sum += r.Amount
		}
		if sold != s.Local || bought != s.Local || s.Local != min(s.Surplus, s.Deficit) || sum != 0 || toGrid != s.GridExport || fromGrid != s.GridImport {
			t.Fatalf("sold %d, bought %d, local %d, money %d", sold, bought, s.Local, sum)
		}
		if p.Rule == market.SupplyDemand && s.Local > 0 && (s.LocalPrice < p.Tariff.FeedIn || s.LocalPrice+s.Fee > p.Tariff.Retail) {
			t.Fatalf("price %d is not between %d and what %d leaves", s.LocalPrice, p.Tariff.FeedIn, p.Tariff.Retail)
		}
	})
}

// TestOrderOfMembers shuffles what is given: I8 and I9.
func TestOrderOfMembers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPool(t, 40, 5)
		want := settle(t, p).AppendJSON(nil)
		shuffled := *p
		shuffled.Members = rapid.Permutation(p.Members).Draw(t, "members")
		if got := settle(t, &shuffled).AppendJSON(nil); !bytes.Equal(got, want) {
			t.Fatalf("got  %swant %s", got, want)
		}
	})
}

// TestNobodyIsWorseOff runs whole intervals, auction and pool, and compares what each
// member gets with the supplier alone: I5.
func TestNobodyIsWorseOff(t *testing.T) {
	seen := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		p := drawPool(t, 9, 40)
		a := drawAuction(t, 30, 20)
		a.Rule, a.Fee = market.Uniform, 0
		if _, fee, _, err := p.Tariff.Mid(); err == nil && fee <= market.MaxFee {
			a.Fee = fee
		}
		c := clear(t, a)
		p.AuctionPrice = nil
		if c.Open.Volume > 0 {
			p.AuctionPrice = &c.Open.Price
		}
		legs := map[string]unit.Money{}
		worst := map[string]bool{} // members with a trade worse than their tariff
		sold, bought := map[string]unit.Energy{}, map[string]unit.Energy{}
		own := map[string][2]unit.Price{}
		for _, m := range p.Members {
			tariff := [2]unit.Price{p.Tariff.FeedIn, p.Tariff.Retail}
			if m.FeedIn != nil {
				tariff[0] = *m.FeedIn
			}
			if m.Retail != nil {
				tariff[1] = *m.Retail
			}
			own[m.Member] = tariff
		}
		trades, err := c.Trades()
		if err != nil {
			t.Fatal(err)
		}
		for _, tr := range trades {
			buyer, seller := a.Bids[tr.Bid].Member, a.Offers[tr.Offer].Member
			worst[seller] = worst[seller] || tr.Price < own[seller][0]
			worst[buyer] = worst[buyer] || tr.Price+a.Fee > own[buyer][1]
			sold[seller] += tr.Quantity
			bought[buyer] += tr.Quantity
			legs[seller] += unit.Money(int64(tr.Price) * int64(tr.Quantity))
			legs[buyer] -= unit.Money(int64(tr.Price+a.Fee) * int64(tr.Quantity))
		}
		for i := range p.Members {
			m := &p.Members[i]
			m.Sold, m.Bought = sold[m.Member], bought[m.Member]
			if rapid.Bool().Draw(t, "keeps its word") {
				extra := unit.Energy(rapid.Int64Range(0, 9).Draw(t, "and more"))
				m.Quality, m.Import, m.Export = market.Measured, m.Bought, m.Sold
				if m.Bought > m.Sold {
					m.Import += extra
				} else {
					m.Export += extra
				}
			}
		}
		s := settle(t, p)
		for i, m := range p.Members {
			r, tariff := s.Members[i], own[m.Member]
			switch {
			case r.Deviation > 0:
				seen["deviates"]++
			case worst[m.Member]:
				seen["traded worse than its tariff"]++
			case m.MinSell != nil && *m.MinSell < tariff[0], m.MaxBuy != nil && *m.MaxBuy > tariff[1]:
				seen["limit looser than its tariff"]++
			case m.Sold > 0 && m.Bought > 0, tariff[0] > tariff[1]:
				// Both sides of one interval, or a supplier who pays more than it charges:
				// the page's promise speaks of neither.
				seen["not spoken of"]++
			case r.Amount+legs[m.Member] < r.Counterfactual:
				t.Fatalf("%+v\n%+v\n%+v: legs %d, deviation %d, amount %d < %d", p.Tariff, m, r, legs[m.Member], r.Deviation, r.Amount, r.Counterfactual)
			case r.Sold+r.Bought > 0 && m.Sold+m.Bought > 0:
				seen["both markets"]++
			case r.Sold+r.Bought > 0:
				seen["pool"]++
			default:
				seen["the rest"]++
			}
		}
	})
	for _, kind := range []string{"both markets", "pool", "deviates", "the rest"} {
		if seen[kind] == 0 {
			t.Errorf("no drawn member was of the kind %q: %v", kind, seen)
		}
	}
}

// TestUnaccounted bridges a meter: the feeder still sees what it no longer does.
func TestUnaccounted(t *testing.T) {
	p := &market.Pool{Rule: market.MidMarket, Members: []market.Meter{
		{Member: "anna", Import: 900}, {Member: "cleo", Export: 200}, {Member: "eva", Quality: market.Estimated, Export: 100}, {Member: "fred", Quality: market.Missing}}}
	s, err := market.Settle(p)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ feeder, losses, want unit.Energy }{{600, 0, 0}, {612, 12, 0}, {700, 12, 88}, {0, 0, -600}} {
		if got, err := s.Unaccounted(test.feeder, test.losses); got != test.want || err != nil {
			t.Errorf("feeder %d, losses %d: got %d, %v, want %d", test.feeder, test.losses, got, err, test.want)
		}
	}
}

func TestReadings(t *testing.T) {
	for _, test := range []struct {
		quality            market.Quality
		imported, exported unit.Energy
		net, unproven      unit.Energy
	}{
		{market.Measured, 3, 10, 7, 0},
		{market.Measured, 10, 3, -7, 0},
		{market.Estimated, 3, 10, 0, 7},
		{market.Estimated, 10, 3, -7, 0},
		{market.Missing, 0, 0, 0, 0},
	} {
		if net, unproven := market.Net(test.quality, test.imported, test.exported); net != test.net || unproven != test.unproven {
			t.Errorf("%+v: got %d and %d", test, net, unproven)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		total, n := unit.Energy(rapid.Int64Range(0, 1<<60).Draw(t, "total")), rapid.Int64Range(1, 100).Draw(t, "n")
		var sum unit.Energy
		for i := range n {
			part := market.Spread(total, n, i)
			if sum += part; i > 0 && part > market.Spread(total, n, i-1) {
				t.Fatalf("interval %d of %d gets more of %d than the one before", i, n, total)
			}
		}
		if sum != total {
			t.Fatalf("%d Wh over %d intervals come to %d", total, n, sum)
		}
	})
	if e, err := market.Measure(5, 5+2*unit.MaxQuantity, 2); e != 2*unit.MaxQuantity || err != nil {
		t.Errorf("got %d, %v", e, err)
	}
	if _, err := market.Measure(5, 4, 1); !errors.Is(err, market.ErrFell) {
		t.Errorf("a register that fell: got %v", err)
	}
	for _, bad := range [][3]int64{{0, 1 << 62, 1}, {0, 1, 0}, {0, 1, -1}, {0, 1, 1 << 62}, {-1, 1, 1}} {
		if e, err := market.Measure(unit.Energy(bad[0]), unit.Energy(bad[1]), bad[2]); err == nil {
			t.Errorf("%v: got %d", bad, e)
		}
	}
}
