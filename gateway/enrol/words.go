package enrol

import (
	"crypto/sha256"

	"wattmark/ledger/block"
	"wattmark/signer"
	"wattmark/signer/words"
)

// Words returns the eight words of a key, which people compare.
func Words(id signer.KeyID) []string { return words.Of(id[:]) }

// PolicyWords returns the eight words of a ledger's policy: of the SHA-256 of its
// text.
func PolicyWords(p *block.Policy) []string {
	sum := sha256.Sum256([]byte(p.String()))
	return words.Of(sum[:])
}
