package unit_test

import (
	"fmt"

	"wattmark/ledger/unit"
)

// A neighbour buys 1044 Wh at 0.16 per kWh. The amount is exact; only the invoice
// rounds, and what rounding leaves is carried to the next one.
func Example() {
	price, err := unit.ParsePrice("0.16")
	if err != nil {
		fmt.Println(err)
		return
	}
	cost, err := unit.MulPrice(price, 1044)
	if err != nil {
		fmt.Println(err)
		return
	}
	cents, rest := cost.Cents()
	fmt.Println(cost, "is", cents, "and", rest, "carried on")
	// Output: 0.167040000 is 0.17 and -0.002960000 carried on
}

// Three deficits share 2000 Wh of surplus in proportion, and not a Wh is lost.
func ExampleLargestRemainder() {
	deficits := []unit.Energy{1200, 900, 199}
	members := []string{"anna", "ben", "fred"}
	parts, err := unit.LargestRemainder(unit.Energy(2000), deficits, func(i int) unit.Key {
		return unit.TieKey([32]byte{}, members[i])
	})
	fmt.Println(parts, err)
	// Output: [1.044 0.783 0.173] <nil>
}
