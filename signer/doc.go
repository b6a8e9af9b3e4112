// Package signer holds keys and the one signature format of Wattmark: a
// tagged COSE_Sign1 (RFC 9052 section 4.2) in deterministic CBOR (RFC 8949
// section 4.2.1) over bytes that this package does not interpret.
//
// It promises three things. A signature is made over exactly the bytes given.
// [Parse] accepts one encoding of a message and no other: definite lengths,
// shortest integers, sorted labels, the labels of [Header] and none besides, an
// empty unprotected header. And a value of type [Opened] exists only for a
// message whose signature verified under the key it names, so that code which
// takes an Opened cannot be handed an unverified statement.
//
// Two algorithms are known. Ed25519 is verified by ZIP-215 wherever it is
// verified, singly or in a batch: a mixture of cofactored and cofactorless
// checks would let one crafted signature split honest verifiers. ES256 is
// ECDSA with P-256 and SHA-256; a signature with a high S is refused, as it
// would be a second encoding of the same one (RFC 9053 section 2.1).
//
// A key is registered with one algorithm and nothing else is accepted for it.
// Its [KeyID], the COSE kid, is the first 16 bytes of the SHA-256 of its
// SubjectPublicKeyInfo (RFC 5280 section 4.1): enough that nobody finds two
// keys with one id on purpose, short enough to stand in every statement.
//
// What a statement means, whose key it is and when it was valid are other
// packages' business; where private keys live is the business of the packages
// below this one (keyfile).
package signer
