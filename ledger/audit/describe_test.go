package audit_test

import (
	"testing"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

func TestDescribeNothing(t *testing.T) {
	for _, leaf := range [][]byte{nil, {}, {0xff}, []byte("junk"), {0xd2}, {0x88, 0x01}} {
		d := audit.Describe(7, leaf)
		if d.Err == nil || d.Summary == "" || d.Index != 7 || d.Bytes != len(leaf) || d.Hash != block.LeafHash(leaf) {
			t.Errorf("%x is described as %+v", leaf, d)
		}
	}
}

func TestDescribeOutcome(t *testing.T) {
	o := entry.Outcome{Kind: entry.OutcomeFlagged, Leaf: 17, Code: entry.FlagRange, Detail: "power"}
	d := audit.Describe(18, o.Encode())
	want := []audit.Field{{"outcome", "flagged"}, {"code", "out_of_range"}, {"concerns", "power"}, {"about leaf", "17"}}
	if d.Err != nil || d.Summary != "flagged: out_of_range power" || d.Type != "flagged" || d.Code != "out_of_range" || len(d.Fields) != len(want) {
		t.Fatalf("got %+v", d)
	}
	for i, f := range want {
		if d.Fields[i] != f {
			t.Errorf("field %d is %v, want %v", i, d.Fields[i], f)
		}
	}
}

func TestDescribeStatement(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1\nhome1=1000")
	for i, leaf := range c.All() {
		d := audit.Describe(uint64(i), leaf)
		if d.Type == "reading" && d.Issuer == "urn:wattmark:gateway:home1" && d.Subject == "p-home1" && d.Sequence == (entry.Sequence{Boot: 1, Count: 1}) && d.Code == "" {
			return
		}
	}
	t.Error("no leaf is described as the reading of home1")
}

// FuzzDescribe: whatever a leaf is, it is described, and never with a panic.
func FuzzDescribe(f *testing.F) {
	o := entry.Outcome{Kind: entry.OutcomeRefused, Code: string(entry.ReasonFuture)}
	f.Add(o.Encode())
	f.Add([]byte{0xd2, 0x84})
	f.Fuzz(func(t *testing.T, leaf []byte) {
		if d := audit.Describe(0, leaf); d.Summary == "" || (d.Err != nil) != (len(d.Summary) > 14 && d.Summary[:14] == "does not read:") {
			t.Errorf("%x is described as %+v", leaf, d)
		}
	})
}
