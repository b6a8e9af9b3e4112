package state_test

import (
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
)

// TestWantsPack: a pack that the state does not want changes nothing, whatever else
// the block holds. Two oracles, one with the pack and one without, make one block.
func TestWantsPack(t *testing.T) {
	wanted, unwanted := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		c := scribbled(t, rt)
		for i, b := range c.Blocks[1:] {
			s := loaded(rt, c, c.Blocks[i].Export)
			inputs, _ := b.Inputs()
			for k := range inputs {
				in := &inputs[k]
				pack := in.Pack
				if pack == nil {
					continue
				}
				in.Pack = nil
				if s.WantsPack(in) {
					in.SetPack(pack)
					wanted++
				} else {
					unwanted++
				}
			}
			got, err := s.Execute(b.Header.First, b.Header.Prev, inputs)
			if err != nil {
				rt.Fatal(err)
			}
			if diff := difference(b.Result, got); diff != "" {
				rt.Fatalf("block %d without the packs nobody wants: result\n%s", b.Header.Height, diff)
			}
		}
	})
	if wanted == 0 || unwanted == 0 {
		t.Errorf("%d packs were wanted, %d were not: the drawings show nothing", wanted, unwanted)
	}
}

// loaded returns the state that an export is of.
func loaded(rt *rapid.T, c *ledgertest.Chain, export []state.Change) *state.State {
	s, err := state.Load(c.Charter, func(fn func(k, v []byte) error) error {
		for _, ch := range export {
			if err := fn(ch.Key, ch.Value); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
	return s
}

// TestWantsPackOfWhom has readings that nobody need wait for: of an oracle's key, of a
// number that is used, of a point that is open.
func TestWantsPackOfWhom(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(`
		+home1 +home2:committed
		home1=1000 home2=500
	`)
	hidden := func(change func(*ledgertest.Statement)) bool {
		s := c.Reading("home2", energy("home2", c, 600))
		s.Hidden, s.Content = true, entry.ContentSalted
		change(s)
		b, _ := s.Sign(t)
		m := c.Deliver(b, nil)
		in := m.Input()
		return c.State.WantsPack(&in)
	}
	for name, test := range map[string]struct {
		change func(*ledgertest.Statement)
		want   bool
	}{
		"a fresh one":            {func(*ledgertest.Statement) {}, true},
		"of an oracle":           {func(s *ledgertest.Statement) { s.Key = c.Oracles[0].Statement }, false},
		"of a stranger":          {func(s *ledgertest.Statement) { s.Key = strangers }, false},
		"of a used number":       {func(s *ledgertest.Statement) { s.Claims.Sequence.Count = 1 }, false},
		"of no number":           {func(s *ledgertest.Statement) { s.Claims.Sequence = entry.Sequence{} }, false},
		"of another's point":     {func(s *ledgertest.Statement) { s.Claims.Subject = ledgertest.Subject("home1") }, false},
		"from far ahead":         {func(s *ledgertest.Statement) { s.Claims.IssuedAt += 1 << 20 }, true},
		"of another ledger":      {func(s *ledgertest.Statement) { s.Claims.Audience = "other.example/ledger" }, false},
		"of another content":     {func(s *ledgertest.Statement) { s.Content = entry.ContentCBOR }, false},
		"that is no reading":     {func(s *ledgertest.Statement) { s.Type = entry.TypeClock }, false},
		"of which there is none": {func(s *ledgertest.Statement) { s.Hidden = false }, false},
	} {
		if got := hidden(test.change); got != test.want {
			t.Errorf("a hidden reading %s: wants its pack %v, want %v", name, got, test.want)
		}
	}
}
