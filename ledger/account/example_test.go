package account_test

import (
	"fmt"

	"wattmark/ledger/account"
)

// Anna buys 500 Wh from Eva: the money and the certificate change hands together,
// or not at all.
func Example() {
	issue := account.Asset{Class: account.Certificate, Name: "pv-eva:2026-06-01T10:00:00Z"}
	money := account.Asset{Class: account.Money, Name: "EUR"}
	annaPays := account.ID{Asset: money, Kind: account.Running, Owner: "member:anna"}
	evaEarns := account.ID{Asset: money, Kind: account.Running, Owner: "member:eva"}
	annaHolds := account.ID{Asset: issue, Kind: account.Holding, Owner: "member:anna"}
	evaHolds := account.ID{Asset: issue, Kind: account.Holding, Owner: "member:eva"}

	trade := []account.Leg{{annaPays, -70_000_000}, {evaEarns, 70_000_000}, {evaHolds, -500}, {annaHolds, 500}}

	var book account.Book
	fmt.Println(book.Post(trade...)) // nothing has been issued yet
	if err := book.Transfer(account.ID{Asset: issue, Kind: account.Issuance, Owner: "pv-eva"}, evaHolds, 500); err != nil {
		fmt.Println(err)
	}
	fmt.Println(book.Post(trade...))
	for id, balance := range book.All() {
		fmt.Println(id, balance)
	}
	// Output:
	// account: certificate/pv-eva:2026-06-01T10:00:00Z/holding/member:eva would be at -500: balance not allowed
	// <nil>
	// money/EUR/running/member:anna -70000000
	// money/EUR/running/member:eva 70000000
	// certificate/pv-eva:2026-06-01T10:00:00Z/issuance/pv-eva -500
	// certificate/pv-eva:2026-06-01T10:00:00Z/holding/member:anna 500
}
