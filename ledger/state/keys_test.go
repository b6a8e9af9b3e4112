package state_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// reasons returns those of a block's messages behind the clock of its one oracle.
func reasons(b *ledgertest.Block) []entry.Reason { return b.Result.Reasons[1:] }

func TestEnrolment(t *testing.T) {
	for _, tt := range []struct {
		name, drawing string
		want          []entry.Reason // of the last block
	}{
		{"a key is active from the next block on", "+home1\nhome1=1", []entry.Reason{""}},
		{"not in the block that enrols it", "+home1 home1=1", []entry.Reason{"", entry.ReasonUnknownKey}},
		{"not twice in one block", "+home1 +home1", []entry.Reason{"", entry.ReasonAlreadyKnown}},
		{"the name is free after a revocation", "+home1\n-home1 +home1:es256", []entry.Reason{"", ""}},
		{"and not before it in the block", "+home1\n+home1", []entry.Reason{entry.ReasonAlreadyKnown}},
		{"a new key starts its own sequence", "+home1\nhome1=1\n-home1 +home1\nhome1#1=2", []entry.Reason{""}},
		{"what was signed before the revocation in its block counts", "+home1\nhome1=1 -home1 home1=2",
			[]entry.Reason{"", "", entry.ReasonRevokedKey}},
		{"a point keeps its mode", "+home1\nhome1=1\n-home1 +home1:committed", []entry.Reason{"", entry.ReasonWrongMode}},
		{"twice revoked in one block", "+home1\n-home1 -home1 end1:home1", []entry.Reason{"", entry.ReasonAlreadyKnown, entry.ReasonAlreadyKnown}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := ledgertest.New(t, 1).Draw(tt.drawing)
			if diff := cmp.Diff(tt.want, reasons(c.Last())); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestStateKnowsKeys shows the whole life of a gateway with two keys.
func TestStateKnowsKeys(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1\nhome1=1000")
	first := c.GatewayKey("home1").Public()
	c.Draw("-home1 +home1:es256\nhome1=900")
	second := c.GatewayKey("home1").Public()

	revoked := c.Blocks[3].Header.First + 1 // after the clock
	want := []state.KeyInfo{
		{Public: first, Gateway: "home1", Enrolled: c.Blocks[1].Header.First + 1, Revoked: revoked, Points: []string{"p-home1"}},
		{Public: second, Gateway: "home1", Enrolled: revoked + 1, Points: []string{"p-home1"}},
	}
	if diff := cmp.Diff(want, c.State.Keys(), cmp.Comparer(func(a, b signer.PublicKey) bool { return a == b })); diff != "" {
		t.Errorf("keys (-want +got)\n%s", diff)
	}
	for _, k := range []signer.PublicKey{first, second, c.Oracles[0].Statement.Public()} {
		if got, ok := c.State.PublicKey(k.ID()); !ok || got != k {
			t.Errorf("public key %v: got %v %v", k.ID(), got.ID(), ok)
		}
	}
	for _, k := range []*signer.PrivateKey{strangers, c.Oracles[0].Log, c.Oracles[0].Cosigner} {
		if _, ok := c.State.PublicKey(k.Public().ID()); ok {
			t.Errorf("key %v is given out for statements", k.Public().ID())
		}
	}
	if _, ok := c.State.Key(strangers.Public().ID()); ok {
		t.Error("a stranger's key is known")
	}
	// The register goes on under the new key: 900 Wh after 1,000.
	if diff := cmp.Diff([]string{"flagged register_fell energy 1"}, outcomes(t, c.Last())); diff != "" {
		t.Errorf("outcomes (-want +got)\n%s", diff)
	}
}

func TestGatewayRevokesItself(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1")
	s := c.Revocation(c.GatewayKey("home1").Public().ID())
	s.Key = c.GatewayKey("home1")
	if got := c.Append(c.Open(s)).Result.Reasons; got[0] != "" {
		t.Fatalf("refused: %s", got[0])
	}
	c.Draw("home1=1")
	if diff := cmp.Diff([]entry.Reason{entry.ReasonRevokedKey}, reasons(c.Last())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestUnopenedKeyInItsOwnBlock has a statement verified under a key that its very
// block enrols: the rules alone refuse it.
func TestUnopenedKeyInItsOwnBlock(t *testing.T) {
	c := ledgertest.New(t, 1)
	enrol := c.Open(c.Enrolment("home1", signer.EdDSA, entry.ModeOpen))
	early := c.Open(c.Reading("home1", energy("home1", c, 1)))
	if diff := cmp.Diff([]entry.Reason{"", entry.ReasonUnknownKey}, c.Append(enrol, early).Result.Reasons); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestSequences(t *testing.T) {
	const used = entry.ReasonSequenceUsed
	for _, tt := range []struct {
		name, block string
		want        []entry.Reason
	}{
		{"in order", "home1#1=1 home1#2=1 home1#3=1", []entry.Reason{"", "", ""}},
		{"a hole stays open", "home1#1=1 home1#5=1 home1#3=1 home1#4=1 home1#2=1", []entry.Reason{"", "", "", "", ""}},
		{"used is used", "home1#1=1 home1#2=1 home1#1=1 home1#2=1", []entry.Reason{"", "", used, used}},
		{"inside a range", "home1#5=1 home1#7=1 home1#6=1 home1#6=1", []entry.Reason{"", "", "", used}},
		{"each boot counts for itself", "home1#1.1=1 home1#2.1=1 home1#1.1=1 home1#2.1=1 home1#1.2=1", []entry.Reason{"", "", used, used, ""}},
		{"each key counts for itself", "home1#1=1 home2#1=1 home2#1=1", []entry.Reason{"", "", used}},
		{"the largest there is", "home1#9007199254740992=1 home1#9007199254740992=1 home1#9007199254740991=1", []entry.Reason{"", used, ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := ledgertest.New(t, 1).Draw("+home1 +home2\n" + tt.block)
			if diff := cmp.Diff(tt.want, reasons(c.Last())); diff != "" {
				t.Errorf("in one block (-want +got)\n%s", diff)
			}
			for i, s := range c.Last().Result.Sequences {
				if !c.State.Used(s.KeyID, s.Sequence) {
					t.Errorf("sequence number %v is not used", s.Sequence)
				}
				if i > 0 && s.Leaf <= c.Last().Result.Sequences[i-1].Leaf {
					t.Errorf("leaves of sequence numbers are not in order")
				}
			}
		})
	}
}

func TestCharters(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func(*ledgertest.Consortium)
	}{
		{"a statement key that is none", func(c *ledgertest.Consortium) { c.Charter.Oracles[1].Key = []byte{1} }},
		{"a statement key for which anybody can sign", func(c *ledgertest.Consortium) { c.Charter.Oracles[1].Key = append([]byte{1}, make([]byte, 31)...) }},
		{"one statement key of two", func(c *ledgertest.Consortium) { c.Charter.Oracles[1].Key = c.Charter.Oracles[0].Key }},
		{"a log key that is none", func(c *ledgertest.Consortium) { c.Charter.Oracles[1].Log = "log" }},
		{"a cosigner's key as log key", func(c *ledgertest.Consortium) { c.Charter.Oracles[1].Log = c.Charter.Oracles[1].Cosigner }},
		{"one cosigner of two", func(c *ledgertest.Consortium) { c.Charter.Oracles[1].Cosigner = c.Charter.Oracles[0].Cosigner }},
		{"a log key that signs statements", func(c *ledgertest.Consortium) { c.Charter.Oracles[1].Key = c.Oracles[0].Log.Public().Bytes() }},
		{"another ledger's log key", func(c *ledgertest.Consortium) { c.Charter.Origin = "other.example/ledger" }},
		{"a parameter nobody knows", func(c *ledgertest.Consortium) { c.Charter.Parameters = []entry.Parameter{{Name: "colour", Value: 1}} }},
		{"a parameter out of range", func(c *ledgertest.Consortium) {
			c.Charter.Parameters = []entry.Parameter{{Name: entry.ParamCutLeaves, Value: 0}}
		}},
	} {
		c := ledgertest.NewConsortium(t, 4)
		tt.edit(c)
		if _, err := state.New(c.Charter); err == nil {
			t.Errorf("%s: no error", tt.name)
		}
	}
}
