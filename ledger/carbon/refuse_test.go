package carbon_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"wattmark/ledger/carbon"
)

// refusal changes one text of a good file, and says which field is then refused.
type refusal struct{ old, new, field, reason string }

// refuse makes each change to a good file alone.
func refuse(t *testing.T, good string, rule func([]byte) ([]byte, error), cases []refusal) {
	t.Helper()
	if _, err := rule([]byte(good)); err != nil {
		t.Fatalf("the good file is refused: %v", err)
	}
	for _, c := range cases {
		if !strings.Contains(good, c.old) {
			t.Errorf("no %s in the good file", c.old)
			continue
		}
		got, err := rule([]byte(strings.Replace(good, c.old, c.new, 1)))
		var fault *carbon.Fault
		switch {
		case !errors.As(err, &fault):
			t.Errorf("%s for %s: got %v, want a fault of %s", c.new, c.old, err, c.field)
		case fault.Field != c.field || !strings.Contains(fault.Reason, c.reason):
			t.Errorf("%s for %s: got %v, want %s: %s", c.new, c.old, err, c.field, c.reason)
		case len(got) > 0:
			t.Errorf("%s for %s: a result beside a fault", c.new, c.old)
		case strings.ContainsAny(err.Error(), "\n\r"):
			t.Errorf("%s for %s: the fault is not one line: %q", c.new, c.old, err)
		}
	}
}

