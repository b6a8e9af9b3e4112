package ledger_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/signer"
)

var sameKey = cmp.Comparer(func(a, b signer.PublicKey) bool { return a == b })

// TestLivesAreThoseOfTheRules draws ledgers: what the log alone says of keys is what
// the rules made of it.
func TestLivesAreThoseOfTheRules(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }
		oracles := 1 + 3*pick(2)
		drawing := ledgertest.Scribble(pick, oracles, 1+pick(8))
		rt.Log(drawing)
		c := ledgertest.New(t, oracles)
		c.KeepExports(false)
		c.Draw(drawing)
		l, err := ledger.LivesOf(c, c.Size())
		if err != nil {
			rt.Fatal(err)
		}
		var got []state.KeyInfo
		for _, k := range l.Keys {
			i := state.KeyInfo{Public: k.Key, Gateway: k.Gateway, Enrolled: k.From.Leaf}
			for _, p := range k.Points {
				i.Points = append(i.Points, p.Subject)
			}
			for _, m := range []*ledger.Moment{&k.From, k.To} {
				if m == nil {
					continue
				}
				if h := c.Blocks[m.Height].Header; m.Leaf < h.First || m.Leaf >= h.Size || m.Time != h.Time {
					rt.Fatalf("leaf %d is said to be in block %d of %d", m.Leaf, m.Height, h.Time)
				}
			}
			if k.To != nil {
				i.Revoked = k.To.Leaf
			}
			got = append(got, i)
		}
		if diff := cmp.Diff(c.State.Keys(), got, sameKey); diff != "" {
			rt.Fatalf("keys (-rules +log)\n%s", diff)
		}
	})
}

// TestLivesOfAGateway has everything that is said of one.
func TestLivesOfAGateway(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(`
		+home1:proven
		cal:home1=1010 >home1:es256
		-home1 +home1
		end2:home1
	`)
	l, err := ledger.LivesOf(c, c.Size())
	if err != nil {
		t.Fatal(err)
	}
	keys := c.State.Keys()
	if len(l.Keys) != 2 || len(keys) != 2 {
		t.Fatalf("%d keys, the rules have %d", len(l.Keys), len(keys))
	}
	first, second := l.Keys[0], l.Keys[1]
	if !first.Proven || first.From.Height != 1 || first.To == nil || first.To.Height != 2 || first.ReplacedBy == nil || *first.ReplacedBy != second.Key {
		t.Errorf("the first key: %+v", first)
	}
	if second.From != *first.To || second.To == nil || second.To.Height != 3 || second.ReplacedBy != nil || second.Reason != "drawn" || second.Points[0].Subject != "p-home1" {
		t.Errorf("the second key: %+v", second)
	}
	if len(l.Calibrations) != 1 || l.Calibrations[0].Height != 2 || l.Calibrations[0].Point != "p-home1" || l.Calibrations[0].Key != first.Key.ID() ||
		l.Calibrations[0].Identity != c.Blocks[2].Messages[4].Identity() {
		t.Errorf("calibrations: %+v", l.Calibrations)
	}
	// One oracle wants a third key; that it does, and no more, is what is there.
	if len(l.Waiting) != 1 || l.Waiting[0].Gateway != "home1" || l.Waiting[0].Since.Height != 3 ||
		!slices.Equal(l.Waiting[0].Oracles, []signer.KeyID{c.Oracles[0].Statement.Public().ID()}) {
		t.Errorf("waiting: %+v", l.Waiting)
	}
}
