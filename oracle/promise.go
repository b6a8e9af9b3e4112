package oracle

import (
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
	"wattmark/oracle/finality"
	"wattmark/signer"
)

// voteRules are what this oracle asks of votes: promises, and that their oracles are
// not quarantined.
func (n *Node) voteRules() finality.Rules {
	return finality.Rules{Promise: n.promise, Promiser: n.promiser, Out: n.isOut}
}

// promise signs this oracle's word for a height with the statement key that goes with
// a cosigner key.
func (n *Node) promise(cosigner signer.KeyID, p entry.Promise) ([]byte, error) {
	for _, k := range n.allKeys() {
		if k.Cosigner.Public().ID() == cosigner {
			return n.signBy(k.Statement, entry.TypePromise, p.Encode())
		}
	}
	return nil, fmt.Errorf("key %v is not this oracle's cosigner", cosigner)
}

// promiser returns the statement key of the oracle that has a cosigner key in the set
// in force at a height.
func (n *Node) promiser(height uint64, cosigner signer.KeyID) (signer.PublicKey, bool) {
	var set *entry.OracleSet
	n.ledger.View(func(s *state.State) { set = s.OraclesAt(height) })
	n.policyMu.Lock()
	defer n.policyMu.Unlock()
	keys, ok := n.promisers[set]
	if !ok {
		keys = make(map[signer.KeyID]signer.PublicKey)
		for _, o := range set.Oracles {
			v, err := block.ParseVerifierKey(o.Cosigner)
			if err != nil {
				continue // no set in force has such a key
			}
			k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key)
			if err == nil {
				keys[v.Key.ID()] = k
			}
		}
		if n.promisers == nil {
			n.promisers = make(map[*entry.OracleSet]map[signer.KeyID]signer.PublicKey)
		}
		n.promisers[set] = keys
	}
	k, ok := keys[cosigner]
	return k, ok
}

// isOut reports whether the oracle with a cosigner key is quarantined at a height.
func (n *Node) isOut(height uint64, cosigner signer.KeyID) (out bool) {
	k, ok := n.promiser(height, cosigner)
	if !ok {
		return false
	}
	n.ledger.View(func(s *state.State) { out = s.QuarantinedAt(height, k.ID()) })
	return out
}
