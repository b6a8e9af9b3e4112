package signer

import "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

// VerifyBatchRaw verifies a raw Ed25519 signature the way VerifyBatch does, n
// times in one batch.
func (v *Verifier) VerifyBatchRaw(n int, key PublicKey, message, sig []byte) bool {
	batch := ed25519.NewBatchVerifier()
	for range n {
		if v.add(batch, key, message, sig) != nil {
			return false
		}
	}
	return batch.VerifyBatchOnly(nil)
}
