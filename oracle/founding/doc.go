// Package founding is the ceremony by which several members found a ledger, none of
// whom sees another's keys.
//
// Each member makes its own keys and signs a [Request] with their public halves: to be
// an oracle of the ledger with a certain origin. One of them assembles a [Proposal] of
// all requests: the charter, and the certificates with which the oracles reach the
// broker. Every member checks it against its own request, compares eight words of the
// charter's hash with the others, and signs an [Acceptance]. An oracle runs on no other
// charter than the one it has accepted.
//
// What a member is sure of afterwards: its own keys are in the charter, each other
// member's request was signed with all three of that member's keys, and whoever read out
// the same words has the same charter, to the byte. Who that is, the words alone do not
// say: that is what a voice is for.
//
// FORMAT.md has the bytes, with vectors. The package knows no files, clock or network.
package founding
