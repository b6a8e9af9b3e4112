// Package finality turns the blocks of one oracle into blocks of the ledger: it
// signs the checkpoint of each block that this oracle has made durable, counts
// the other oracles' signatures, and says when a checkpoint satisfies the
// policy.
//
// A vote carries three signatures over one checkpoint: as the log, as a
// cosigner, and for receipts. An oracle votes once a height. The promise is made
// durable by the block's commit record (ledger/store) before [Tally.Cast] is
// called; casting again for the same checkpoint is harmless, for another one at
// that height it is refused.
//
// Votes that contradict others count for nothing and are told once, as evidence
// (see [Conflict]). What liars can make a Tally keep is bounded.
//
// The package does no networking: the oracle hands in votes as bytes and sends
// out what it is given.
package finality
