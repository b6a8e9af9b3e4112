package carbon

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
)

// Workbook is a file of sheets, apart from the format it is stored in.
type Workbook struct {
	// Name is projects or units.
	Name   string
	Sheets []Sheet
}

// Sheet is rows of cells; the first row names the columns.
type Sheet struct {
	Name string
	Rows [][]Cell
}

// Cell is a text, a whole number, or a formula, which is never one of ours.
type Cell struct {
	Text    string
	Number  *int64
	Formula bool
}

// String returns the cell's text, or its number in digits.
func (c Cell) String() string {
	if c.Number != nil {
		return strconv.FormatInt(*c.Number, 10)
	}
	return c.Text
}

// CellName returns the name of a cell, such as AB7 for column 27 and row 6, counted
// from 0.
func CellName(column, row int) string {
	var letters []byte
	for n := column + 1; n > 0; n = (n - 1) / 26 {
		letters = append(letters, byte('A'+(n-1)%26))
	}
	slices.Reverse(letters)
	return string(letters) + strconv.Itoa(row+1)
}

// Columns that are no field of the interface.
const (
	countColumn     = "unitCount"   // derived from the serials
	coBenefitColumn = "coBenefitId" // holds the field cobenefit
)

// workbooks writes checked records as the receiver's workbooks have them.
func (rs *records) workbooks(ids map[[2]string]string) []Workbook {
	books := make([]Workbook, len(schema.workbooks))
	for i, w := range schema.workbooks {
		books[i].Name = w.name
		for _, s := range w.sheets {
			sheet := Sheet{Name: s.name, Rows: [][]Cell{make([]Cell, len(s.columns))}}
			for c, column := range s.columns {
				sheet.Rows[0][c].Text = column
			}
			for _, r := range rs.all {
				if r.table.Table == s.table || s.name == joinSheet && r.table.Table == "stakeholder" {
					sheet.Rows = append(sheet.Rows, r.cells(s.columns, ids))
				}
			}
			books[i].Sheets = append(books[i].Sheets, sheet)
		}
	}
	return books
}

func (r *record) cells(columns []string, ids map[[2]string]string) []Cell {
	cells := make([]Cell, len(columns))
	for i, column := range columns {
		switch {
		case column == r.table.ID:
			cells[i].Text = ids[[2]string{r.table.Table, r.key}]
		case column == countColumn:
			n := int64(r.block.Count())
			cells[i].Number = &n
		default:
			cells[i] = r.cell(fieldOf(column), ids)
		}
	}
	return cells
}

// cell returns the cell of a field or reference.
func (r *record) cell(field string, ids map[[2]string]string) Cell {
	for _, table := range r.table.refs() {
		if schema.table(table).ID == field {
			return Cell{Text: r.ref(table, ids)}
		}
	}
	v := r.values[field]
	if day, ok := checkDate(v.text); ok && isDate(field) {
		return Cell{Text: day}
	}
	if v.number != nil {
		return Cell{Number: v.number}
	}
	return Cell{Text: v.String()}
}

// fieldOf returns the field that a column holds.
func fieldOf(column string) string {
	if column == coBenefitColumn {
		return "cobenefit"
	}
	return column
}

// columnOf is where a field stands.
func columnOf(field string) string {
	if field == "cobenefit" {
		return coBenefitColumn
	}
	return field
}

// ImportWorkbook reads a workbook of CAD Trust, projects or units, and returns what
// [Import] returns.
func ImportWorkbook(book Workbook, partial bool) (result []byte, holds bool, err error) {
	rs := &records{book: true}
	for _, s := range book.Sheets {
		rs.readSheet(s)
	}
	result, holds = rs.imported(partial)
	return result, holds, nil
}

// findCell adds a finding about a sheet as such.
func (rs *records) findCell(severity Severity, rule, sheet, cell, note, remedy string) {
	rs.findings = append(rs.findings, CADTFinding{Rule: rule, Severity: severity, IDs: []string{}, Note: note, Sheet: sheet, Cell: cell, Remedy: remedy})
}

