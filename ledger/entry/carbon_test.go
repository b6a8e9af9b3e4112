package entry_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"wattmark/ledger/entry"
)

// carbonExamples are one payload of each type, and some with what is optional.
func carbonExamples() []struct {
	name  string
	value entry.Carbon
} {
	digest := bytes.Repeat([]byte{0xd1}, 32)
	dec := func(mantissa int64, exponent int8) entry.Decimal {
		return entry.Decimal{Mantissa: mantissa, Exponent: exponent}
	}
	const hour = 1790000 * 1000 / 3600 * 3600
	return []struct {
		name  string
		value entry.Carbon
	}{
		{"appointment", &entry.Appointment{Request: []byte{0xd2, 0x84}}},
		{"factor pack", &entry.FactorPack{
			ID: "grid-de", Edition: "2026", Source: "https://example.org/factors.pdf", Digest: digest, From: 1767225600, To: 1798761600, Region: "DE", Set: "AR5",
			Rows: []entry.FactorRow{
				{Key: "fuel/natural_gas", Gas: "CH4", Value: dec(1, -3), Unit: "kg/mmBtu"},
				{Key: "fuel/natural_gas", Gas: "CO2", Value: dec(5306, -2), Unit: "kg/mmBtu"},
				{Key: "grid", Gas: "CO2e", Value: entry.Int(380), Unit: "g/kWh"},
				{Key: "hhv/natural_gas", Value: dec(1026, -6), Unit: "mmBtu/scf"},
				{Key: "residual", Gas: "CO2e", Value: entry.Int(700), Unit: "g/kWh"},
			},
		}},
		{"source mass", &entry.CarbonSource{ID: "stack-1", Site: "bakery", Owner: "anna", Kind: entry.SourceMass, Point: "mp-stack", Channels: []string{"flue.co2_mass"}, Gas: "CO2", Random: dec(25, -1), Bias: entry.Int(2)}},
		{"source stack", &entry.CarbonSource{ID: "stack-2", Site: "bakery", Owner: "anna", Kind: entry.SourceStack, Point: "mp-stack", Channels: []string{"cems.co2_pct", "cems.flow"}, Equation: "F-11"}},
		{"source fuel", &entry.CarbonSource{ID: "gas-1", Site: "bakery", Owner: "anna", Kind: entry.SourceFuel, Point: "mp-gas", Channels: []string{"gas.volume"}, Fuel: "natural_gas"}},
		{"source load", &entry.CarbonSource{ID: "load-1", Site: "bakery", Owner: "anna", Kind: entry.SourceLoad, Point: "mp-grid", Channels: []string{"active_energy_import"}, Boundary: "DE"}},
		{"source export", &entry.CarbonSource{ID: "roof-1", Site: "home", Owner: "bert", Kind: entry.SourceExport, Point: "mp-sun", Channels: []string{"active_energy_export"}, CapacityW: 9900, Boundary: "DE"}},
		{"source storage", &entry.CarbonSource{ID: "cell-1", Site: "home", Owner: "bert", Kind: entry.SourceStorage, Point: "mp-cell", Channels: []string{"out", "in"}, CapacityW: 5000, Boundary: "DE", EfficiencyBP: 9000}},
		{"project reduction", &entry.CarbonProject{ID: "oven", Owner: "anna", Program: "street", Methodology: "baseline less stack, 1.0", Direction: entry.DirectionReduction, Sources: []string{"stack-1"}, Baseline: dec(15005, -1), BufferBP: 1000, Prefix: "W-OVEN", Country: "DE"}},
		{"project removal", &entry.CarbonProject{ID: "kiln", Owner: "anna", Program: "street", Methodology: "what a meter counted", Direction: entry.DirectionRemoval, Sources: []string{"stack-1", "stack-2"}, Prefix: "W-KILN", Country: "DE"}},
		{"period open", &entry.PeriodOpen{ID: "bakery-2026", Site: "bakery", From: hour, To: hour + 86400, Set: "AR5", Packs: []entry.Edition{{Pack: "grid-de", Edition: "2026"}}, Zone: "Europe/Berlin"}},
		{"period close", &entry.PeriodClose{Period: "bakery-2026", Declared: []entry.Declared{{Label: "leaks of coolant", Gas: "HFC-134a", Mass: 1_500_000}}}},
		{"verification", &entry.Verification{Period: "bakery-2026", Version: 1, Digest: digest, Level: entry.AssuranceReasonable}},
		{"restatement", &entry.Restatement{Period: "bakery-2026", Version: 2, Reason: "a new edition of factors", Set: "AR6", Packs: []entry.Edition{{Pack: "grid-de", Edition: "2027"}}, Declared: []entry.Declared{{Label: "leaks of coolant", Gas: "HFC-134a", Mass: 1_400_000}}}},
		{"gc issue", &entry.GCIssue{Source: "roof-1", From: hour, To: hour + 900}},
		{"gc split", &entry.GCSplit{Bundle: "gc-120", Sizes: []int64{100, 23}}},
		{"gc transfer", &entry.GCTransfer{Bundle: "gc-120-1", To: "anna"}},
		{"gc cancel", &entry.GCCancel{Bundle: "gc-120-1", Beneficiary: "anna"}},
		{"gc claim", &entry.GCClaim{Load: "load-1", From: hour, To: hour + 900, Bundles: []string{"gc-120-1", "gc-98"}}},
		{"storage charge", &entry.StorageCharge{Storage: "cell-1", From: hour, To: hour + 900, Bundles: []string{"gc-121"}}},
		{"storage discharge", &entry.StorageDischarge{Storage: "cell-1", From: hour + 3600, To: hour + 7200}},
		{"unit issue", &entry.UnitIssue{Project: "oven", Period: "bakery-2026", Version: 1, Vintage: 2026}},
		{"unit split", &entry.UnitSplit{Block: "u-200-1", Sizes: []int64{1, 2, 3}}},
		{"unit transfer", &entry.UnitTransfer{Block: "u-200-1", To: "carla"}},
		{"unit retire", &entry.UnitRetire{Block: "u-200-1", Beneficiary: "Carla's Café", Reason: "deliveries of 2026", From: 1767225600, To: 1798761600}},
		{"unit cancel", &entry.UnitCancel{Block: "u-200-2", Reason: "paid back", Settles: "oven"}},
		{"reversal", &entry.Reversal{Project: "kiln", Tonnes: 3, Reason: "burned down"}},
		{"authorization", &entry.Authorization{Issuance: "iss-200", Host: "DE", Reference: "letter 7", Digest: digest}},
		{"first transfer", &entry.FirstTransfer{Block: "u-200-1", To: "carla", Acquirer: "CH"}},
		{"cadt commit", &entry.CADTCommit{Table: "program", Key: "p", Record: []byte(`{"fields":{"programName":"street"}}`), Author: "Dora", Comment: "first"}},
		{"cadt commit again", &entry.CADTCommit{Table: "program", Key: "p", Record: []byte(`{"fields":{"programName":"Street"}}`), Author: "Dora", Before: digest}},
	}
}

