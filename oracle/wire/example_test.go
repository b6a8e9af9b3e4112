package wire_test

import (
	"fmt"
	"testing"

	"wattmark/ledger/entry"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// A gateway sends a statement in a frame, and forgets it when a receipt for it
// verifies under its own policy.
func ExampleReceipts_Accept() {
	a, sent := answer(someTest{})
	policy, statement := a.Policy, a.statements[0]
	fmt.Println(wire.For("wattmark.example/street").Up("home-1"))
	frame := wire.Frame{Statement: statement}.Encode()
	fmt.Println(len(frame)-len(statement), "bytes more than the statement")

	receipts, err := wire.ParseReceipts(sent.Encode()) // as it came from the broker
	if err != nil {
		fmt.Println(err)
		return
	}
	accepted, err := receipts.Accept(policy)
	if err != nil {
		fmt.Println(err) // keep the statement
		return
	}
	for i := range receipts.Items {
		it := &receipts.Items[i]
		if it.Boot == 1 && it.Count == 1 { // the statement's sequence number
			fmt.Println("receipt for leaf", it.Index, "verifies:", accepted.Check(it, statement) == nil)
		}
	}
	// Output:
	// wattmark.v1.c64012107812d5e0.up.home-1
	// 5 bytes more than the statement
	// receipt for leaf 12 verifies: true
}

func ExampleOpenRefusal() {
	oracle, err := signer.FromSeed(signer.EdDSA, [32]byte{1}) // a real oracle has its key from a file
	if err != nil {
		panic(err)
	}
	r := wire.Refusal{Boot: 1, Count: 7, Reason: entry.ReasonFuture}
	message, err := r.Sign(oracle, "urn:wattmark:oracle:one", "wattmark.example/street", 1_767_225_600)
	if err != nil {
		panic(err)
	}

	known := map[signer.KeyID]signer.PublicKey{oracle.Public().ID(): oracle.Public()}
	got, err := wire.OpenRefusal(message, "wattmark.example/street", func(id signer.KeyID) (signer.PublicKey, bool) {
		k, ok := known[id]
		return k, ok
	})
	if err != nil {
		panic(err)
	}
	fmt.Printf("statement %d-%d: %s: %s\n", got.Boot, got.Count, got.Reason, got.Reason.Remedy())
	// Output:
	// statement 1-7: future: the gateway's clock is ahead: set its time
}

// someTest stands for a test where examples draw a ledger.
type someTest struct{ testing.TB }

func (someTest) Helper()                           {}
func (someTest) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (someTest) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
