package ledger

import (
	"bytes"
	"maps"
	"slices"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// governing finds what was adopted that a statement's evidence rests on: the oracle sets
// whose keys signed it or what its key's life is told by, and the forgetting of its
// metering point.
func governing(src Source, size uint64, m *signer.Message, want map[uint64]bool) error {
	signers := map[signer.KeyID]bool{m.KeyID: true}
	for _, i := range slices.Sorted(maps.Keys(want)) {
		leaf, err := src.Leaf(i)
		if err != nil {
			return err
		}
		if s, err := signer.Parse(leaf); err == nil {
			signers[s.KeyID] = true
		}
	}
	var subject string
	if c, err := entry.ParseClaims(m.Claims); err == nil && m.Hidden() {
		subject = c.Subject
	}
	motions := make(map[[32]byte]uint64) // those for sets with a signer's key, by hash
	voices := make(map[[32]byte]uint64)  // the newest voice for any motion
	adopted := []byte(entry.OutcomeAdopted)
	return src.Leaves(0, size, func(i uint64, leaf []byte) error {
		switch entry.KindOf(leaf) {
		case entry.LeafOutcome:
			if !bytes.Contains(leaf, adopted) {
				return nil
			}
			o, err := entry.ParseOutcome(leaf)
			if err != nil || o.Kind != entry.OutcomeAdopted {
				return nil
			}
			if at, ok := motions[o.Hash]; ok && o.Code == entry.MotionOracles {
				want[at], want[i] = true, true
			}
			if o.Code == entry.MotionForget && subject != "" && o.Detail == subject {
				want[voices[o.Hash]], want[i] = true, true
			}
		case entry.LeafStatement:
			if !aboutMotions(leaf) {
				return nil
			}
			hash, set := audit.VoiceFor(leaf)
			if hash == ([32]byte{}) {
				return nil
			}
			voices[hash] = i
			if set != nil && names(set, signers) {
				motions[hash] = i
			}
		}
		return nil
	})
}

func names(set *entry.OracleSet, keys map[signer.KeyID]bool) bool {
	return slices.ContainsFunc(set.Oracles, func(o entry.OracleKeys) bool {
		k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key)
		return err == nil && keys[k.ID()]
	})
}
