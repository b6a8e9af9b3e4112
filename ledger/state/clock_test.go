package state_test

import (
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
		{"three of four do, to the second of them", 4, "clock1@+10 clock2@+20 clock3@+30", []int64{0, 20}},
		{"four of four, to the second", 4, "clock1@+40 clock2@+20 clock3@+30 clock4@+10", []int64{0, 20}},
		{"it rests while few speak", 4, "clock1@+10 clock2@+20 clock3@+30\nclock1@+100\nclock2@+200\nclock3@+300", []int64{0, 20, 20, 30, 120}},
		{"a liar ahead", 4, "clock1@+10 clock2@+11 clock3@+12 clock4@+1000000", []int64{0, 11}},
		{"a liar who stands still", 4, "clock1@+10 clock2@+11 clock3@+12\nclock1@+10 clock2@+11 clock3@+12", []int64{0, 11, 22}},
		{"a liar who lags", 4, "clock1@+10 clock2@+11 clock3@+12 clock4@+13\nclock1@+3600 clock2@+3600 clock3@+1", []int64{0, 11, 3611}},
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

// TestLateClocks shows that clocks whose block was closed already, also many blocks
// ago, are heard in a later one, and that they alone are not its time.
func TestLateClocks(t *testing.T) {
	c := ledgertest.New(t, 4)
	var late []ledgertest.Message
	for i := 1; i < 4; i++ {
		late = append(late, c.Open(c.Clock(i, ledgertest.Start+int64(i)*1000)))
	}
	for range 3 {
		c.Append(c.Open(c.Clock(0, ledgertest.Start+500*int64(c.State.Height()))))
	}
	b := c.Append(late...)
	if diff := cmp.Diff([]entry.Reason{"", "", ""}, b.Result.Reasons); diff != "" {
		t.Errorf("reasons:\n%s", diff)
	}
	if want := int64(ledgertest.Start + 1500); b.Result.Time != want { // of 1000, 1500, 2000, 3000
		t.Errorf("block time %d, want %d", b.Result.Time, want)
	}
	back := []ledgertest.Message{c.Open(c.Clock(1, ledgertest.Start)), c.Open(c.Clock(1, ledgertest.Start-1)), c.Open(c.Clock(1, ledgertest.Start+9000))}
	if diff := cmp.Diff([]entry.Reason{"", entry.ReasonAlreadyKnown, ""}, c.Append(back...).Result.Reasons); diff != "" {
		t.Errorf("the first for a block may stand still, no other:\n%s", diff)
	}
	if r := c.Append(late[0]).Result.Reasons[0]; r != entry.ReasonAlreadyKnown {
		t.Errorf("heard again: %q", r)
	}
}

// TestClocksOfAQuietHour shows that a block which a quorum closes has its time from
// what they say now, although another oracle spoke an hour ago and one of them lies
// that it was an hour ago.
func TestClocksOfAQuietHour(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1\nclock1@+3600 clock2@+3600 clock4@+1")
	if got, want := c.State.Time(), ledgertest.Start+60_001+int64(3_600_000); got != want {
		t.Errorf("block time %d, want %d", got, want)
	}
}

// TestLiarsCannotMoveTime draws clocks of f liars among 3f+1 oracles. Honest ones
// speak for the block, or are late, or do not come; liars say anything for any
// height, several times. Time is never later than an honest clock, and where all
// honest oracles spoke for a block never earlier than the first of them.
func TestLiarsCannotMoveTime(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := rapid.IntRange(0, 2).Draw(rt, "f")
		n := 3*f + 1
		c := ledgertest.New(t, n)
		clock := func(i int, height uint64, at int64) ledgertest.Message {
			k := entry.Clock{Height: height, Time: max(0, at)}
			return c.Open(c.Stated(i, entry.TypeClock, k.Encode()))
		}
		now, most := c.State.Time(), c.State.Time()
		waiting := make([][]ledgertest.Message, n) // clocks under way
		for block := range rapid.IntRange(1, 8).Draw(rt, "blocks") {
			now += rapid.OneOf(rapid.Int64Range(100, 5000), rapid.Just(int64(3_600_000))).Draw(rt, "step")
			var ms []ledgertest.Message
			spoken, least := 0, int64(0)
			for i := range n {
				if i < f {
					for range rapid.IntRange(0, 3).Draw(rt, "lies") {
						height := rapid.Uint64Range(0, c.State.Height()+1).Draw(rt, "lie's height")
						ms = append(ms, clock(i, height, rapid.OneOf(rapid.Int64Range(now-10_000, now+10_000), rapid.Int64Range(0, 1<<50)).Draw(rt, "lie")))
					}
					continue
				}
				at := now + rapid.Int64Range(0, 99).Draw(rt, "honest")
				most = max(most, at) // said, though it may not come
				m := clock(i, c.State.Height(), at)
				switch rapid.IntRange(0, 5).Draw(rt, "delay") {
				case 0:
					waiting[i] = append(waiting[i], m)
				case 1:
					ms = append(append(ms, waiting[i]...), m)
					waiting[i] = nil
					fallthrough
				default:
					if spoken++; spoken == 1 || at < least {
						least = at
					}
					ms = append(ms, m)
				}
			}
			before := c.State.Time()
			b := c.Append(rapid.Permutation(ms).Draw(rt, "order")...)
			switch got := b.Result.Time; {
			case got < before:
				rt.Fatalf("block %d: time went back from %d to %d", block, before, got)
			case got > most:
				rt.Fatalf("block %d: time %d is later than every honest clock, %d at most", block, got, most)
			case spoken == n-f && got < least:
				rt.Fatalf("block %d: time %d is before all clocks of honest oracles for it, from %d on", block, got, least)
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
