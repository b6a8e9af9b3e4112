package finality

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"wattmark/ledger/block"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// Final is a checkpoint that satisfied the policy.
type Final struct {
	Height uint64
	block.Checkpoint
	// Note is the signed checkpoint, with as many cosignatures as were needed.
	Note []byte
	// Receipts are the signatures for receipts of the same oracles.
	Receipts []wire.ReceiptSignature
}

// Keys are one oracle's keys for checkpoints.
type Keys struct {
	Name     string // of its cosigner key
	Log      signer.Signer
	Cosigner signer.Signer
}

// keep is how many heights a Tally remembers, so that an oracle that was away
// for a short while gets the votes it missed, and how far ahead it listens.
const keep = 64

// Tally counts the votes of all oracles. It has one owner and is not safe for
// concurrent use.
type Tally struct {
	policy *block.Policy
	keys   Keys
	rounds map[uint64]*round // by height
	own    uint64            // highest height this oracle voted at
	voted  bool
	final  *Final

	conflicts []*Conflict // found and not taken yet
}

type round struct {
	own   *Vote
	votes []*Vote // verified, at most one of each oracle for each checkpoint
}

// Conflict is two verified votes for different checkpoints of one height: the
// evidence that somebody computes differently, or lies.
type Conflict struct {
	Height uint64
	Name   string // of the oracle that cast Vote
	Vote   *Vote
	// Against is the other vote: this oracle's own, or another one of Name's.
	Against *Vote
}

// Equivocation reports whether both votes are of one oracle. That proves a lie to
// anybody who has the policy. Votes of two oracles prove that they differ, and
// not which of them is wrong.
func (c *Conflict) Equivocation() bool { return c.Vote.KeyID == c.Against.KeyID }

// Error tells both sides.
func (c *Conflict) Error() string {
	other := "this oracle voted"
	if c.Equivocation() {
		other = "it also voted"
	}
	return fmt.Sprintf("oracle %q voted at height %d for size %d and root %v, %s for size %d and root %v",
		c.Name, c.Height, c.Vote.Checkpoint.Size, c.Vote.Checkpoint.Root, other, c.Against.Checkpoint.Size, c.Against.Checkpoint.Root)
}

// NewTally returns a Tally that signs with keys and counts by policy.
func NewTally(policy *block.Policy, keys Keys) *Tally {
	return &Tally{policy: policy, keys: keys, rounds: make(map[uint64]*round)}
}

// Final returns the newest final checkpoint, or nil.
func (t *Tally) Final() *Final { return t.final }

// Conflicts returns what conflicts were found since the last call, each once: at
// most three for each oracle and height. Ask after each Cast and Receive.
func (t *Tally) Conflicts() []*Conflict {
	c := t.conflicts
	t.conflicts = nil
	return c
}

// Cast signs this oracle's vote for the checkpoint of a height, at a time in
// Unix seconds. The block must be durable. It returns the vote to send, and the
// checkpoint that became final by it, if one did.
func (t *Tally) Cast(height uint64, c block.Checkpoint, seconds uint64) (*Vote, *Final, error) {
	r := t.round(height)
	if r.own != nil {
		if r.own.Checkpoint != c {
			return nil, nil, fmt.Errorf("%w: this oracle voted for another checkpoint at height %d", ErrVote, height)
		}
		return r.own, nil, nil
	}
	if t.voted && height <= t.own {
		return nil, nil, fmt.Errorf("%w: this oracle voted at height %d, after %d", ErrVote, t.own, height)
	}
	log, err := block.SignLog(t.keys.Log, c)
	if err != nil {
		return nil, nil, err
	}
	cosigned, err := block.Cosign(t.keys.Cosigner, t.keys.Name, c, seconds)
	if err != nil {
		return nil, nil, err
	}
	receipts, err := block.SignReceipts(t.keys.Cosigner, c)
	if err != nil {
		return nil, nil, err
	}
	v := &Vote{height, c, log, cosigned, t.keys.Cosigner.Public().ID(), receipts, false}
	r.own, t.own, t.voted = v, height, true
	for _, w := range r.votes { // of oracles that were here before
		t.compare(w, v)
	}
	r.votes = append(r.votes, v)
	maps.DeleteFunc(t.rounds, func(h uint64, _ *round) bool { return h+keep <= height })
	final, err := t.count(height, r)
	return v, final, err
}

func (t *Tally) round(height uint64) *round {
	r := t.rounds[height]
	if r == nil {
		r = &round{}
		t.rounds[height] = r
	}
	return r
}

// compare notes a conflict where two votes of one height are for different
// checkpoints.
func (t *Tally) compare(v, against *Vote) {
	if v.Checkpoint == against.Checkpoint {
		return
	}
	key, _ := t.policy.Witness(v.KeyID)
	t.conflicts = append(t.conflicts, &Conflict{v.Height, key.Name, v, against})
}

