package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/signer"
)

func names(set *entry.OracleSet) (out []string) {
	for _, o := range set.Oracles {
		out = append(out, o.Name)
	}
	return out
}

// blockOf appends a block with everybody's clock and more.
func blockOf(c *ledgertest.Chain, list ...*ledgertest.Statement) *ledgertest.Block {
	return c.Append(append(c.Clocks(60_000), c.Send(list...)...)...)
}

// TestOraclesChange shows the way of a new set: three of four agree, the third voice
// adopts it, and it is in force from its height on and not before.
func TestOraclesChange(t *testing.T) {
	c := ledgertest.New(t, 4)
	five := ledgertest.NewOracle(t, "ledgertest.example/oracle5")
	next := []ledgertest.Oracle{c.Oracles[1].Rotated(t), c.Oracles[2], c.Oracles[3], five}
	m := c.SetMotion(0, 5, c.NextSet(next...))
	blockOf(c, m)                                     // height 1
	b := blockOf(c, c.Consent(2, m), c.Consent(2, m)) // 2
	if got := outcomes(t, b); got != nil || b.Result.Reasons[5] != entry.ReasonAlreadyKnown {
		t.Errorf("two voices and one of them twice make %q, and the second is refused for %q", got, b.Result.Reasons[5])
	}
	b = blockOf(c, c.Consent(3, m)) // 3
	if diff := cmp.Diff([]string{"adopted oracles  -1"}, outcomes(t, b)); diff != "" {
		t.Errorf("outcome of the third voice (-want +got):\n%s", diff)
	}
	was := names(c.State.Oracles())
	if was[0] != "ledgertest.example/oracle1" {
		t.Fatalf("in force before its height: %q", was)
	}
	stranger := c.Stated(0, entry.TypeClock, (&entry.Clock{Height: 4, Time: c.State.Time() + 1}).Encode())
	stranger.Key = five.Statement
	b = c.Append(append(c.Clocks(60_000), c.Open(stranger))...) // 4
	if got := b.Result.Reasons[4]; got != entry.ReasonUnknownKey {
		t.Errorf("a new oracle's clock before its height: %q", got)
	}
	if diff := cmp.Diff(names(c.NextSet(next...)), names(c.State.Oracles())); diff != "" {
		t.Errorf("in force for block 5 (-want +got):\n%s", diff)
	}
	gone := c.Clock(0, c.State.Time()+60_000)
	old := c.Clock(1, c.State.Time()+60_000)
	c.Oracles = next
	b = c.Append(append(c.Clocks(60_000), c.Send(gone, old)...)...) // 5
	if got := b.Result.Reasons[4:]; !slices.Equal(got, []entry.Reason{entry.ReasonRevokedKey, entry.ReasonRevokedKey}) {
		t.Errorf("clocks of one who is gone and of a key that was changed: %q", got)
	}
	for i, r := range b.Result.Reasons[:4] {
		if r != "" {
			t.Errorf("the clock of oracle %d of the new set: %q", i, r)
		}
	}
	for h, want := range map[uint64][]string{0: was, 4: was, 5: names(c.State.Oracles()), 6: names(c.State.Oracles())} {
		if diff := cmp.Diff(want, names(c.State.OraclesAt(h))); diff != "" {
			t.Errorf("in force at height %d (-want +got):\n%s", h, diff)
		}
	}
	sameAudited(t, c)
}

