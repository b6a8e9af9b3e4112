// Package tpm keeps a P-256 key in a TPM 2.0: the key is made inside, cannot leave
// it, and signs there. It is pure Go over the kernel's resource manager
// ([Device]).
//
// What the state directory holds is a TPM key file, mode 0600: the public part and
// the private part encrypted by the TPM, in the ASN.1 form that OpenSSL's TPM
// providers also read (draft-bottomley-tpm2-keys-00, PEM "TSS2 PRIVATE KEY",
// OID 2.23.133.10.1.3). A copy is of no use without the chip it was made in. The
// parent is the storage primary of the owner hierarchy by template H-2 of the TCG EK
// Credential Profile 2.5 (section B.4.5), which the TPM derives anew each time;
// so nothing is kept in the chip's small, wearing memory, and no persistent
// handle can clash with another program's. The owner hierarchy must have no
// password, and clearing the TPM ends the key.
//
// The template asks for ECDSA with SHA-256 over P-256 and the attributes fixedTPM,
// fixedParent and sensitiveDataOrigin (TPM 2.0 Library Part 1, section 25): made by
// this chip, and never to be duplicated. Open refuses a key without them.
//
// A TPM is busy at times (TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING and the
// other warnings of TPM 2.0 Library Part 2, section 6.6.3, that say to try again),
// and it forgets its loaded keys when it is reset. Both are met with a bounded
// number of tries, of about a second in all: then Sign returns an error, and its
// caller decides how long to wait. A key is only ever loaded again from the same
// file, and every signature is verified before it is returned, so that no other key
// and no damaged answer can come out.
package tpm
