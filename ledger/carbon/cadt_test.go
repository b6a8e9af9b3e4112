package carbon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/carbon"
)

// printed is what export and import print.
type printed struct {
	OK       *bool
	Tables   map[string][]map[string]any
	Findings []carbon.CADTFinding
}

func parse(t *testing.T, result []byte) printed {
	t.Helper()
	var p printed
	if err := json.Unmarshal(result, &p); err != nil {
		t.Fatalf("%s: %v", result, err)
	}
	return p
}

// rules lists findings as rule:key.
func rules(findings []carbon.CADTFinding) []string {
	var list []string
	for _, f := range findings {
		list = append(list, f.Rule+":"+strings.Join(f.IDs, "+"))
	}
	return list
}

func TestExportFinds(t *testing.T) {
	good := page(t, "sample.export.in")
	for _, c := range []struct {
		old, new string
		want     []string
	}{
		{`"Registered"`, `"registered"`, []string{"picklist:p"}},
		{`["Transport","Others"]`, `["Transport","Magic","Luck"]`, []string{"picklist:p", "picklist:p"}},
		{`["Transport","Others"]`, `[]`, []string{"required:p"}},
		{`"projectName":"Sungei Buloh Wetlands Conservation",`, ``, []string{"required:p"}},
		{`"projectName":"Sungei Buloh Wetlands Conservation",`, `"projectName":"",`, []string{"required:p"}},
		{`"type":"Removal - nature","status_reason":"N/A",`, `"type":"Removal",`, []string{"picklist:b1", "required:b1"}},
		{`"refs":{"verification":"v",`, `"refs":{"verification":"nobody",`, []string{"reference:is"}},
		{`"refs":{"verification":"v",`, `"refs":{`, []string{"reference:is"}},
		{`"refs":{"verification":"v",`, `"refs":{"verification":"c9d147e2-bc07-4e68-a76d-43424fa8cd4e",`, nil},
		{`"projectMethodologyDate":"2021-01-01"`, `"projectMethodologyDate":"1.1.2021"`, []string{"date:pm"}},
		{`"count":100`, `"count":99`, []string{"count:b2"}},
		{`"start":"1","end":"100"`, `"start":"101","end":"100"`, []string{"range:b2"}},
	} {
		result, books, holds, err := carbon.Export([]byte(strings.Replace(good, c.old, c.new, 1)))
		if err != nil {
			t.Errorf("%s: %v", c.new, err)
			continue
		}
		p := parse(t, result)
		if diff := cmp.Diff(c.want, rules(p.Findings)); diff != "" {
			t.Errorf("%s: findings -want +got:\n%s", c.new, diff)
		}
		if no := len(c.want) > 0; holds == no || *p.OK == no || (p.Tables == nil) != no || (books == nil) != no {
			t.Errorf("%s: holds %v, prints %s with %d workbooks", c.new, holds, result, len(books))
		}
	}
}

func TestExportRefuses(t *testing.T) {
	export := func(file []byte) ([]byte, error) {
		result, _, _, err := carbon.Export(file)
		return result, err
	}
	refuse(t, page(t, "sample.export.in"), export, []refusal{
		{`"program":[`, `"programme":[`, "tables.programme", "unknown"},
		{`"programName"`, `"programTitle"`, "tables.program[0].fields.programTitle", "unknown"},
		{`"key":"v2"`, `"key":"v"`, "tables.verification[1].key", "duplicate"},
		{`"refs":{"project":"p"}`, `"refs":{"projects":"p"}`, "tables.stakeholder[0].refs.projects", "unknown"},
		{`["Transport","Others"]`, `"Transport"`, "tables.project[0].fields.projectSector", "array"},
		{`"estimationUnitCount":100`, `"estimationUnitCount":100.5`, "tables.estimation[0].fields.estimationUnitCount", "integer"},
		{`"vintage":2016`, `"vintage":"2016"`, "tables.unit[0].block.vintage", "integer"},
		{`"marketplace":`, `"unitType":`, "tables.unit[1].fields.unitType", "unknown"},
	})
}

func TestImportRefuses(t *testing.T) {
	read := func(file []byte) ([]byte, error) {
		result, _, err := carbon.Import(file, false)
		return result, err
	}
	refuse(t, page(t, "sample.import.in"), read, []refusal{
		{`"schema":"cadt-2.0.2"`, `"schema":"cadt-1"`, "schema", "not one of"},
		{`"ok":true`, `"ok":false`, "ok", "want true"},
		{`"unitVintageYear"`, `"unitCount":1,"unitVintageYear"`, "tables.unit[0].unitCount", "unknown"},
		{`"cadTrustVerificationId":"NEW-2"`, `"cadTrustVerificationId":"NEW-1"`, "tables.verification[1].cadTrustVerificationId", "duplicate"},
	})
}

