package audit_test

import (
	"strings"
	"testing"

	"wattmark/ledger"
	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/entry"
	"wattmark/ledger/handover"
	"wattmark/ledger/ledgertest"
)

// handedOver is a chain whose four oracles handed over to the last two of them and two
// others, who enrolled a gateway then; and what shows it.
func handedOver(t testing.TB) (*ledgertest.Chain, *block.Policy, *handover.Handover) {
	t.Helper()
	c := ledgertest.New(t, 4).Draw("+home1\nhome1=100")
	first := c.Policy
	next := []ledgertest.Oracle{ledgertest.NewOracle(t, "ledgertest.example/five"), ledgertest.NewOracle(t, "ledgertest.example/six"), c.Oracles[2], c.Oracles[3]}
	h := c.HandedOver(next...)
	c.Draw("+home2:committed\nhome1=120 home2=7000")
	return c, first, h
}

// TestEvidenceUnderLaterOracles has a verifier who trusts the charter's oracles check a
// reading whose gateway a later oracle enrolled, under a checkpoint that only the later
// ones signed.
func TestEvidenceUnderLaterOracles(t *testing.T) {
	c, first, h := handedOver(t)
	at := c.Last().Header.First + 5 // four clocks and home1
	e, err := ledger.Evidence(c, c.Note(), c.Last().Checkpoint, at, c.Packs)
	if err != nil {
		t.Fatal(err)
	}
	spans, err := handover.Follow(first, []*handover.Handover{h})
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string][]byte{"r.evidence": e.Encode(), "r.cose": c.Transparent(at), "r.tlog-proof": c.LogProof(at)} {
		r := audit.Verify(name, file, audit.Trust{Policy: first, Spans: spans})
		if r.Count(audit.False) > 0 || name == "r.evidence" && r.Exit() != audit.ExitHolds {
			t.Errorf("%s: %v", name, r.Verdicts)
		}
		if r := audit.Verify(name, file, audit.Trust{Policy: first}); r.Count(audit.False) == 0 {
			t.Errorf("%s without the history: %v", name, r.Verdicts)
		}
	}
	// An oracle of the first set signs nothing that counts any more.
	old := c.Oracles
	c.Oracles = ledgertest.NewConsortium(t, 4).Oracles
	forged := c.LogProof(at)
	c.Oracles = old
	if r := audit.Verify("r.tlog-proof", forged, audit.Trust{Policy: first}); r.Count(audit.False) > 0 {
		t.Fatalf("what the first set signs does not satisfy its policy, so this shows nothing: %v", r.Verdicts)
	}
	if r := audit.Verify("r.tlog-proof", forged, audit.Trust{Policy: first, Spans: spans}); r.Count(audit.False) == 0 {
		t.Errorf("a checkpoint of oracles who had handed over is taken: %v", r.Verdicts)
	}
}

// TestEvidenceOfForgottenReadings says by which entry they were forgotten, and never
// that something is false.
func TestEvidenceOfForgottenReadings(t *testing.T) {
	c := ledgertest.New(t, 4).Draw("+home1:committed\nhome1=100\nhome1=50")
	reading, flag := c.Last().Header.First+4, c.Last().Header.First+5
	body, err := (&entry.Forgetting{Subject: ledgertest.Subject("home1"), Reason: "moved away"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	b := c.Adopt(entry.MotionForget, c.State.Height()+1, body)
	want := "forgotten by entry"
	for index, check := range map[uint64]audit.Check{reading: audit.CheckDisclosure, flag: audit.CheckRerun} {
		e, err := ledger.Evidence(c, c.Note(), b.Checkpoint, index, nil)
		if err != nil {
			t.Fatal(err)
		}
		r := audit.Verify("r.evidence", e.Encode(), audit.Trust{Policy: c.Policy})
		if r.Count(audit.False) > 0 {
			t.Errorf("leaf %d: %v", index, r.Verdicts)
		}
		for _, v := range r.Verdicts {
			if v.Check == check && (v.Verdict != audit.Unchecked || !strings.Contains(v.Detail, want)) {
				t.Errorf("leaf %d: %v, want unchecked: %s", index, v, want)
			}
		}
	}
}
