package oracle

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
	"wattmark/signer/keyfile"
)

// LoadKeys loads an oracle's three keys from dir, and makes those that are not
// there: statement.pem, log.pem and cosigner.pem, all Ed25519.
func LoadKeys(dir string) (Keys, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Keys{}, fmt.Errorf("keys of the oracle: %w", err)
	}
	var k Keys
	for name, to := range map[string]*signer.Signer{"statement.pem": &k.Statement, "log.pem": &k.Log, "cosigner.pem": &k.Cosigner} {
		key, err := keyfile.LoadOrCreate(filepath.Join(dir, name), signer.EdDSA)
		if err != nil {
			return Keys{}, fmt.Errorf("keys of the oracle: %w", err)
		}
		*to = key
	}
	return k, nil
}

// Public returns the public halves as a charter has them.
func (k Keys) Public(name, origin string) entry.OracleKeys {
	p := k.Statement.Public()
	return entry.OracleKeys{
		Name: name, Algorithm: int(p.Algorithm()), Key: p.Bytes(),
		Log:      block.VerifierKey{Name: origin, Key: k.Log.Public()}.String(),
		Cosigner: block.VerifierKey{Name: name, Cosigner: true, Key: k.Cosigner.Public()}.String(),
	}
}

// cutLeaves is after how many statements a block is closed. Blocks this small are made
// durable beside the execution of the next, and gateways are answered the sooner; their
// fsyncs, votes and receipts cost each statement next to nothing.
const cutLeaves = 1024

// snapshotBlocks is every how many blocks a new ledger states its state: under load some
// minutes, at a block every quarter of an hour ten days, of the thirty that the order
// keeps its messages.
const snapshotBlocks = 1000

// NewCharter returns a charter of oracles with the usual thresholds: more than
// two thirds of them for a checkpoint and for a change of the rules.
func NewCharter(origin string, at time.Time, oracles []entry.OracleKeys) *entry.Charter {
	quorum := uint64(2*len(oracles)/3 + 1)
	return &entry.Charter{Origin: origin, Time: at.UnixMilli(), Quorum: quorum, Governance: quorum, Oracles: oracles,
		Parameters: []entry.Parameter{{Name: entry.ParamCutLeaves, Value: cutLeaves}, {Name: entry.ParamSnapshotBlocks, Value: snapshotBlocks}}}
}

// PolicyOf returns the policy that a charter stands for. A verifier gets it from
// somebody it trusts, never from the ledger that it is to verify.
func PolicyOf(c *entry.Charter) (*block.Policy, error) {
	var logs, cosigners []block.VerifierKey
	for _, o := range c.Oracles {
		l, err := block.ParseVerifierKey(o.Log)
		if err != nil {
			return nil, fmt.Errorf("charter: oracle %q: %w", o.Name, err)
		}
		w, err := block.ParseVerifierKey(o.Cosigner)
		if err != nil {
			return nil, fmt.Errorf("charter: oracle %q: %w", o.Name, err)
		}
		logs, cosigners = append(logs, l), append(cosigners, w)
	}
	return block.NewPolicy(logs, cosigners, int(c.Quorum))
}
