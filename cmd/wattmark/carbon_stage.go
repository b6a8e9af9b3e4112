package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/ledger/state"
)

// stagedBatch is a file of records that was imported, and is not on the ledger yet. It is
// a file of the node's own, in the folder staging of its directory.
type stagedBatch struct {
	Batch    string               `json:"batch"` // the beginning of the file's SHA-256
	File     string               `json:"file"`
	SHA256   string               `json:"sha256"`
	Staged   time.Time            `json:"staged"`
	Class    string               `json:"class"` // of all that comes from a file: declared
	Records  []stagedRecord       `json:"records"`
	Findings []carbon.CADTFinding `json:"findings"`
}

type stagedRecord struct {
	Table string `json:"table"`
	Key   string `json:"key"`
	// Record is as its entry will carry it.
	Record json.RawMessage `json:"record"`
}

func (r *stagedRecord) reference() carbon.Reference {
	return carbon.Reference{Table: r.Table, Key: r.Key}
}

const stagingFolder = "staging"

func stagedFile(dir, batch string) string { return filepath.Join(dir, stagingFolder, batch+".json") }

// stage makes a batch of what import read from a file. Records without an id of a receiver
// get keys of their own: the batch's name and their number.
func stage(name string, file, imported []byte) (*stagedBatch, error) {
	sum := sha256.Sum256(file)
	b := &stagedBatch{
		Batch: hex.EncodeToString(sum[:6]), File: filepath.Base(name), SHA256: hex.EncodeToString(sum[:]), Staged: time.Now().UTC().Truncate(time.Second),
		Class: entry.ClassDeclared, Records: []stagedRecord{},
	}
	var form struct {
		Tables   json.RawMessage      `json:"tables"`
		Findings []carbon.CADTFinding `json:"findings"`
	}
	if err := json.Unmarshal(imported, &form); err != nil {
		return nil, err
	}
	b.Findings = form.Findings
	for i := range b.Findings {
		for j, id := range b.Findings[i].IDs {
			b.Findings[i].IDs[j] = b.key(id)
		}
	}
	d := json.NewDecoder(bytes.NewReader(form.Tables))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() { // in the order in which tables are filled
		table, err := d.Token()
		if err != nil {
			return nil, err
		}
		var rows []struct {
			Key    string                     `json:"key"`
			Refs   map[string]string          `json:"refs"`
			Fields json.RawMessage            `json:"fields"`
			Block  map[string]json.RawMessage `json:"block"`
		}
		if err := d.Decode(&rows); err != nil {
			return nil, err
		}
		for _, row := range rows {
			for to, key := range row.Refs {
				row.Refs[to] = b.key(key)
			}
			for _, name := range []string{"id", "issuance"} {
				if text, ok := row.Block[name]; ok {
					var id string
					if err := json.Unmarshal(text, &id); err != nil {
						return nil, err
					}
					if row.Block[name], err = plainJSON(b.key(id)); err != nil {
						return nil, err
					}
				}
			}
			record, err := plainJSON(struct {
				Refs   map[string]string          `json:"refs,omitempty"`
				Fields json.RawMessage            `json:"fields,omitempty"`
				Block  map[string]json.RawMessage `json:"block,omitempty"`
			}{row.Refs, row.Fields, row.Block})
			if err != nil {
				return nil, err
			}
			b.Records = append(b.Records, stagedRecord{table.(string), b.key(row.Key), record})
		}
	}
	return b, b.sort()
}

// sort puts records behind those that they refer to: a ledger takes no reference to what
// is not there yet. Within that the order of the tables stays.
func (b *stagedBatch) sort() error {
	refs := make(map[carbon.Reference][]carbon.Reference)
	for i := range b.Records {
		r := &b.Records[i]
		read, err := carbon.ReadRecord(r.Table, r.Key, r.Record, func(carbon.Reference) bool { return true })
		if err != nil {
			return err
		}
		refs[r.reference()] = read.Refs
	}
	depths := make(map[carbon.Reference]int)
	var depth func(r carbon.Reference) int
	depth = func(r carbon.Reference) int {
		if d, ok := depths[r]; ok {
			return d
		}
		depths[r] = 0 // records that refer to each other stay as they are
		deepest := 0
		for _, to := range refs[r] {
			if _, here := refs[to]; here {
				deepest = max(deepest, depth(to)+1)
			}
		}
		depths[r] = deepest
		return deepest
	}
	for i := range b.Records {
		depth(b.Records[i].reference())
	}
	slices.SortStableFunc(b.Records, func(x, y stagedRecord) int { return cmp.Compare(depths[x.reference()], depths[y.reference()]) })
	return nil
}

// plainJSON writes JSON without spaces, and no more escaped than it must be.
func plainJSON(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// key is what a record is called on the ledger.
func (b *stagedBatch) key(id string) string {
	if n, ok := strings.CutPrefix(id, "NEW-"); ok {
		return b.Batch + "-" + n
	}
	return id
}

func (b *stagedBatch) save(dir string) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, stagingFolder), 0o700); err != nil {
		return err
	}
	return writeFile(stagedFile(dir, b.Batch), append(text, '\n'))
}

// loadBatch reads a batch by its name, or by the only one that begins so.
func loadBatch(dir, name string) (*stagedBatch, error) {
	all, err := batchesIn(dir)
	if err != nil {
		return nil, err
	}
	var found []*stagedBatch
	for _, b := range all {
		if strings.HasPrefix(b.Batch, name) && name != "" {
			found = append(found, b)
		}
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("%s staged begin with %q: 'wattmark carbon staged' lists them", plural(len(found), "batch that is", "batches that are"), name)
	}
	return found[0], nil
}

