// Package store is what one oracle keeps of a ledger on disk: leaves in flat
// append-only segments, the Merkle tree's hashes beside them, sorted once more
// for who looks for a leaf by its hash, a small index of state and sequence
// numbers, the newest signed checkpoint, the erasable vault, and the static tiles
// that anyone may read. DESIGN.md has the layout, the recovery rules and the
// reasons.
//
// What it promises:
//
//   - A block is there completely or not at all, and it is durable when
//     [Store.Append] returns. Its commit record is at the same time the oracle's
//     durable promise to sign no other checkpoint at that height: nothing may be
//     signed before Append returned, and Append takes each height once.
//   - Everything but segments, checkpoint and vault is derived from them, is
//     written without an fsync a block, and is made good on [Open].
//   - A torn write, which only ever is the end of an unfinished block, is cut off
//     on Open and reported. Anything else that is wrong stops Open with a
//     [Fault] that names file, offset and what to do; nothing is mended by
//     guessing.
//   - Readers see committed blocks only. One goroutine appends, any number read.
//
// What it leaves to others: the meaning of leaves (headers apart, which must
// chain), signatures, the meaning of the state's keys and values, and time: it
// has no clock. The tree is that of RFC 9162 section 2.1, its nodes are stored in the
// order of golang.org/x/mod/sumdb/tlog, tiles are C2SP tlog-tiles.
package store
