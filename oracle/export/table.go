package export

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Table is a list as a file: what programs get as JSON, for who calculates in a spreadsheet.
type Table struct {
	Title   string
	Ledger  string // its origin
	Height  uint64 // of the block that the figures rest on
	Time    int64  // of that block, Unix milliseconds
	Check   string // how a row is checked
	Columns []string
	// Rows have a cell for each column: a string, an int64, a uint64, a bool, or nil for none.
	Rows [][]any
}

// CSV returns the table as comma-separated values, as [NewCSV] writes them.
func (t *Table) CSV() ([]byte, error) {
	var b bytes.Buffer
	w, err := NewCSV(&b, t.Columns, t.Ledger, t.Height)
	if err != nil {
		return nil, err
	}
	for _, row := range t.Rows {
		if err := w.Row(row); err != nil {
			return nil, err
		}
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func cell(c any) string {
	switch c := c.(type) {
	case nil:
		return ""
	case string:
		return plain(c)
	}
	return fmt.Sprint(c)
}

// plain keeps text from being a formula. A number stays one.
func plain(s string) string {
	if s == "" || !strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return s
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return s
	}
	return "'" + s
}

// XLSX returns the table as a workbook, with a sheet that says what it is.
func (t *Table) XLSX() ([]byte, error) {
	rows := make([][]any, 0, len(t.Rows)+1)
	head := make([]any, len(t.Columns))
	widths := make([]float64, len(t.Columns))
	for i, c := range t.Columns {
		head[i], widths[i] = c, float64(max(len(c)+2, 12))
	}
	rows = append(rows, head)
	for _, r := range t.Rows {
		cells := make([]any, len(r))
		for i, c := range r {
			if s, ok := c.(string); ok {
				widths[i] = max(widths[i], min(float64(len(s)+2), 40))
			}
			cells[i] = exact(c)
		}
		rows = append(rows, cells)
	}
	about := [][]any{{t.Title}, {}, {"ledger", t.Ledger}, {"height of the newest block", t.Height}, {"its time", time.UnixMilli(t.Time).UTC().Format(time.RFC3339)}, {"how to check it", t.Check}}
	return workbook(t.Title, t.Time, sheet{"List", widths, rows}, sheet{"About", []float64{28, 80}, about})
}

// exact keeps a whole number that a spreadsheet has no digits for as text.
func exact(c any) any {
	const most = 1 << 53
	switch n := c.(type) {
	case int64:
		if n > most || n < -most {
			return strconv.FormatInt(n, 10)
		}
	case uint64:
		if n > most {
			return strconv.FormatUint(n, 10)
		}
	}
	return c
}
