package finality_test

import (
	"errors"
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/ledgertest"
	"wattmark/oracle/finality"
	"wattmark/signer"
)

// word is an oracle's promise, signed by its statement key.
func word(t testing.TB, key signer.Signer, origin string, p entry.Promise) []byte {
	t.Helper()
	c := entry.Claims{Issuer: "urn:wattmark:oracle", Audience: origin, IssuedAt: now}
	claims, err := c.Encode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := signer.Sign(key, signer.Header{Type: entry.TypePromise, ContentType: entry.ContentCBOR, Claims: claims}, p.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func promiseOf(v *finality.Vote) entry.Promise {
	return entry.Promise{Height: v.Height, Size: v.Checkpoint.Size, Root: v.Checkpoint.Root}
}

// promising is vote with a promise.
func promising(t testing.TB, c *ledgertest.Consortium, i int, height uint64, cp block.Checkpoint) *finality.Vote {
	t.Helper()
	v := vote(t, c, i, height, cp)
	v.Promise = word(t, c.Oracles[i].Statement, ledgertest.Origin, promiseOf(v))
	return v
}

// asking is a tally of oracle i that wants promises; out says whose votes do not count.
func asking(t testing.TB, c *ledgertest.Consortium, policy *block.Policy, i int, out func(height uint64, cosigner signer.KeyID) bool) *finality.Tally {
	t.Helper()
	o := &c.Oracles[i]
	y := finality.NewTally(finality.Always(policy), finality.Keys{Name: o.Name, Log: o.Log, Cosigner: o.Cosigner})
	if out == nil {
		out = func(uint64, signer.KeyID) bool { return false }
	}
	y.Ask(finality.Rules{
		Promise: func(_ signer.KeyID, p entry.Promise) ([]byte, error) {
			return word(t, o.Statement, ledgertest.Origin, p), nil
		},
		Promiser: func(_ uint64, cosigner signer.KeyID) (signer.PublicKey, bool) {
			for k := range c.Oracles {
				if c.Oracles[k].Cosigner.Public().ID() == cosigner {
					return c.Oracles[k].Statement.Public(), true
				}
			}
			return signer.PublicKey{}, false
		},
		Out: out,
	})
	return y
}

// TestPromises: a vote without the right promise is none, so that whoever votes twice
// has signed what the ledger takes as proof.
func TestPromises(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	y := asking(t, c, c.Policy, 0, nil)
	cp, other := checkpoint(1, 0), checkpoint(1, 1)
	own, _ := cast(t, y, 1, cp)
	for what, promise := range map[string][]byte{
		"none":                      nil,
		"nonsense":                  []byte("x"),
		"another height's":          word(t, c.Oracles[1].Statement, ledgertest.Origin, entry.Promise{Height: 2, Size: cp.Size, Root: cp.Root}),
		"another size's":            word(t, c.Oracles[1].Statement, ledgertest.Origin, entry.Promise{Height: 1, Size: cp.Size + 1, Root: cp.Root}),
		"another root's":            word(t, c.Oracles[1].Statement, ledgertest.Origin, entry.Promise{Height: 1, Size: cp.Size}),
		"another ledger's":          word(t, c.Oracles[1].Statement, "elsewhere.example", promiseOf(vote(t, c, 1, 1, cp))),
		"another oracle's":          word(t, c.Oracles[2].Statement, ledgertest.Origin, promiseOf(vote(t, c, 1, 1, cp))),
		"one by the cosigner's key": word(t, c.Oracles[1].Cosigner, ledgertest.Origin, promiseOf(vote(t, c, 1, 1, cp))),
	} {
		v := vote(t, c, 1, 1, cp)
		v.Promise = promise
		if _, _, err := y.Receive(v); !errors.Is(err, finality.ErrVote) {
			t.Errorf("promise: %s: %v", what, err)
		}
	}
	receive(t, y, promising(t, c, 1, 1, cp))
	receive(t, y, promising(t, c, 1, 1, other))
	conflicts := y.Conflicts()
	var proof *entry.Conflict
	for _, k := range conflicts {
		if p, ok := k.Proof(); ok {
			proof = p
		}
	}
	if proof == nil {
		t.Fatalf("%d conflicts prove nothing", len(conflicts))
	}
	// The rules take it.
	chain := ledgertest.New(t, 4)
	payload, err := proof.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m := chain.Open(chain.Stated(2, entry.TypeConflict, payload))
	in := m.Input()
	if reason := chain.State.Judge(&in, chain.State.Time()); reason != "" {
		t.Errorf("the rules say %q", reason)
	}
	chain.Append(m)
	if !chain.State.Quarantined(c.Oracles[1].Statement.Public().ID()) {
		t.Error("the liar is not quarantined")
	}
	again, err := finality.ParseVote(own.Encode(), ledgertest.Origin)
	if err != nil {
		t.Fatal(err)
	}
	if f, _ := receive(t, asking(t, c, c.Policy, 2, nil), again); f != nil {
		t.Error("one vote is final")
	}
}

// TestQuarantinedVotesDoNotCount: what is final then has the others' signatures, from
// the height on and not before.
func TestQuarantinedVotesDoNotCount(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	bad := c.Oracles[1].Cosigner.Public().ID()
	y := asking(t, c, c.Policy, 0, func(height uint64, k signer.KeyID) bool { return height >= 2 && k == bad })
	for height := range uint64(4) {
		cast(t, y, height, checkpoint(height, 0))
		receive(t, y, promising(t, c, 1, height, checkpoint(height, 0)))
		f, _ := receive(t, y, promising(t, c, 2, height, checkpoint(height, 0)))
		if (f != nil) != (height < 2) {
			t.Errorf("height %d: with the quarantined oracle's vote: %v", height, f)
		}
		if f == nil {
			if f, _ = receive(t, y, promising(t, c, 3, height, checkpoint(height, 0))); f == nil {
				t.Fatalf("height %d: three others are no quorum", height)
			}
			for _, r := range f.Receipts {
				if r.KeyID == bad {
					t.Errorf("height %d: a receipt of the quarantined oracle", height)
				}
			}
			if s, err := c.Policy.Verify(f.Note); err != nil || len(s.Witnesses) != 3 {
				t.Errorf("height %d: %+v, %v", height, s, err)
			}
		}
	}
}

// TestWitnessedFinality: where the members ask for a witness, oracles seal a checkpoint
// and it is final with the witness's line, for its own tree alone.
func TestWitnessedFinality(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	key := ledgertest.Key(t, signer.EdDSA, "witness")
	vkey := block.VerifierKey{Name: "witness.example/w", Cosigner: true, Key: key.Public()}
	set := c.Charter.OracleSet()
	set.Witnesses, set.WitnessQuorum = []string{vkey.String()}, 1
	policy, err := handover.PolicyOf(ledgertest.Origin, set)
	if err != nil {
		t.Fatal(err)
	}
	line := func(k signer.Signer, cp block.Checkpoint) string {
		l, err := block.Cosign(k, vkey.Name, cp, now)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	y := asking(t, c, policy, 0, nil)
	cp, next := checkpoint(1, 0), checkpoint(2, 0)
	for i, at := range []block.Checkpoint{cp, next} {
		height := uint64(1 + i)
		cast(t, y, height, at)
		if s := y.Sealed(); s != nil && s.Height == height {
			t.Errorf("height %d: sealed by one oracle", height)
		}
		for k := 1; k < 3; k++ {
			if f, _ := receive(t, y, promising(t, c, k, height, at)); f != nil {
				t.Fatalf("height %d: final without the witness", height)
			}
		}
		s := y.Sealed()
		if s == nil || s.Height != height || s.Checkpoint != at {
			t.Fatalf("height %d: sealed is %+v", height, s)
		}
		if _, err := policy.VerifyOracles(s.Note); err != nil {
			t.Errorf("height %d: what the witness is asked for: %v", height, err)
		}
	}
	if _, err := y.Witnessed(next, vkey, line(ledgertest.Key(t, signer.EdDSA, "another"), next)); !errors.Is(err, finality.ErrVote) {
		t.Errorf("another's signature in its name: %v", err)
	}
	if _, err := y.Witnessed(next, vkey, line(key, cp)); !errors.Is(err, finality.ErrVote) {
		t.Errorf("its signature of another checkpoint: %v", err)
	}
	if f, err := y.Witnessed(checkpoint(2, 1), vkey, line(key, checkpoint(2, 1))); f != nil || err != nil {
		t.Errorf("a checkpoint that is not this oracle's: %v, %v", f, err)
	}
	f, err := y.Witnessed(next, vkey, line(key, next))
	if err != nil || f == nil || f.Height != 2 {
		t.Fatalf("with the witness: %+v, %v", f, err)
	}
	if s, err := policy.Verify(f.Note); err != nil || len(s.Witnesses) != 4 {
		t.Errorf("the final checkpoint: %+v, %v", s, err)
	}
	if len(f.Receipts) != 3 {
		t.Errorf("%d receipts", len(f.Receipts))
	}
}

// TestEveryLieIsProven: whoever has two votes for one height taken by the same oracle is
// proven to have lied, and nobody else is; votes come in any order, again, and with
// parts of others'.
func TestEveryLieIsProven(t *testing.T) {
	c := ledgertest.NewConsortium(t, 4)
	made := map[[3]int]*finality.Vote{} // signing is what takes the time
	at := func(i, height, variant int) *finality.Vote {
		k := [3]int{i, height, variant}
		if made[k] == nil {
			made[k] = promising(t, c, i, uint64(height), checkpoint(uint64(height), variant))
		}
		v := *made[k]
		return &v
	}
	proofs := 0
	rapid.Check(t, func(r *rapid.T) {
		y := asking(t, c, c.Policy, 0, nil)
		type lie struct{ oracle, height int }
		taken, proven := map[lie]map[int]bool{}, map[lie]bool{}
		look := func() {
			for _, k := range y.Conflicts() {
				proof, ok := k.Proof()
				if !ok {
					continue
				}
				first, err := signer.Parse(proof.First)
				if err != nil {
					r.Fatal(err)
				}
				for i := range c.Oracles {
					if c.Oracles[i].Statement.Public().ID() == first.KeyID {
						proven[lie{i, int(k.Height)}] = true
						proofs++
					}
				}
			}
		}
		next := 0
		for range rapid.IntRange(1, 30).Draw(r, "steps") {
			if next < 3 && rapid.IntRange(0, 3).Draw(r, "cast") == 0 {
				cast(t, y, uint64(next), checkpoint(uint64(next), 0))
				next++
				look()
				continue
			}
			i, height, variant := rapid.IntRange(1, 3).Draw(r, "oracle"), rapid.IntRange(0, 2).Draw(r, "height"), 0
			if i > 1 { // the second oracle is honest
				variant = rapid.IntRange(0, 3).Draw(r, "variant")
			}
			v := at(i, height, variant)
			if rapid.IntRange(0, 4).Draw(r, "forge") == 0 {
				v.Promise = at(1+i%3, height, 0).Promise
			}
			_, _, err := y.Receive(v)
			if err == nil {
				k := lie{i, height}
				if taken[k] == nil {
					taken[k] = map[int]bool{}
				}
				taken[k][variant] = true
			} else if !errors.Is(err, finality.ErrVote) {
				r.Fatal(err)
			}
			look()
		}
		for k, variants := range taken {
			if (len(variants) > 1) != proven[k] {
				r.Errorf("oracle %d, height %d: votes for %d checkpoints were taken, proven: %v", k.oracle+1, k.height, len(variants), proven[k])
			}
			if k.oracle == 1 && proven[k] {
				r.Error("the honest oracle is proven to have lied")
			}
		}
	})
	if proofs == 0 {
		t.Error("nobody lied")
	}
}
