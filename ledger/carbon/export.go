package carbon

import (
	"fmt"
	"slices"
	"strings"
)

// unitBlock is a block of units with what a receiver wants to know of it.
type unitBlock struct {
	writtenBlock
	unitType, reason, date, metric   string
	beneficiary, detail, owner, itmo string
	hasPrefix                        bool
}

// blockTexts are the optional texts of a unit's block, in the order in which import
// writes them, with the field of a unit that each becomes.
func (b *unitBlock) blockTexts() []blockText {
	return []blockText{
		{"type", "unitType", &b.unitType}, {"status_reason", "unitStatusReason", &b.reason},
		{"status_date", "unitStatusDate", &b.date}, {"metric", "unitMetric", &b.metric},
		{"beneficiary", "unitRetirementBeneficiary", &b.beneficiary}, {"retirement_detail", "unitRetirementDetail", &b.detail},
		{"owner", "unitCurrentOwner", &b.owner}, {"itmo", "unitItmosReferenceId", &b.itmo},
	}
}

type blockText struct {
	name, field string
	text        *string
}

// derivedFields are the fields of a unit that come from its block.
var derivedFields = []string{"unitSerialId", "unitStartBlock", "unitEndBlock", "unitVintageYear", "unitStatus"}

// keptFields returns the fields of a unit that its block does not have.
func keptFields() []string {
	var b unitBlock
	return slices.DeleteFunc(schema.table("unit").fields(), func(field string) bool {
		return slices.Contains(derivedFields, field) ||
			slices.ContainsFunc(b.blockTexts(), func(t blockText) bool { return t.field == field })
	})
}

// Export turns records into the tables of CAD Trust, JSON into JSON, and into
// workbooks with the same in them. It returns the result as one line and whether it
// holds: records that a receiver would refuse make findings instead of tables. A file
// that is wrong as such is a [Fault].
func Export(file []byte) (result []byte, books []Workbook, holds bool, err error) {
	f, top := readForm(file)
	rs := readRecords(top)
	if !f.ok() {
		return nil, nil, false, f.fault
	}
	rs.all = slices.DeleteFunc(rs.all, func(r *record) bool { return r.block != nil && r.block.Status == Split })
	rs.sort()
	rs.check()
	rs.sortFindings()
	if len(rs.findings) > 0 {
		return encode(ordered{{"ok", false}, {"findings", rs.findings}}), nil, false, nil
	}
	ids := rs.number()
	tables := rs.byTable(func(r *record) any { return r.exported(ids) })
	return encode(ordered{{"ok", true}, {"schema", CADTSchema}, {"tables", tables}}), rs.workbooks(ids), true, nil
}

// number names records NEW-1, NEW-2 in each table, in the order of their keys.
func (rs *records) number() map[[2]string]string {
	ids := make(map[[2]string]string, len(rs.all))
	n := 0
	for i, r := range rs.all {
		if n++; i > 0 && rs.all[i-1].table != r.table {
			n = 1
		}
		ids[[2]string{r.table.Table, r.key}] = fmt.Sprintf("NEW-%d", n)
	}
	return ids
}

// ref returns what a record's reference is called by the receiver: the name of a new
// record, or the id of one that the receiver has.
func (r *record) ref(table string, ids map[[2]string]string) string {
	to := r.refs[table]
	if id, ok := ids[[2]string{table, to}]; ok {
		return id
	}
	return to
}

func (r *record) exported(ids map[[2]string]string) ordered {
	o := ordered{{r.table.ID, ids[[2]string{r.table.Table, r.key}]}}
	for _, field := range r.table.fields() {
		if v, ok := r.values[field]; ok && !v.empty() {
			o = append(o, member{field, v})
		}
	}
	for _, table := range r.table.refs() {
		if id := r.ref(table, ids); id != "" {
			o = append(o, member{schema.table(table).ID, id})
		}
	}
	return o
}

