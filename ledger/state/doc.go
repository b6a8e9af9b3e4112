// Package state is what a ledger means: a deterministic machine that takes the
// statements of one block after another and makes outcomes of them. Every
// oracle runs it and so does every auditor; the same blocks give the same
// bytes, on every machine.
//
// The machine is pure: no clock, randomness, files, network, logging,
// goroutines, floats or map order. Time enters as the oracles' signed clocks.
// It takes statements as signer.Opened alone, which nothing but a successful
// verification makes. What a proven enrolment carries inside, ledger/request opens.
//
// [State.Execute] applies a block that is being made; [State.Replay] applies
// one that exists and compares what it finds with what the machine makes. What
// a block changed comes out as key-value pairs for a store, and [Load] makes
// the machine from them again.
//
// The rules of the market, of carbon and of contracts will be called from
// here, each in its own package.
package state
