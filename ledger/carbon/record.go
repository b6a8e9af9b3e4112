package carbon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Record is a record of CAD Trust's data model as one entry carries it.
type Record struct {
	Table, Key string
	// Refs are the records that it refers to, in the order of the table's references.
	Refs []Reference
	// Block is that of a unit, nil in other tables. Its ID is the record's.
	Block *Block
}

// Reference names a record.
type Reference struct{ Table, Key string }

// ErrRecord is wrapped where a record is refused.
var ErrRecord = errors.New("carbon: no record of CAD Trust")

// ReadRecord reads a record and checks it as import does. It is JSON without spaces: an
// object of its refs, with its fields or a unit's block. known says whether another record
// is there to be referred to.
func ReadRecord(table, key string, record []byte, known func(Reference) bool) (*Record, error) {
	t := schema.table(table)
	if t == nil {
		return nil, fmt.Errorf("%w: there is no table %s", ErrRecord, quote(table))
	}
	var tight bytes.Buffer
	if err := json.Compact(&tight, record); err != nil || !bytes.Equal(tight.Bytes(), record) || len(record) < 2 || record[0] != '{' {
		return nil, fmt.Errorf("%w: it is not an object in JSON without spaces", ErrRecord)
	}
	file := append([]byte(`{"tables":{`), compact(table)...)
	file = append(append(append(file, `:[{"key":`...), compact(key)...), ',')
	if record[1] == '}' {
		file = file[:len(file)-1]
	}
	file = append(append(file, record[1:]...), `]}}`...)
	f, top := readForm(file)
	rs := readRecords(top)
	if !f.ok() {
		return nil, fmt.Errorf("%w: %w", ErrRecord, f.fault)
	}
	rs.known = known
	rs.check()
	for _, finding := range rs.findings {
		if finding.Severity == Refused {
			return nil, fmt.Errorf("%w: %s: %s", ErrRecord, finding.Rule, finding.Note)
		}
	}
	r := rs.all[0]
	out := &Record{Table: table, Key: key}
	for _, to := range t.refs() {
		if id := r.refs[to]; id != "" {
			out.Refs = append(out.Refs, Reference{to, id})
		}
	}
	if r.block != nil {
		b := r.block.Block
		b.ID = key
		out.Block = &b
	}
	return out, nil
}