func TestCarbonVectors(t *testing.T) {
	var list []example
	for _, e := range carbonExamples() {
		list = append(list, of(e.name, e.value, func() ([]byte, error) { return entry.EncodeCarbon(e.value) },
			func(b []byte) (entry.Carbon, error) { return entry.ParseCarbon(e.value.Type(), b) }))
	}
	party := partyRequest()
	list = append(list, of("party request", party, func() ([]byte, error) { return entry.EncodePartyRequest(party) }, entry.ParsePartyRequest))
	checkVectors(t, "carbon.json", list)
}

func partyRequest() *entry.PartyRequest {
	return &entry.PartyRequest{Algorithm: -8, Key: bytes.Repeat([]byte{0x5a}, 32), Name: "veritas", Role: entry.RoleVerifier, Title: "Veritas & Daughters"}
}

// TestCarbonTypes makes sure that each type has an example, and none is read as another.
func TestCarbonTypes(t *testing.T) {
	types := make(map[string]bool)
	for _, e := range carbonExamples() {
		types[e.value.Type()] = true
		if !entry.IsCarbon(e.value.Type()) {
			t.Errorf("%s: its type %q is not known", e.name, e.value.Type())
		}
	}
	if len(types) != 24 {
		t.Errorf("there are examples of %d types, want 24", len(types))
	}
	for _, typ := range []string{entry.TypeReading, entry.TypeVote, "", "application/cbor"} {
		if _, err := entry.ParseCarbon(typ, []byte{0xa0}); entry.IsCarbon(typ) || !errors.Is(err, entry.ErrForm) {
			t.Errorf("%q is taken for a type of carbon accounting: %v", typ, err)
		}
	}
}

