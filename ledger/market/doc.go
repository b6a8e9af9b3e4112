// Package market is the local energy market of a community, as pure rules: who sold
// how much to whom at which price, and what each member pays for an interval.
//
// It promises, for every interval of a zone,
//
//   - [Clear]: a call auction over the orders placed before the gate, green energy
//     first, at one price or, where the community wants that, at each buyer's limit;
//   - [Settle]: what meters say, shared among the members at a price between the
//     supplier's two, so that who does nothing is never worse off than without;
//   - [Book] and [Standing]: which orders and limits may stand, and why another not,
//     and by [Calendar] until when;
//   - [Settlement.Correct] and [Difference]: what a late reading changes;
//   - [Certify]: whose green energy backs whose claim;
//   - [CheckLine]: one member's part again, without anybody else's energy;
//   - [Bill]: the lines of a period, rounded once, with the rest carried on.
//
// Every result is computed whole and checked against the invariants before it is
// returned ([ErrBroken] means a fault of this package, and the ledger must stop).
// The order of orders and members never matters. Energy is whole Wh, money exact
// n¤: nothing is rounded but an invoice, nothing is lost
// and nothing invented.
//
// A fault in what was given is a [*Fault], which names the field. [ParseAuction] and
// [ParsePool] read the JSON files of "wattmark market clear" and "settle", and
// AppendJSON writes their results: one text for one result, to the byte.
//
// DESIGN.md says how the rules are computed, and how they live in ledger/state.
// Moving the money is left to ledger/account, proof to ledger/block, and what the
// statement of an order looks like to ledger/entry.
package market
