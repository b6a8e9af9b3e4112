package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"wattmark/ledger/carbon"
)

// workbooks are what must come back from XLSX as it went in.
func workbooks() []carbon.Workbook {
	n := int64(-7)
	return []carbon.Workbook{
		{Sheets: []carbon.Sheet{{Name: "units", Rows: [][]carbon.Cell{{{Text: "=1+1"}, {Number: &n}, {Text: "+1"}}, {{Text: "007"}, {Text: "12"}, {Text: "-1"}}}}}},
		{Sheets: []carbon.Sheet{{Name: "a"}, {Name: "b", Rows: [][]carbon.Cell{{{}, {Text: "@x"}}, {{Text: " é <&> "}}}}}},
	}
}

func TestWorkbook(t *testing.T) {
	for _, want := range workbooks() {
		file, err := encodeWorkbook(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := readWorkbook(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	long := carbon.Workbook{Sheets: []carbon.Sheet{{Name: "a", Rows: [][]carbon.Cell{{{Text: strings.Repeat("x", 32_768)}}}}}}
	if _, err := encodeWorkbook(long); err == nil || !strings.Contains(err.Error(), "cell A1") {
		t.Errorf("a text too long for a cell: %v", err)
	}
}

// FuzzReadWorkbook reads any bytes as a workbook: within its limits, or a fault of the
// input in one line. Importing what was read finds fault with it, or not.
func FuzzReadWorkbook(f *testing.F) {
	for _, book := range workbooks() {
		file, err := encodeWorkbook(book)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
		f.Add(file[:len(file)/2])
	}
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, file []byte) {
		book, err := readWorkbook(file)
		if err != nil {
			var fault *carbon.Fault
			if !errors.As(err, &fault) || strings.ContainsAny(err.Error(), "\r\n") {
				t.Fatalf("%q", err)
			}
			return
		}
		for _, s := range book.Sheets {
			if len(s.Rows) > maxRows {
				t.Fatalf("%d rows", len(s.Rows))
			}
		}
		if result, holds, err := carbon.ImportWorkbook(book, false); err != nil || holds == strings.HasPrefix(string(result), `{"ok":false`) {
			t.Fatalf("%v, %v: %s", holds, err, result)
		}
	})
}