// TestCarbonRefuses spoils one field of an example at a time.
func TestCarbonRefuses(t *testing.T) {
	for _, c := range []struct {
		what string
		bad  entry.Carbon
		want string
	}{
		{"an appointment of nobody", &entry.Appointment{}, "0 bytes"},
		{"an id with a space", &entry.GCTransfer{Bundle: "gc 1", To: "x"}, "letters"},
		{"an id too long", &entry.GCTransfer{Bundle: strings.Repeat("a", 65), To: "x"}, "65 bytes"},
		{"not a start of an interval", &entry.GCIssue{Source: "s", From: 901, To: 1800}, "from"},
		{"more than an hour", &entry.GCIssue{Source: "s", From: 0, To: 4500}, "more than an hour"},
		{"time backwards", &entry.GCIssue{Source: "s", From: 1800, To: 900}, "no time"},
		{"a split into one", &entry.GCSplit{Bundle: "b", Sizes: []int64{5}}, "1 parts"},
		{"a part of nothing", &entry.UnitSplit{Block: "b", Sizes: []int64{5, 0}}, "part of 0"},
		{"a bundle twice", &entry.GCClaim{Load: "l", From: 0, To: 900, Bundles: []string{"a", "a"}}, "twice"},
		{"no bundle", &entry.GCClaim{Load: "l", From: 0, To: 900}, "0 of bundles"},
		{"a mass without gas", &entry.CarbonSource{ID: "a", Site: "b", Owner: "c", Kind: entry.SourceMass, Point: "p", Channels: []string{"x"}}, "gas"},
		{"a mass of two registers", &entry.CarbonSource{ID: "a", Site: "b", Owner: "c", Kind: entry.SourceMass, Point: "p", Channels: []string{"x", "y"}, Gas: "CO2"}, "2 channels"},
		{"a storage of one register", &entry.CarbonSource{ID: "a", Site: "b", Owner: "c", Kind: entry.SourceStorage, Point: "p", Channels: []string{"x"}}, "1 channels"},
		{"a channel twice", &entry.CarbonSource{ID: "a", Site: "b", Owner: "c", Kind: entry.SourceStorage, Point: "p", Channels: []string{"x", "x"}}, "twice"},
		{"a load with a capacity", &entry.CarbonSource{ID: "a", Site: "b", Owner: "c", Kind: entry.SourceLoad, Point: "p", Channels: []string{"x"}, Boundary: "DE", CapacityW: 1}, "capacity"},
		{"more than certain", &entry.CarbonSource{ID: "a", Site: "b", Owner: "c", Kind: entry.SourceLoad, Point: "p", Channels: []string{"x"}, Boundary: "DE", Bias: entry.Int(101)}, "uncertainty"},
		{"a reduction from nothing", &entry.CarbonProject{ID: "a", Owner: "c", Program: "p", Methodology: "m", Direction: entry.DirectionReduction, Sources: []string{"s"}, Prefix: "W", Country: "DE"}, "baseline"},
		{"a country that is none", &entry.FirstTransfer{Block: "b", To: "c", Acquirer: "de"}, "country"},
		{"a set that is none", &entry.PeriodOpen{ID: "a", Site: "b", From: 0, To: 900, Set: "AR7", Zone: "UTC"}, "AR7"},
		{"three years", &entry.PeriodOpen{ID: "a", Site: "b", From: 0, To: 3 * 366 * 86400, Set: "AR5", Zone: "UTC"}, "limit"},
		{"a restatement of the first", &entry.Restatement{Period: "a", Version: 1, Reason: "r", Set: "AR5"}, "version 2"},
		{"less than nothing declared", &entry.PeriodClose{Period: "a", Declared: []entry.Declared{{Label: "l", Gas: "CO2", Mass: -1}}}, "-1 mg"},
		{"a digest too short", &entry.Verification{Period: "a", Version: 1, Digest: []byte{1}, Level: entry.AssuranceLimited}, "1 bytes"},
		{"nothing reversed", &entry.Reversal{Project: "p", Reason: "r"}, "0 tonnes"},
		{"no record", &entry.CADTCommit{Table: "unit", Key: "k", Author: "a"}, "0 bytes"},
		{"CO2e without a set", &entry.FactorPack{ID: "a", Edition: "b", Source: "s", Digest: make([]byte, 32), To: 900, Region: "r",
			Rows: []entry.FactorRow{{Key: "grid", Gas: "CO2e", Value: entry.Int(1), Unit: "g/kWh"}}}, "potentials"},
		{"rows out of order", &entry.FactorPack{ID: "a", Edition: "b", Source: "s", Digest: make([]byte, 32), To: 900, Region: "r",
			Rows: []entry.FactorRow{{Key: "residual", Gas: "CO2", Value: entry.Int(1), Unit: "g/kWh"}, {Key: "grid", Gas: "CO2", Value: entry.Int(1), Unit: "g/kWh"}}}, "order"},
	} {
		if _, err := entry.EncodeCarbon(c.bad); !errors.Is(err, entry.ErrForm) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want one about %q", c.what, err, c.want)
		}
	}
}