// Receive takes another oracle's vote. It returns the checkpoint that became
// final by it, if one did; and again, this oracle's own vote to send once more,
// if the sender asks for it. A vote that contradicts another is kept as evidence
// (see Conflicts) and counts for nothing here.
func (t *Tally) Receive(v *Vote) (final *Final, again *Vote, err error) {
	if v.Height > t.own+keep || v.Height+keep <= t.own {
		return nil, nil, nil // too far away to be of use to either
	}
	if v.KeyID == t.keys.Cosigner.Public().ID() {
		return nil, nil, nil // our own, as everybody hears
	}
	key, ok := t.policy.Witness(v.KeyID)
	if !ok {
		return nil, nil, fmt.Errorf("%w: key %v is no oracle's", ErrVote, v.KeyID)
	}
	r := t.rounds[v.Height]
	if r == nil || !r.has(v) {
		if r != nil && r.of(v.KeyID) >= 2 { // one and its contradiction are enough to know
			return nil, nil, fmt.Errorf("%w: %q voted for two checkpoints at height %d already", ErrVote, key.Name, v.Height)
		}
		if err := t.verify(v, key); err != nil {
			return nil, nil, err
		}
		r = t.round(v.Height)
		for _, w := range r.votes {
			if w.KeyID == v.KeyID || w == r.own {
				t.compare(v, w)
			}
		}
		r.votes = append(r.votes, v)
	}
	if r.own == nil {
		return nil, nil, nil // counted when this oracle gets there
	}
	if v.Asking {
		again = r.own
	}
	if v.Checkpoint != r.own.Checkpoint {
		return nil, again, nil
	}
	final, err = t.count(v.Height, r)
	return final, again, err
}

// has reports whether the very vote was taken already.
func (r *round) has(v *Vote) bool {
	return slices.ContainsFunc(r.votes, func(w *Vote) bool { return w.KeyID == v.KeyID && w.Checkpoint == v.Checkpoint })
}

// of counts the votes of one oracle.
func (r *round) of(id signer.KeyID) (n int) {
	for _, v := range r.votes {
		if v.KeyID == id {
			n++
		}
	}
	return n
}

// verify checks a vote's three signatures. The lines go into final checkpoints,
// so each must be one line and what it is taken for: with more or others below it
// a final checkpoint would not verify.
func (t *Tally) verify(v *Vote, key block.VerifierKey) error {
	log, err := t.openLine(v, v.Log)
	if err != nil {
		return err
	}
	cosigned, err := t.openLine(v, v.Cosigned)
	if err != nil {
		return err
	}
	if len(log.Logs) != 1 || len(cosigned.Witnesses) != 1 || cosigned.Witnesses[0].Key.ID() != v.KeyID {
		return fmt.Errorf("%w: it lacks a signature of %q as log and as cosigner", ErrVote, key.Name)
	}
	if !signer.VerifyRaw(key.Key, block.ReceiptMessage(v.KeyID, v.Checkpoint), v.Receipts) {
		return fmt.Errorf("%w: %w: receipts of %q", ErrVote, signer.ErrSignature, key.Name)
	}
	return nil
}

func (t *Tally) openLine(v *Vote, line string) (*block.Signed, error) {
	if strings.Count(line, "\n") != 1 || line[len(line)-1] != '\n' {
		return nil, fmt.Errorf("%w: %q is not one signature line", ErrVote, line)
	}
	s, err := t.policy.Open(noteOf(v.Checkpoint, []string{line}))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVote, err)
	}
	return s, nil
}

func noteOf(c block.Checkpoint, lines []string) []byte {
	return []byte(c.Text() + "\n" + strings.Join(lines, ""))
}

// count makes the final checkpoint of a height as soon as the votes for this
// oracle's own checkpoint satisfy the policy.
func (t *Tally) count(height uint64, r *round) (*Final, error) {
	if t.final != nil && t.final.Height >= height {
		return nil, nil
	}
	f := &Final{Height: height, Checkpoint: r.own.Checkpoint}
	lines := []string{r.own.Log}
	signed := make(map[signer.KeyID]bool)
	for _, v := range r.votes {
		if v.Checkpoint != r.own.Checkpoint {
			continue
		}
		lines = append(lines, v.Cosigned)
		f.Receipts = append(f.Receipts, wire.ReceiptSignature{KeyID: v.KeyID, Signature: v.Receipts})
		signed[v.KeyID] = true
		if t.policy.Quorum(signed) == nil {
			f.Note = noteOf(f.Checkpoint, lines)
			break
		}
	}
	if f.Note == nil {
		return nil, nil
	}
	if _, err := t.policy.Verify(f.Note); err != nil {
		return nil, fmt.Errorf("checking final checkpoint of height %d: %w", height, err)
	}
	t.final = f
	return f, nil
}

// Pending returns this oracle's own vote at its newest height while that is not
// final, to be sent once more, asking: votes can be lost, its own and others'.
func (t *Tally) Pending() *Vote {
	if !t.voted || t.final != nil && t.final.Height >= t.own {
		return nil
	}
	v := *t.rounds[t.own].own
	v.Asking = true
	return &v
}
