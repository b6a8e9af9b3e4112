package ledger

import "wattmark/ledger/store"

// PackOf returns the preimage of a committed pack from a vault, or nil where the
// vault has none: it never had it, or it was forgotten.
func PackOf(v *store.Vault, digest []byte) []byte {
	if len(digest) != 32 {
		return nil
	}
	p, err := v.Get([32]byte(digest))
	if err != nil {
		return nil
	}
	return p
}

// Pack returns the preimage of a committed pack from the ledger's own vault, or
// nil.
func (l *Ledger) Pack(digest []byte) []byte { return PackOf(l.vault, digest) }
