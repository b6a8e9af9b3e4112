// Package ledger is the front door: one oracle's ledger as a whole, its rules
// and its store kept in step.
//
// [Create] founds a ledger from a charter, [Open] opens one and brings the state
// up to the last durable block, [Ledger.Append] executes a block and makes it
// durable, [Ledger.View] looks at the state between two blocks, and [Prove]
// makes an evidence file for any leaf. DESIGN.md says what is durable when.
//
// What is opened is re-executed where the index is behind the leaves, through
// the very code an auditor uses (ledger/audit), so that an oracle never goes on
// from a state that its own leaves do not give.
package ledger