func FuzzParseCarbon(f *testing.F) {
	examples := carbonExamples()
	for i, e := range examples {
		b, err := entry.EncodeCarbon(e.value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i, b)
	}
	b, err := entry.EncodePartyRequest(partyRequest())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(len(examples), b)
	f.Fuzz(func(t *testing.T, kind int, b []byte) {
		if r, err := entry.ParsePartyRequest(b); err == nil {
			reencodes(t, b, func() ([]byte, error) { return entry.EncodePartyRequest(r) })
		}
		if kind < 0 || kind >= len(examples) {
			return
		}
		if c, err := entry.ParseCarbon(examples[kind].value.Type(), b); err == nil {
			reencodes(t, b, func() ([]byte, error) { return entry.EncodeCarbon(c) })
		}
	})
}

func carbonBodies() []struct {
	name  string
	value entry.Body
} {
	const hour = 1790000 * 1000 / 3600 * 3600
	blocks := []entry.Move{{ID: "u-200-1", Status: "Held", Owner: "anna", First: 1, Last: 17}, {ID: "u-200-2", Status: "Buffer", Owner: "reg", First: 18, Last: 19}}
	return []struct {
		name  string
		value entry.Body
	}{
		{"certified", &entry.Certified{Leaf: 120, ID: "gc-120", Source: "roof-1", From: hour, To: hour + 900, Wh: 500, First: 1, Owner: "bert", Readings: []uint64{98, 117}}},
		{"moved", &entry.Moved{Leaf: 130, What: entry.MovedBundle, Moves: []entry.Move{
			{ID: "gc-120", Status: "Split", Owner: "bert", First: 1, Last: 500}, {ID: "gc-130-1", Status: "Active", Owner: "bert", First: 1, Last: 300}, {ID: "gc-130-2", Status: "Active", Owner: "bert", First: 301, Last: 500}}}},
		{"moved and owed", &entry.Moved{Leaf: 230, What: entry.MovedBlock, Moves: []entry.Move{{ID: "u-200-2", Status: "Cancelled", Owner: "reg", First: 18, Last: 19}}, Debtor: "oven", Owed: 1}},
		{"stated", &entry.Stated{Leaf: 150, Period: "bakery-2026", Version: 2, Site: "bakery", From: hour, To: hour + 3600, Set: "AR5", Packs: []entry.Edition{{Pack: "grid-de", Edition: "2026"}},
			Lines: []entry.StatedLine{
				{Source: "load-1", Kind: entry.SourceLoad, Class: entry.ClassMeasured, Gases: []entry.GasMass{}, Measured: 4, Wh: 1200, Location: 480_000, Market: 720_000, Hourly: 720_000, HourlyMatched: 300, Gas: "CO2e"},
				{Source: "stack-1", Kind: entry.SourceMass, Class: entry.ClassMeasured, Gases: []entry.GasMass{{Gas: "CO2", Mass: 400_000_000}}, CO2e: 400_000_000, Measured: 3, Missing: 1},
				{Source: "leaks", Kind: entry.LineDeclared, Class: entry.ClassDeclared, Gases: []entry.GasMass{{Gas: "HFC-134a", Mass: 1}}, CO2e: 1300},
			},
			CO2e: 400_001_300, Declared: 4, Ranges: []entry.StatedRange{{Key: bytes.Repeat([]byte{0xab}, 16), Boot: 1, First: 1, Last: 50}}, Materiality: -1}},
		{"issued", &entry.Issued{Leaf: 200, ID: "iss-200", Project: "oven", Period: "bakery-2026", Version: 2, Vintage: 2026, Reduced: 19_600_000_000, HalfWidth: 12_806_249, Units: 19, Blocks: blocks, Prefix: "W-OVEN"}},
	}
}

