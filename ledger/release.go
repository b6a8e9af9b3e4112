package ledger

import (
	"bytes"
	"errors"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Released is a release of firmware as it stands on the ledger.
type Released struct {
	Leaf     uint64
	Release  entry.Release
	Manifest []byte
	By       signer.KeyID // the oracle that put it there
}

var releaseType = []byte(entry.TypeRelease)

// Releases calls fn with every release among the first size leaves, in their order,
// until fn returns false.
func Releases(src Source, size uint64, fn func(Released) bool) error {
	err := src.Leaves(0, size, func(i uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafStatement || !bytes.Contains(leaf, releaseType) {
			return nil
		}
		m, err := signer.Parse(leaf)
		if err != nil || m.Type != entry.TypeRelease {
			return nil
		}
		r, err := audit.ReadRelease(m)
		if err != nil {
			return nil
		}
		l, _, err := entry.ParseLoggedRelease(m.Payload)
		if err != nil {
			return nil
		}
		if !fn(Released{i, *r, l.Manifest, m.KeyID}) {
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return nil
	}
	return err
}

// firmware finds the release that a statement names by the digest of what it ran from.
func firmware(src Source, size uint64, m *signer.Message, want map[uint64]bool) error {
	c, err := entry.ParseClaims(m.Claims)
	if err != nil || len(c.Firmware) == 0 {
		return nil
	}
	return Releases(src, size, func(r Released) bool {
		if string(r.Release.Root[:]) != string(c.Firmware) {
			return true
		}
		want[r.Leaf] = true
		return false
	})
}
