// Package account keeps balances by double entry. It is the only thing in the
// ledger that can move value: money, energy, certificates and carbon units all go
// from account to account by [Book.Post], and by nothing else.
//
// A posting is a set of legs, each an amount on one account. It is refused whole,
// and changes nothing, unless
//
//   - its legs add up to zero for each asset by itself,
//   - no balance leaves int64 ([unit.ErrOverflow]),
//   - no account falls below zero, rises above it, or gives back what it may not:
//     what a [Kind] allows is one table in kind.go.
//
// Value therefore enters and leaves only through accounts that may be negative: an
// issuance account owes what was issued, a running account what its owner owes.
// The sum over all accounts of an asset is zero after every posting, and
// [Book.Check] recomputes that from the balances alone.
//
// An account is named by an [ID]: asset, kind and owner. It needs no opening: an
// account that nobody has posted to has balance zero, and one whose balance is zero
// is not kept. Balances leave as pairs of bytes in order of their keys, those that
// changed ([Book.Changes]) or all ([Book.Export]), and come back by [Book.Load].
//
//	key    class (1 byte) asset name 0x00 kind (1 byte) owner
//	value  balance, 8 bytes, two's complement, big-endian, never zero
//
// Nothing depends on the order of legs, of postings that do not touch the same
// account, or of a map: the same postings give the same bytes everywhere. The
// package is pure, like all rules. Who may post what, and why, is for the market,
// carbon and contract rules to decide.
package account
