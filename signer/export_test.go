package signer

// OddPublicKey makes an Ed25519 key that NewPublicKey may refuse.
func OddPublicKey(raw []byte) (PublicKey, error) { return newPublicKey(EdDSA, raw) }

// VerifyBatchRaw verifies a raw Ed25519 signature the way VerifyBatch does, n
// times in one batch.
func (v *Verifier) VerifyBatchRaw(n int, key PublicKey, message, sig []byte) bool {
	b := newBatch()
	for range n {
		if v.add(b, key, sig, func(to []byte) []byte { return append(to, message...) }) != nil {
			return false
		}
	}
	return b.holds()
}
