package state_test

import (
	"fmt"
	"math"
	"math/big"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/signer"
)

// outcomes returns those of a block in words: kind, code, detail and, of a flag,
// the position of its statement among the block's messages.
func outcomes(t *testing.T, b *ledgertest.Block) []string {
	t.Helper()
	var out []string
	for _, leaf := range b.Result.Leaves[len(b.Result.Accepted):] {
		o, err := entry.ParseOutcome(leaf)
		if err != nil {
			t.Fatal(err)
		}
		at := -1
		if o.Kind == entry.OutcomeFlagged {
			at = b.Result.Accepted[o.Leaf-b.Header.First]
		}
		out = append(out, fmt.Sprintf("%s %s %s %d", o.Kind, o.Code, o.Detail, at))
	}
	return out
}

func TestFlags(t *testing.T) {
	for _, tt := range []struct {
		name, drawing string
		want          []string // of the last block; the first message there is at 1, after the clock
	}{
		{"plausible", "home1=1000\nhome1=1100", nil},
		{"equal", "home1=1000\nhome1=1000", nil},
		{"the first reading has nothing to compare with", "home1=999999999", nil},
		{"on the edges of the range", "home1/power=-20000\nhome1/power=20000", nil},
		{"below the range", "home1/power=-20001", []string{"flagged out_of_range power 1"}},
		{"above the range", "home1/power=20001", []string{"flagged out_of_range power 1"}},
		{"a negative register", "home1=-1", []string{"flagged out_of_range energy 1"}},
		{"a register that fell", "home1=1000\nhome1=999", []string{"flagged register_fell energy 1"}},
		{"a gauge may fall", "home1/power=1000\nhome1/power=-999", nil},
		{"as fast as allowed", "home1=1000\nhome1=2666", nil}, // 100 kWh/h in 60 s is 1,666.67 Wh
		{"faster", "home1=1000\nhome1=2667", []string{"flagged rate energy 1"}},
		{"older ones of a backlog are compared with nothing", "home1=1000\nhome1#9@-120=5000", nil},
		{"nor do they become the newest", "home1=1000\nhome1#9@-120=5000\nhome1=1001", nil},
		{"a flagged reading becomes the newest", "home1=1000\nhome1=900\nhome1=950", nil},
		{"late", "home1@-86401=1000", []string{"flagged late  1"}},
		{"not yet late", "home1@-86340=1000", nil},
		{"late and out of range", "home1@-90000=-1", []string{"flagged late  1", "flagged out_of_range energy 1"}},
		{"a channel that is not registered", "home1/other=1", []string{"flagged unregistered other 1"}},
		{"statistics of a channel need no registration", "home1/power.min=1", nil},
		{"nor is its name told where the pack is hidden", "home2/secret=1", []string{"flagged unregistered  1"}},
		{"committed readings are judged alike", "home2=1000\nhome2=999", []string{"flagged register_fell energy 1"}},
		{"in the order of statements", "home1=1000 home2=5\nhome2=4 home1=999",
			[]string{"flagged register_fell energy 1", "flagged register_fell energy 2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := ledgertest.New(t, 1).Draw("+home1 +home2:committed\n" + tt.drawing)
			for _, r := range c.Last().Result.Reasons {
				if r != "" {
					t.Fatalf("refused: %s", r)
				}
			}
			if diff := cmp.Diff(tt.want, outcomes(t, c.Last())); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// TestOneFlagAStatement shows that a fault of many records is flagged once a
// channel, and that remarks are not judged.
func TestOneFlagAStatement(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1")
	at := c.State.Time()
	s := c.Reading("home1",
		ledgertest.Record("home1", "power", 30_000, at), ledgertest.Record("home1", "power", 40_000, at+1),
		ledgertest.Record("home1", "energy", -5, at),
		entry.Record{Name: ledgertest.Subject("home1") + "/gap", Time: at, Text: "gap"})
	got := outcomes(t, c.Append(c.Open(s)))
	want := []string{"flagged out_of_range power 0", "flagged out_of_range energy 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestFewFlagsAStatement has one statement doubted for a thousand channels: it is
// flagged for the first sixteen of them, in the order of its records, and what it
// says of others is judged and kept all the same. Hidden names are one flag.
func TestFewFlagsAStatement(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1 +home2:committed\nhome1=1000")
	at := c.State.Time()
	read := func(gateway string) *ledgertest.Statement {
		records := []entry.Record{ledgertest.Record(gateway, "power", 30_000, at)}
		for i := range entry.MaxRecords - 2 {
			records = append(records, ledgertest.Record(gateway, fmt.Sprintf("c%d", (i*7)%998), 1, at))
			records[i+1].Unit = ""
		}
		records = append(records, ledgertest.Record(gateway, "energy", 900, at)) // fell, and is not told
		return c.Reading(gateway, records...)
	}
	want := []string{"flagged out_of_range power 1"}
	for i := range entry.MaxFlags - 1 {
		want = append(want, fmt.Sprintf("flagged unregistered c%d 1", (i*7)%998))
	}
	late := read("home1")
	late.Claims.IssuedAt -= 90_000
	m := c.Clocks(60_000)
	if diff := cmp.Diff(want, outcomes(t, c.Append(append(m, c.Open(read("home1")))...))); diff != "" {
		t.Errorf("open (-want +got)\n%s", diff)
	}
	want = append([]string{"flagged late  1"}, want[:entry.MaxFlags-1]...)
	if diff := cmp.Diff(want, outcomes(t, c.Append(append(c.Clocks(60_000), c.Open(late))...))); diff != "" {
		t.Errorf("late (-want +got)\n%s", diff)
	}
	want = []string{"flagged out_of_range power 1", "flagged unregistered  1"}
	if diff := cmp.Diff(want, outcomes(t, c.Append(append(c.Clocks(60_000), c.Open(read("home2")))...))); diff != "" {
		t.Errorf("committed (-want +got)\n%s", diff)
	}
	c.Draw("home1=899")
	if diff := cmp.Diff([]string{"flagged register_fell energy 1"}, outcomes(t, c.Last())); diff != "" {
		t.Errorf("the untold register is the newest (-want +got)\n%s", diff)
	}
}

// TestReadingAheadIsNotTheNewest shows that a reading dated far ahead does not end
// the comparison of those that come after it.
func TestReadingAheadIsNotTheNewest(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1\nhome1=1000")
	ahead := ledgertest.Record("home1", "energy", 1001, c.State.Time()+1000*3_600_000)
	c.Append(c.Open(c.Reading("home1", ahead)))
	c.Draw("home1=500")
	if diff := cmp.Diff([]string{"flagged register_fell energy 1"}, outcomes(t, c.Last())); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestRateIsExact compares the rate rule with arithmetic that cannot overflow,
// over all numbers that a pack and a registration can hold.
func TestRateIsExact(t *testing.T) {
	decimal := rapid.Custom(func(rt *rapid.T) entry.Decimal {
		return entry.Decimal{
			Mantissa: rapid.OneOf(rapid.Int64(), rapid.Int64Range(-1000, 1000), rapid.Just(int64(math.MinInt64))).Draw(rt, "mantissa"),
			Exponent: int8(rapid.IntRange(-18, 0).Draw(rt, "exponent")),
		}
	})
	rapid.Check(t, func(rt *rapid.T) {
		perHour := decimal.Draw(rt, "per hour")
		if perHour.Mantissa <= 0 {
			perHour.Mantissa = max(1, -(perHour.Mantissa + 1)) // zero would be no limit
		}
		from, to := decimal.Draw(rt, "from"), decimal.Draw(rt, "to")
		ms := rapid.Int64Range(1, ledgertest.Start-1).Draw(rt, "ms")

		c := ledgertest.New(t, 1)
		s := c.Enrolment("home1", signer.EdDSA, entry.ModeOpen)
		e, err := entry.ParseEnrolment(s.Payload)
		if err != nil {
			rt.Fatal(err)
		}
		e.Points[0].Channels = []entry.Channel{{
			Name: "level", Kind: entry.KindGauge, Least: entry.Int(math.MinInt64), Most: entry.Int(math.MaxInt64), PerHour: perHour,
		}}
		if s.Payload, err = e.Encode(); err != nil {
			rt.Fatal(err)
		}
		c.Append(c.Open(s))
		read := func(v entry.Decimal, at int64) ledgertest.Message {
			return c.Open(c.Reading("home1", entry.Record{Name: "p-home1/level", Time: at, Value: v}))
		}
		b := c.Append(read(from, ledgertest.Start-ms), read(to, ledgertest.Start))
		for _, r := range b.Result.Reasons {
			if r != "" {
				rt.Fatalf("refused: %s", r)
			}
		}

		change := new(big.Rat).Sub(rational(to), rational(from))
		change.Abs(change).Mul(change, big.NewRat(3_600_000, ms)) // in an hour
		want := change.Cmp(rational(perHour)) > 0
		if got := len(outcomes(t, b)) == 1; got != want {
			rt.Fatalf("from %v to %v in %d ms with %v an hour: flagged %v, want %v", from, to, ms, perHour, got, want)
		}
	})
}

func rational(d entry.Decimal) *big.Rat {
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(-int64(d.Exponent)), nil)
	return new(big.Rat).SetFrac(big.NewInt(d.Mantissa), ten)
}