// TestImportPartial leaves out a record with an error, and all that hangs on it, and
// nothing else.
func TestImportPartial(t *testing.T) {
	file := []byte(strings.Replace(page(t, "sample.import.in"), `"validationType":"Validation of Project Design Document",`, ``, 1))
	result, holds, err := carbon.Import(file, false)
	if p := parse(t, result); err != nil || holds || p.Tables != nil || *p.OK {
		t.Errorf("without partial: %s, %v, %v", result, holds, err)
	}
	result, holds, err = carbon.Import(file, true)
	p := parse(t, result)
	if err != nil || !holds {
		t.Fatal(holds, err)
	}
	// The validation lacks a field; its verification, the issuance of that, the units
	// of that, and the label of one of those go with it.
	want := []string{"reference:NEW-1", "reference:NEW-1", "reference:NEW-1", "reference:NEW-1", "reference:NEW-2", "required:NEW-1"}
	if diff := cmp.Diff(want, rules(p.Findings)); diff != "" {
		t.Errorf("findings -want +got:\n%s", diff)
	}
	for _, table := range []string{"validation", "issuance", "unit", "unit_label"} {
		if p.Tables[table] != nil {
			t.Errorf("%s is still there", table)
		}
	}
	if len(p.Tables["verification"]) != 1 || len(p.Tables["project"]) != 1 {
		t.Errorf("verifications: %v, projects: %v", p.Tables["verification"], p.Tables["project"])
	}
}

// TestRoundTrip exports what import read, to the same bytes, with enough units that
// NEW-10 must come after NEW-9.
func TestRoundTrip(t *testing.T) {
	good := page(t, "sample.export.in")
	unit := `{"key":"c%02d","refs":{"issuance":"is"},"block":{"id":"c%02d","registry":"R","program":"P","issuance":"is","vintage":2016,"prefix":"X","start":"%d","end":"%d","count":1,"status":"Held","type":"Removal - nature","status_reason":"N/A","status_date":"2026-02-01","metric":"tCO2e"}}`
	var many []string
	for i := range 25 {
		many = append(many, fmt.Sprintf(unit, i, i, i, i))
	}
	file := strings.Replace(good, `"unit":[`, `"unit":[`+strings.Join(many, ",")+",", 1)
	exported, books, holds, err := carbon.Export([]byte(file))
	if err != nil || !holds {
		t.Fatal(holds, err)
	}
	form, holds, err := carbon.Import(exported, false)
	if err != nil || !holds {
		t.Fatal(holds, err)
	}
	again, _, _, err := carbon.Export(form)
	if err != nil || !bytes.Equal(again, exported) {
		t.Errorf("%v\n%s\n%s", err, exported, again)
	}
	tables := parse(t, form).Tables
	for _, book := range books {
		result, holds, err := carbon.ImportWorkbook(book, false)
		if err != nil || !holds {
			t.Fatalf("%s: %s, %v", book.Name, result, err)
		}
		for name, rows := range parse(t, result).Tables {
			if name == "unit" || name == "project" { // whose registry and time of day a workbook does not have
				if len(rows) != len(tables[name]) {
					t.Errorf("%d rows of %s, want %d", len(rows), name, len(tables[name]))
				}
				continue
			}
			if diff := cmp.Diff(tables[name], rows); diff != "" {
				t.Errorf("%s: -want +got:\n%s", name, diff)
			}
		}
	}
}

// TestImportWorkbook finds what is wrong in cells, all of it at once.
func TestImportWorkbook(t *testing.T) {
	_, books, _, err := carbon.Export([]byte(page(t, "sample.export.in")))
	if err != nil {
		t.Fatal(err)
	}
	units := books[1]
	sheet := &units.Sheets[0]
	at := func(column string) int {
		for i, c := range sheet.Rows[0] {
			if c.Text == column {
				return i
			}
		}
		t.Fatalf("no column %s", column)
		return 0
	}
	number := int64(11)
	sheet.Rows[1][at("unitCount")].Number = &number
	sheet.Rows[1][at("unitType")].Text = "Magic"
	sheet.Rows[2][at("unitVintageYear")] = carbon.Cell{Text: "MMXVI"}
	sheet.Rows[2][at("unitSerialId")] = carbon.Cell{Formula: true}
	sheet.Rows[2][at("unitStatusDate")].Text = "45000"
	sheet.Rows[0] = append(sheet.Rows[0], carbon.Cell{Text: "colour"})
	units.Sheets = append(units.Sheets, carbon.Sheet{Name: "notes"})
	result, holds, err := carbon.ImportWorkbook(units, false)
	if err != nil || holds {
		t.Fatal(holds, err)
	}
	got := map[string]string{}
	for _, f := range parse(t, result).Findings {
		if f.Severity == carbon.Refused {
			got[f.Sheet+"!"+f.Cell] += f.Rule + " "
			if f.Remedy == "" {
				t.Errorf("no remedy for %v", f)
			}
		}
	}
	want := map[string]string{
		"notes!": "sheet ", "units!V1": "column ", "units!E2": "count ", "units!F2": "picklist ",
		"units!B3": "formula required ", "units!G3": "vintage ", "units!J3": "date ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
