// Package block defines how entries become a ledger that nobody can change
// alone: the Merkle tree over its leaves, the headers that close blocks, the
// checkpoints that oracles cosign, and the proofs that a verifier holds.
// FORMAT.md beside this file is the normative text, with vectors in testdata.
//
// A ledger is one RFC 6962 Merkle log. A block is a contiguous range of its
// leaves, closed by a [Header] leaf that names the header before it and the
// root of everything below it. After each header comes a C2SP checkpoint,
// signed by oracles as logs and cosigned by them as witnesses; a block is final
// when its checkpoint satisfies the verifier's own [Policy].
//
// Formats followed: RFC 9162 section 2.1 (tree and proofs), C2SP signed-note,
// tlog-checkpoint, tlog-cosignature, tlog-policy and tlog-proof, and RFC 9942
// (COSE Receipts) for what goes into a transparent statement.
//
// The package is pure: keys, times and bytes are passed in.
package block
