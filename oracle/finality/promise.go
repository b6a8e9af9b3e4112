package finality

import (
	"fmt"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// Rules are what a Tally asks of votes besides their signatures.
type Rules struct {
	// Promise signs this oracle's promise for a height with the statement key that goes
	// with a cosigner key.
	Promise func(cosigner signer.KeyID, p entry.Promise) ([]byte, error)
	// Promiser returns the statement key of the oracle that has a cosigner key, in the
	// set in force at a height.
	Promiser func(height uint64, cosigner signer.KeyID) (signer.PublicKey, bool)
	// Out reports whether the oracle that has a cosigner key is quarantined at a height:
	// its votes are evidence as all are, and do not count.
	Out func(height uint64, cosigner signer.KeyID) bool
}

// Ask has every vote carry a promise, from the first Cast or Receive on: a statement
// by which its oracle says for which height it signs, so that two votes of one height
// prove a lie to whoever reads the ledger. Without Ask the height of a vote is between
// those who hear it.
func (t *Tally) Ask(r Rules) { t.asked = &r }

// promise makes the promise of an own vote.
func (t *Tally) promise(v *Vote) (err error) {
	if t.asked == nil {
		return nil
	}
	v.Promise, err = t.asked.Promise(v.KeyID, promised(v))
	return err
}

func promised(v *Vote) entry.Promise {
	return entry.Promise{Height: v.Height, Size: v.Checkpoint.Size, Root: v.Checkpoint.Root}
}

// checkPromise verifies the promise of another's vote.
func (t *Tally) checkPromise(v *Vote, name string) error {
	if t.asked == nil {
		return nil
	}
	key, ok := t.asked.Promiser(v.Height, v.KeyID)
	if !ok {
		return fmt.Errorf("%w: %q has no statement key at height %d", ErrVote, name, v.Height)
	}
	wrong := func(err error) error { return fmt.Errorf("%w: promise of %q: %w", ErrVote, name, err) }
	m, err := signer.Parse(v.Promise)
	if err != nil {
		return wrong(err)
	}
	if _, err := signer.Verify(m, key); err != nil {
		return wrong(err)
	}
	c, err := entry.ParseClaims(m.Claims)
	if err != nil {
		return wrong(err)
	}
	p, err := entry.ParsePromise(m.Payload)
	if err != nil {
		return wrong(err)
	}
	if m.Type != entry.TypePromise || c.Audience != v.Checkpoint.Origin || *p != promised(v) {
		return wrong(fmt.Errorf("it is for height %d and size %d of ledger %q", p.Height, p.Size, c.Audience))
	}
	return nil
}

// counts reports whether a vote counts.
func (t *Tally) counts(v *Vote) bool {
	return t.asked == nil || !t.asked.Out(v.Height, v.KeyID)
}

// Proof returns what proves to everybody that an oracle equivocated, for the ledger;
// false where the votes are of two oracles, or carry no promises.
func (c *Conflict) Proof() (*entry.Conflict, bool) {
	if !c.Equivocation() || c.Vote.Promise == nil || c.Against.Promise == nil {
		return nil, false
	}
	return entry.NewConflict(c.Vote.Promise, c.Against.Promise), true
}

// Sealed is a checkpoint that enough oracles have signed, and that witnesses from
// outside may be asked for: Height, Checkpoint and Note are set.
func (t *Tally) Sealed() *Final { return t.sealed }

// Witnessed takes a cosignature of a witness from outside, for a checkpoint that this
// oracle has voted for; others are passed over. It returns the checkpoint that became
// final by it, if one did.
func (t *Tally) Witnessed(c block.Checkpoint, key block.VerifierKey, line string) (*Final, error) {
	for _, height := range t.heights() {
		r := t.rounds[height]
		if r.at == nil || *r.at != c {
			continue
		}
		policy, err := t.rules(height)
		if err != nil {
			return nil, err
		}
		if k, ok := policy.Witness(key.Key.ID()); !ok || k != key {
			return nil, nil // not asked for: it is for who publishes
		}
		v := &Vote{Height: height, Checkpoint: c}
		if s, err := openLine(policy, v, line); err != nil || len(s.Witnesses) != 1 || s.Witnesses[0] != key {
			return nil, fmt.Errorf("%w: cosignature of witness %q: %w", ErrVote, key.Name, errOr(err))
		}
		if r.outside == nil {
			r.outside = make(map[signer.KeyID]string)
		}
		r.outside[key.Key.ID()] = line
		return t.count(height, r)
	}
	return nil, nil
}

func errOr(err error) error {
	if err == nil {
		return signer.ErrSignature
	}
	return err
}
