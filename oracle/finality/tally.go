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
	rules  Policies
	keys   []Keys
	rounds map[uint64]*round // by height
	own    uint64            // highest height that this oracle came to
	began  bool
	final  *Final
	held   []uint64 // heights that must be final before any above them is, ascending
	asked  *Rules   // nil where votes need no promises
	sealed *Final   // newest that enough oracles have signed

	conflicts []*Conflict // found and not taken yet
}

// Policies says by whom the checkpoints of a height are made final: the oracles in
// force there. An error is for a height that it knows nothing of.
type Policies func(height uint64) (*block.Policy, error)

type round struct {
	at    *block.Checkpoint // this oracle's own, nil while it is not there
	own   *Vote             // nil also where this oracle is not one of the height's
	votes []*Vote           // verified, at most one of each oracle for each checkpoint
	// outside are lines of witnesses that are no oracles, for this oracle's checkpoint.
	outside map[signer.KeyID]string
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

// NewTally returns a Tally that counts by the policy of each height, and signs with
// those of the keys that are in it: while an oracle changes its keys it has two.
func NewTally(rules Policies, keys ...Keys) *Tally {
	return &Tally{rules: rules, keys: keys, rounds: make(map[uint64]*round)}
}

// Always is for a ledger whose oracles never change.
func Always(p *block.Policy) Policies {
	return func(uint64) (*block.Policy, error) { return p, nil }
}

// Hold keeps every later height from being final before this one is: it is the last
// one of an oracle set, and nobody could tell from the next set's signatures alone
// that the one before agreed. It is called before Cast for that height.
func (t *Tally) Hold(height uint64) {
	if t.final != nil && t.final.Height >= height || slices.Contains(t.held, height) {
		return
	}
	t.held = append(t.held, height)
	slices.Sort(t.held)
}

// Held returns the heights that are held and not final.
func (t *Tally) Held() []uint64 { return slices.Clone(t.held) }

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
// checkpoint that became final by it, if one did. There is no vote where this oracle
// is not one of those of the height.
func (t *Tally) Cast(height uint64, c block.Checkpoint, seconds uint64) (*Vote, *Final, error) {
	r := t.round(height)
	if r.at != nil {
		if *r.at != c {
			return nil, nil, fmt.Errorf("%w: this oracle voted for another checkpoint at height %d", ErrVote, height)
		}
		return r.own, nil, nil
	}
	if t.began && height <= t.own {
		return nil, nil, fmt.Errorf("%w: this oracle voted at height %d, after %d", ErrVote, t.own, height)
	}
	policy, err := t.rules(height)
	if err != nil {
		return nil, nil, err
	}
	r.at, t.own, t.began = &c, height, true
	for i := range t.keys {
		k := &t.keys[i]
		if _, ok := policy.Witness(k.Cosigner.Public().ID()); !ok || r.own != nil {
			continue
		}
		if r.own, err = sign(k, height, c, seconds); err != nil {
			return nil, nil, err
		}
		if err := t.promise(r.own); err != nil {
			return nil, nil, err
		}
		for _, w := range r.votes { // of oracles that were here before
			t.compare(w, r.own)
		}
		r.votes = append(r.votes, r.own)
	}
	maps.DeleteFunc(t.rounds, func(h uint64, _ *round) bool { return h+keep <= height && !slices.Contains(t.held, h) })
	final, err := t.count(height, r)
	return r.own, final, err
}

func sign(k *Keys, height uint64, c block.Checkpoint, seconds uint64) (*Vote, error) {
	log, err := block.SignLog(k.Log, c)
	if err != nil {
		return nil, err
	}
	cosigned, err := block.Cosign(k.Cosigner, k.Name, c, seconds)
	if err != nil {
		return nil, err
	}
	receipts, err := block.SignReceipts(k.Cosigner, c)
	if err != nil {
		return nil, err
	}
	return &Vote{Height: height, Checkpoint: c, Log: log, Cosigned: cosigned, KeyID: k.Cosigner.Public().ID(), Receipts: receipts}, nil
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
	var key block.VerifierKey
	if p, err := t.rules(v.Height); err == nil {
		key, _ = p.Witness(v.KeyID)
	}
	t.conflicts = append(t.conflicts, &Conflict{v.Height, key.Name, v, against})
}

// Receive takes another oracle's vote. It returns the checkpoint that became
// final by it, if one did; and again, this oracle's own vote to send once more,
// if the sender asks for it. A vote that contradicts another is kept as evidence
// (see Conflicts) and counts for nothing here.
func (t *Tally) Receive(v *Vote) (final *Final, again *Vote, err error) {
	if (v.Height > t.own+keep || v.Height+keep <= t.own) && !slices.Contains(t.held, v.Height) {
		return nil, nil, nil // too far away to be of use to either
	}
	if slices.ContainsFunc(t.keys, func(k Keys) bool { return v.KeyID == k.Cosigner.Public().ID() }) {
		return nil, nil, nil // our own, as everybody hears
	}
	policy, err := t.rules(v.Height)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: height %d: %w", ErrVote, v.Height, err)
	}
	key, ok := policy.Witness(v.KeyID)
	if !ok {
		return nil, nil, fmt.Errorf("%w: key %v is no oracle's", ErrVote, v.KeyID)
	}
	r := t.rounds[v.Height]
	if r == nil || !r.has(v) {
		if r != nil && r.of(v.KeyID) >= 2 { // one and its contradiction are enough to know
			return nil, nil, fmt.Errorf("%w: %q voted for two checkpoints at height %d already", ErrVote, key.Name, v.Height)
		}
		if err := verify(policy, v, key); err != nil {
			return nil, nil, err
		}
		if err := t.checkPromise(v, key.Name); err != nil {
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
	if r.at == nil {
		return nil, nil, nil // counted when this oracle gets there
	}
	if v.Asking {
		again = r.own
	}
	if v.Checkpoint != *r.at {
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
func verify(p *block.Policy, v *Vote, key block.VerifierKey) error {
	log, err := openLine(p, v, v.Log)
	if err != nil {
		return err
	}
	cosigned, err := openLine(p, v, v.Cosigned)
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

func openLine(p *block.Policy, v *Vote, line string) (*block.Signed, error) {
	if strings.Count(line, "\n") != 1 || line[len(line)-1] != '\n' {
		return nil, fmt.Errorf("%w: %q is not one signature line", ErrVote, line)
	}
	s, err := p.Open(noteOf(v.Checkpoint, []string{line}))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrVote, err)
	}
	return s, nil
}

func noteOf(c block.Checkpoint, lines []string) []byte {
	return []byte(c.Text() + "\n" + strings.Join(lines, ""))
}

// count makes the final checkpoint of a height as soon as the votes for this
// oracle's own checkpoint satisfy the height's policy, and no height below is held.
func (t *Tally) count(height uint64, r *round) (*Final, error) {
	if t.final != nil && t.final.Height >= height || len(t.held) > 0 && t.held[0] < height {
		return nil, nil
	}
	policy, err := t.rules(height)
	if err != nil {
		return nil, err
	}
	f := &Final{Height: height, Checkpoint: *r.at}
	var lines []string
	signed := make(map[signer.KeyID]bool)
	for _, v := range r.votes {
		if v.Checkpoint != *r.at || !t.counts(v) {
			continue
		}
		if len(lines) == 0 {
			lines = append(lines, v.Log)
			if r.own != nil {
				lines[0] = r.own.Log
			}
		}
		lines = append(lines, v.Cosigned)
		f.Receipts = append(f.Receipts, wire.ReceiptSignature{KeyID: v.KeyID, Signature: v.Receipts})
		signed[v.KeyID] = true
		if policy.OracleQuorum(signed) != nil {
			continue
		}
		if t.sealed == nil || t.sealed.Height < height {
			t.sealed = &Final{Height: height, Checkpoint: *r.at, Note: noteOf(f.Checkpoint, lines)}
		}
		if all, outside := r.with(policy, signed); policy.Quorum(all) == nil {
			f.Note = noteOf(f.Checkpoint, append(lines, outside...))
			break
		}
	}
	if f.Note == nil {
		return nil, nil
	}
	if _, err := policy.Verify(f.Note); err != nil {
		return nil, fmt.Errorf("checking final checkpoint of height %d: %w", height, err)
	}
	t.settle(f)
	return f, nil
}

// with adds the witnesses from outside to those who signed.
func (r *round) with(policy *block.Policy, signed map[signer.KeyID]bool) (all map[signer.KeyID]bool, lines []string) {
	if len(r.outside) == 0 {
		return signed, nil
	}
	all = maps.Clone(signed)
	for _, w := range policy.Witnesses() {
		if line, ok := r.outside[w.Key.Key.ID()]; ok {
			all[w.Key.Key.ID()] = true
			lines = append(lines, line)
		}
	}
	return all, lines
}

// heights are those that the Tally remembers, the newest first.
func (t *Tally) heights() []uint64 {
	h := slices.Sorted(maps.Keys(t.rounds))
	slices.Reverse(h)
	return h
}

func (t *Tally) settle(f *Final) {
	t.final = f
	t.held = slices.DeleteFunc(t.held, func(h uint64) bool { return h <= f.Height })
}

// Take takes a signed checkpoint of a height that is held, from whoever has kept it:
// the oracles that could vote there again may be gone. It is final if it is this
// oracle's own and satisfies the height's policy; receipts have no signatures then.
func (t *Tally) Take(height uint64, note []byte) (*Final, error) {
	r := t.rounds[height]
	if !slices.Contains(t.held, height) || r == nil || r.at == nil {
		return nil, nil
	}
	policy, err := t.rules(height)
	if err != nil {
		return nil, err
	}
	s, err := policy.Verify(note)
	if err != nil {
		return nil, fmt.Errorf("%w: checkpoint of height %d: %w", ErrVote, height, err)
	}
	if s.Checkpoint != *r.at {
		return nil, fmt.Errorf("%w: a checkpoint of height %d that a quorum signed is not this oracle's: size %d and root %v, here %d and %v",
			ErrVote, height, s.Size, s.Root, r.at.Size, r.at.Root)
	}
	f := &Final{Height: height, Checkpoint: *r.at, Note: note}
	t.settle(f)
	return f, nil
}

// Recount counts the votes at this oracle's newest height once more: they may have been
// complete while a height below was held.
func (t *Tally) Recount() (*Final, error) {
	r := t.rounds[t.own]
	if r == nil || r.at == nil {
		return nil, nil
	}
	return t.count(t.own, r)
}

// Own returns this oracle's own vote at a height that it remembers, or nil.
func (t *Tally) Own(height uint64) *Vote {
	if r := t.rounds[height]; r != nil {
		return r.own
	}
	return nil
}

// Silent returns the heights at which this oracle waits for others' votes and has none
// of its own to ask with: those that are held, and its newest one while it is not final.
func (t *Tally) Silent() (heights []uint64) {
	for _, h := range append(slices.Clone(t.held), t.own) {
		r := t.rounds[h]
		if r == nil || r.at == nil || r.own != nil || t.final != nil && t.final.Height >= h || slices.Contains(heights, h) {
			continue
		}
		heights = append(heights, h)
	}
	return heights
}

// Pending returns this oracle's own votes that are to be sent once more, asking,
// since votes can be lost, its own and others': at heights that are held, and at its
// newest height while that is not final.
func (t *Tally) Pending() (votes []*Vote) {
	for _, h := range append(slices.Clone(t.held), t.own) {
		r := t.rounds[h]
		if r == nil || r.own == nil || t.final != nil && t.final.Height >= h || len(votes) > 0 && votes[len(votes)-1].Height == h {
			continue
		}
		v := *r.own
		v.Asking = true
		votes = append(votes, &v)
	}
	return votes
}
