package state_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/signer"
)

// scribbled draws a random ledger.
func scribbled(t *testing.T, rt *rapid.T) *ledgertest.Chain {
	pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(rt, "pick") }
	oracles := 1 + 3*pick(2)
	drawing := ledgertest.Scribble(pick, oracles, 1+pick(6))
	rt.Log(drawing)
	return ledgertest.New(t, oracles).Draw(drawing)
}

// difference is cmp.Diff for what is large and mostly equal.
func difference[T any](want, got T) string {
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return cmp.Diff(want, got, cmpopts.EquateEmpty())
}

// logged returns a block's leaves without its header, and its opened statements.
func logged(t rapid.TB, c *ledgertest.Chain, b *ledgertest.Block) (leaves [][]byte, opened []signer.Opened) {
	t.Helper()
	leaves = c.All()[b.Header.First:b.Header.Size]
	inputs, _ := b.Inputs()
	for _, i := range b.Result.Accepted {
		opened = append(opened, inputs[i].Opened)
	}
	return leaves, opened
}

// replay replays a whole chain and calls after with each block and what came out.
func replay(t rapid.TB, c *ledgertest.Chain, packs func([]byte) []byte, after func(*ledgertest.Block, *state.State, *state.Result)) {
	t.Helper()
	s := genesis(t, c)
	for _, b := range c.Blocks[1:] {
		leaves, opened := logged(t, c, b)
		r, err := s.Replay(b.Header, leaves, opened, packs)
		if err != nil {
			t.Fatal(err)
		}
		after(b, s, r)
	}
}

func genesis(t rapid.TB, c *ledgertest.Chain) *state.State {
	t.Helper()
	s, err := state.New(c.Charter)
	if err != nil {
		t.Fatal(err)
	}
	first := *c.Blocks[0].Header
	first.First = 1
	if _, err := s.Replay(&first, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestReplayEqualsExecute draws ledgers with everything that may be refused and
// flagged: replaying the leaves gives the same results, changes and state as
// executing the messages did.
func TestReplayEqualsExecute(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := scribbled(t, rt)
		replay(rt, c, c.Packs, func(b *ledgertest.Block, s *state.State, got *state.Result) {
			want := b.Result
			got.Accepted, got.Reasons, got.Refusals = want.Accepted, want.Reasons, want.Refusals // what was refused is not in the log
			if diff := difference(want, got); diff != "" {
				rt.Fatalf("block %d: result (-executed +replayed)\n%s", b.Header.Height, diff)
			}
			if diff := difference(b.Export, s.Export()); diff != "" {
				rt.Fatalf("block %d: state (-executed +replayed)\n%s", b.Header.Height, diff)
			}
		})
	})
}

// TestExecuteTwice gives the same messages to a second machine that is loaded
// from the first one's records before every block: same bytes, and the changes
// alone make the state.
func TestExecuteTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := scribbled(t, rt)
		stored := make(map[string][]byte)
		each := func(fn func(k, v []byte) error) error {
			for k, v := range stored { // any order will do
				if err := fn([]byte(k), v); err != nil {
					return err
				}
			}
			return nil
		}
		store := func(r *state.Result) {
			for i, ch := range r.Changes {
				if i > 0 && string(r.Changes[i-1].Key) >= string(ch.Key) {
					rt.Fatal("changes are not in order of their keys")
				}
				stored[string(ch.Key)] = ch.Value
			}
		}
		store(c.Blocks[0].Result)
		for _, b := range c.Blocks[1:] {
			s, err := state.Load(c.Charter, each)
			if err != nil {
				rt.Fatal(err)
			}
			inputs, _ := b.Inputs()
			r, err := s.Execute(b.Header.First, b.Header.Prev, inputs)
			if err != nil {
				rt.Fatal(err)
			}
			if diff := difference(b.Result, r); diff != "" {
				rt.Fatalf("block %d: result\n%s", b.Header.Height, diff)
			}
			store(r)
			if diff := difference(b.Export, s.Export()); diff != "" {
				rt.Fatalf("block %d: state\n%s", b.Header.Height, diff)
			}
			for _, ch := range b.Export {
				if string(stored[string(ch.Key)]) != string(ch.Value) {
					rt.Fatalf("block %d: record %q was changed and not among the changes", b.Header.Height, ch.Key)
				}
			}
			if len(stored) != len(b.Export) {
				rt.Fatalf("block %d: %d records stored, the state has %d", b.Header.Height, len(stored), len(b.Export))
			}
		}
	})
}

