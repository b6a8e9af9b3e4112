package state_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

func forgetting(t testing.TB, gateway string) []byte {
	t.Helper()
	f := entry.Forgetting{Subject: ledgertest.Subject(gateway), Reason: "moved away"}
	b, err := f.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestForget closes a committed point: the state holds its values no more, whatever is
// read there from then on is refused, and an audit without the packs passes and comes
// to the same state.
func TestForget(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1 +home2:committed\nhome1=100 home2=7777777\nhome2=7777788 home1=120")
	value := entry.Int(7777788)
	stated := func() bool {
		var b []byte
		for _, r := range c.State.Export() {
			b = append(b, r.Value...)
		}
		return bytes.Contains(b, []byte{0x1a, 0, 0x76, 0xad, 0xfc}) // CBOR of the value
	}
	if value.Mantissa != 0x76adfc || !stated() {
		t.Fatal("the state does not hold the newest value in the form expected, so this shows nothing")
	}
	b := c.Adopt(entry.MotionForget, c.State.Height()+1, forgetting(t, "home2"))
	if diff := cmp.Diff([]string{ledgertest.Subject("home2")}, b.Result.Forgotten); diff != "" {
		t.Errorf("to be deleted (-want +got):\n%s", diff)
	}
	at := b.Header.First + 4 + 2 // four clocks, and the third voice
	if f := c.State.Forgotten(); len(f) != 1 || f[0].Subject != ledgertest.Subject("home2") || f[0].Leaf != at {
		t.Errorf("forgotten is %+v, want p-home2 by leaf %d", f, at)
	}
	if stated() {
		t.Error("the state still holds the value")
	}
	b = blockOf(c, c.Reading("home2", energy("home2", c, 8_000_000)), c.Motion(0, entry.MotionForget, 99, forgetting(t, "home2")))
	for i, r := range b.Result.Reasons[4:] {
		if r != entry.ReasonForgotten {
			t.Errorf("statement %d about a point that is forgotten: %q", i, r)
		}
	}
	b = blockOf(c, c.Motion(0, entry.MotionForget, 99, forgetting(t, "home1")))
	if got := b.Result.Reasons[4]; got != entry.ReasonWrongMode {
		t.Errorf("an open point, whose packs are leaves: %q", got)
	}
	sameAudited(t, c)

	without := audit.NewAuditor(nil)
	leaves := c.All()
	sum, err := without.Run(func() ([]byte, error) {
		if len(leaves) == 0 {
			return nil, nil
		}
		l := leaves[0]
		leaves = leaves[1:]
		return l, nil
	})
	if err != nil || sum.Opaque != 2 {
		t.Fatalf("an audit without the packs: %d opaque, %v", sum.Opaque, err)
	}
	if diff := cmp.Diff(c.State.Export(), without.State().Export()); diff != "" {
		t.Errorf("the state after an audit without the packs (-with +without):\n%s", diff)
	}
}
