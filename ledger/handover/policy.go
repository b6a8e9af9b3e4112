package handover

import (
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// PolicyOf returns the policy that an oracle set of a ledger stands for: whose
// checkpoints are final while it is in force.
func PolicyOf(origin string, set *entry.OracleSet) (*block.Policy, error) {
	var logs, cosigners, witnesses []block.VerifierKey
	for _, o := range set.Oracles {
		l, err := block.ParseVerifierKey(o.Log)
		if err != nil {
			return nil, fmt.Errorf("oracle %q: %w", o.Name, err)
		}
		w, err := block.ParseVerifierKey(o.Cosigner)
		if err != nil {
			return nil, fmt.Errorf("oracle %q: %w", o.Name, err)
		}
		logs, cosigners = append(logs, l), append(cosigners, w)
	}
	for _, v := range set.Witnesses {
		w, err := block.ParseVerifierKey(v)
		if err != nil {
			return nil, fmt.Errorf("witness %q: %w", v, err)
		}
		witnesses = append(witnesses, w)
	}
	p, err := block.NewWitnessedPolicy(logs, cosigners, int(set.Quorum), witnesses, int(set.WitnessQuorum))
	if err == nil && p.Origin() != origin {
		err = fmt.Errorf("the logs are of %q, the ledger is %q", p.Origin(), origin)
	}
	return p, err
}

// StatementKeys returns the keys with which the oracles of a set state things and sign
// refusals.
func StatementKeys(set *entry.OracleSet) map[signer.KeyID]signer.PublicKey {
	keys := make(map[signer.KeyID]signer.PublicKey)
	for _, o := range set.Oracles {
		if k, err := signer.NewPublicKey(signer.Algorithm(o.Algorithm), o.Key); err == nil {
			keys[k.ID()] = k
		}
	}
	return keys
}
