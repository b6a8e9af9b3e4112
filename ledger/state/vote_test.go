package state_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

// TestVote shows a parameter's way: three of four vote, the third vote adopts,
// and it takes effect at the height stated and not before.
func TestVote(t *testing.T) {
	c := ledgertest.New(t, 4)
	setting := func() int64 { return c.State.Setting(entry.ParamCutLeaves) }
	c.Draw("vote1:cut_leaves=100@5\nvote3:cut_leaves=100@5 vote3:cut_leaves=100@5") // heights 1 and 2
	if got := outcomes(t, c.Last()); got != nil {
		t.Errorf("adopted by two: %q", got)
	}
	if got := c.Last().Result.Reasons[5]; got != entry.ReasonAlreadyKnown {
		t.Errorf("a second vote of one oracle: %q", got)
	}
	c.Draw("vote4:cut_leaves=100@5") // height 3
	want := entry.Outcome{Kind: entry.OutcomeAdopted, Code: "vote", Detail: entry.ParamCutLeaves,
		Hash: entry.Proposal{Parameter: entry.ParamCutLeaves, Value: 100, Height: 5}.Hash()}
	if diff := cmp.Diff([][]byte{want.Encode()}, c.Last().Result.Leaves[5:]); diff != "" {
		t.Errorf("outcome of the third vote:\n%s", diff)
	}
	c.Draw("vote2:cut_leaves=100@5") // height 4: a vote too many is recorded, and adopts nothing twice
	if got := outcomes(t, c.Last()); got != nil {
		t.Errorf("adopted twice: %q", got)
	}
	if setting() != 4096 {
		t.Errorf("it is in force before its height: %d", setting())
	}
	c.Draw("vote1:cut_leaves=100@5") // height 5: in force, and voted on no more
	if setting() != 100 {
		t.Errorf("at its height it is %d, want 100", setting())
	}
	if got := c.Last().Result.Reasons[4]; got != entry.ReasonWrongHeight {
		t.Errorf("a vote when it is in force: %q", got)
	}
}

func TestVoteWithoutThreshold(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("vote1:cut_leaves=100@3 vote2:cut_leaves=100@3 vote3:cut_leaves=101@3 vote4:cut_leaves=100@4\n.\n.\n.")
	if got := c.State.Setting(entry.ParamCutLeaves); got != 4096 {
		t.Errorf("different proposals were counted together: %d", got)
	}
	if diff := cmp.Diff(c.Blocks[0].Export[0].Value[:1], c.Last().Export[0].Value[:1]); diff != "" {
		t.Errorf("the state's record has another form:\n%s", diff)
	}
}

// TestCutsAreBounded shows that no charter and no vote makes blocks larger than an
// oracle can hold.
func TestCutsAreBounded(t *testing.T) {
	c := ledgertest.New(t, 1, entry.Parameter{Name: entry.ParamCutBytes, Value: 1 << 40})
	c.Draw("vote1:cut_leaves=1099511627776@2\n.")
	for name, want := range map[string]int64{entry.ParamCutBytes: entry.MostCutBytes, entry.ParamCutLeaves: entry.MostCutLeaves} {
		if got := c.State.Setting(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

// TestVotesChangeTheRules shows a parameter at work: what counts as late.
func TestVotesChangeTheRules(t *testing.T) {
	c := ledgertest.New(t, 1, entry.Parameter{Name: entry.ParamLateAfter, Value: 7200})
	c.Draw("+home1 vote1:late_after_s=60@3\nhome1@-3600=1")
	if got := outcomes(t, c.Last()); got != nil {
		t.Errorf("before: %q", got)
	}
	c.Draw("home1@-3500=1")
	if diff := cmp.Diff([]string{"flagged late  1"}, outcomes(t, c.Last())); diff != "" {
		t.Errorf("after (-want +got)\n%s", diff)
	}
}

// TestOneOracleCannotFillTheBallot has one oracle propose all it may; the others
// still decide.
func TestOneOracleCannotFillTheBallot(t *testing.T) {
	c := ledgertest.New(t, 4)
	var line strings.Builder
	for i := range 17 {
		fmt.Fprintf(&line, "vote4:cut_leaves=%d@900 ", 1+i)
	}
	c.Draw(line.String())
	for i, r := range c.Last().Result.Reasons[4:] {
		want := entry.Reason("")
		if i == 16 {
			want = entry.ReasonAlreadyKnown
		}
		if r != want {
			t.Errorf("proposal %d: %q, want %q", i, r, want)
		}
	}
	c.Draw("vote1:cut_leaves=7@3 vote2:cut_leaves=7@3 vote3:cut_leaves=7@3\n.")
	if got := c.State.Setting(entry.ParamCutLeaves); got != 7 {
		t.Errorf("the others' proposal gives %d, want 7", got)
	}
}
