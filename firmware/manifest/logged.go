package manifest

import (
	"errors"
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Trust is what a gateway believes releases by.
type Trust struct {
	// Keys are the release keys, of one origin.
	Keys []block.VerifierKey
	// Policy says which checkpoints of the ledger count, and PolicyFor, where it is set,
	// which do of a size: oracles change, and a proof is older than they are.
	Policy    *block.Policy
	PolicyFor func(size uint64) *block.Policy
}

// Logged is a release that is signed by a key that is trusted and stands on the ledger.
type Logged struct {
	Release  entry.Release
	Manifest []byte
	// Leaf is the statement's index on the ledger, Size that of the checkpoint that
	// the proof leads to.
	Leaf, Size uint64
}

// Carried reads the manifest that the leaf of a proof carries, and believes nothing.
func Carried(proof []byte) (manifest []byte, p *block.LogProof, err error) {
	if p, err = block.ParseLogProof(proof); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	m, err := signer.Parse(p.Extra)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: the proof's leaf is no statement: %w", ErrForm, err)
	}
	if m.Type != entry.TypeRelease || m.ContentType != entry.ContentCBOR {
		return nil, nil, fmt.Errorf("%w: the proof's leaf is a statement of type %q", ErrForm, m.Type)
	}
	l, _, err := entry.ParseLoggedRelease(m.Payload)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	return l.Manifest, p, nil
}

// Verify believes a release by its tlog-proof alone: the leaf carries the manifest. It
// asks, in this order, whether the proof has a release, a trusted key has signed it, the
// checkpoint satisfies the policy, and the leaf is in its tree. The errors wrap ErrForm,
// ErrSignature, ErrQuorum or ErrNotLogged.
//
// Who put the statement onto the ledger is not asked: that it stands there, where
// everybody sees it, is all that it is there for.
func (t *Trust) Verify(proof []byte) (*Logged, error) {
	manifest, p, err := Carried(proof)
	if err != nil {
		return nil, err
	}
	r, err := Open(manifest, t.Keys)
	if err != nil {
		return nil, err
	}
	policy := t.Policy
	if c, err := block.Stated(p.Checkpoint); err == nil && t.PolicyFor != nil {
		policy = t.PolicyFor(c.Size)
	}
	s, err := p.Verify(policy)
	switch {
	case errors.Is(err, block.ErrProof):
		return nil, fmt.Errorf("%w: %w", ErrNotLogged, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrQuorum, err)
	}
	return &Logged{Release: *r, Manifest: manifest, Leaf: p.Index, Size: s.Size}, nil
}
