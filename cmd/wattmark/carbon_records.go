package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"wattmark/ledger/block"
	"wattmark/ledger/carbon"
	"wattmark/ledger/entry"
	"wattmark/signer"
)

// commitOf reads the commit of a record that a leaf holds.
func commitOf(leaf []byte) (*entry.CADTCommit, error) {
	msg, err := signer.Parse(leaf)
	if err != nil {
		return nil, err
	}
	c, err := entry.ParseCarbon(msg.Type, msg.Payload)
	if err != nil {
		return nil, err
	}
	commit, ok := c.(*entry.CADTCommit)
	if !ok {
		return nil, fmt.Errorf("it holds no record, but %s", msg.Type)
	}
	return commit, nil
}

// listedRecord is what carbon records prints of one writing of a record.
type listedRecord struct {
	Table    string          `json:"table"`
	Key      string          `json:"key"`
	Registry string          `json:"registry"`
	Author   string          `json:"author"`
	Comment  string          `json:"comment,omitempty"`
	Class    string          `json:"class"`
	Before   string          `json:"before_sha256,omitempty"`
	After    string          `json:"after_sha256"`
	Entry    string          `json:"entry_sha256"` // of the signed statement
	Leaf     uint64          `json:"leaf"`
	Stands   bool            `json:"stands"` // false once it was replaced
	Record   json.RawMessage `json:"record"`
}

func newCarbonRecords() *cobra.Command {
	var f carbonFlags
	var table string
	var all bool
	c := &cobra.Command{
		Use:   "records --dir DIR [--table TABLE] [--all]",
		Short: "List the records of CAD Trust on the ledger, and who wrote them",
		Long: `Records prints each record of CAD Trust as it stands: whose it is, who wrote it
and why, the digests of the record, of the one before and of the signed entry.
With --all it is the audit list: each writing of each record, in the ledger's
order.

Exit status: 0 done, 1 failed, 2 wrong usage.`,
		Example: "  wattmark carbon records --dir DIR --table unit --all",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := f.open()
			if err != nil {
				return failed(err)
			}
			s, _, err := replayed(cmd.Context(), m.dir, m.policy)
			if err != nil {
				return failed(err)
			}
			stands := make(map[uint64]bool)
			for _, r := range s.Records() {
				stands[r.Leaf] = true
			}
			p, e := newPage(cmd.OutOrStdout()), json.NewEncoder(cmd.OutOrStdout())
			e.SetEscapeHTML(false)
			typ := []byte(entry.TypeCADTCommit)
			return failed(m.finalLeaves(func(i uint64, leaf []byte) error {
				if entry.KindOf(leaf) != entry.LeafStatement || !bytes.Contains(leaf, typ) || !all && !stands[i] {
					return nil
				}
				c, err := commitOf(leaf)
				if err != nil || table != "" && c.Table != table {
					return nil
				}
				msg, err := signer.Parse(leaf)
				if err != nil {
					return err
				}
				party, _ := s.Party(msg.KeyID)
				sum, hash := sha256.Sum256(c.Record), msg.Hash()
				l := listedRecord{c.Table, c.Key, party.Name, c.Author, c.Comment, entry.ClassDeclared, hex.EncodeToString(c.Before), hex.EncodeToString(sum[:]),
					hex.EncodeToString(hash[:]), i, stands[i], c.Record}
				if f.asJSON {
					return e.Encode(l)
				}
				l.print(p)
				return p.err
			}))
		},
	}
	f.add(c)
	c.Flags().StringVar(&table, "table", "", "only those of a `TABLE`")
	c.Flags().BoolVar(&all, "all", false, "what was replaced, too")
	return c
}

func (l *listedRecord) print(p *page) {
	gone := ""
	if !l.Stands {
		gone = ", replaced since"
	}
	p.line(2, "%s %s of %s (%s), leaf %d%s", l.Table, l.Key, l.Registry, l.Class, l.Leaf, gone)
	why := ""
	if l.Comment != "" {
		why = ": " + l.Comment
	}
	p.line(4, "  by %s%s", l.Author, why)
	if l.Before != "" {
		p.line(4, "  before %s", l.Before)
	}
	p.line(4, "  record %s", l.After)
	p.line(4, "  entry  %s", l.Entry)
	p.line(4, "  %s", l.Record)
}

// exportForm writes the records of a ledger as export takes them, with the ledger's own
// units of each issuance that has a record.
func (f *memberFlags) exportForm(cmd *cobra.Command) ([]byte, error) {
	m, err := f.open()
	if err != nil {
		return nil, err
	}
	s, _, err := replayed(cmd.Context(), m.dir, m.policy)
	if err != nil {
		return nil, err
	}
	records, err := m.records(s)
	if err != nil {
		return nil, err
	}
	has := make(map[string]bool)
	for i := range records {
		if records[i].Table == "issuance" {
			has[records[i].Key] = true
		}
	}
	kinds := make(map[string]string)
	for _, p := range s.Projects() {
		kinds[p.ID] = map[string]string{entry.DirectionReduction: "Reduction - technical", entry.DirectionRemoval: "Removal - technical"}[p.Direction]
	}
	for _, b := range s.Blocks() {
		if !has[b.Issuance] || b.Status == carbon.Split {
			continue
		}
		at, err := m.timeOf(b.Leaf)
		if err != nil {
			return nil, err
		}
		row := map[string]any{
			"id": b.ID, "registry": b.Registry, "program": b.Program, "issuance": b.Issuance, "vintage": b.Vintage, "prefix": b.Prefix,
			"start": strconv.FormatInt(b.Start, 10), "end": strconv.FormatInt(b.End, 10), "count": int64(b.Count()), "status": b.Status.String(),
			"type": kinds[b.Project], "status_reason": cmp.Or(b.Reason, "N/A"), "status_date": at.Format(time.DateOnly), "metric": "tCO2e",
		}
		if b.Status == carbon.Held {
			row["owner"] = b.Holder
		}
		if b.Status == carbon.Retired {
			row["beneficiary"], row["retirement_detail"] = b.Beneficiary, fmt.Sprintf("%s, %s to %s", b.Reason, seconds(b.From), seconds(b.To))
		}
		if letter, _, ok := s.Authorized(b.Issuance); ok {
			row["itmo"] = letter.Reference
		}
		record, err := plainJSON(map[string]any{"refs": map[string]string{"issuance": b.Issuance}, "block": row})
		if err != nil {
			return nil, err
		}
		records = append(records, stagedRecord{"unit", b.ID, record})
	}
	return formOfRecords(records)
}

// timeOf is the time of the block that a leaf is in.
func (m *member) timeOf(leaf uint64) (at time.Time, err error) {
	r, _, _, err := openFinal(m.dir, m.policy)
	if err != nil {
		return at, err
	}
	defer r.Close()
	errFound := errors.New("found")
	err = r.Leaves(leaf, r.Size(), func(_ uint64, leaf []byte) error {
		if entry.KindOf(leaf) != entry.LeafHeader {
			return nil
		}
		h, err := block.ParseHeader(leaf)
		if err != nil {
			return err
		}
		at = time.UnixMilli(h.Time).UTC()
		return errFound
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return at, err
}
