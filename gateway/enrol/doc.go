// Package enrol is the ceremony by which a gateway comes onto a ledger, and by
// which its key is replaced.
//
// The gateway's new key signs a request that says who it is and what it measures
// ([NewRequest]); where it replaces another key, that one signs around it
// ([NewRotation]). The request goes to an operator as a file, or as the picture of
// [QR]; both sides see the same eight [Words] of the key. What comes back is an
// [Approval]: the oracle's statement that admits the key, proven to be on the
// ledger under the policy of those who keep it. [Accept] verifies all of it, and
// [Save] keeps it in the state directory, whole or not at all, in a form that
// [Load] verifies again at each start.
//
// # The text form
//
// Where a request travels as text it is "WM1:" and the base32 (RFC 4648, upper
// case, no padding) of the request's statement, compressed by raw DEFLATE (RFC
// 1951) with the preset dictionary of dictionary.bin, which belongs to the version
// in the prefix and is never changed. All its characters are in the alphanumeric set
// of QR codes (ISO/IEC 18004 section 7.4.4), which then hold 5.5 bits each, and are
// plain letters for a camera's app, a messenger or a shell.
//
// # The words
//
// The eight words are those of the key's id, as package signer/words says it.
//
// # The oracles after them
//
// Where the ledger's oracles changed, what led from the policy of the configuration to
// those in force lies in the state directory too ([SaveOracles]), and is verified from
// there at each start ([LoadOracles]). An approval brings the same handovers, from the
// charter's oracles on, so that a gateway is enrolled, or its key replaced, by whoever is
// in force: the policy that it trusts must be on the way.
//
// # The client certificate
//
// That with which a gateway reaches the broker comes with the approval, and another before
// its end, for the same key and without anybody's doing: see [Client].
//
// # What approves
//
// An approval proves that the ledger took the key. That its readings are taken too
// is proven by the first receipt, and by nothing before. An approval comes under the
// policy that the configuration names, or one that follows from it; where it
// names none, the technician compares the words of the policy with the operator
// ([PolicyWords]), as with the key. Its bytes are in FORMAT.md, with vectors.
package enrol
