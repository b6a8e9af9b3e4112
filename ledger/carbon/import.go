package carbon

import (
	"slices"
	"strconv"
	"strings"
)

// Import reads the tables of CAD Trust as JSON, and returns the form that [Export]
// takes together with findings, as one line. Where a finding is an error nothing is
// imported, unless partial is set: then the records without errors are, as far as all
// they refer to is among them. It returns whether it holds, which with partial it
// always does. A file that is wrong as such is a [Fault].
func Import(file []byte, partial bool) (result []byte, holds bool, err error) {
	f, top := readForm(file)
	rs := &records{}
	o := top.object("ok", "schema", "tables")
	if !o.get("ok").boolean() {
		o.get("ok").fail("want true: an export that found something has no tables")
	}
	o.get("schema").oneOf(CADTSchema)
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
			rs.all = append(rs.all, readExported(v, t, keys))
		}
	}
	if !f.ok() {
		return nil, false, f.fault
	}
	result, holds = rs.imported(partial)
	return result, holds, nil
}

// readExported reads a record as export writes it.
func readExported(v *value, t *cadtTable, keys map[string]bool) *record {
	names := append([]string{t.ID}, t.fields()...)
	for _, table := range t.refs() {
		names = append(names, schema.table(table).ID)
	}
	o := v.object(names...)
	r := &record{table: t, key: o.get(t.ID).id(keys), values: map[string]cadtValue{}, refs: map[string]string{}}
	for _, field := range t.fields() {
		if o.has(field) {
			r.values[field] = readCADTValue(o.get(field), slices.Contains(t.Lists, field))
		}
	}
	for _, table := range t.refs() {
		if id := schema.table(table).ID; o.has(id) {
			r.refs[table] = o.get(id).name()
		}
	}
	return r
}

// imported checks records and writes the form that export takes.
func (rs *records) imported(partial bool) (result []byte, holds bool) {
	rs.sort()
	for _, r := range rs.all {
		if r.table.Table == "unit" {
			rs.makeBlock(r)
		}
	}
	rs.check()
	refused := rs.refused()
	if refused && partial {
		rs.dropFailed()
	}
	rs.sortFindings()
	findings := rs.findings
	if findings == nil {
		findings = []CADTFinding{}
	}
	if refused && !partial {
		return encode(ordered{{"ok", false}, {"findings", findings}}), false
	}
	tables := rs.byTable(func(r *record) any { return rs.form(r) })
	return encode(ordered{{"tables", tables}, {"findings", findings}}), true
}

// dropFailed leaves out records with errors, and those that refer to one left out.
func (rs *records) dropFailed() {
	for {
		before := len(rs.all)
		gone := map[[2]string]bool{}
		rs.all = slices.DeleteFunc(rs.all, func(r *record) bool {
			if r.failed {
				gone[[2]string{r.table.Table, r.key}] = true
			}
			return r.failed
		})
		if len(rs.all) == before {
			return
		}
		for _, r := range rs.all {
			for _, table := range r.table.refs() {
				if to := r.refs[table]; gone[[2]string{table, to}] {
					rs.find(r, Refused, "reference", schema.table(table).ID, "correct that first", "the %s %s is left out", table, quote(to))
				}
			}
		}
	}
}

