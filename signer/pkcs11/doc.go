// Package pkcs11 keeps a P-256 key in a token behind a PKCS #11 module (OASIS PKCS
// #11 v2.40): a smart card, a USB token or an HSM. The key is made in the token,
// marked sensitive and not extractable, and signs there.
//
// A module is a C library, so the package does something only where the build tag
// pkcs11 is set and cgo is on; without it Create and Open say so. Our packages for
// gateways are built without.
//
// A key is found by its label, and has to be the only one of that label. When the
// token is pulled, Sign returns an error; when one is back, its key is looked for
// again and has to be the very same. No other key ever signs. Ed25519 is not
// offered, as crypto11 v1.2.5 knows ECDSA, RSA and DSA alone.
package pkcs11
