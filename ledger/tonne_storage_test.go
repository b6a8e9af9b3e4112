package ledger_test

import (
	"bytes"
	"testing"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

// TestStoredEvidence shows certificates of what a storage gave: its register, what the
// energy cost, and the roof that it came from, down to the sensors.
func TestStoredEvidence(t *testing.T) {
	p := ledgertest.NewPlant(t)
	p.Expect(t, p.Say("the-registry", &entry.CarbonSource{ID: "cell", Site: "home2", Owner: "home2", Kind: entry.SourceStorage,
		Point: ledgertest.Subject("home3"), Channels: []string{"export", "import"}, CapacityW: 5000, Boundary: "street", EfficiencyBP: 9000}), "", "")
	for i := range int64(3) { // the roof makes 500 Wh, the cell takes 300 of them, and gives 250 then
		at := (p.From + i*900) * 1000
		made, took, gave := []int64{0, 500, 0}[i], []int64{0, 300, 0}[i], []int64{0, 0, 250}[i]
		m := []ledgertest.Message{p.Deliver(p.Read("home2", at+200, 0, made).Sign(t)), p.Deliver(p.Read("home3", at+200, took, gave).Sign(t))}
		if wait := at/1000 + 1 - p.Now/1000; wait > 0 {
			p.At(wait)
		}
		p.Expect(t, p.At(0, m...), "", "", "")
	}
	// newest is the bundle that came last of a status.
	newest := func(status string) (id string) {
		t.Helper()
		for _, b := range p.State.Bundles() {
			if b.Status.String() == status {
				id = b.ID
			}
		}
		if id == "" {
			t.Fatalf("no bundle is %s", status)
		}
		return id
	}
	p.Expect(t, p.Say("home2", &entry.GCIssue{Source: "roof", From: p.From, To: p.From + 900}), "", "")
	p.Expect(t, p.Say("home2", &entry.GCSplit{Bundle: newest("Active"), Sizes: []int64{200, 300}}), "", "")
	part := newest("Active")
	p.Expect(t, p.Say("home2", &entry.GCCancel{Bundle: part, Beneficiary: "home2"}), "", "")
	p.Expect(t, p.Say("home2", &entry.StorageCharge{Storage: "cell", From: p.From, To: p.From + 900, Bundles: []string{part}}), "", "")
	p.Expect(t, p.Say("home2", &entry.StorageDischarge{Storage: "cell", From: p.From + 900, To: p.From + 1800}), "", "")
	stored := ""
	for _, b := range p.State.Bundles() {
		if b.Origin != nil {
			stored = b.ID
		}
	}
	for id, words := range map[string][]string{
		stored: {"certificates " + stored + ": 250 Wh of cell", "of which 278 Wh are gone", "500 Wh of roof", "source cell (storage)", "source roof (export)"},
		part:   {"charged into the storage cell", "500 Wh of roof"},
	} {
		r := verified(p, shown(t, p, id, ledger.CarbonCertificate))
		if r.Exit() != audit.ExitHolds {
			t.Errorf("%s: %v", id, r.Verdicts)
		}
		for _, w := range words {
			if !mentions(r.Tree, w) {
				t.Errorf("%s: the tree says nothing of %q", id, w)
			}
		}
	}
	// A quorum that lies about what is gone, or about how much came out, is found out.
	e := shown(t, p, stored, ledger.CarbonCertificate)
	for what, change := range map[string]func(*entry.Certified){
		"less is gone":  func(c *entry.Certified) { c.Consumed = 250 },
		"more came out": func(c *entry.Certified) { c.Wh, c.Consumed = 270, 300 },
		"another owner": func(c *entry.Certified) { c.Owner = "home1" },
	} {
		lie := forged(t, p, e, func(leaf []byte) []byte {
			o, err := entry.ParseOutcome(leaf)
			if err != nil || o.Kind != entry.OutcomeCertified {
				return nil
			}
			b, err := o.ParseBody()
			if err != nil {
				t.Fatal(err)
			}
			c := b.(*entry.Certified)
			if c.Origin == "" {
				return nil
			}
			change(c)
			o, err = entry.Bodied(c)
			if err != nil {
				t.Fatal(err)
			}
			return bytes.Clone(o.Encode())
		})
		if r := verified(p, lie); verdict(r, audit.CheckRerun).Verdict != audit.False {
			t.Errorf("%s: %v", what, r.Verdicts)
		}
	}
}
