package carbon

import (
	_ "embed" // the schema's files
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CADTSchema is the version of CAD Trust's data model that is written and read. What
// its tables and workbooks have is data, in the folder cadt beside this file.
const CADTSchema = "cadt-2.0.2"

//go:embed cadt/v2-tables.json
var cadtTables []byte

//go:embed cadt/v2-picklists.json
var cadtPicklists []byte

//go:embed cadt/v2-xlsx-layout.json
var cadtLayout []byte

// schema is the data, read once.
var schema = readSchema()

type cadtSchema struct {
	Schema    string       `json:"schema"`
	Tables    []*cadtTable `json:"tables"` // in the order in which they are inserted
	picklists map[string][]string
	workbooks []cadtWorkbook
}

type cadtTable struct {
	Table        string            `json:"table"`
	ID           string            `json:"id"` // the field of its own id, and of references to it
	Required     []string          `json:"required"`
	Optional     []string          `json:"optional"`
	Refs         []string          `json:"refs"`
	OptionalRefs []string          `json:"optional_refs"`
	Lists        []string          `json:"lists"` // fields that hold several texts
	Picklists    map[string]string `json:"picklists"`
}

// cadtWorkbook is a file of sheets.
type cadtWorkbook struct {
	name   string
	sheets []cadtSheet
}

type cadtSheet struct {
	name    string
	table   string
	columns []string
}

// joinSheet is the sheet that is no table: a row says for a stakeholder, who has no
// sheet, which project is theirs.
const joinSheet = "stakeholderProjects"

func readSchema() *cadtSchema {
	s := &cadtSchema{}
	must(json.Unmarshal(cadtTables, s))
	must(json.Unmarshal(cadtPicklists, &s.picklists))
	var layout struct {
		Workbooks struct {
			Projects json.RawMessage `json:"projects"`
			Units    json.RawMessage `json:"units"`
		} `json:"workbooks"`
	}
	must(json.Unmarshal(cadtLayout, &layout))
	if s.Schema != CADTSchema {
		panic("internal error: schema " + s.Schema)
	}
	for _, w := range []struct {
		name   string
		sheets json.RawMessage
	}{{"projects", layout.Workbooks.Projects}, {"units", layout.Workbooks.Units}} {
		book := cadtWorkbook{name: w.name}
		for name, raw := range members(w.sheets) { // in the order of the file
			sheet := cadtSheet{name: name}
			must(json.Unmarshal(raw, &sheet.columns))
			for _, t := range s.Tables {
				if sheetName(t.Table) == name {
					sheet.table = t.Table
				}
			}
			if (sheet.table == "") != (name == joinSheet) {
				panic("internal error: no table for the sheet " + name)
			}
			book.sheets = append(book.sheets, sheet)
		}
		s.workbooks = append(s.workbooks, book)
	}
	return s
}

func must(err error) {
	if err != nil {
		panic("internal error: " + err.Error())
	}
}

// sheetName returns what a table's sheet is called: projectMethodologies for
// project_methodology.
func sheetName(table string) string {
	words := strings.Split(table, "_")
	for i, w := range words[1:] {
		words[i+1] = strings.ToUpper(w[:1]) + w[1:]
	}
	name := strings.Join(words, "")
	if stem, ok := strings.CutSuffix(name, "y"); ok {
		return stem + "ies"
	}
	return name + "s"
}

func (s *cadtSchema) table(name string) *cadtTable {
	for _, t := range s.Tables {
		if t.Table == name {
			return t
		}
	}
	return nil
}

// hasSheet reports whether a table has a sheet in one of the workbooks.
func (s *cadtSchema) hasSheet(table string) bool {
	for _, w := range s.workbooks {
		for _, sheet := range w.sheets {
			if sheet.table == table {
				return true
			}
		}
	}
	return false
}

func (t *cadtTable) fields() []string { return slices.Concat(t.Required, t.Optional) }

func (t *cadtTable) refs() []string { return slices.Concat(t.Refs, t.OptionalRefs) }

// isDate reports whether a field holds a date, which its name says.
func isDate(field string) bool { return strings.HasSuffix(field, "Date") }

// checkDate returns the day of yyyy-mm-dd, alone or before a time as RFC 3339 has it.
func checkDate(s string) (day string, ok bool) {
	if _, err := time.Parse(time.DateOnly, s); err == nil {
		return s, true
	}
	if _, err := time.Parse(time.RFC3339, s); err == nil {
		return s[:len(time.DateOnly)], true
	}
	return "", false
}

// cadtValue is what a field holds: a text, a whole number or several texts.
type cadtValue struct {
	text   string
	number *int64
	list   []string
}

func (v cadtValue) empty() bool { return v.text == "" && v.number == nil && len(v.list) == 0 }

// texts returns what a picklist must have.
func (v cadtValue) texts() []string {
	if v.list != nil {
		return v.list
	}
	return []string{v.String()}
}

// String returns the value as a cell has it: a list is JSON text.
func (v cadtValue) String() string {
	switch {
	case v.number != nil:
		return strconv.FormatInt(*v.number, 10)
	case v.list != nil:
		return strings.TrimSuffix(string(encode(v.list)), "\n")
	}
	return v.text
}

// MarshalJSON writes the value as JSON has it.
func (v cadtValue) MarshalJSON() ([]byte, error) {
	switch {
	case v.number != nil:
		return strconv.AppendInt(nil, *v.number, 10), nil
	case v.list != nil:
		return []byte(v.String()), nil
	}
	return compact(v.text), nil
}

// compact is encode without the end of the line.
func compact(v any) []byte {
	line := encode(v)
	return line[:len(line)-1]
}

// record is one row of a table.
type record struct {
	table *cadtTable
	key   string
	// values are by field, refs by table and empty where there is none.
	values map[string]cadtValue
	refs   map[string]string
	block  *unitBlock // of a unit, from which values come
	place  func(field string) (sheet, cell string)
	failed bool // has an error
}

// CADTFinding is what is wrong with a record, and where.
type CADTFinding struct {
	Rule     string   `json:"rule"`
	Severity Severity `json:"severity"`
	IDs      []string `json:"ids"`
	Note     string   `json:"note"`
	Sheet    string   `json:"sheet,omitempty"`
	Cell     string   `json:"cell,omitempty"`
	Remedy   string   `json:"remedy,omitempty"`
}

// records are the rows of all tables, and what is wrong with them.
type records struct {
	all      []*record
	index    map[[2]string]*record // by table and key, once they are checked
	findings []CADTFinding
	// book is set for rows of a workbook, where a table without a sheet cannot be.
	book bool
	// known says which records are there already, nil for none.
	known func(Reference) bool
}

// find adds a finding about a field of a record.
func (rs *records) find(r *record, severity Severity, rule, field, remedy, format string, args ...any) {
	f := CADTFinding{
		Rule: rule, Severity: severity, IDs: []string{r.key}, Remedy: remedy,
		Note: fmt.Sprintf("%s of %s %s: ", field, r.table.Table, quote(r.key)) + fmt.Sprintf(format, args...),
	}
	if r.place != nil {
		f.Sheet, f.Cell = r.place(field)
	} else {
		f.Note, f.Remedy = f.Note+": "+remedy, ""
	}
	if severity == Refused {
		r.failed = true
	}
	rs.findings = append(rs.findings, f)
}

// sort puts tables in the order of insertion, records in the order of their keys and
// findings by rule and key.
func (rs *records) sort() {
	slices.SortStableFunc(rs.all, func(a, b *record) int {
		if a.table != b.table {
			return slices.Index(schema.Tables, a.table) - slices.Index(schema.Tables, b.table)
		}
		return compareKeys(a.key, b.key)
	})
}

func (rs *records) sortFindings() {
	slices.SortStableFunc(rs.findings, func(a, b CADTFinding) int {
		if a.Rule != b.Rule {
			return strings.Compare(a.Rule, b.Rule)
		}
		return slices.Compare(a.IDs, b.IDs)
	})
}

// compareKeys orders keys bytewise, but NEW-2 before NEW-10.
func compareKeys(a, b string) int {
	padded := func(key string) string {
		if n, ok := newNumber(key); ok {
			return fmt.Sprintf("NEW-%018d", n)
		}
		return key
	}
	if c := strings.Compare(padded(a), padded(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// newNumber returns n of the id NEW-n of a record that the receiver has not seen.
func newNumber(id string) (n int64, ok bool) {
	digits, ok := strings.CutPrefix(id, "NEW-")
	if !ok || digits == "" || len(digits) > maxSerialDigits || digits[0] == '0' {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// isUUID reports whether an id is one that a receiver gave to a record it has.
func isUUID(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (c == '-') || !hyphen && !isDigit(c) && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// check finds what the receiver would refuse: required fields and references that
// are missing, values outside their picklists, dates that are none.
func (rs *records) check() {
	rs.index = make(map[[2]string]*record, len(rs.all))
	for _, r := range rs.all {
		rs.index[[2]string{r.table.Table, r.key}] = r
	}
	for _, r := range rs.all {
		for _, field := range r.table.Required {
			if r.values[field].empty() {
				rs.find(r, Refused, "required", field, "give it a value", "missing")
			}
		}
		for _, field := range r.table.fields() {
			v, ok := r.values[field]
			if !ok || v.empty() {
				continue
			}
			if list, ok := schema.picklists[r.table.Picklists[field]]; ok {
				for _, s := range v.texts() {
					if !slices.Contains(list, s) {
						rs.find(r, Refused, "picklist", field, "choose one of: "+strings.Join(list, "; "), "%s is not on the list %s", quote(s), r.table.Picklists[field])
					}
				}
			}
			if isDate(field) {
				if _, ok := checkDate(v.text); !ok {
					rs.find(r, Refused, "date", field, "write it as text, yyyy-mm-dd", "%s is no date", quote(v.String()))
				}
			}
		}
		rs.checkRefs(r)
		if r.block != nil {
			rs.checkBlock(r)
		}
	}
}

func (rs *records) checkRefs(r *record) {
	for i, table := range r.table.refs() {
		field, to := schema.table(table).ID, r.refs[table]
		_, there := rs.index[[2]string{table, to}]
		there = there || to != "" && rs.known != nil && rs.known(Reference{table, to})
		switch {
		case to == "":
			if i < len(r.table.Refs) {
				rs.find(r, Refused, "reference", field, "say which "+table+" it belongs to", "missing")
			}
		case there, isUUID(to):
		case rs.book && !schema.hasSheet(table):
			rs.find(r, Candidate, "reference", field, "give the id that the receiver has for the "+table, "%s cannot be looked up: a workbook has no sheet for it", quote(to))
		default:
			rs.find(r, Refused, "reference", field, "name a "+table+" of this file, or the id of one that the receiver has", "there is no %s %s", table, quote(to))
		}
	}
}

// checkBlock finds a unit's serials that do not agree.
func (rs *records) checkBlock(r *record) {
	b := r.block
	switch {
	case b.badRange:
		rs.find(r, Refused, "range", "unitStartBlock", "give the first and the last serial under one prefix", "from %s to %s is no range", quote(b.start), quote(b.end))
	case b.count != int64(b.Count()):
		rs.find(r, Refused, "count", "unitCount", fmt.Sprintf("write %d, or correct the serials", b.Count()), "%d, and %s to %s are %d units", b.count, b.start, b.end, b.Count())
	case b.serial != "" && !printedSerials(b.serial, b.start, b.end, b.Serials):
		rs.find(r, Refused, "serial", "unitSerialId", fmt.Sprintf("let it end in %s-%s", b.start, b.end), "%s does not end in %s-%s", quote(b.serial), b.start, b.end)
	}
}

// refused reports whether a finding is an error.
func (rs *records) refused() bool {
	return slices.ContainsFunc(rs.findings, func(f CADTFinding) bool { return f.Severity == Refused })
}

// ordered is a JSON object whose fields keep their order.
type ordered []member

type member struct {
	name  string
	value any
}

// MarshalJSON writes the fields in order.
func (o ordered) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, compact(m.name)...)
		b = append(b, ':')
		b = append(b, compact(m.value)...)
	}
	return append(b, '}'), nil
}

// byTable groups sorted records, each written by a function.
func (rs *records) byTable(write func(*record) any) ordered {
	tables := ordered{}
	for i, r := range rs.all {
		if i == 0 || rs.all[i-1].table != r.table {
			tables = append(tables, member{r.table.Table, []any(nil)})
		}
		last := &tables[len(tables)-1]
		last.value = append(last.value.([]any), write(r))
	}
	return tables
}
