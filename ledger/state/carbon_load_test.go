package state_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
	"wattmark/ledger/state"
)

// TestDamagedCarbonRecords spoils a stored record of carbon accounting: the state is not
// loaded, or goes on without a panic.
func TestDamagedCarbonRecords(t *testing.T) {
	p := newPlant(t)
	p.Measure(t, 4, 100, 300, 500)
	p.Expect(t, p.Say("home2", &entry.GCIssue{Source: "roof", From: p.From, To: p.From + 900}), "", "")
	gc := p.State.Bundles()[0].ID
	p.Expect(t, p.Say("home1", &entry.PeriodClose{Period: "hour"}), "", "")
	p.Expect(t, p.Say("the-verifier", &entry.Verification{Period: "hour", Version: 1, Digest: p.State.Periods()[0].Digest, Level: entry.AssuranceReasonable}), "", "")
	p.Expect(t, p.Say("the-registry", &entry.UnitIssue{Project: "oven", Period: "hour", Version: 1, Vintage: yearOf(p.From)}), "", "")
	block := p.State.Blocks()[0].ID
	records := p.State.Export()
	var ours []int
	for i, r := range records {
		if r.Key[0] == 'c' {
			ours = append(ours, i)
		}
	}
	if len(ours) < 10 {
		t.Fatalf("%d records of carbon accounting", len(ours))
	}
	var inputs []ledgertest.Message
	for who, list := range map[string][]entry.Carbon{
		"home1":        {&entry.Restatement{Period: "hour", Version: 2, Reason: "r", Set: "AR5", Packs: []entry.Edition{{Pack: "grid", Edition: "2026"}}}, &entry.UnitRetire{Block: block, Beneficiary: "b", Reason: "r", To: 1}},
		"home2":        {&entry.GCSplit{Bundle: gc, Sizes: []int64{100, 400}}, &entry.GCIssue{Source: "roof", From: p.From + 900, To: p.From + 1800}, &entry.GCTransfer{Bundle: gc, To: "home1"}},
		"the-registry": {&entry.Reversal{Project: "oven", Tonnes: 5, Reason: "r"}},
	} {
		for _, c := range list {
			inputs = append(inputs, p.Message(who, c))
		}
	}
	loaded := 0
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.SampledFrom(ours).Draw(rt, "record")
		value := slices.Clone(records[at].Value)
		for range rapid.IntRange(1, 3).Draw(rt, "bytes") {
			value[rapid.IntRange(0, len(value)-1).Draw(rt, "at")] = rapid.Byte().Draw(rt, "byte")
		}
		s, err := state.Load(p.State.Charter(), func(fn func(k, v []byte) error) error {
			for i, r := range records {
				if i == at {
					r.Value = value
				}
				if err := fn(r.Key, r.Value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return
		}
		loaded++
		var block []state.Input
		for i := range inputs {
			block = append(block, inputs[i].Input())
		}
		s.Execute(p.Size(), [32]byte{}, block) // an error stops the oracle, which is right
	})
	if loaded == 0 {
		t.Error("nothing was loaded")
	}
}
