package carbon_test

import (
	"fmt"
	"strings"
	"testing"

	"wattmark/ledger/carbon"
)

// twoProjects are records of two registries: each a project with its methodology, place
// and period, a verification and an issuance.
func twoProjects(change func(a, b map[string]string)) string {
	a := map[string]string{"registry": "R", "name": "Sungei Buloh Wetlands", "code": "AM0009", "gis": "1°26′46″N 103°43′44″E", "from": "2020-01-01", "to": "2020-12-31", "sector": `["Transport","Others"]`, "country": "Singapore"}
	b := map[string]string{"registry": "S", "name": "Mangroves of the north", "code": "am0009", "gis": "1.4469, 103.7300", "from": "2020-12-31", "to": "2021-12-31", "sector": `["Others"]`, "country": "Singapore"}
	if change != nil {
		change(a, b)
	}
	tables := make(map[string][]string)
	for i, m := range []map[string]string{a, b} {
		k := string(rune('a' + i))
		put := func(table, format string, args ...any) {
			tables[table] = append(tables[table], fmt.Sprintf(format, args...))
		}
		put("methodology", `{"key":"m%s","fields":{"methodologyCode":%q,"methodologyName":"M"}}`, k, m["code"])
		put("project", `{"key":"p%s","fields":{"projectRegistryName":%q,"projectName":%q,"projectSector":%s}}`, k, m["registry"], m["name"], m["sector"])
		put("project_methodology", `{"key":"pm%s","refs":{"project":"p%s","methodology":"m%s"},"fields":{}}`, k, k, k)
		put("verification", `{"key":"v%s","refs":{"project":"p%s"},"fields":{"verificationStartDate":%q,"verificationEndDate":%q}}`, k, k, m["from"], m["to"])
		put("location", `{"key":"l%s","refs":{"project":"p%s"},"fields":{"locationCountry":%q,"locationGis":%q}}`, k, k, m["country"], m["gis"])
		put("issuance", `{"key":"i%s","refs":{"verification":"v%s","location":"l%s"},"fields":{}}`, k, k, k)
	}
	var out []string
	for _, table := range []string{"methodology", "project", "project_methodology", "verification", "location", "issuance"} {
		out = append(out, fmt.Sprintf("%q:[%s]", table, strings.Join(tables[table], ",")))
	}
	return `{"tables":{` + strings.Join(out, ",") + `}}`
}

func TestCandidates(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(a, b map[string]string)
		want   string
	}{
		{"near each other, a day in common", nil, "D3 pa pb, D4 ia ib"},
		{"one registry", func(_, b map[string]string) { b["registry"] = "R" }, ""},
		{"years apart", func(_, b map[string]string) { b["from"] = "2021-01-01" }, ""},
		{"without dates", func(_, b map[string]string) { b["from"] = "" }, "D3 pa pb, D4 ia ib"},
		{"another methodology", func(_, b map[string]string) { b["code"] = "VM0033" }, "D4 ia ib"},
		{"another place", func(_, b map[string]string) { b["gis"] = "48.137, 11.575" }, "D4 ia ib"},
		{"no place", func(_, b map[string]string) { b["gis"] = "in the north" }, "D4 ia ib"},
		{"no place, one name", func(_, b map[string]string) { b["gis"], b["name"] = "", "Sungei Buloh Wetland" }, "D3 pa pb, D4 ia ib"},
		{"another sector", func(_, b map[string]string) { b["sector"] = `["Waste"]` }, "D3 pa pb"},
		{"two sectors in common", func(_, b map[string]string) { b["sector"] = `["Others","Transport"]` }, "D3 pa pb, D4 ia ib"},
		{"another country", func(_, b map[string]string) { b["country"] = "Malaysia" }, "D3 pa pb"},
	} {
		t.Run(c.what, func(t *testing.T) {
			var f carbon.Findings
			if err := carbon.Candidates([]byte(twoProjects(c.change)), &f); err != nil {
				t.Fatal(err)
			}
			list, all := f.Sorted()
			var got []string
			for _, found := range list {
				if found.Severity != carbon.Candidate || found.Note == "" {
					t.Errorf("%+v", found)
				}
				got = append(got, found.Rule+" "+strings.Join(found.IDs, " "))
			}
			if s := strings.Join(got, ", "); s != c.want || !all {
				t.Errorf("%q, want %q", s, c.want)
			}
		})
	}
	var f carbon.Findings
	if err := carbon.Candidates([]byte(`{"tables":{"nonsense":[]}}`), &f); err == nil {
		t.Error("an unknown table was taken")
	}
}

func TestParsePosition(t *testing.T) {
	for text, want := range map[string][2]int64{
		"1°26′46″N 103°43′44″E":    {1_446_110, 103_728_888},
		"1°26'46\"S, 103°43'44\"W": {-1_446_110, -103_728_888},
		"48.137, 11.575":           {48_137_000, 11_575_000},
		"-48.1371234,-11.5":        {-48_137_123, -11_500_000},
		"51.5°N 0°W":               {51_500_000, 0},
		"90 180":                   {90_000_000, 180_000_000},
	} {
		if lat, lon, ok := carbon.ParsePosition(text); !ok || lat != want[0] || lon != want[1] {
			t.Errorf("%q: %d, %d, %t; want %v", text, lat, lon, ok, want)
		}
	}
	for _, text := range []string{"", "48", "91, 0", "0, 181", "1°2′3″4 5", "x y", "1.2.3, 4", "north, south", "--1, 2", "1°N2 3", "1e2, 3", "٤, 1"} {
		if lat, lon, ok := carbon.ParsePosition(text); ok {
			t.Errorf("%q is %d, %d", text, lat, lon)
		}
	}
}

func FuzzCandidates(f *testing.F) {
	f.Add([]byte(twoProjects(nil)))
	f.Add([]byte(`{"tables":{}}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		var found carbon.Findings
		_ = carbon.Candidates(file, &found)
	})
}
