package ledger_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
	"wattmark/ledger/unit"
)

// billed draws a neighbourhood that trades an interval, and returns what shows home2's
// line of it.
func billed(t *testing.T, sealed bool) (*ledgertest.Hood, *audit.Evidence, unit.Interval) {
	t.Helper()
	h := ledgertest.NewHood(t, 5)
	if sealed {
		h.Vote(entry.ParamMarketSealed, 1)
	}
	at := unit.Interval(ledgertest.Start/1000 + 3600)
	var orders, opened []ledgertest.Message
	for i, o := range []entry.Order{
		{Member: "home1", Side: entry.SideSell, Steps: []entry.OrderStep{{Price: 120_000, Quantity: 400}}},
		{Member: "home2", Side: entry.SideBuy, Steps: []entry.OrderStep{{Price: 250_000, Quantity: 300}}},
		{Member: "home2", Side: entry.SideBuy, Steps: []entry.OrderStep{{Price: 260_000, Quantity: 310}}},
	} {
		o.Zone, o.Interval, o.Nonce = ledgertest.Zone, at, uint64(i+1)
		if sealed {
			orders = append(orders, h.Seal(&o, byte(i)))
			if i != 1 { // the next one took its place
				opened = append(opened, h.Unseal(&o, byte(i)))
			}
			continue
		}
		b, err := o.Encode()
		if err != nil {
			t.Fatal(err)
		}
		orders = append(orders, h.Signed(o.Member, entry.TypeOrder, b))
	}
	h.At(60, orders...)
	h.At(3600 - 60 - 900)
	h.At(1, opened...)
	if sealed {
		h.At(600)
		h.At(1)
	}
	for _, edge := range []int64{at.StartMilli(), at.EndMilli()} {
		var m []ledgertest.Message
		for i, name := range h.Homes {
			used, made := int64(150+100*i), int64(0)
			if i == 0 {
				used, made = 0, 1000
			}
			m = append(m, h.Deliver(h.Read(name, edge+200, used, made).Sign(t)))
		}
		h.At(900, m...)
	}
	h.At(3600)
	e, err := ledger.BillEvidence(h.Chain, h.Note(), h.Last().Checkpoint, h.State, "home2", at, h.Packs)
	if err != nil {
		t.Fatal(err)
	}
	return h, e, at
}

func verdict(r *audit.Report, c audit.Check) audit.Verdict {
	i := slices.IndexFunc(r.Verdicts, func(v audit.Verdict) bool { return v.Check == c })
	return r.Verdicts[i]
}

func TestBillEvidence(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		t.Run(fmt.Sprintf("sealed %t", sealed), func(t *testing.T) { testBillEvidence(t, sealed) })
	}
}

func testBillEvidence(t *testing.T, sealed bool) {
	h, e, _ := billed(t, sealed)
	again, err := audit.ParseEvidence(e.Encode())
	if err != nil {
		t.Fatal(err)
	}
	r := audit.Verify("bill.evidence", again.Encode(), audit.Trust{Policy: h.Policy})
	if r.Exit() != audit.ExitHolds || verdict(r, audit.CheckRerun).Verdict != audit.Holds {
		t.Errorf("%s: %v", r.Subject, r.Verdicts)
	}
	if !strings.Contains(verdict(r, audit.CheckRerun).Detail, "310") && !strings.Contains(r.Subject, "home2") {
		t.Errorf("%s: %v", r.Subject, r.Verdicts)
	}
	// The file shows home2's packs and nobody else's.
	for _, d := range e.Disclosures {
		if !strings.Contains(string(d), ledgertest.Subject("home2")) {
			t.Errorf("the file discloses another's pack: %x", d)
		}
	}
}