// TestReplayWithoutPacks loses packs: the ledger still replays, and says what it
// could not tell.
func TestReplayWithoutPacks(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := scribbled(t, rt)
		keep := rapid.IntRange(0, 3).Draw(rt, "keep")
		packs := func(digest []byte) []byte {
			if int(digest[0]&3) < keep {
				return c.Packs(digest)
			}
			return nil
		}
		replay(rt, c, packs, func(b *ledgertest.Block, _ *state.State, got *state.Result) {
			if got.Time != b.Result.Time {
				rt.Fatalf("block %d: time %d, want %d", b.Header.Height, got.Time, b.Result.Time)
			}
			if diff := cmp.Diff(b.Result.Sequences, got.Sequences); diff != "" {
				rt.Fatalf("block %d: sequence numbers\n%s", b.Header.Height, diff)
			}
		})
	})
}

func TestOpaqueReadings(t *testing.T) {
	c := ledgertest.New(t, 1).Draw(`
		+home1:committed +home2
		home1=1000 home2=1000
		home1=900 home2=900        # a flag for each
		-home1 +home1:committed
		home1=800                  # a flag that only who knew the packs before can make
	`)
	var opaque []int
	replay(t, c, nil, func(_ *ledgertest.Block, _ *state.State, r *state.Result) { opaque = append(opaque, r.Opaque) })
	if diff := cmp.Diff([]int{0, 1, 1, 0, 1}, opaque); diff != "" {
		t.Errorf("without packs (-want +got)\n%s", diff)
	}
	opaque = nil
	replay(t, c, c.Packs, func(_ *ledgertest.Block, _ *state.State, r *state.Result) { opaque = append(opaque, r.Opaque) })
	if diff := cmp.Diff([]int{0, 0, 0, 0, 0}, opaque); diff != "" {
		t.Errorf("with packs (-want +got)\n%s", diff)
	}
	last, _ := signer.Parse(c.All()[c.Last().Header.First+1])
	opaque = nil
	newest := func(digest []byte) []byte {
		if string(digest) != string(last.Payload) {
			return nil
		}
		return c.Packs(digest)
	}
	replay(t, c, newest, func(_ *ledgertest.Block, _ *state.State, r *state.Result) { opaque = append(opaque, r.Opaque) })
	if diff := cmp.Diff([]int{0, 1, 1, 0, 1}, opaque); diff != "" {
		t.Errorf("with the last pack alone (-want +got)\n%s", diff)
	}
	// A pack that is not the one committed to is no pack.
	other := func([]byte) []byte { return []byte("another") }
	opaque = nil
	replay(t, c, other, func(_ *ledgertest.Block, _ *state.State, r *state.Result) { opaque = append(opaque, r.Opaque) })
	if diff := cmp.Diff([]int{0, 1, 1, 0, 1}, opaque); diff != "" {
		t.Errorf("with other packs (-want +got)\n%s", diff)
	}
}

