package market_test

import (
	"fmt"

	"wattmark/ledger/market"
)

// Two neighbours and the supplier: who has too much sells to who has too little,
// halfway between the supplier's prices.
func ExampleSettle() {
	s, err := market.Settle(&market.Pool{
		Rule:   market.MidMarket,
		Tariff: market.Tariff{FeedIn: 50_000, Retail: 250_000, Fee: 20_000},
		Members: []market.Meter{
			{Member: "anna", Import: 1200},
			{Member: "cleo", Export: 1500},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("price", s.LocalPrice, "for", s.Local, "kWh")
	fmt.Println("anna", s.Members[0].Amount, "instead of", s.Members[0].Counterfactual)
	fmt.Println("cleo", s.Members[1].Amount, "instead of", s.Members[1].Counterfactual)
	// Output:
	// price 0.140000 for 1.200 kWh
	// anna -0.192000000 instead of -0.300000000
	// cleo 0.183000000 instead of 0.075000000
}

// One offer for two bids of the same price: the level is shared.
func ExampleClear() {
	a := &market.Auction{
		Rule: market.Uniform,
		Bids: []market.Bid{
			{ID: "b1", Member: "anna", Price: 200_000, Quantity: 300},
			{ID: "b2", Member: "ben", Price: 200_000, Quantity: 100},
		},
		Offers: []market.Offer{{ID: "o1", Member: "eva", Price: 100_000, Quantity: 200}},
	}
	if err := a.Check(); err != nil {
		fmt.Println(err)
		return
	}
	c, err := market.Clear(a)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("price", c.Open.Price)
	fmt.Println("anna", c.Bids[0].Quantity, "ben", c.Bids[1].Quantity)
	// Output:
	// price 0.200000
	// anna 0.150 ben 0.050
}