// sameAudited audits a chain and compares the sets that the auditor comes to, and its
// whole state, with the chain's; and a state loaded from what is stored.
func sameAudited(t testing.TB, c *ledgertest.Chain) {
	t.Helper()
	a := audit.NewAuditor(c.Packs)
	leaves := c.All()
	if _, err := a.Run(func() ([]byte, error) {
		if len(leaves) == 0 {
			return nil, nil
		}
		l := leaves[0]
		leaves = leaves[1:]
		return l, nil
	}); err != nil {
		t.Fatal(err)
	}
	loaded, err := state.Load(c.Charter, func(fn func(k, v []byte) error) error {
		for _, r := range c.State.Export() {
			if err := fn(r.Key, r.Value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, s := range map[string]*state.State{"audited": a.State(), "loaded": loaded} {
		if diff := cmp.Diff(c.State.OracleSets(), s.OracleSets()); diff != "" {
			t.Errorf("oracle sets %s (-state +%s):\n%s", what, what, diff)
		}
		if diff := cmp.Diff(c.State.Export(), s.Export()); diff != "" {
			t.Errorf("state %s (-state +%s):\n%s", what, what, diff)
		}
	}
}

// TestAdoptedAgainstAnotherSetIsVoid has two sets adopted for one height: the second
// does not follow the first.
func TestAdoptedAgainstAnotherSetIsVoid(t *testing.T) {
	c := ledgertest.New(t, 4)
	one := c.NextSet(c.Oracles[:3]...)
	other := c.NextSet(c.Oracles[1:]...)
	var list []*ledgertest.Statement
	for _, set := range []*entry.OracleSet{other, one} {
		m := c.SetMotion(0, 3, set)
		list = append(list, m, c.Consent(1, m), c.Consent(2, m))
	}
	blockOf(c, list...)
	b := blockOf(c)
	if diff := cmp.Diff([]string{"void other_oracles  -1"}, outcomes(t, b)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := c.State.Oracles(); got.Hash() != other.Hash() {
		t.Errorf("in force is %q, want the set that was adopted first", names(got))
	}
	sameAudited(t, c)
}

// TestMotionsOfOtherKinds shows a parameter and a reserved key.
func TestMotionsOfOtherKinds(t *testing.T) {
	c := ledgertest.New(t, 4)
	c.Adopt(entry.MotionParameter, 2, (&entry.Parameter{Name: entry.ParamSnapshotBlocks, Value: 7}).Encode())
	if got := c.State.Setting(entry.ParamSnapshotBlocks); got != 7 {
		t.Errorf("snapshot_blocks is %d for block 2, want 7", got)
	}
	five := ledgertest.NewOracle(t, "ledgertest.example/oracle5")
	body, err := c.NextSet(append(slices.Clone(c.Oracles), five)...).Encode()
	if err != nil {
		t.Fatal(err)
	}
	c.Adopt(entry.MotionOracles, 9, body)
	e := c.Enrolment("home1", 0-8, entry.ModeOpen)
	n, err := entry.ParseEnrolment(e.Payload)
	if err != nil {
		t.Fatal(err)
	}
	n.Key = five.Statement.Public().Bytes()
	if e.Payload, err = n.Encode(); err != nil {
		t.Fatal(err)
	}
	if b := blockOf(c, e); b.Result.Reasons[4] != entry.ReasonNotAuthorised {
		t.Errorf("a gateway with the key of an oracle to be: %q", b.Result.Reasons[4])
	}
	sameAudited(t, c)
}

// TestMotionsLapse has one that nobody adopts go, at its height and after thirty days.
func TestMotionsLapse(t *testing.T) {
	c := ledgertest.New(t, 4)
	blockOf(c, c.SetMotion(0, 3, c.NextSet(c.Oracles[:3]...)), c.SetMotion(0, 900, c.NextSet(c.Oracles[1:]...)))
	if n := len(c.State.Motions()); n != 2 {
		t.Fatalf("%d wait, want 2", n)
	}
	blockOf(c)
	if n := len(c.State.Motions()); n != 1 {
		t.Errorf("%d wait when the height of one has come, want 1", n)
	}
	c.Append(c.Clocks(31 * 24 * 3600 * 1000)...)
	blockOf(c)
	if n := len(c.State.Motions()); n != 0 {
		t.Errorf("%d wait after thirty days, want none", n)
	}
	sameAudited(t, c)
}

// TestThresholdsRule draws motions and voices of any oracles, gateways' and strangers'
// keys included. Whatever comes, a set changes only with as many voices of the set
// before as its threshold asks for; a verifier who has the first policy alone follows
// to the same sets.
func TestThresholdsRule(t *testing.T) {
	changes := 0
	rapid.Check(t, func(r *rapid.T) {
		c := ledgertest.New(t, rapid.IntRange(1, 5).Draw(r, "oracles"))
		c.KeepExports(false)
		pool := slices.Clone(c.Oracles)
		for i := range 3 {
			pool = append(pool, ledgertest.NewOracle(t, fmt.Sprintf("ledgertest.example/late%d", i)))
		}
		policy := c.Policy
		var handovers []*handover.Handover
		type voiced struct {
			motion *ledgertest.Statement
			set    *entry.OracleSet
			height uint64
			who    []ledgertest.Oracle
			by     map[string]bool // names in the set that it replaces
		}
		var open []*voiced
		for range rapid.IntRange(1, 8).Draw(r, "blocks") {
			var list []*ledgertest.Statement
			before := c.State.OracleSets()
			for range rapid.IntRange(0, 4).Draw(r, "statements") {
				i := rapid.IntRange(0, len(c.Oracles)-1).Draw(r, "oracle")
				var s *ledgertest.Statement
				var v *voiced
				if len(open) == 0 || rapid.IntRange(0, 3).Draw(r, "new") == 0 {
					who := rapid.Permutation(pool).Draw(r, "pool")[:rapid.IntRange(1, len(pool)).Draw(r, "size")]
					if rapid.Bool().Draw(r, "rotate") {
						who = slices.Clone(who)
						who[0] = who[0].Rotated(t)
					}
					set := c.NextSet(who...)
					set.Governance = rapid.Uint64Range(1, uint64(len(who))).Draw(r, "governance")
					v = &voiced{set: set, who: who, by: make(map[string]bool), height: c.State.Height() + rapid.Uint64Range(1, 3).Draw(r, "after")}
					v.motion = c.SetMotion(i, v.height, set)
					s = v.motion
					// Who puts forward what waits already agrees to it.
					if at := slices.IndexFunc(open, func(o *voiced) bool { return bytes.Equal(o.motion.Payload, s.Payload) }); at >= 0 {
						v = open[at]
					} else {
						open = append(open, v)
					}
				} else {
					v = rapid.SampledFrom(open).Draw(r, "motion")
					s = c.Consent(i, v.motion)
				}
				if rapid.IntRange(0, 4).Draw(r, "liar") == 0 {
					s.Key = ledgertest.NewOracle(t, "nobody").Statement
				} else if v.set.Replaces == c.State.Oracles().Hash() {
					v.by[c.Oracles[i].Name] = true
				}
				list = append(list, s)
			}
			messages := c.Clocks(60_000)
			for _, s := range list {
				messages = append(messages, c.Open(s))
			}
			b := c.Append(messages...)
			sets := c.State.OracleSets()
			if len(sets) == len(before) {
				continue
			}
			was, now := before[len(before)-1], sets[len(sets)-1]
			at := slices.IndexFunc(open, func(v *voiced) bool { return v.height == now.Height && v.set.Hash() == now.Set.Hash() })
			if len(sets) != len(before)+1 || at < 0 || now.Set.Replaces != was.Set.Hash() {
				r.Fatalf("%d sets became %d, the last one %+v", len(before), len(sets), now)
			}
			if n := uint64(len(open[at].by)); n < was.Set.Governance {
				r.Fatalf("a set came into force by %d voices, %d must agree", n, was.Set.Governance)
			}
			note := c.Sign(t, b.Checkpoint, first(int(was.Set.Quorum))...)
			handovers = append(handovers, c.Handover(note, b.Checkpoint, was, now))
			c.Oracles = open[at].who
			changes++
		}
		spans, err := handover.Follow(policy, handovers)
		if err != nil {
			r.Fatal(err)
		}
		sets := c.State.OracleSets()
		if len(spans) != len(sets) {
			r.Fatalf("a verifier follows %d sets of %d", len(spans), len(sets))
		}
		for i := 1; i < len(sets); i++ {
			want, err := handover.PolicyOf(ledgertest.Origin, sets[i].Set)
			if err != nil {
				r.Fatal(err)
			}
			if spans[i].Height != sets[i].Height || spans[i].Policy.String() != want.String() {
				r.Fatalf("set %d: a verifier has the policy of block %d\n%swant that of block %d\n%s", i, spans[i].Height, spans[i].Policy, sets[i].Height, want)
			}
		}
		// With the first voice alone nobody follows, where more must agree: others may have
		// consented, or put forward the same motion.
		if len(handovers) > 0 {
			k := rapid.IntRange(0, len(handovers)-1).Draw(r, "handover")
			less := *handovers[k]
			motion := ledgertest.MotionHash(sets[k+1])
			voices := 0
			less.Leaves = slices.DeleteFunc(slices.Clone(less.Leaves), func(l handover.Leaf) bool {
				s, err := signer.Parse(l.Leaf)
				if err != nil || !handover.Agrees(s, motion) {
					return false
				}
				voices++
				return voices > 1
			})
			if sets[k].Set.Governance == 1 {
				return
			}
			short := append(slices.Clone(handovers[:k]), &less)
			if _, err := handover.Follow(policy, short); !errors.Is(err, handover.ErrHandover) {
				r.Fatalf("handover %d with the first voice alone, of %d that must agree: %v", k, sets[k].Set.Governance, err)
			}
		}
	})
	if changes == 0 {
		t.Error("no set ever changed, so this shows nothing")
	}
}

func first(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}