func (rs *records) readSheet(s Sheet) {
	var layout *cadtSheet
	for _, w := range schema.workbooks {
		for i := range w.sheets {
			if w.sheets[i].name == s.Name {
				layout = &w.sheets[i]
			}
		}
	}
	if layout == nil {
		rs.findCell(Refused, "sheet", s.Name, "", "no sheet of CAD Trust's workbooks has this name", "remove it, or name it as the workbook's sample does")
		return
	}
	if len(s.Rows) == 0 {
		return
	}
	at := map[string]int{} // columns by name
	for c, cell := range s.Rows[0] {
		name := cell.String()
		_, twice := at[name]
		switch {
		case name == "":
		case !slices.Contains(layout.columns, name):
			rs.findCell(Refused, "column", s.Name, CellName(c, 0), "the sheet has no column "+quote(name), "remove it, or correct its name")
		case twice:
			rs.findCell(Refused, "column", s.Name, CellName(c, 0), "a second column "+quote(name), "remove one of them")
		default:
			at[name] = c
		}
	}
	rows := sheetRows{rs: rs, layout: layout, name: s.Name, at: at, keys: map[string]bool{}}
	for i, cells := range s.Rows[1:] {
		if slices.ContainsFunc(cells, func(c Cell) bool { return c.String() != "" || c.Formula }) {
			rows.read(cells, i+1)
		}
	}
}

// sheetRows reads the rows of a sheet.
type sheetRows struct {
	rs     *records
	layout *cadtSheet
	name   string
	at     map[string]int
	keys   map[string]bool
	n      int // rows so far
}

func (s *sheetRows) read(cells []Cell, row int) {
	s.n++
	r := &record{table: schema.table(s.layout.table), values: map[string]cadtValue{}, refs: map[string]string{}}
	r.place = func(field string) (string, string) {
		return s.name, CellName(s.at[columnOf(field)], row) // a column that is not there: the row's first
	}
	cell := func(column string) Cell {
		if c, ok := s.at[column]; ok && c < len(cells) {
			return cells[c]
		}
		return Cell{}
	}
	if r.table == nil { // who belongs to which project
		r.table, r.key = schema.table("stakeholder"), cell("cadTrustStakeholderId").String()
		s.rs.find(r, Candidate, "stakeholder", "cadTrustStakeholderId", "import the stakeholder as JSON", "a workbook has no sheet for stakeholders, so this row is left out")
		return
	}
	// A row of a sheet without a column for its id is known by its number.
	r.key = fmt.Sprintf("NEW-%d", s.n)
	if slices.Contains(s.layout.columns, r.table.ID) {
		r.key = cell(r.table.ID).String()
	}
	switch {
	case r.key == "":
		s.rs.find(r, Refused, "required", r.table.ID, "write NEW-1, NEW-2 for new records", "missing")
	case s.keys[r.key]:
		s.rs.find(r, Refused, "duplicate", r.table.ID, "give each row an id of its own", "another row has this id")
	}
	s.keys[r.key] = true
	for _, column := range s.layout.columns {
		field, c := fieldOf(column), cell(column)
		switch {
		case c.Formula:
			s.rs.find(r, Refused, "formula", field, "replace the formula by its value", "a formula")
		case c.String() == "":
		case slices.Contains(r.table.Lists, field):
			var list []string
			if err := json.Unmarshal([]byte(c.String()), &list); err != nil || list == nil {
				s.rs.find(r, Refused, "list", field, `write it as JSON, as in ["Wind","Solar"]`, "%s is no list of texts", quote(c.String()))
				continue
			}
			r.values[field] = cadtValue{list: list}
		case slices.Contains(r.table.fields(), field):
			r.values[field] = cadtValue{text: c.Text, number: c.Number}
		case column == countColumn:
			n, ok := new(big.Int).SetString(c.String(), 10)
			if !ok || !n.IsInt64() {
				s.rs.find(r, Refused, "count", field, "write the number of units in digits", "%s is no count", quote(c.String()))
				continue
			}
			r.values[countColumn] = cadtValue{number: ptr(n.Int64())}
		default:
			for _, table := range r.table.refs() {
				if schema.table(table).ID == column {
					r.refs[table] = c.String()
				}
			}
		}
	}
	s.rs.all = append(s.rs.all, r)
}

func ptr(n int64) *int64 { return &n }
