// Package ingest takes gateways' frames and makes bundles of verified statements
// for the order, or refusals with a reason.
//
// Frames that arrive while a batch is being worked on make up the next batch, which
// begins 20 ms after the one before, or at once where 256 wait: a frame that comes
// alone waits for nobody. A batch goes through: form, known key of that gateway,
// signature (all at once, on every core), the rules' own judgement
// (state.Judge), and packs made durable; then it is submitted in bundles of up
// to 512 statements. A statement that is on its way already is dropped, one that
// is on the ledger already is answered with its receipt.
//
// The queue and what is on its way have bounds in number and in bytes. What goes
// beyond is dropped and counted: the gateway keeps it, and sends it again.
//
// What ingest says counts for nothing: every oracle verifies again what it
// takes from the order, except what it has just verified itself, which it finds
// here by leaf hash.
package ingest
