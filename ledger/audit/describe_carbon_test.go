package audit_test

import (
	"strings"
	"testing"

	"wattmark/ledger/audit"
	"wattmark/ledger/entry"
	"wattmark/ledger/ledgertest"
)

// TestDescribeCarbon puts every kind of entry of carbon accounting into words: none of them
// says nothing but its type.
func TestDescribeCarbon(t *testing.T) {
	for _, c := range carbonEntries() {
		p, err := entry.EncodeCarbon(c)
		if err != nil {
			t.Errorf("%s: %v", c.Type(), err)
			continue
		}
		h := ledgertest.NewHood(t, 1)
		s := &ledgertest.Statement{Key: h.Keys["home1"], Type: c.Type(), Content: entry.ContentCBOR, Payload: p,
			Claims: entry.Claims{Issuer: "urn:wattmark:member:home1", Audience: ledgertest.Origin, IssuedAt: 1, Sequence: entry.Sequence{Boot: 1, Count: 1}}}
		statement, _ := s.Sign(t)
		plain := *s
		plain.Type = "application/vnd.wattmark.unknown+cose"
		nothing, _ := plain.Sign(t)
		d, without := audit.Describe(7, statement), audit.Describe(7, nothing)
		if d.Err != nil || len(d.Fields) <= len(without.Fields) {
			t.Errorf("%s: nothing is said of it: %v, %v", c.Type(), d.Fields, d.Err)
		}
	}
}

// TestDescribeCarbonOutcomes does so with what follows from them.
func TestDescribeCarbonOutcomes(t *testing.T) {
	for words, body := range map[string]entry.Body{
		"certified: gc-9, 154 Wh of roof": &entry.Certified{Leaf: 4, ID: "gc-9", Source: "roof", From: 900, To: 1800, Wh: 154, First: 1, Owner: "home1", Readings: []uint64{2, 3}},
		"moved: 1 block":                  &entry.Moved{Leaf: 4, What: entry.MovedBlock, Moves: []entry.Move{{ID: "u-1", Status: "Retired", Owner: "home1", First: 1, Last: 2}}},
		"issued: iss-4, 29 units of oven": &entry.Issued{Leaf: 4, ID: "iss-4", Project: "oven", Period: "june", Version: 1, Vintage: 2026, Reduced: 29_951_140_757, Units: 29, Prefix: "STREET-OVEN",
			Blocks: []entry.Move{{ID: "u-1", Status: "Held", Owner: "home1", First: 1, Last: 29}}},
	} {
		o, err := entry.Bodied(body)
		if err != nil {
			t.Errorf("%s: %v", words, err)
			continue
		}
		d := audit.Describe(5, o.Encode())
		if d.Err != nil || !strings.HasPrefix(d.Summary, words) || len(d.Fields) < 2 {
			t.Errorf("%q: %v, %v", d.Summary, d.Fields, d.Err)
		}
	}
}

// carbonEntries is one of each kind, but an appointment, which carries a signed request.
func carbonEntries() []entry.Carbon {
	digest := make([]byte, 32)
	packs := []entry.Edition{{Pack: "grid-de", Edition: "2026"}}
	return []entry.Carbon{
		&entry.FactorPack{ID: "grid-de", Edition: "2026", Source: "https://example.org/f.pdf", Digest: digest, From: 3600, To: 7200, Region: "DE", Set: "AR5",
			Rows: []entry.FactorRow{{Key: "grid", Gas: "CO2e", Value: entry.Int(380), Unit: "g/kWh"}}},
		&entry.CarbonSource{ID: "stack-1", Site: "bakery", Owner: "anna", Kind: entry.SourceMass, Point: "mp-stack", Channels: []string{"flue.co2_mass"}, Gas: "CO2"},
		&entry.CarbonProject{ID: "oven", Owner: "anna", Program: "street", Methodology: "baseline less stack, 1.0", Direction: entry.DirectionReduction,
			Sources: []string{"stack-1"}, Baseline: entry.Int(1500), BufferBP: 1000, Prefix: "W-OVEN", Country: "DE"},
		&entry.PeriodOpen{ID: "june", Site: "bakery", From: 3600, To: 7200, Set: "AR5", Packs: packs, Zone: "UTC"},
		&entry.PeriodClose{Period: "june"},
		&entry.Verification{Period: "june", Version: 1, Digest: digest, Level: entry.AssuranceReasonable},
		&entry.Restatement{Period: "june", Version: 2, Reason: "a new edition", Set: "AR6", Packs: packs},
		&entry.GCIssue{Source: "roof", From: 3600, To: 4500},
		&entry.GCSplit{Bundle: "gc-1", Sizes: []int64{100, 23}},
		&entry.GCTransfer{Bundle: "gc-1", To: "anna"},
		&entry.GCCancel{Bundle: "gc-1", Beneficiary: "anna"},
		&entry.GCClaim{Load: "load", From: 3600, To: 4500, Bundles: []string{"gc-1", "gc-2"}},
		&entry.StorageCharge{Storage: "cell", From: 3600, To: 4500, Bundles: []string{"gc-1"}},
		&entry.StorageDischarge{Storage: "cell", From: 3600, To: 4500},
		&entry.UnitIssue{Project: "oven", Period: "june", Version: 1, Vintage: 2026},
		&entry.UnitSplit{Block: "u-1", Sizes: []int64{1, 2}},
		&entry.UnitTransfer{Block: "u-1", To: "carla"},
		&entry.UnitRetire{Block: "u-1", Beneficiary: "Carla's", Reason: "deliveries", From: 3600, To: 7200},
		&entry.UnitCancel{Block: "u-1", Reason: "paid back", Settles: "oven"},
		&entry.Reversal{Project: "kiln", Tonnes: 3, Reason: "burned down"},
		&entry.Authorization{Issuance: "iss-1", Host: "DE", Reference: "letter 7", Digest: digest},
		&entry.FirstTransfer{Block: "u-1", To: "carla", Acquirer: "CH"},
		&entry.CADTCommit{Table: "program", Key: "p", Record: []byte(`{"fields":{"programName":"street"}}`), Author: "Dora", Comment: "first"},
	}
}
