// Package update is a gateway's only door for new firmware. An update is taken if a
// release key that the gateway holds has signed it and it stands on the ledger
// (package manifest), if it fits this machine, and if it is newer than what runs; then
// its root is written into the idle slot, read back, tried by one start, and kept if the
// gateway proves to work: its key loads, its outbox opens, the parts that it read before
// it reads again, and a receipt arrives. Otherwise the next start is in the old root.
//
// [Agent] is the steps, without a clock or a network of their own, and [Runner] makes
// them in time. Between any two writes the power may go: what the agent has begun stands
// in its journal before it is done, and [Agent.Resume] settles from the journal and the
// boot files what the start it is in came to (DESIGN.md).
//
// The agent works without a gateway that runs: it needs the disk, the journal, and what
// it trusts.
package update