func page(t *testing.T, name string) string {
	b, err := os.ReadFile("testdata/corpus/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEmissionsRefuses(t *testing.T) {
	refuse(t, page(t, "page.emissions.in"), carbon.Emissions, []refusal{
		// Syntax, fields and types.
		{`{"gwp_set"`, `{"gwp_set"}`, "input", "line 1"},
		{`"uncertainty"`, "\"uncertainty", "input", "line 8"},
		{`{"gwp_set":"AR5","items":[`, `[`, "input", ""},
		{`{"gwp_set":"AR5",`, `{`, "gwp_set", "missing"},
		{`"gwp_set":"AR5"`, `"gwp_set":"AR7"`, "gwp_set", "unknown set"},
		{`"gwp_set":"AR5"`, `"gwp_set":5`, "gwp_set", "want a text"},
		{`"gwp_set":"AR5"`, `"gwp_set":null`, "gwp_set", "want a text"},
		{`{"gwp_set":"AR5",`, `{"gwp_set":"AR5","gwp_set":"AR5",`, "gwp_set", "more than once"},
		{`{"gwp_set":"AR5",`, `{"gwp_set":"AR5","gwp\u005fset":"AR5",`, "gwp_set", "more than once"},
		{`{"gwp_set":"AR5",`, `{"gwp_set":"AR5","a\nb":"AR5",`, `"a\nb"`, "unknown field"},
		{`"kind":"stack"`, `"kind":"stacks"`, "items[0].kind", "not one of"},
		{`"kind":"stack",`, ``, "items[0].kind", "missing"},
		{`"id":"s",`, ``, "items[0].id", "missing"},
		{`"id":"s",`, `"id":"",`, "items[0].id", "empty"},
		{`"id":"f"`, `"id":"s"`, "items[1].id", "duplicate"},
		{`"id":"s"`, "\"id\":\"\xff\"", "input", "UTF-8"},
		{`"id":"s"`, `"id":"\ud800"`, "input", "UTF-8"},
		// Stack.
		{`"equation":"F-11"`, `"equation":"f-11"`, "items[0].equation", "not one that is known"},
		{`"co2_pct_wet":"11.0"`, `"co2_pct_wet":11.0`, "items[0].in.co2_pct_wet", "in quotes"},
		{`"co2_pct_wet":"11.0"`, `"co2_pct_wet":"1e1"`, "items[0].in.co2_pct_wet", "not a decimal"},
		{`"co2_pct_wet":"11.0"`, `"co2_pct_wet":"-0"`, "items[0].in.co2_pct_wet", "not a decimal"},
		{`"co2_pct_wet":"11.0"`, `"co2_pct_wet":"-1"`, "items[0].in.co2_pct_wet", "below zero"},
		{`"co2_pct_wet":"11.0"`, `"co2_pct_wet":"100.1"`, "items[0].in.co2_pct_wet", "more than 100"},
		{`"co2_pct_wet":"11.0",`, ``, "items[0].in.co2_pct_wet", "missing"},
		{`"co2_pct_wet":"11.0",`, `"co2_pct_wet":"11.0","fc":"1",`, "items[0].in.fc", "unknown"},
		{`"co2_pct_wet"`, `"co2_pct_dry"`, "items[0].in.co2_pct_dry", "unknown"},
		{`"op_time_h":"1.00"`, `"op_time_h":"1.01"`, "items[0].op_time_h", "outside"},
		{`"op_time_h":"1.00"`, `"op_time_h":"0.999"`, "items[0].op_time_h", "two places"},
		{`"op_time_h":"1.00"`, `"places":13`, "items[0].places", "outside 0 to 12"},
		{`"op_time_h":"1.00"`, `"places":1.0`, "items[0].places", "integer"},
		{`"op_time_h":"1.00"`, `"gas":"SO2"`, "items[0].gas", "does not belong"},
		{`"op_time_h":"1.00"`, `"diluent_cap":"boiler"`, "items[0].diluent_cap", "does not belong"},
		{`"op_time_h":"1.00"`, `"hhv":"1"`, "items[0].hhv", "unknown"},
		{`"flow_scfh_wet":"1000000"`, `"flow_scfh_wet":"99999999999999999999999999999999"`, "items[0]", "beyond"},
		{`"equation":"F-11","in":{"co2_pct_wet":"11.0","flow_scfh_wet":"1000000"},"op_time_h":"1.00"`,
			`"equation":"F-15","in":{"co2_pct_wet":"11.0","flow_scfh_wet":"1000000","fc":"1"},"op_time_h":"1.00"`, "items[0].op_time_h", "does not belong"},
		{`"equation":"F-11","in":{"co2_pct_wet":"11.0","flow_scfh_wet":"1000000"},"op_time_h":"1.00"`,
			`"equation":"F-15","in":{"co2_pct_wet":"11.0","flow_scfh_wet":"1000000","fc":"0"}`, "items[0].in", "division by zero"},
		{`"equation":"F-11","in":{"co2_pct_wet":"11.0","flow_scfh_wet":"1000000"},"op_time_h":"1.00"`,
			`"equation":"M19-MASS","in":{"ppm_dry":"1","flow_scfh_dry":"1"}`, "items[0].gas", "missing"},
		{`"equation":"F-11","in":{"co2_pct_wet":"11.0","flow_scfh_wet":"1000000"},"op_time_h":"1.00"`,
			`"equation":"M19-MASS","in":{"ppm_dry":"1","flow_scfh_dry":"1"},"gas":"CO2"`, "items[0].gas", "not one of"},
		// Fuel.
		{`"quantity":{"value":"100","unit":"gal"},`, ``, "items[1].quantity", "missing"},
		{`"unit":"gal"}`, `"unit":"gallon"}`, "items[1].quantity.unit", "unknown unit"},
		{`"unit":"gal"}`, `"unit":"scf"}`, "items[1].hhv.unit", "does not go"},
		{`"unit":"gal"}`, `"unit":"therm"}`, "items[1].hhv", "does not belong"},
		{`"unit":"gal"}`, `"unit":"gal/kg"}`, "items[1].quantity.unit", "no quantity"},
		{`"hhv":{"value":"0.138","unit":"mmBtu/gal"},`, ``, "items[1].hhv", "missing"},
		{`"factors":[{"gas":"CO2","value":"73.96","unit":"kg/mmBtu"}]`, `"fuel":"diesel"`, "items[1].fuel", "builtin-1"},
		{`,"factors":[{"gas":"CO2","value":"73.96","unit":"kg/mmBtu"}]`, ``, "items[1].factors", "missing"},
		{`"factors":[{"gas":"CO2"`, `"factors":[{"gas":"CO2","set":"AR5"`, "items[1].factors[0].set", "CO2e alone"},
		{`"factors":[{"gas":"CO2"`, `"factors":[{"gas":"CO2e"`, "items[1].factors[0].set", "missing"},
		{`"factors":[{"gas":"CO2"`, `"factors":[{"gas":"CH4-fossil"`, "items[1].factors[0].gas", "no-gwp"},
		{`"value":"73.96"`, `"value":"-73.96"`, "items[1].factors[0].value", "below zero"},
		{`"factors":`, `"biogenic":"true","factors":`, "items[1].biogenic", "true or false"},
		{`"factors":`, `"mw":"1","factors":`, "items[1].mw", "phase"},
		{`"factors":`, `"phase":"liquid","carbon":"1","factors":`, "items[1].hhv", "carbon content"},
		{`"hhv":{"value":"0.138","unit":"mmBtu/gal"},"factors":[{"gas":"CO2","value":"73.96","unit":"kg/mmBtu"}]`,
			`"phase":"solid","carbon":"0.5"`, "items[1].quantity.unit", "short_ton"},
		// Electricity.
		{`"wh":1000}`, `"wh":-1}`, "items[2].load[0].wh", "outside"},
		{`"wh":1000}`, `"wh":"1000"}`, "items[2].load[0].wh", "integer"},
		{`"wh":1000}`, `"wh":9007199254740992}`, "items[2].load[0].wh", "outside"},
		{`"t":"2026-01-01T01:00:00Z","wh":3000`, `"t":"2026-01-01T00:59:59Z","wh":3000`, "items[2].load[1].t", "before the end"},
		{`"t":"2026-01-01T01:00:00Z","wh":3000`, `"t":"2026-01-01T01:00:00Z","to":"2026-01-01T01:00:00Z","wh":3000`, "items[2].load[1].to", "not after"},
		{`"t":"2026-01-01T01:00:00Z","wh":3000`, `"t":"2026-01-01T01:00:00+00:00","wh":3000`, "items[2].load[1].t", "time"},
		{`"t":"2026-01-01T01:00:00Z","wh":3000`, `"t":"2026-01-01T01:00:00.0Z","wh":3000`, "items[2].load[1].t", "time"},
		{`"grid":{"gas":"CO2e","set":"AR5"`, `"grid":{"gas":"CO2e","set":"AR4"`, "items[2].grid.set", "gwp_set"},
		{`"residual":{"gas":"CO2e","set":"AR5"`, `"residual":{"gas":"CO2"`, "items[2].residual.gas", "one gas"},
		{`"unit":"g/kWh"}`, `"unit":"g/kg"}`, "items[2].grid.unit", "mass per energy"},
		{`"residual":`, `"grid_hourly":[{"t":"2026-01-01T00:00:00Z","value":"1"}],"residual":`, "items[2].grid_hourly", "load[1]"},
		{`{"id":"c1","t"`, `{"id":"c1","t":"2026-01-01T00:00:00Z","boundary":"GB","wh":1,"factor":{"gas":"CO2e","set":"AR5","value":"0","unit":"g/kWh"}},{"id":"c1","t"`, "items[2].instruments[1].id", "duplicate"},
		// Substitution.
		{`"so2-75.33b"`, `"nox-75.33c"`, "items[3].rule", "a gap without a rule"},
		{`"pma_pct":"96.0"`, `"pma_pct":"100.1"`, "items[3].pma_pct", "outside"},
		{`"missing_hours":30`, `"missing_hours":-1`, "items[3].missing_hours", "outside"},
		{`,"mpc":"500"`, ``, "items[3].in.mpc", "missing"},
		// Uncertainty.
		{`"op":"sum"`, `"op":"mean"`, "items[4].op", "not one of"},
		{`"op":"sum"`, `"op":"product"`, "items[4].terms[0].x", "unknown"},
		{`,"bias_pct":"4"},`, `},`, "items[4].terms[0].bias_pct", "missing"},
		{`"u_pct":"6"`, `"u_pct":"-6"`, "items[4].terms[0].u_pct", "below zero"},
		{`"x":"100","u_pct":"6"`, `"x":"99999999999999999999","u_pct":"6"`, "items[4].terms", "more than"},
	}[:])
}

func TestConvertRefuses(t *testing.T) {
	refuse(t, page(t, "page.convert.in"), carbon.Convert, []refusal{
		{`"places":6`, `"places":13`, "conversions[0].places", "outside"},
		{`,"places":6`, ``, "conversions[0].places", "missing"},
		{`"to":"kg/kWh"`, `"to":"kg/kg"`, "conversions[0].to", "different things"},
		{`"to":"kg/kWh"`, `"to":"kg"`, "conversions[0].to", "different things"},
		{`"to":"kg/kWh"`, `"to":"kg/kWh/h"`, "conversions[0].to", "unknown unit"},
		{`"from":"lb/MWh"`, `"from":"Lb/MWh"`, "conversions[0].from", "unknown unit"},
		{`"gas":"N2O"`, `"gas":"CH4-fossil"`, "conversions[1].gas", "no-gwp"},
		{`"gas":"N2O"`, `"gas":"SO2"`, "conversions[1].gas", "no-gwp"},
		{`"set":"AR4"`, `"set":"ar4"`, "conversions[1].set", "unknown set"},
		{`"from":"scf@US"`, `"from":"scf"`, "conversions[2].from", "scf@US"},
		{`"to":"m3@EU"`, `"to":"L@EU"`, "conversions[2].to", "m3@EU"},
		{`"to":"mg/m3@EU"`, `"to":"mg/m3"`, "conversions[3].to", "mg/m3@EU"},
		{`"mw":"64.066",`, ``, "conversions[3].mw", "missing"},
		{`"mw":"64.066"`, `"mw":"64.066","set":"AR4"`, "conversions[3].set", "unknown"},
		{`"id":"b"`, `"id":"a"`, "conversions[1].id", "duplicate"},
	})
}

func TestUnitsRefuses(t *testing.T) {
	check := func(file []byte) ([]byte, error) {
		result, _, err := carbon.CheckUnits(file)
		return result, err
	}
	refuse(t, page(t, "page.check.in"), check, []refusal{
		{`"vintage":2025`, `"vintage":"2025"`, "blocks[0].vintage", "integer"},
		{`"start":"1"`, `"start":1`, "blocks[0].start", "want a text"},
		{`"start":"1"`, `"start":"W"`, "blocks[0].start", "digits"},
		{`"start":"1"`, `"start":"1234567890123456789"`, "blocks[0].start", "18 digits"},
		{`"status":"Held"`, `"status":"held"`, "blocks[0].status", "not one of"},
		{`"status":"Held"`, `"status":"Held","history":["Issued","Sold"]`, "blocks[0].history[1]", "not one of"},
		{`"status":"Held"`, `"status":"Held","origin":{"id":"x"}`, "blocks[0].origin.registry", "missing"},
		{`"id":"b2"`, `"id":"b1"`, "blocks[1].id", "duplicate"},
		{`"verified_t":"149.7"`, `"verified_t":149.7`, "issuances[0].verified_t", "quotes"},
		{`"verified_t":"149.7"`, `"verified_t":"-1"`, "issuances[0].verified_t", "below zero"},
		{`"to":"2026-01-01T00:00:00Z"`, `"to":"2025-01-01T00:00:00Z"`, "issuances[0].to", "not after"},
		{`"issuances":`, `"compat":["cadt"],"issuances":`, "issuances[0].registry", "missing"},
		{`"issuances":`, `"compat":["verra"],"issuances":`, "compat[0]", "not one of"},
		{`"issuances":`, `"claims":[{"id":"c","kind":"gc","device":"d","from":"2026-01-01T00:00:00Z","to":"2026-01-01T01:00:00Z","wh":1}],"issuances":`, "claims[0].capacity_w", "missing"},
		{`"issuances":`, `"claims":[{"id":"c","kind":"GC","device":"d","from":"2026-01-01T00:00:00Z","to":"2026-01-01T01:00:00Z"}],"issuances":`, "claims[0].kind", "not one of"},
		{`"issuances":`, `"projects":[{"id":"p","registry":"R","name":"n","family":"f","lat":"91","lon":"0","from":"2026-01-01T00:00:00Z","to":"2026-01-01T01:00:00Z"}],"issuances":`, "projects[0].lat", "90"},
		{`"issuances":`, `"splits":[{"parent":"b1","children":[]},{"parent":"b1","children":[]}],"issuances":`, "splits[1].parent", "duplicate"},
		{`}]}`, `}]}{}`, "input", "more than one"},
	})
}
