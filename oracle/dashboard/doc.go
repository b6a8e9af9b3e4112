// Package dashboard is the pages of an oracle: what people see of a ledger and of
// the street that feeds it.
//
//   - / is now: one sentence, figures, the power of the last minutes, what just
//     happened, homes, blocks, receipts, refusals, oracles;
//   - /member is a member's own home, and /member/statements the months of it, for
//     who has signed in; /market and /market/{zone}/{start} are what is published
//     of the market, /carbon of the carbon accounts, by the functions behind the
//     JSON of package api;
//   - /ledger, /ledger/block/{h} and /ledger/leaf/{i} show what is written, in
//     words and in bytes;
//   - /gateways is the operator's: gateways, refusals, the feeder's balance;
//   - /events is the stream (WHATWG HTML, section 9.2, server-sent events) that
//     keeps a page fresh, and /power.csv the chart's figures.
//
// Every page is complete as HTML. The script only keeps it fresh: it writes values
// into elements that carry a data-live name, and rows that the page's own template
// made; where an event says only that something has changed it fetches the page
// again, and takes the elements with a data-part from it. Nothing is asked of another
// host, and the content security policy forbids it. Pages are in English or German, as
// the browser asks or the visitor has chosen (package locale).
//
// The package knows neither street nor node. What stands still between two looks
// is asked for through [Source]; what happens is told by [Dashboard.Block],
// [Dashboard.Final], [Dashboard.Receipt] and [Dashboard.Notice], which return at
// once. It shows what it is told and verifies nothing, so it never says verified
// of anything itself.
//
// Pages and stream are in the language of who reads (package locale): the one that was
// chosen below each page, or the one that the browser asks for.
//
// What is of one home stands on /member alone, which asks who is there. Only the
// street's page names homes: it is for a demonstration, whose homes are made up.
// What changes something is a form of these pages themselves, which the server
// checks, and no page changes a ledger: that takes a signed entry.
package dashboard
