package state_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

// times returns the block times of a drawing in seconds after genesis.
func times(c *ledgertest.Chain) []int64 {
	var out []int64
	for _, b := range c.Blocks {
		out = append(out, (b.Result.Time-ledgertest.Start)/1000)
	}
	return out
}

func TestBlockTime(t *testing.T) {
	for _, tt := range []struct {
		name    string
		oracles int
		drawing string
		want    []int64 // genesis first
	}{
		{"one oracle alone", 1, "clock1@+10\nclock1@+5", []int64{0, 10, 15}},
		{"two of four do not move it", 4, "clock1@+10 clock2@+20", []int64{0, 0}},
		{"three of four do, to the least of them", 4, "clock1@+10 clock2@+20 clock3@+30", []int64{0, 10}},
		{"four of four, to the second", 4, "clock1@+40 clock2@+20 clock3@+30 clock4@+10", []int64{0, 20}},
		{"it rests while few speak", 4, "clock1@+10 clock2@+20 clock3@+30\nclock1@+100\nclock2@+200\nclock3@+300", []int64{0, 10, 20, 30, 110}},
		{"a liar ahead", 4, "clock1@+10 clock2@+11 clock3@+12 clock4@+1000000", []int64{0, 11}},
		{"a liar who stands still", 4, "clock1@+10 clock2@+11 clock3@+12\nclock1@+10 clock2@+11 clock3@+12", []int64{0, 10, 20}},
		{"nobody goes back", 4, "clock1@+50 clock2@+50 clock3@+50 clock4@+50\nclock1@-20 clock2@-20 clock3@-20 clock4@-20", []int64{0, 50, 50}},
		{"an oracle's last clock of a block counts", 1, "clock1@+10 clock1@+30", []int64{0, 30}},
		{"two of seven may lie", 7, "clock1@+99999 clock2@+99999 clock3@+10 clock4@+11 clock5@+12 clock6@+13 clock7@+14", []int64{0, 13}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, times(ledgertest.New(t, tt.oracles).Draw(tt.drawing))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestClockOfTheBlockBefore shows that the oracles whose wish to close a block
// came second are heard in the next one.
func TestClockOfTheBlockBefore(t *testing.T) {
	c := ledgertest.New(t, 4)
	var late []ledgertest.Message
	for i := 1; i < 4; i++ {
		late = append(late, c.Open(c.Clock(i, ledgertest.Start+int64(i)*1000)))
	}
	c.Append(c.Open(c.Clock(0, ledgertest.Start+500)))
	b := c.Append(late...)
	if diff := cmp.Diff([]entry.Reason{"", "", ""}, b.Result.Reasons); diff != "" {
		t.Errorf("reasons:\n%s", diff)
	}
	if want := int64(ledgertest.Start + 1000); b.Result.Time != want {
		t.Errorf("block time %d, want %d", b.Result.Time, want)
	}
}

// TestLiarsCannotMoveTime draws clocks of f liars among 3f+1 oracles: once all
// honest ones have spoken, block time stays between their earliest and latest.
func TestLiarsCannotMoveTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := rapid.IntRange(0, 2).Draw(rt, "f")
		n := 3*f + 1
		c := ledgertest.New(t, n)
		honest := int64(0)
		for block := range rapid.IntRange(1, 6).Draw(rt, "blocks") {
			honest += int64(rapid.IntRange(100, 5000).Draw(rt, "step"))
			least, most := c.State.Time(), c.State.Time()
			var ms []ledgertest.Message
			for i := range n {
				at := rapid.Int64Range(-1_000_000, 1<<49-ledgertest.Start).Draw(rt, fmt.Sprint("liar", i))
				if i >= f {
					at = honest + int64(rapid.IntRange(0, 99).Draw(rt, fmt.Sprint("honest", i)))
					if i == f || ledgertest.Start+at < least {
						least = ledgertest.Start + at
					}
					most = max(most, ledgertest.Start+at)
				}
				ms = append(ms, c.Open(c.Clock(i, ledgertest.Start+at)))
			}
			order := make([]int, n)
			for i := range order {
				order[i] = i
			}
			var mixed []ledgertest.Message
			for _, i := range rapid.Permutation(order).Draw(rt, "order") {
				mixed = append(mixed, ms[i])
			}
			before := c.State.Time()
			b := c.Append(mixed...)
			if b.Result.Time < before {
				rt.Fatalf("block %d: time went back from %d to %d", block, before, b.Result.Time)
			}
			if b.Result.Time < least || b.Result.Time > most {
				rt.Fatalf("block %d: time %d is not between %d and %d", block, b.Result.Time, least, most)
			}
		}
	})
}

// TestTimeIsNotOfTheOrder shows that clocks count before everything else of their
// block, wherever they stand in it.
func TestTimeIsNotOfTheOrder(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1")
	s := c.Reading("home1", energy("home1", c, 1))
	s.Claims.IssuedAt += 3600
	ms := []ledgertest.Message{c.Open(s), c.Open(c.Clock(0, c.State.Time()+3_600_000))}
	if got := c.Append(ms...).Result.Reasons; slices.ContainsFunc(got, func(r entry.Reason) bool { return r != "" }) {
		t.Errorf("a reading of the block's own time is refused: %q", got)
	}
}
