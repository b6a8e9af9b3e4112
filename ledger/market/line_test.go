package market_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/market"
	"wattmark/ledger/unit"
)

// drawnSettlement draws the terms of an interval and the parts of its members.
func drawnSettlement(rt *rapid.T) (*entry.Settled, []entry.Line) {
	number := func(name string, low, high int64) int64 { return rapid.Int64Range(low, high).Draw(rt, name) }
	s := &entry.Settled{Zone: "z", Version: 1, Terms: entry.Terms{
		Currency: "EUR", Pool: rapid.IntRange(1, 2).Draw(rt, "pool"), FeedIn: unit.Price(number("feed-in", 0, 200_000)), Retail: unit.Price(number("retail", 0, 400_000)),
		Fee: unit.Price(number("fee", 0, 60_000)), Loss: unit.PPM(number("loss", 0, 100_000)), Deviation: unit.PPM(number("deviation", 0, 200_000)),
	}}
	if rapid.Bool().Draw(rt, "auction") {
		p := unit.Price(number("price", -50_000, 400_000))
		s.AuctionPrice = &p
	}
	var lines []entry.Line
	for i := range rapid.IntRange(1, 9).Draw(rt, "members") {
		l := entry.Line{Member: fmt.Sprintf("m%d", i), Quality: rapid.SampledFrom([]int{0, 0, 0, 1, 2}).Draw(rt, "quality"),
			AuctionSold: unit.Energy(number("sold", 0, 300)), AuctionBought: unit.Energy(number("bought", 0, 300))}
		if l.Quality != 2 {
			l.Import, l.Export = unit.Energy(number("import", 0, 1000)), unit.Energy(number("export", 0, 1000))
		}
		if rapid.Bool().Draw(rt, "limits") {
			p, q := unit.Price(number("least", 0, 300_000)), unit.Price(number("most", 0, 400_000))
			l.MinSell, l.MaxBuy = &p, &q
		}
		lines = append(lines, l)
	}
	s.Members = uint64(len(lines))
	return s, lines
}

func settleDrawn(rt *rapid.T, s *entry.Settled, lines []entry.Line) *market.Settlement {
	pool := market.PoolOf(s)
	for i := range lines {
		pool.Members = append(pool.Members, market.MeterOf(&lines[i]))
	}
	st, err := market.Settle(pool)
	if err != nil {
		rt.Fatal(err)
	}
	return st
}

// TestCheckLine settles drawn streets: each member's part follows from its own meter and
// the sums alone, and any other does not; lines of bills and postings are those of the
// settlement itself, also after a correction.
func TestCheckLine(t *testing.T) {
	refused := 0
	rapid.Check(t, func(rt *rapid.T) {
		s, lines := drawnSettlement(rt)
		st := settleDrawn(rt, s, lines)
		if rapid.Bool().Draw(rt, "corrected") {
			next, err := st.Correct("m0", market.Measured, unit.Energy(rapid.IntRange(0, 900).Draw(rt, "in")), unit.Energy(rapid.IntRange(0, 900).Draw(rt, "out")))
			if err != nil {
				rt.Fatal(err)
			}
			st = next
		}
		totals := st.Totals()
		want, err := st.Lines(s.Interval, market.R0)
		if err != nil {
			rt.Fatal(err)
		}
		var got []market.Line
		for i := range lines {
			lines[i] = st.Line(i)
			if err := market.CheckLine(s, &totals, &lines[i]); err != nil {
				rt.Fatalf("%+v: %v", lines[i], err)
			}
			mine, err := market.BillLines(s, &totals, &lines[i])
			if err != nil {
				rt.Fatal(err)
			}
			got = append(got, mine...)
			var sum unit.Money
			for _, l := range mine {
				sum += l.Amount
			}
			if sum != lines[i].Amount {
				rt.Fatalf("the lines of %s add up to %d, its amount is %d", lines[i].Member, sum, lines[i].Amount)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
			rt.Fatalf("lines of bills (-settlement +from the parts)\n%s", diff)
		}
		if diff := cmp.Diff(st.Postings(), market.PostingsOf(lines, &totals)); diff != "" {
			rt.Fatalf("postings (-settlement +from the parts)\n%s", diff)
		}
		wrong := lines[rapid.IntRange(0, len(lines)-1).Draw(rt, "which")]
		switch rapid.IntRange(0, 5).Draw(rt, "what") {
		case 0:
			wrong.Amount++
		case 1:
			wrong.Counterfactual--
		case 2:
			wrong.GridExport++
		case 3:
			if wrong.Corrected {
				return // what the pool gave it stands in R1's line
			}
			wrong.Sold += 2
			wrong.GridExport -= 2
		case 4:
			wrong.Charge += 5
		case 5:
			if market.Quality(wrong.Quality) != market.Measured {
				return // of what is not measured a little more may come to the same
			}
			wrong.Import++
		}
		if err := market.CheckLine(s, &totals, &wrong); err != nil {
			refused++
			var fault *market.Fault
			if !errors.Is(err, market.ErrLine) && !errors.As(err, &fault) {
				rt.Fatalf("refused for %v", err)
			}
		} else {
			rt.Fatalf("taken: %+v", wrong)
		}
	})
	if refused == 0 {
		t.Error("nothing was changed")
	}
}

// TestBookRestores has orders that were placed make the same book in any order.
func TestBookRestores(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		party := &market.Party{Zone: "z", Power: 1_000_000, Renewable: true}
		book := &market.Book{Zone: "z", Fee: 10}
		for i := range rapid.IntRange(0, 20).Draw(rt, "orders") {
			o := market.Order{ID: fmt.Sprint("o", i), Zone: "z", Member: fmt.Sprint("m", rapid.IntRange(0, 4).Draw(rt, "member")), Side: market.Side(rapid.IntRange(1, 2).Draw(rt, "side")), Nonce: uint64(i + 1)}
			for range rapid.IntRange(0, 3).Draw(rt, "steps") {
				o.Steps = append(o.Steps, market.Step{Price: unit.Price(rapid.IntRange(0, 100).Draw(rt, "price")), Quantity: unit.Energy(rapid.IntRange(0, 9).Draw(rt, "quantity"))})
			}
			before := book.Orders()
			checked := book.Check(&o, party)
			if diff := cmp.Diff(before, book.Orders()); diff != "" {
				rt.Fatalf("a check changed the book:\n%s", diff)
			}
			if placed := book.Place(o, party); (placed == nil) != (checked == nil) {
				rt.Fatalf("checked %v, placed %v", checked, placed)
			}
		}
		again := &market.Book{Zone: "z", Fee: 10}
		for _, o := range rapid.Permutation(book.Orders()).Draw(rt, "order") {
			again.Restore(o)
		}
		if diff := cmp.Diff(book.Auction(market.Uniform, [32]byte{1}), again.Auction(market.Uniform, [32]byte{1})); diff != "" {
			rt.Fatalf("restored it is another:\n%s", diff)
		}
	})
}

func TestRollingCalendar(t *testing.T) {
	c := market.DefaultCalendar()
	c.Rolling, c.Runs = true, [...]int64{900, 1800, 3600}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if got := c.Due(7200, market.R1); got != 9_000_000 {
		t.Errorf("R1 is due at %d", got)
	}
	c.Runs[0] = 899
	if err := c.Check(); err == nil {
		t.Error("R0 before the interval is over is taken")
	}
}
