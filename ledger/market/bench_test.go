package market_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// randomAuction is n orders, half of them bids, at random prices that hardly tie.
func randomAuction(n int) *market.Auction {
	r := rand.New(rand.NewPCG(1, 2))
	a := &market.Auction{Rule: market.Uniform, Fee: 20_000}
	price := func() unit.Price { return unit.Price(r.Int64N(400_000_000)) }
	quantity := func() unit.Energy { return unit.Energy(1 + r.Int64N(5000)) }
	for i := range n / 2 {
		a.Bids = append(a.Bids, market.Bid{ID: fmt.Sprint("b", i), Member: fmt.Sprint("m", i%1000), Price: price(), Quantity: quantity()})
		a.Offers = append(a.Offers, market.Offer{ID: fmt.Sprint("o", i), Member: fmt.Sprint("n", i%1000), Price: price(), Quantity: quantity()})
	}
	return a
}

var sizes = []int{1_000, 100_000, 1_000_000}

func BenchmarkClear(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := randomAuction(n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := market.Clear(a); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSortOnly is what Clear is held against: the same orders, bids and offers
// each, sorted by price and nothing else.
func BenchmarkSortOnly(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := randomAuction(n)
			bids, offers := slices.Clone(a.Bids), slices.Clone(a.Offers)
			b.ReportAllocs()
			for b.Loop() {
				copy(bids, a.Bids)
				copy(offers, a.Offers)
				slices.SortFunc(bids, func(x, y market.Bid) int { return cmp.Compare(y.Price, x.Price) })
				slices.SortFunc(offers, func(x, y market.Offer) int { return cmp.Compare(x.Price, y.Price) })
			}
		})
	}
}

// BenchmarkSortPrices is the least that sorting can come to: prices and places.
func BenchmarkSortPrices(b *testing.B) {
	type priced struct {
		price unit.Price
		index int32
	}
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := randomAuction(n)
			orders := make([]priced, n)
			for b.Loop() {
				for i := range a.Bids {
					orders[i] = priced{a.Bids[i].Price, int32(i)}
					orders[n/2+i] = priced{a.Offers[i].Price, int32(i)}
				}
				slices.SortFunc(orders, func(x, y priced) int { return cmp.Compare(x.price, y.price) })
			}
		})
	}
}

func BenchmarkTrades(b *testing.B) {
	a := randomAuction(100_000)
	for b.Loop() {
		c, err := market.Clear(a)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := c.Trades(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSettle(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	p := &market.Pool{Rule: market.MidMarket, Tariff: market.Tariff{FeedIn: 50_000, Retail: 250_000, Fee: 20_000, Loss: 40_000}}
	for i := range 100 {
		p.Members = append(p.Members, market.Meter{Member: fmt.Sprint("m", i), Import: unit.Energy(r.Int64N(900)), Export: unit.Energy(r.Int64N(900))})
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := market.Settle(p); err != nil {
			b.Fatal(err)
		}
	}
}
