package finality_test

import (
	"errors"
	"testing"

	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/finality"
)

// twoSets are four oracles of whom the first three run the ledger up to height 4, and
// the last three from height 5 on.
func twoSets(t testing.TB) (*ledgertest.Consortium, finality.Policies) {
	c := ledgertest.NewConsortium(t, 4)
	policy := func(members ...int) *block.Policy {
		var logs, cosigners []block.VerifierKey
		for _, i := range members {
			logs = append(logs, block.VerifierKey{Name: ledgertest.Origin, Key: c.Oracles[i].Log.Public()})
			cosigners = append(cosigners, block.VerifierKey{Name: c.Oracles[i].Name, Cosigner: true, Key: c.Oracles[i].Cosigner.Public()})
		}
		p, err := block.NewPolicy(logs, cosigners, len(members))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	before, after := policy(0, 1, 2), policy(1, 2, 3)
	return c, func(height uint64) (*block.Policy, error) {
		if height < 5 {
			return before, nil
		}
		return after, nil
	}
}

// TestNothingIsFinalBeforeTheHandover has the next set's oracles all vote before the
// set in force has finished its last height: that comes first, by its own votes.
func TestNothingIsFinalBeforeTheHandover(t *testing.T) {
	c, rules := twoSets(t)
	o := &c.Oracles[1]
	y := finality.NewTally(rules, finality.Keys{Name: o.Name, Log: o.Log, Cosigner: o.Cosigner})
	y.Hold(4)
	cast(t, y, 4, checkpoint(4, 0))
	for h := uint64(5); h < 90; h++ { // far beyond what is kept of other heights
		cast(t, y, h, checkpoint(h, 0))
		for _, i := range []int{2, 3} {
			if f, _ := receive(t, y, vote(t, c, i, h, checkpoint(h, 0))); f != nil {
				t.Fatalf("height %d is final before the handover", h)
			}
		}
	}
	pending := y.Pending()
	if len(pending) != 2 || pending[0].Height != 4 || pending[1].Height != 89 {
		t.Fatalf("it asks again at %+v, want heights 4 and 89", pending)
	}
	if _, _, err := y.Receive(vote(t, c, 3, 4, checkpoint(4, 0))); !errors.Is(err, finality.ErrVote) {
		t.Errorf("a vote of an oracle that is not in force: %v", err)
	}
	if _, _, err := y.Receive(vote(t, c, 0, 60, checkpoint(60, 0))); !errors.Is(err, finality.ErrVote) {
		t.Errorf("a vote of an oracle that is in force no more: %v", err)
	}
	receive(t, y, vote(t, c, 0, 4, checkpoint(4, 0)))
	f, _ := receive(t, y, vote(t, c, 2, 4, checkpoint(4, 0)))
	if f == nil || f.Height != 4 {
		t.Fatalf("after all three of the set before voted, final is %+v, want height 4", f)
	}
	if f, err := y.Recount(); err != nil || f == nil || f.Height != 89 {
		t.Fatalf("then final is %+v, want height 89", f)
	}
}

// TestHandoverIsTakenFromWhoeverKeptIt has an oracle that was away learn of a handover
// whose oracles are gone, from the checkpoint that they signed.
func TestHandoverIsTakenFromWhoeverKeptIt(t *testing.T) {
	c, rules := twoSets(t)
	y := finality.NewTally(rules, finality.Keys{Name: c.Oracles[3].Name, Log: c.Oracles[3].Log, Cosigner: c.Oracles[3].Cosigner})
	y.Hold(4)
	if v, f := cast(t, y, 4, checkpoint(4, 0)); v != nil || f != nil {
		t.Fatalf("it is not in force at height 4 and casts %+v, final %+v", v, f)
	}
	cast(t, y, 5, checkpoint(5, 0))
	if f, err := y.Take(4, c.Sign(t, checkpoint(4, 0), 0, 1)); f != nil || !errors.Is(err, finality.ErrVote) {
		t.Errorf("a checkpoint of two of three: %v, %v", f, err)
	}
	if f, err := y.Take(4, c.Sign(t, checkpoint(4, 1), 0, 1, 2)); f != nil || !errors.Is(err, finality.ErrVote) {
		t.Errorf("a checkpoint of another history: %v, %v", f, err)
	}
	if f, err := y.Take(4, c.Sign(t, checkpoint(4, 0), 0, 1, 2)); err != nil || f == nil || f.Height != 4 {
		t.Fatalf("the right one: %v, %v", f, err)
	}
	for _, i := range []int{1, 2} {
		receive(t, y, vote(t, c, i, 5, checkpoint(5, 0)))
	}
	if f := y.Final(); f == nil || f.Height != 5 {
		t.Errorf("final is %+v, want height 5", f)
	}
}
