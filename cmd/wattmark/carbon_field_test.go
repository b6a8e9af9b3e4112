package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"wattmark/ledger/entry"
)

// TestEntriesAreTyped fills entries of every shape of field as a person types them.
func TestEntriesAreTyped(t *testing.T) {
	rows := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(rows, []byte("fuel/natural_gas,CO2,53.06,kg/mmBtu\ngrid,CO2e,380,g/kWh\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		want  entry.Carbon
		typed []string
	}{
		{&entry.UnitSplit{Block: "u-1", Sizes: []int64{1, 2}}, []string{"block=u-1", "sizes=1,2"}},
		{&entry.GCClaim{Load: "load", From: 3600, To: 4500, Bundles: []string{"a", "b"}}, []string{"load=load", "from=1970-01-01T01:00:00Z", "to=4500", "bundles=a,b"}},
		{&entry.Verification{Period: "june", Version: 2, Digest: []byte{0xab}, Level: "limited"}, []string{"period=june", "version=2", "digest=ab", "level=limited"}},
		{&entry.PeriodOpen{ID: "june", Site: "bakery", From: 3600, To: 7200, Set: "AR5", Packs: []entry.Edition{{Pack: "grid", Edition: "2026"}, {Pack: "own", Edition: "1"}}, Zone: "UTC"},
			[]string{"id=june", "site=bakery", "from=3600", "to=7200", "set=AR5", "packs=grid:2026,own:1", "zone=UTC"}},
		{&entry.PeriodClose{Period: "june", Declared: []entry.Declared{{Label: "leaks", Gas: "HFC-134a", Mass: 1500}}}, []string{"period=june", "declared=leaks:HFC-134a:1500"}},
		{&entry.CarbonSource{ID: "s", EfficiencyBP: 9000, CapacityW: 5, Random: entry.Decimal{Mantissa: 25, Exponent: -1}, Bias: entry.Int(2)},
			[]string{"id=s", "efficiency_bp=9000", "capacity_w=5", "random=2.50", "bias=2"}},
		{&entry.FactorPack{ID: "grid", Rows: []entry.FactorRow{{Key: "fuel/natural_gas", Gas: "CO2", Value: entry.Decimal{Mantissa: 5306, Exponent: -2}, Unit: "kg/mmBtu"},
			{Key: "grid", Gas: "CO2e", Value: entry.Int(380), Unit: "g/kWh"}}}, []string{"id=grid", "rows=@" + rows}},
	} {
		got := entry.EmptyCarbon(tt.want.Type())
		if err := fill(got, tt.typed); err != nil {
			t.Errorf("%q: %v", tt.typed, err)
		}
		if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(entry.FactorRow{}, entry.Edition{}, entry.Declared{})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.typed, diff)
		}
	}
	for _, typ := range entry.CarbonTypes() {
		for _, f := range fieldsOf(entry.EmptyCarbon(typ)) {
			if f.form == "VALUE" {
				t.Errorf("%s: field %s cannot be typed", typ, f.name)
			}
		}
	}
	for _, typed := range [][]string{{"random=much"}, {"bias=1.2.3"}, {"capacity_w=1e9"}, {"id"}, {"nonsense=1"}, {"id=a", "id=b"}} {
		if err := fill(&entry.CarbonSource{}, typed); err == nil {
			t.Errorf("%q was taken", typed)
		}
	}
	if err := fill(&entry.FactorPack{}, []string{"rows=grid"}); err == nil {
		t.Error("rows that are no file were taken")
	}
}
