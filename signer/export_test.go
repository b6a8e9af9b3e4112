package signer

import "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

// OddPublicKey makes an Ed25519 key that NewPublicKey may refuse.
func OddPublicKey(raw []byte) (PublicKey, error) { return newPublicKey(EdDSA, raw) }

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
