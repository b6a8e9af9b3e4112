package export_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"
	"pgregory.net/rapid"

	"wattmark/oracle/export"
)

func TestTable(t *testing.T) {
	table := export.Table{Title: "Units", Ledger: "ledger.example", Height: 7, Time: 1_780_000_000_000, Check: "by leaves", Columns: []string{"block", "units", "ok", "amount", "note"},
		Rows: [][]any{{"B-1", int64(-5), true, "-0.5", "=1+1"}, {"B-2", uint64(1 << 60), false, nil, `a "b", c` + "\n@d"}}}
	b, err := table.CSV()
	if err != nil {
		t.Fatal(err)
	}
	want := "block,units,ok,amount,note,ledger,height\r\nB-1,-5,true,-0.5,'=1+1,ledger.example,7\r\nB-2,1152921504606846976,false,,\"a \"\"b\"\", c\r\n@d\",ledger.example,7\r\n"
	if diff := cmp.Diff(want, string(b)); diff != "" {
		t.Errorf("CSV (-want +got)\n%s", diff)
	}
	b, err = table.XLSX()
	if err != nil {
		t.Fatal(err)
	}
	again, err := table.XLSX()
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("the same table gives other bytes: %v", err)
	}
	x, err := excelize.OpenReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	rows, err := x.GetRows("List")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"block", "units", "ok", "amount", "note"}, {"B-1", "-5", "TRUE", "-0.5", "=1+1"}, {"B-2", "1152921504606846976", "FALSE", "", `a "b", c` + "\n@d"}}, rows); diff != "" {
		t.Errorf("workbook (-want +got)\n%s", diff)
	}
	if f, err := x.GetCellFormula("List", "E2"); err != nil || f != "" {
		t.Errorf("a text has become the formula %q: %v", f, err)
	}
	if v, err := x.GetCellValue("About", "B3"); err != nil || v != "ledger.example" {
		t.Errorf("the workbook is of ledger %q: %v", v, err)
	}
}

// TestLines reads JSON lines back: numbers as they are, text as it is, and no key without
// a value.
func TestLines(t *testing.T) {
	var b bytes.Buffer
	w, err := export.NewLines(&b, []string{"block", "units", "ok", "note"}, `ledger "x"`, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range [][]any{{"B-1", uint64(1<<63 + 1), true, "=1+1\n\x00"}, {nil, int64(-5), nil, nil}, {nil, nil, nil, nil}} {
		if err := w.Row(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	const tail = `"ledger":"ledger \"x\"","height":7}` + "\n"
	want := `{"block":"B-1","units":9223372036854775809,"ok":true,"note":"=1+1\n\u0000",` + tail + `{"units":-5,` + tail + `{` + tail
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("JSON lines (-want +got)\n%s", diff)
	}
	broken, err := export.NewLines(failing{}, []string{"note"}, "l", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(broken.Row([]any{"x"}), broken.Flush()); err == nil {
		t.Error("a writer that fails is not noticed by JSON lines")
	}
	values, err := export.NewCSV(failing{}, []string{"note"}, "l", 1)
	if err := errors.Join(err, values.Row([]any{"x"}), values.Flush()); err == nil {
		t.Error("a writer that fails is not noticed by CSV")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space") }

// TestNoFormulas: whatever a text is, it comes back, and no spreadsheet takes it for a formula.
func TestNoFormulas(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[=+@\t-][A-Z0-9(),.!|']{0,12}`)).Draw(rt, "text")
		table := export.Table{Columns: []string{"text"}, Rows: [][]any{{text}}}
		b, err := table.CSV()
		if err != nil {
			rt.Fatal(err)
		}
		rows, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
		if err != nil || len(rows) != 2 {
			rt.Fatalf("%v: %q", err, b)
		}
		got := rows[1][0]
		// Line ends become those of the format.
		plain := func(s string) string { return strings.ReplaceAll(strings.TrimPrefix(s, "'"), "\r", "") }
		if plain(got) != plain(text) {
			rt.Fatalf("%q comes back as %q", text, got)
		}
		if got != "" && strings.ContainsRune("=@\t", rune(got[0])) {
			rt.Fatalf("%q is a formula", got)
		}
	})
}