// batchesIn reads all batches, the oldest first.
func batchesIn(dir string) ([]*stagedBatch, error) {
	names, err := filepath.Glob(stagedFile(dir, "*"))
	if err != nil {
		return nil, err
	}
	var out []*stagedBatch
	for _, name := range names {
		text, err := readLimited(name, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b := new(stagedBatch)
		if err := json.Unmarshal(text, b); err != nil {
			return nil, fmt.Errorf("%s: %w: stage the file again", name, err)
		}
		out = append(out, b)
	}
	slices.SortStableFunc(out, func(a, b *stagedBatch) int { return a.Staged.Compare(b.Staged) })
	return out, nil
}

// What committing a record would do.
const (
	stagedNew       = "new"
	stagedChange    = "change"
	stagedSame      = "same"      // it stands so already
	stagedForeign   = "foreign"   // another registry's
	stagedConflicts = "conflicts" // an error keeps it from being committed
)

// checkedRecord is a staged record held against the ledger.
type checkedRecord struct {
	Table    string            `json:"table"`
	Key      string            `json:"key"`
	Would    string            `json:"would"`
	Registry string            `json:"registry,omitempty"` // whose it is already
	Findings []checkedFinding  `json:"findings"`
	before   *state.RecordInfo // nil for a new one
}

type checkedFinding struct {
	Rule     string   `json:"rule"`
	Severity string   `json:"severity"`
	Records  []string `json:"records"` // both sides
	Note     string   `json:"note"`
}

// records are all records of a ledger as entries carry them, by table and key.
func (m *member) records(s *state.State) ([]stagedRecord, error) {
	r, _, _, err := openFinal(m.dir, m.policy)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var out []stagedRecord
	for _, info := range s.Records() {
		leaf, err := r.Leaf(info.Leaf)
		if err != nil {
			return nil, err
		}
		c, err := commitOf(leaf)
		if err != nil {
			return nil, fmt.Errorf("leaf %d: %w", info.Leaf, err)
		}
		out = append(out, stagedRecord{c.Table, c.Key, c.Record})
	}
	return out, nil
}

// check holds a batch against a ledger: what would change, which serials stand already,
// and what may be counted twice.
func (b *stagedBatch) check(s *state.State, ledger []stagedRecord) ([]checkedRecord, error) {
	known := make(map[carbon.Reference]*state.RecordInfo)
	for _, info := range s.Records() {
		known[carbon.Reference{Table: info.Table, Key: info.Key}] = &info
	}
	staged := make(map[carbon.Reference]bool)
	for i := range b.Records {
		staged[b.Records[i].reference()] = true
	}
	var rest []stagedRecord // of the ledger, which the batch does not replace
	for i := range ledger {
		if !staged[ledger[i].reference()] {
			rest = append(rest, ledger[i])
		}
	}
	found, err := doubts(s, append(rest, b.Records...))
	if err != nil {
		return nil, err
	}
	var out []checkedRecord
	for i := range b.Records {
		r := &b.Records[i]
		c := checkedRecord{Table: r.Table, Key: r.Key, Would: stagedNew, Findings: []checkedFinding{}, before: known[r.reference()]}
		if c.before != nil {
			c.Registry, c.Would = c.before.Registry, stagedChange
			if sum := sha256.Sum256(r.Record); bytes.Equal(sum[:], c.before.Digest) {
				c.Would = stagedSame
			}
		}
		for _, f := range found {
			if !slices.Contains(f.Records, r.Key) || !aboutTable(f.Rule, r.Table) {
				continue
			}
			c.Findings = append(c.Findings, f)
			if f.Severity == string(carbon.Refused) {
				c.Would = stagedConflicts
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// aboutTable reports whether a rule is about records of a table.
func aboutTable(rule, table string) bool {
	switch rule {
	case "D3":
		return table == "project"
	case "D4":
		return table == "issuance"
	}
	return table == "unit"
}

// doubts finds what is counted twice among records and a ledger's own units, and what may
// be.
func doubts(s *state.State, records []stagedRecord) ([]checkedFinding, error) {
	var f carbon.Findings
	var blocks []carbon.Block
	for _, b := range s.Blocks() {
		blocks = append(blocks, b.Block)
	}
	for i := range records {
		r, err := carbon.ReadRecord(records[i].Table, records[i].Key, records[i].Record, func(carbon.Reference) bool { return true })
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", records[i].Table, records[i].Key, err)
		}
		if r.Block != nil {
			blocks = append(blocks, *r.Block)
		}
	}
	carbon.CheckBlocks(blocks, &f)
	form, err := formOfRecords(records)
	if err != nil {
		return nil, err
	}
	if err := carbon.Candidates(form, &f); err != nil {
		return nil, err
	}
	list, _ := f.Sorted()
	out := make([]checkedFinding, len(list))
	for i, x := range list {
		out[i] = checkedFinding{x.Rule, string(x.Severity), x.IDs, x.Note}
	}
	return out, nil
}

// formOfRecords writes records as export takes them.
func formOfRecords(records []stagedRecord) ([]byte, error) {
	tables := make(map[string][]json.RawMessage)
	for i := range records {
		r := &records[i]
		key, err := plainJSON(r.Key)
		if err != nil {
			return nil, err
		}
		row := slices.Concat([]byte(`{"key":`), key, []byte(","), r.Record[1:])
		if string(r.Record) == "{}" {
			row = slices.Concat([]byte(`{"key":`), key, []byte("}"))
		}
		tables[r.Table] = append(tables[r.Table], row)
	}
	return plainJSON(map[string]any{"tables": tables})
}
