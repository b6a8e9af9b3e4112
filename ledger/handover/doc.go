// Package handover follows the oracles of a ledger from one set to the next.
//
// Whoever trusts the oracles of one time, by a policy, accepts those of a later one from
// them alone: a [Handover] is the checkpoint of the last block of a set, final by that
// set, and under it what names the next one and who agreed to it. [Span.Next] is the one
// step, and [Follow] makes a row of them. A verifier makes it from a file or from an
// oracle's tiles (package ledger/audit), and a gateway from what oracles send it (package
// gateway/uplink): both by the same code, which is pure and keeps nothing.
//
// The bytes are in FORMAT.md, with vectors.
package handover