// makeBlock reads a unit's fields as a block. What is missing altogether check finds.
func (rs *records) makeBlock(r *record) {
	text := func(field string) string { return r.values[field].String() }
	b := &unitBlock{}
	b.ID, b.Issuance = r.key, r.refs["issuance"]
	b.start, b.end = text("unitStartBlock"), text("unitEndBlock")
	for _, t := range b.blockTexts() {
		if v, ok := r.values[t.field]; ok {
			*t.text = v.String()
		}
	}
	sound := !slices.ContainsFunc(derivedFields, func(field string) bool { return r.values[field].empty() })
	vintage, err := strconv.Atoi(text("unitVintageYear"))
	if text("unitVintageYear") != "" && (err != nil || vintage < 1 || vintage > 9999) {
		rs.find(r, Refused, "vintage", "unitVintageYear", "write a year in digits", "%s is no year", quote(text("unitVintageYear")))
		sound = false
	}
	serial := func(field, which string) (string, int64) {
		prefix, n, err := parseSerial(text(field))
		if text(field) != "" && err != nil {
			rs.find(r, Refused, "range", field, "end it in the digits of the "+which+" serial", "%v", err)
			sound = false
		}
		return prefix, n
	}
	startText, start := serial("unitStartBlock", "first")
	endText, end := serial("unitEndBlock", "last")
	if b.Status, err = ParseStatus(text("unitStatus")); err != nil || !sound {
		return // no receiver's picklist has the status either
	}
	b.Vintage, b.Serials = vintage, Serials{start, end}
	b.badRange = end < start || NormalPrefix(startText) != NormalPrefix(endText)
	b.count = int64(b.Count())
	if v, ok := r.values[countColumn]; ok {
		b.count = *v.number
		delete(r.values, countColumn)
	}
	b.takeSerial(text("unitSerialId"), startText)
	r.block = b
}

// takeSerial finds the prefix that a printed serial was made with, and keeps the
// serial where it was made in another way.
func (b *unitBlock) takeSerial(serial, startText string) {
	b.Prefix = startText
	if b.printed() == serial {
		return
	}
	span := "-" + b.start + "-" + b.end
	if prefix, ok := strings.CutSuffix(serial, span); ok && startText == "" && prefix != "" {
		b.Prefix, b.hasPrefix = prefix, true
		return
	}
	b.serial = serial
}

// form writes a record as export takes it.
func (rs *records) form(r *record) ordered {
	o := ordered{{"key", r.key}}
	refs := ordered{}
	for _, table := range r.table.refs() {
		if to := r.refs[table]; to != "" {
			refs = append(refs, member{table, to})
		}
	}
	if len(refs) > 0 {
		o = append(o, member{"refs", refs})
	}
	names := r.table.fields()
	if r.block != nil {
		names = keptFields()
	}
	fields := ordered{}
	for _, field := range names {
		if v, ok := r.values[field]; ok && !v.empty() {
			fields = append(fields, member{field, v})
		}
	}
	if r.block == nil || len(fields) > 0 {
		o = append(o, member{"fields", fields})
	}
	if b := r.block; b != nil {
		b.Registry, b.Program = rs.registry(r)
		o = append(o, member{"block", b.form()})
	}
	return o
}

// form writes a block as export takes it.
func (b *unitBlock) form() ordered {
	o := ordered{
		{"id", b.ID}, {"registry", b.Registry}, {"program", b.Program}, {"issuance", b.Issuance}, {"vintage", b.Vintage},
	}
	if b.hasPrefix {
		o = append(o, member{"prefix", b.Prefix})
	}
	o = append(o, member{"start", b.start}, member{"end", b.end}, member{"count", b.count}, member{"status", b.Status.String()})
	if b.serial != "" {
		o = append(o, member{"serial", b.serial})
	}
	for _, t := range b.blockTexts() {
		if *t.text != "" {
			o = append(o, member{t.name, *t.text})
		}
	}
	return o
}

// registry returns the names of registry and program that a unit's issuance,
// verification and project lead to; empty where they are not in the file.
func (rs *records) registry(unit *record) (registry, program string) {
	project := rs.follow(unit, "issuance", "verification", "project")
	if project == nil {
		return "", ""
	}
	if p := rs.follow(project, "program"); p != nil {
		return project.values["projectRegistryName"].String(), p.values["programName"].String()
	}
	return project.values["projectRegistryName"].String(), project.values["projectCreditingProgram"].String()
}

// follow goes from a record along references; nil where one leads nowhere.
func (rs *records) follow(r *record, tables ...string) *record {
	for _, table := range tables {
		to, ok := rs.index[[2]string{table, r.refs[table]}]
		if !ok {
			return nil
		}
		r = to
	}
	return r
}