func TestReplayFindsWhatIsWrong(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1 +home2\nhome1=1000 home2=5\nhome1=900 home2=6 junk")
	b := c.Last()
	leaves, opened := logged(t, c, b)
	flag := len(opened)
	other := entry.Outcome{Kind: entry.OutcomeFlagged, Leaf: b.Header.First, Code: entry.FlagRange, Detail: "energy"}
	junk := entry.Outcome{Kind: entry.OutcomeRefused, Code: string(entry.ReasonBadSignature)}
	for _, tt := range []struct {
		name   string
		header func(h *block.Header)
		leaves [][]byte
		opened []signer.Opened
		want   string
	}{
		{"another height", func(h *block.Header) { h.Height++ }, leaves, opened, "it has height 4"},
		{"another time", func(h *block.Header) { h.Time++ }, leaves, opened, "its clocks make"},
		{"no flag", nil, ledgertest.Drop(leaves, uint64(flag)), opened, "is not the outcome"},
		{"another flag", nil, ledgertest.Replace(leaves, uint64(flag), other.Encode()), opened, "is not the outcome"},
		{"a flag more", nil, append(leaves[:len(leaves):len(leaves)], other.Encode()), opened, "follows from nothing"},
		{"a statement twice", nil, ledgertest.Insert(leaves, uint64(flag), leaves[flag-1]), append(opened[:flag:flag], opened[flag-1]),
			"should have been refused: sequence_used"},
		{"fewer leaves than statements", nil, leaves[:1], opened, "fewer leaves"},
		{"a refusal of what nobody is known to have written", nil, append(leaves[:len(leaves):len(leaves)], junk.Encode()), opened, "leaves no outcome"},
		{"something that is no outcome", nil, append(leaves[:len(leaves):len(leaves)], []byte("junk")), opened, "follows from nothing"},
	} {
		s, err := state.Load(c.Charter, records(c.Blocks[2].Export))
		if err != nil {
			t.Fatal(err)
		}
		h := *b.Header
		if tt.header != nil {
			tt.header(&h)
		}
		_, err = s.Replay(&h, tt.leaves, tt.opened, nil)
		if !errors.Is(err, state.ErrReplay) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// records gives exported records as a store does.
func records(list []state.Change) func(func(k, v []byte) error) error {
	return func(fn func(k, v []byte) error) error {
		for _, ch := range list {
			if err := fn(ch.Key, ch.Value); err != nil {
				return err
			}
		}
		return nil
	}
}

// TestOrderOfChanges executes one block with many gateways: whatever the order
// of its messages, changes come in order of keys.
func TestOrderOfChanges(t *testing.T) {
	c := ledgertest.New(t, 1)
	var ms []ledgertest.Message
	for i := range 40 {
		ms = append(ms, c.Open(c.Enrolment(fmt.Sprint("home", i), signer.EdDSA, entry.ModeOpen)))
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(ms), func(i, k int) { ms[i], ms[k] = ms[k], ms[i] })
	r := c.Append(ms...).Result
	if len(r.Changes) != 81 { // a key and a point each, and the one record
		t.Errorf("%d records changed, want 81", len(r.Changes))
	}
	for i := 1; i < len(r.Changes); i++ {
		if string(r.Changes[i-1].Key) >= string(r.Changes[i].Key) {
			t.Fatalf("change %d is not in order", i)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1\nhome1=1 vote1:cut_leaves=2@9")
	export := c.Last().Export
	without := func(kind byte) []state.Change {
		var out []state.Change
		for _, ch := range export {
			if ch.Key[0] != kind {
				out = append(out, ch)
			}
		}
		return out
	}
	for name, list := range map[string][]state.Change{
		"no key":               append(export[:len(export):len(export)], state.Change{}),
		"an unknown kind":      append(export[:len(export):len(export)], state.Change{Key: []byte("z"), Value: []byte{0}}),
		"a point without key":  without('k'),
		"a record cut short":   append(without('p'), state.Change{Key: []byte("pp-home1"), Value: []byte{0xa5}}),
		"clocks of no oracles": append(without('m'), state.Change{Key: []byte("m"), Value: []byte{0xa0}}),
	} {
		if _, err := state.Load(c.Charter, records(list)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	stop := errors.New("stop")
	if _, err := state.Load(c.Charter, func(func(k, v []byte) error) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the source's own error", err)
	}
}

// FuzzLoad loads any records in place of a state's own: what loads can be
// executed on, exported and loaded again.
func FuzzLoad(f *testing.F) {
	c := ledgertest.New(f, 4).Draw("+home1 +home2:committed\nhome1=1 home1#9=2 home2=3 vote1:cut_leaves=2@9 end1:home1\n-home2 +home2:committed")
	export := c.Last().Export
	for i := range export {
		f.Add(uint8(i), export[i].Key, export[i].Value)
	}
	block := c.Clocks(1000)
	f.Fuzz(func(t *testing.T, at uint8, k, v []byte) {
		list := append([]state.Change(nil), export...)
		list[int(at)%len(list)] = state.Change{Key: k, Value: v}
		s, err := state.Load(c.Charter, records(list))
		if err != nil {
			return
		}
		again, err := state.Load(c.Charter, records(s.Export()))
		if err != nil {
			t.Fatalf("its export does not load: %v", err)
		}
		if diff := cmp.Diff(s.Export(), again.Export()); diff != "" {
			t.Fatalf("loaded from its export it is another:\n%s", diff)
		}
		var inputs []state.Input
		for i := range block {
			inputs = append(inputs, block[i].Input())
		}
		s.Execute(1000, [32]byte{}, inputs)
	})
}