// abroadBodies are the outcomes that storages and first transfers have added.
func abroadBodies() []struct {
	name  string
	value entry.Body
} {
	const hour = 1790000 * 1000 / 3600 * 3600
	return []struct {
		name  string
		value entry.Body
	}{
		{"certified of stored energy", &entry.Certified{Leaf: 140, ID: "gc-140-1", Source: "cell-1", From: hour, To: hour + 900, Wh: 250, First: 1, Owner: "bert", Readings: []uint64{98, 117}, Origin: "gc-120", Consumed: 278}},
		{"adjusted", &entry.Adjusted{Leaf: 240, Block: "u-200-1", Issuance: "iss-200", Host: "DE", Acquirer: "CH", Units: 10, Authorization: 235}},
	}
}

func TestCarbonOutcomeVectors(t *testing.T) { checkBodies(t, "carbon_outcomes.json", carbonBodies()) }

func TestCarbonAbroadVectors(t *testing.T) { checkBodies(t, "carbon_abroad.json", abroadBodies()) }

func checkBodies(t *testing.T, file string, bodies []struct {
	name  string
	value entry.Body
}) {
	t.Helper()
	var list []example
	for _, e := range bodies {
		list = append(list, of(e.name, e.value, func() ([]byte, error) {
			o, err := entry.Bodied(e.value)
			if err != nil {
				return nil, err
			}
			return o.Encode(), nil
		}, parseBodyOf))
	}
	checkVectors(t, file, list)
}

func parseBodyOf(b []byte) (entry.Body, error) {
	o, err := entry.ParseOutcome(b)
	if err != nil {
		return nil, err
	}
	return o.ParseBody()
}

func FuzzParseCarbonOutcome(f *testing.F) {
	for _, e := range append(carbonBodies(), abroadBodies()...) {
		o, err := entry.Bodied(e.value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(o.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		body, err := parseBodyOf(b)
		if err != nil {
			return
		}
		reencodes(t, b, func() ([]byte, error) {
			o, err := entry.Bodied(body)
			if err != nil {
				return nil, err
			}
			return o.Encode(), nil
		})
	})
}
