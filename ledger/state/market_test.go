package state_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/account"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/market"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// hood is a drawn neighbourhood.
type hood = ledgertest.Hood

func newHood(tb testing.TB, homes int) *hood { return ledgertest.NewHood(tb, homes) }

func encoded(tb testing.TB) func([]byte, error) []byte {
	return func(b []byte, err error) []byte {
		tb.Helper()
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
}

// bodies are those of a kind in the newest block.
func bodies[T entry.Body](tb testing.TB, b *ledgertest.Block) (out []T) {
	for _, leaf := range b.Result.Leaves[len(b.Result.Accepted):] {
		o, err := entry.ParseOutcome(leaf)
		if err != nil {
			tb.Fatal(err)
		}
		if o.Body == nil {
			continue
		}
		body, err := o.ParseBody()
		if err != nil {
			tb.Fatal(err)
		}
		if v, ok := body.(T); ok {
			out = append(out, v)
		}
	}
	return out
}

func balance(h *hood, owner string) unit.Amount {
	return h.State.Balance(account.ID{Asset: account.Asset{Class: account.Money, Name: "EUR"}, Kind: account.Running, Owner: owner})
}

// TestMarketStory has two neighbours trade by an order and in the pool, one of them read
// late, and the correction seen in R1.
func TestMarketStory(t *testing.T) {
	h := newHood(t, 5)
	interval := unit.Interval(ledgertest.Start/1000 + 3600)
	order := func(name string, side int, price unit.Price, wh unit.Energy, nonce uint64) ledgertest.Message {
		o := &entry.Order{Zone: "street", Interval: interval, Member: name, Side: side, Nonce: nonce, Steps: []entry.OrderStep{{Price: price, Quantity: wh}}}
		return h.Signed(name, entry.TypeOrder, encoded(t)(o.Encode()))
	}
	b := h.At(60, order("home1", entry.SideSell, 120_000, 400, 1), order("home2", entry.SideBuy, 250_000, 300, 1))
	if diff := cmp.Diff([]entry.Reason{"", "", ""}, b.Result.Reasons); diff != "" {
		t.Fatal(diff)
	}
	if got := len(h.State.Orders("street", interval)); got != 2 {
		t.Errorf("%d orders stand", got)
	}
	h.At(3600-60-900, order("home3", entry.SideBuy, 250_000, 300, 1)) // the gate block, too late for an order
	if got := h.Last().Result.Reasons[1]; got != entry.ReasonGateClosed {
		t.Errorf("behind the gate: %q", got)
	}
	gate := h.Last().Header
	cleared := slices.DeleteFunc(bodies[*entry.Cleared](t, h.At(1)), func(o *entry.Cleared) bool { return o.Interval != interval })
	if len(cleared) != 1 || cleared[0].Open.Volume != 300 || cleared[0].Beacon != block.LeafHash(gate.Encode()) {
		t.Fatalf("cleared: %+v", cleared)
	}
	// Registers at both ends; the second one of home2 comes late.
	var late *ledgertest.Statement
	for _, edge := range []int64{interval.StartMilli(), interval.EndMilli()} {
		var m []ledgertest.Message
		for i, name := range h.Homes {
			used, made := int64(200), int64(0)
			if i == 0 {
				used, made = 0, 1000
			}
			s := h.Read(name, edge+200, used, made)
			if name == "home2" && edge != interval.StartMilli() {
				late = s
				continue
			}
			m = append(m, h.Deliver(s.Sign(t)))
		}
		h.At(900, m...)
	}
	// R0 of the intervals before and of this one.
	settled := bodies[*entry.Settled](t, h.At(1000))
	var first *entry.Settled
	for _, o := range settled {
		if o.Interval == interval {
			first = o
		}
	}
	if first == nil || first.Run != entry.RunPreliminary || first.Members != 5 || first.Totals != nil {
		t.Fatalf("R0: %+v", first)
	}
	spot := h.State.Spots("street", interval, interval+1)[0]
	if spot.Totals.Missing != 1 || spot.Totals.Measured != 4 {
		t.Errorf("R0 has totals %+v", spot.Totals)
	}
	before := balance(h, "member:home2")
	h.At(60, h.Deliver(late.Sign(t)))
	settled = bodies[*entry.Settled](t, h.At(1700))
	i := slices.IndexFunc(settled, func(o *entry.Settled) bool { return o.Interval == interval })
	if i < 0 || settled[i].Run != entry.RunInvoiced || settled[i].Version != 2 || settled[i].Totals == nil || settled[i].Totals.Measured != 5 {
		t.Fatalf("R1: %+v", settled)
	}
	if after := balance(h, "member:home2"); after == before {
		t.Errorf("the late reading changed nothing: %d", after)
	}
	checkSpot(t, h, interval)
	lines, alone, err := h.State.Bill("home2", interval, interval+1)
	if err != nil || len(lines) == 0 || alone == 0 {
		t.Fatalf("bill: %v, %v, %v", lines, alone, err)
	}
	var sum unit.Amount
	for _, l := range lines {
		sum += unit.Amount(l.Amount)
	}
	if got := balance(h, "member:home2"); got != sum {
		t.Errorf("the lines add up to %d, the account is at %d", sum, got)
	}
}

// checkSpot proves every line of an interval from what is disclosed to its member alone.
func checkSpot(tb testing.TB, h *hood, at unit.Interval) {
	tb.Helper()
	for _, name := range h.Homes {
		d, err := h.State.Disclose("street", name, at)
		if errors.Is(err, state.ErrNoLine) {
			continue
		}
		if err != nil {
			tb.Fatal(err)
		}
		for _, p := range []struct {
			bytes []byte
			proof block.Proof
		}{{d.Totals, d.TotalsProof}, {d.Line, d.LineProof}} {
			root, err := p.proof.Root(block.LeafHash(p.bytes))
			if err != nil || root != d.Settled.Root {
				tb.Fatalf("%s %s: proof %v, %v", name, at, root, err)
			}
		}
		line, err := entry.ParseDisclosed(d.Line)
		if err != nil {
			tb.Fatal(err)
		}
		totals, err := entry.ParseDisclosed(d.Totals)
		if err != nil {
			tb.Fatal(err)
		}
		if line.Line.Member != name {
			tb.Fatalf("disclosed %q to %q", line.Line.Member, name)
		}
		if err := market.CheckLine(&d.Settled, totals.Totals, line.Line); err != nil {
			tb.Fatalf("%s %s: %v", name, at, err)
		}
	}
}

// drawnHood lives through some hours of random readings, orders and standing entries.
func drawnHood(tb testing.TB, rt *rapid.T) *hood {
	h := newHood(tb, rapid.IntRange(1, 6).Draw(rt, "homes"))
	var backlog []*ledgertest.Statement
	nonce := uint64(0)
	for range rapid.IntRange(4, 20).Draw(rt, "blocks") {
		step := int64(rapid.SampledFrom([]int{60, 450, 900, 900, 900, 1800, 5000}).Draw(rt, "step"))
		edge := ((h.Now/1000 + step) / 900) * 900 * 1000
		next := unit.Interval(h.Now/1000/900*900) + 900*unit.Interval(rapid.SampledFrom([]int{2, 3, 3, 3, 3, 3, 9}).Draw(rt, "ahead"))
		var m []ledgertest.Message
		for _, name := range h.Homes {
			s := h.Read(name, edge+int64(rapid.IntRange(0, 70_000).Draw(rt, "behind")), int64(rapid.IntRange(0, 900).Draw(rt, "import")), int64(rapid.IntRange(0, 900).Draw(rt, "export")))
			switch rapid.IntRange(0, 9).Draw(rt, "fate") {
			case 0: // lost
			case 1, 2:
				backlog = append(backlog, s)
			default:
				m = append(m, h.Deliver(s.Sign(tb)))
			}
			switch rapid.IntRange(0, 2).Draw(rt, "entry") {
			case 0:
				nonce++
				o := &entry.Order{Zone: "street", Interval: next, Member: name, Side: rapid.IntRange(1, 2).Draw(rt, "side"), Nonce: nonce}
				for range rapid.IntRange(0, 2).Draw(rt, "steps") {
					st := entry.OrderStep{Price: unit.Price((rapid.IntRange(-50, 250).Draw(rt, "price") + 150*(2-o.Side)) * 1000), Quantity: unit.Energy(rapid.SampledFrom([]int{1, 700, 700, 1500, 1500, 300, 40, 0}).Draw(rt, "quantity"))}
					if o.Side == entry.SideBuy {
						st.Class = rapid.IntRange(0, 2).Draw(rt, "class")
					}
					o.Steps = append(o.Steps, st)
				}
				m = append(m, h.Signed(name, entry.TypeOrder, encoded(tb)(o.Encode())))
			case 1:
				min, max := unit.Price(rapid.IntRange(60, 200).Draw(rt, "least")*1000), unit.Price(rapid.IntRange(100, 320).Draw(rt, "most")*1000)
				e := &entry.Standing{Member: name, MinSell: &min, MaxBuy: &max, From: next}
				m = append(m, h.Signed(name, entry.TypeStanding, encoded(tb)(e.Encode())))
			}
		}
		if len(backlog) > 0 && rapid.Bool().Draw(rt, "backlog") {
			for _, s := range backlog {
				m = append(m, h.Deliver(s.Sign(tb)))
			}
			backlog = nil
		}
		h.At(step, m...)
	}
	return h
}

// TestMarketReplay has every drawn ledger give the same bytes when it is replayed from
// its leaves, with packs and without, and when it is loaded from its records before each
// block; money adds up to nothing, and every line follows from the rules.
func TestMarketReplay(t *testing.T) {
	cleared, settled, corrected := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		h := drawnHood(t, rt)
		var last *state.State
		replay(rt, h.Chain, h.Packs, func(b *ledgertest.Block, s *state.State, r *state.Result) {
			if diff := difference(b.Result.Changes, r.Changes); diff != "" {
				rt.Fatalf("block %d: changes (-executed +replayed)\n%s", b.Header.Height, diff)
			}
			last = s
		})
		if diff := difference(h.State.Export(), last.Export()); diff != "" {
			rt.Fatalf("state (-executed +replayed)\n%s", diff)
		}
		replay(rt, h.Chain, nil, func(b *ledgertest.Block, _ *state.State, r *state.Result) {
			if diff := difference(b.Result.Leaves, r.Leaves); diff != "" && r.Opaque == 0 {
				rt.Fatalf("block %d without packs: leaves\n%s", b.Header.Height, diff)
			}
		})
		stored := make(map[string][]byte)
		for _, b := range h.Blocks {
			for _, c := range b.Result.Changes {
				if stored[string(c.Key)] = c.Value; c.Value == nil {
					delete(stored, string(c.Key))
				}
			}
			for _, o := range bodies[*entry.Cleared](t, b) {
				if o.Open.Volume+o.Green.Volume > 0 {
					cleared++
				}
			}
			for _, o := range bodies[*entry.Settled](t, b) {
				settled++
				if o.Run == entry.RunCorrection {
					corrected++
				}
			}
		}
		var list []state.Change
		for k, v := range stored {
			list = append(list, state.Change{Key: []byte(k), Value: v})
		}
		loaded, err := state.Load(h.Charter, records(list))
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(h.State.Export(), loaded.Export()); diff != "" {
			rt.Fatalf("what was stored is another state:\n%s", diff)
		}
		var sum unit.Amount
		h.State.Accounts(func(_ account.ID, a unit.Amount) { sum += a })
		if sum != 0 {
			rt.Fatalf("money adds up to %d", sum)
		}
		for _, spot := range h.State.Spots("street", 0, unit.LastInterval) {
			checkSpot(t, h, spot.Interval)
		}
	})
	t.Logf("%d auctions with trades, %d settlements, %d corrections", cleared, settled, corrected)
	if cleared == 0 || settled == 0 || corrected == 0 {
		t.Error("the drawings show nothing")
	}
}
