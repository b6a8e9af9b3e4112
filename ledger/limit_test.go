package ledger_test

import (
	"math"
	"strings"
	"testing"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/store"
	"wattmark/oracle/wire"
	"wattmark/signer"
)

// TestLimitsAreOrdered shows that what the rules accept is taken by all who have to
// hold it: what one of them refused, all oracles would stop at for good.
func TestLimitsAreOrdered(t *testing.T) {
	for _, tt := range []struct {
		what         string
		rules, taken int
	}{
		{"a committed pack, and the vault", entry.MaxPreimage, store.MaxPreimage},
		{"a committed pack, and a frame", entry.MaxPreimage, wire.MaxPack},
		{"a pack that a frame brings, and the rules", wire.MaxPack, entry.MaxPreimage},
		{"a statement, and the store", signer.MaxMessage, store.MaxLeaf},
		{"a metering point, and the vault", 128, store.MaxSubject},
		{"a full block, and the store and the auditor", heaviestBlock(), entry.MaxBlock},
	} {
		if tt.rules > tt.taken {
			t.Errorf("%s: up to %d are accepted and %d taken", tt.what, tt.rules, tt.taken)
		}
	}
}

// heaviestBlock is the weight of a block that is cut by the most that can be
// voted, and of as much as rules can make of it: the order's last message, whose
// bytes and statements go over the cut, and each statement flagged as often as
// possible for channels of the longest name.
func heaviestBlock() int {
	flag := entry.Outcome{Kind: entry.OutcomeFlagged, Leaf: math.MaxUint64, Code: entry.FlagRegisterFell, Detail: strings.Repeat("c", 255)}
	const message, bundled = 1 << 20, 512 // bytes of a message and statements in it, at most (oracle/ingest)
	statements := entry.MostCutLeaves + bundled
	header := store.MaxLeaf + entry.Weight(nil)
	return entry.MostCutBytes + message + statements*(entry.Weight(nil)+entry.MaxFlags*entry.Weight(flag.Encode())) + header
}

// TestLargestPack appends the largest committed pack that the rules accept: it is
// durable and there after opening again. One byte more is refused, and the ledger
// goes on.
func TestLargestPack(t *testing.T) {
	c := ledgertest.New(t, 1).Draw("+home1:committed")
	l, dir := create(t, c, store.Options{})
	appendBlock(t, l, c.Last())
	reading := func(size int) ledgertest.Message {
		s := c.Reading("home1", ledgertest.Record("home1", "energy", 1, c.State.Time()))
		c.SetPreimage(s, "home1", size)
		return c.Open(s)
	}
	most, over := reading(entry.MaxPreimage), reading(entry.MaxPreimage+1)
	b := c.Append(append(c.Clocks(1000), most, over)...)
	if got := b.Result.Reasons[1:]; got[0] != "" || got[1] != entry.ReasonTooLarge {
		t.Fatalf("%q, want the second to be refused as %q", got, entry.ReasonTooLarge)
	}
	appendBlock(t, l, b)
	c.Draw("home1=5")
	appendBlock(t, l, c.Last())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, dir, store.Options{})
	check(t, l, c, 3)
	m, err := signer.Parse(b.Result.Leaves[1])
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Pack(m.Payload); len(got) != entry.MaxPreimage {
		t.Errorf("the vault has a pack of %d bytes, want %d", len(got), entry.MaxPreimage)
	}
}
