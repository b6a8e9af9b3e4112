package carbon_test

import (
	"math/big"
	"testing"

	"wattmark/ledger/carbon"
)

// BenchmarkHour is one channel-hour: rate, mass, CO2e and the inventory's line.
func BenchmarkHour(b *testing.B) {
	b.ReportAllocs()
	var line carbon.Line
	whole := big.NewRat(1, 1)
	for i := range int64(b.N) {
		rate, err := carbon.Stack{
			Equation: "F-2/CO2", Places: -1,
			In: []*big.Rat{big.NewRat(80+i%60, 10), big.NewRat(10_000_000+i%50_000_000, 1), big.NewRat(50+i%100, 10)},
		}.Rate()
		if err != nil {
			b.Fatal(err)
		}
		mass, err := rate.Mass(whole)
		if err != nil {
			b.Fatal(err)
		}
		if err := line.Add(carbon.AR5, carbon.Measured, mass); err != nil {
			b.Fatal(err)
		}
	}
}
