// Package entry defines everything that may be written to a ledger: the claims
// and payloads of signed statements, the outcomes that rules make of them, and
// the charter that a ledger starts with. FORMAT.md beside this file is the
// normative text, with vectors in testdata.
//
// An entry is bytes before it is anything else. This package turns bytes into
// Go values and back, exactly, and checks what can be checked of one entry by
// itself: sizes, types, ranges, one encoding. Whether a key is known, a number
// was used before or a register fell is for the rules (ledger/state).
//
// Everything is deterministic CBOR (RFC 8949 section 4.2.1). Measurements are
// SenML (RFC 8428) with integers and decimal fractions, never floats.
//
// The package is pure: no clock, files, randomness or floats.
package entry