// TestBillEvidenceTampered changes each part of the file that a line rests on: none of
// them verifies.
func TestBillEvidenceTampered(t *testing.T) {
	h, good, at := billed(t, false)
	line := func(change func(*entry.Disclosed)) func(*audit.Evidence) {
		return func(e *audit.Evidence) {
			d, err := entry.ParseDisclosed(e.Lines[1].Line)
			if err != nil {
				t.Fatal(err)
			}
			change(d)
			e.Lines[1].Line = d.Encode()
		}
	}
	drop := func(which func(leaf []byte) bool) func(*audit.Evidence) {
		return func(e *audit.Evidence) {
			n := len(e.Leaves)
			if e.Leaves = slices.DeleteFunc(e.Leaves, func(l audit.EvidenceLeaf) bool { return which(l.Leaf) }); len(e.Leaves) == n {
				t.Error("nothing was dropped")
			}
		}
	}
	is := func(typ string) func([]byte) bool {
		return func(leaf []byte) bool {
			return entry.KindOf(leaf) == entry.LeafStatement && strings.Contains(string(leaf), typ)
		}
	}
	for name, change := range map[string]func(*audit.Evidence){
		"a better amount":    line(func(d *entry.Disclosed) { d.Line.Amount++ }),
		"another member":     line(func(d *entry.Disclosed) { d.Line.Member = "home3" }),
		"another salt":       line(func(d *entry.Disclosed) { d.Salt[0]++ }),
		"no totals":          func(e *audit.Evidence) { e.Lines = e.Lines[1:] },
		"an order left out":  drop(is(entry.TypeOrder)),
		"a reading left out": drop(is(entry.TypeReading)),
		"the clearing not there": drop(func(leaf []byte) bool {
			o, err := entry.ParseOutcome(leaf)
			return err == nil && o.Kind == entry.OutcomeCleared
		}),
		"a pack not disclosed": func(e *audit.Evidence) { e.Disclosures = e.Disclosures[:1] },
		"a leaf too many": func(e *audit.Evidence) {
			more, err := ledger.Evidence(h.Chain, h.Note(), h.Last().Checkpoint, h.Blocks[1].Header.First, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range more.Leaves {
				if i, found := slices.BinarySearchFunc(e.Leaves, l.Index, func(l audit.EvidenceLeaf, at uint64) int { return int(int64(l.Index) - int64(at)) }); !found {
					e.Leaves = slices.Insert(e.Leaves, i, l)
				}
			}
		},
		"a beacon of one's own": drop(func(leaf []byte) bool {
			s, err := h.State.Disclose(ledgertest.Zone, "home2", at)
			return err == nil && entry.KindOf(leaf) == entry.LeafHeader && block.LeafHash(leaf) == s.Settled.Beacon
		}),
	} {
		t.Run(name, func(t *testing.T) {
			e, err := audit.ParseEvidence(good.Encode())
			if err != nil {
				t.Fatal(err)
			}
			change(e)
			if r := audit.Verify("bill.evidence", e.Encode(), audit.Trust{Policy: h.Policy}); r.Exit() != audit.ExitFalse {
				t.Errorf("it exits with %d: %v", r.Exit(), r.Verdicts)
			}
		})
	}
}

// TestBillEvidenceWithoutItsSeal has the file of a sealed auction show an order that no
// seal bound before the gate.
func TestBillEvidenceWithoutItsSeal(t *testing.T) {
	h, e, _ := billed(t, true)
	n := len(e.Leaves)
	e.Leaves = slices.DeleteFunc(e.Leaves, func(l audit.EvidenceLeaf) bool { return strings.Contains(string(l.Leaf), entry.TypeSealedOrder) })
	if n-len(e.Leaves) != 2 {
		t.Fatalf("the file holds %d seals, want that of each side", n-len(e.Leaves))
	}
	r := audit.Verify("bill.evidence", e.Encode(), audit.Trust{Policy: h.Policy})
	if v := verdict(r, audit.CheckRerun); v.Verdict != audit.False || !strings.Contains(v.Detail, "seal") {
		t.Errorf("the rerun %v: %s", v.Verdict, v.Detail)
	}
}

func TestBillEvidenceOfNobody(t *testing.T) {
	h, _, at := billed(t, false)
	for _, id := range []string{"nobody", "home2"} {
		when := at
		if id == "home2" {
			when += 9 * 900
		}
		_, err := ledger.BillEvidence(h.Chain, h.Note(), h.Last().Checkpoint, h.State, id, when, h.Packs)
		if !errors.Is(err, state.ErrNoLine) {
			t.Errorf("%s, %s: %v", id, when, err)
		}
	}
}