// readRecords reads the form that export takes and import prints.
func readRecords(top *value) *records {
	rs := &records{}
	o := top.object("tables", "findings")
	if o.has("findings") {
		for v := range o.get("findings").array() {
			v.fail("the import that printed this found something: import it again")
		}
	}
	names := make([]string, len(schema.Tables))
	for i, t := range schema.Tables {
		names[i] = t.Table
	}
	tables := o.get("tables").object(names...)
	for _, t := range schema.Tables {
		if !tables.has(t.Table) {
			continue
		}
		keys := map[string]bool{}
		for v := range tables.get(t.Table).array() {
			rs.all = append(rs.all, readRecord(v, t, keys))
		}
	}
	return rs
}

func readRecord(v *value, t *cadtTable, keys map[string]bool) *record {
	names := []string{"key", "refs", "fields"}
	fields := t.fields()
	if t.Table == "unit" {
		names, fields = append(names, "block"), keptFields()
	}
	o := v.object(names...)
	r := &record{table: t, key: o.get("key").id(keys), values: map[string]cadtValue{}, refs: map[string]string{}}
	if o.has("refs") {
		refs := o.get("refs").object(t.refs()...)
		for _, table := range t.refs() {
			if refs.has(table) {
				r.refs[table] = refs.get(table).name()
			}
		}
	}
	if t.Table != "unit" || o.has("fields") {
		in := o.get("fields").object(fields...)
		for _, field := range fields {
			if in.has(field) {
				r.values[field] = readCADTValue(in.get(field), slices.Contains(t.Lists, field))
			}
		}
	}
	if t.Table == "unit" {
		r.block = readUnitBlock(o.get("block"))
		if v.form.ok() {
			r.takeBlock()
		}
	}
	return r
}

// readCADTValue reads a text or whole number, or the texts of a list.
func readCADTValue(v *value, list bool) cadtValue {
	switch {
	case list:
		c := cadtValue{list: []string{}}
		for v := range v.array() {
			c.list = append(c.list, v.name())
		}
		return c
	case v.raw[0] == '"':
		return cadtValue{text: v.text()}
	}
	n := v.integer(-maxInteger, maxInteger)
	return cadtValue{number: &n}
}

func readUnitBlock(v *value) *unitBlock {
	b := &unitBlock{}
	names := []string{"id", "registry", "program", "issuance", "vintage", "prefix", "start", "end", "count", "status", "serial", "history", "origin"}
	texts := b.blockTexts()
	for _, t := range texts {
		names = append(names, t.name)
	}
	o := v.object(names...)
	b.writtenBlock = readBlock(o, map[string]bool{}, (*value).text)
	b.hasPrefix = o.has("prefix")
	for _, t := range texts {
		if o.has(t.name) {
			*t.text = o.get(t.name).text()
		}
	}
	return b
}

// takeBlock sets the fields of a unit from its block.
func (r *record) takeBlock() {
	b := r.block
	vintage := int64(b.Vintage)
	r.values["unitSerialId"] = cadtValue{text: b.printed()}
	r.values["unitStartBlock"] = cadtValue{text: b.start}
	r.values["unitEndBlock"] = cadtValue{text: b.end}
	r.values["unitVintageYear"] = cadtValue{number: &vintage}
	r.values["unitStatus"] = cadtValue{text: b.Status.String()}
	for _, t := range b.blockTexts() {
		if *t.text != "" {
			r.values[t.field] = cadtValue{text: *t.text}
		}
	}
}

// printed returns the block's serial, else PREFIX-START-END with the prefix as
// written. A prefix that stands before start and end is not written twice.
func (b *unitBlock) printed() string {
	if b.serial != "" {
		return b.serial
	}
	startText, _, _ := parseSerial(b.start)
	endText, _, _ := parseSerial(b.end)
	prefix := b.Prefix
	if !b.hasPrefix {
		prefix = strings.TrimRightFunc(prefix, func(r rune) bool {
			return NormalPrefix(string(r)) == "" && r < 0x80
		})
	}
	span := strings.TrimPrefix(b.start, startText) + "-" + strings.TrimPrefix(b.end, endText)
	if prefix == "" {
		return span
	}
	return prefix + "-" + span
}
