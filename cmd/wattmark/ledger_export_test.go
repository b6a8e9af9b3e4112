package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/xuri/excelize/v2"

	"wattmark/ledger/audit"
	"wattmark/ledger/block"
	"wattmark/ledger/ledgertest"
)

// TestExportedAlike compares the three formats with one another, and their leaves with the
// drawn ones.
func TestExportedAlike(t *testing.T) {
	c := ledgertest.New(t, 4).Draw(drawn)
	store, dir := t.TempDir(), t.TempDir()
	c.Save(store)
	file := make(map[string][]byte)
	for _, format := range exportFormats {
		name := filepath.Join(dir, "leaves."+format)
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"ledger", "export", store, "--out", name}, &stdout, &stderr); code != 0 {
			t.Fatalf("%s: status %d: %s", format, code, &stderr)
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file[format] = b
	}
	rows, err := csv.NewReader(bytes.NewReader(file[formatCSV])).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	head := rows[0]
	if len(rows) != int(c.Size())+1 {
		t.Fatalf("%d rows of %d leaves", len(rows)-1, c.Size())
	}
	for i, row := range rows[1:] {
		leaf, err := c.Leaf(uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		hash := block.LeafHash(leaf)
		if got, want := row[10], hex.EncodeToString(hash[:]); got != want {
			t.Errorf("leaf %d has the hash %s, want %s", i, got, want)
		}
		if got, want := row[9], audit.Describe(uint64(i), leaf).Summary; got != want {
			t.Errorf("leaf %d says %q, want %q", i, got, want)
		}
	}

	x, err := excelize.OpenReader(bytes.NewReader(file[formatXLSX]))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	sheet, err := x.GetRows("List")
	if err != nil {
		t.Fatal(err)
	}
	lines := json.NewDecoder(bytes.NewReader(file[formatLines]))
	lines.UseNumber()
	for i, want := range rows {
		// The sheet names ledger and height on a page of its own, and ends a row with its last value.
		got := append(sheet[i], make([]string, len(leafColumns)-len(sheet[i]))...)
		if diff := cmp.Diff(want[:len(leafColumns)], got); diff != "" {
			t.Errorf("row %d of the workbook (-CSV +XLSX):\n%s", i, diff)
		}
		if i == 0 {
			continue
		}
		var line map[string]any
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		for k, v := range line {
			line[k] = fmt.Sprint(v)
		}
		named := make(map[string]any)
		for k, name := range head {
			if want[k] != "" {
				named[name] = want[k]
			}
		}
		if diff := cmp.Diff(named, line); diff != "" {
			t.Errorf("line %d (-CSV +JSON):\n%s", i, diff)
		}
	}
}

// TestNoRoom: a workbook has a limit, which is said before anything is written.
func TestNoRoom(t *testing.T) {
	store, out := t.TempDir(), filepath.Join(t.TempDir(), "leaves.xlsx")
	c := ledgertest.New(t, 4).Draw(drawn)
	c.Save(store)
	e := exporting{out: out, format: formatXLSX, most: 27}
	const want = "a workbook has room for 27 leaves, and these are 28: give --blocks, or --from-leaf and --to-leaf, or --format csv, which has no limit"
	if _, err := e.run(t.Context(), io.Discard, store, ""); err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	e.most = 28
	if x, err := e.run(t.Context(), io.Discard, store, ""); err != nil || x.Rows != 28 {
		t.Errorf("28 leaves: %v", err)
	}
}

// TestInterruptedExport leaves no file, and no part of one.
func TestInterruptedExport(t *testing.T) {
	store, dir := t.TempDir(), t.TempDir()
	ledgertest.New(t, 4).Draw(drawn).Save(store)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	code := run(ctx, []string{"ledger", "export", store, "--out", filepath.Join(dir, "leaves.csv")}, &stdout, &stderr)
	if code != exitFailed || stdout.Len() > 0 || !strings.Contains(stderr.String(), "interrupted: nothing was written") {
		t.Errorf("got status %d, %q and %q, want %d and that it was interrupted", code, &stdout, &stderr, exitFailed)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left: %v", left, err)
	}
}
